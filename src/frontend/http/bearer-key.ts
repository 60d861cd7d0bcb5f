/** The admin key as a bearer token (RFC 6750, section 2.1). Compared in a time that does not depend on what was sent. */
import { createHash, timingSafeEqual } from "node:crypto";
import { RopewalkError } from "../../base/errors.ts";

const SCHEME = /^bearer +([\x21-\x7e]+) *$/i;

export class BearerKey {
  // Digests, because they have one length, so not even the key's length can be timed.
  readonly #digest: Buffer;

  constructor(key: string) {
    this.#digest = digest(key);
  }

  /** UNAUTHORIZED unless the header carries the key. */
  check(authorization: string | undefined): void {
    const sent = SCHEME.exec(authorization ?? "")?.[1];
    if (sent !== undefined && timingSafeEqual(digest(sent), this.#digest)) return;
    throw new RopewalkError(
      "UNAUTHORIZED",
      sent === undefined
        ? "Send the admin key as Authorization: Bearer KEY; it stands in admin.key of the data directory."
        : "The admin key is wrong; the right one stands in admin.key of the data directory.",
    );
  }
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
