// Content that says of itself whether it is whole: a head with the length of the body and its checksum, then the body.
import { createHash } from "node:crypto";

/** Files in it are written aside and renamed to their names, so that under `v…` nobody ever sees half of one. */
export const VERSIONS_FOLDER = "versions";

const HEAD = Buffer.from("ropewalk version");
const HEAD_BYTES = HEAD.length + 4 + 16;

export function versionedContent(seed: number, bodyBytes: number): Uint8Array {
  const content = Buffer.alloc(HEAD_BYTES + bodyBytes);
  const body = content.subarray(HEAD_BYTES);
  for (let at = 0; at + 4 <= body.length; at += 4)
    body.writeUInt32LE((seed + Math.imul(at, 2654435761)) >>> 0, at);
  HEAD.copy(content);
  content.writeUInt32LE(bodyBytes, HEAD.length);
  digest(body).copy(content, HEAD.length + 4);
  return content;
}

/** Why it is not one whole version; undefined: it is. */
export function tornReason(content: Buffer): string | undefined {
  if (content.length < HEAD_BYTES) return `only ${content.length} bytes`;
  if (content.compare(HEAD, 0, HEAD.length, 0, HEAD.length) !== 0) return "another head";
  const body = content.subarray(HEAD_BYTES);
  const wanted = content.readUInt32LE(HEAD.length);
  if (body.length !== wanted) return `${body.length} bytes instead of ${wanted}`;
  if (digest(body).compare(content, HEAD.length + 4, HEAD_BYTES) !== 0)
    return "another body than its head says";
  return undefined;
}

function digest(body: Uint8Array): Buffer {
  return createHash("md5").update(body).digest();
}
