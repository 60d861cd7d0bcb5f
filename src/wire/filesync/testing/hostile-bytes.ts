/** Hostile bytes for parsers: what is good, changed a little or much, and what the parser may do with it. */
import assert from "node:assert/strict";
import { type ErrorCode, RopewalkError } from "../../../base/errors.ts";
import type { Prng } from "../../../base/prng.ts";

/** Numbers that lengths and counts go wrong with. */
const BAD_NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

const BAD_NAMES = ["/", "..", "../", "/../", ".", "/./", "//", "\0"];

/** A copy with bytes changed, cut out, doubled or cut off. */
export function mutated(bytes: Uint8Array, prng: Prng): Uint8Array {
  const below = (limit: number) => prng.word() % limit;
  let copy = Buffer.from(bytes);
  for (let left = 1 + below(3); left > 0; left--) {
    const at = below(copy.length + 1);
    switch (below(7)) {
      case 0:
        if (at < copy.length) copy[at] = below(256);
        break;
      case 1:
        if (at < copy.length) copy[at] = copy[at]! ^ (1 << below(8));
        break;
      case 2:
        if (at + 4 <= copy.length) copy.writeUInt32LE(BAD_NUMBERS[below(BAD_NUMBERS.length)]!, at);
        break;
      case 3:
        copy = copy.subarray(0, at);
        break;
      case 4: {
        const length = below(40);
        copy = Buffer.concat([copy.subarray(0, at), copy.subarray(at + length)]);
        break;
      }
      case 5:
        copy.write(BAD_NAMES[below(BAD_NAMES.length)]!, at, "latin1");
        break;
      case 6: {
        const piece = copy.subarray(at, at + below(40));
        copy = Buffer.concat([copy.subarray(0, at), piece, piece, copy.subarray(at + piece.length)]);
        break;
      }
    }
  }
  return new Uint8Array(copy);
}

/** The value, or undefined where the parser refused; any other end is a defect. */
export function parsedOrRefused<Value>(parse: () => Value, orCode?: ErrorCode): Value | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof RopewalkError, `not a catalogued error: ${String(error)}`);
    assert.ok(error.code === "PROTOCOL_ERROR" || error.code === orCode, error.code);
    assert.ok(error.message.length > 0 && error.message.length < 500);
    return undefined;
  }
}

/** What a parser may never hand out, by another rule than the parser's own. */
export function assertInside(path: string): void {
  assert.ok(path.length <= 4096 && !path.startsWith("/") && !path.includes("\0"));
  if (path === "") return;
  for (const name of path.split("/"))
    assert.ok(name.length >= 1 && name.length <= 255 && name !== "." && name !== "..", JSON.stringify(path));
}

/** What a parser throws whose sentence has this in it: that it refuses for another reason proves nothing. */
export function refusedWith(sentence: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof RopewalkError && error.code === "PROTOCOL_ERROR", String(error));
    assert.ok(error.message.includes(sentence), `"${error.message}" does not say "${sentence}"`);
    return true;
  };
}
