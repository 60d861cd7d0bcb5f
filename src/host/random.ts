/** Chance behind the Random port: the operating system's cryptographic generator. */
import { randomFillSync } from "node:crypto";
import type { Random } from "../ports/mod.ts";

export const hostRandom: Random = {
  bytes: (length: number): Uint8Array => randomFillSync(new Uint8Array(length)),
};
