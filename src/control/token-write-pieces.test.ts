import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlacedToken } from "./token-runs.ts";
import { lastPieces, placedPieces, type TokenWritePiece } from "./token-write-pieces.ts";

const KIB = 1024;

function placed(
  dataOffsetBytes: number,
  lengthBytes: number,
  role: PlacedToken["role"] = "primary",
): PlacedToken {
  return { token: new Uint8Array(512), dataOffsetBytes, lengthBytes, role };
}
const place = (pieces: readonly TokenWritePiece[], tokens = [placed(0, 64 * KIB)]) =>
  placedPieces(pieces, { tokens, volumeBytes: 128 * KIB });

test("T2: a length that is left out is all that the tokens hold without a gap", () => {
  const tokens = [
    placed(8 * KIB, 8 * KIB),
    placed(0, 10 * KIB),
    placed(20 * KIB, KIB),
    placed(16 * KIB, KIB, "companion"),
  ];
  assert.deepEqual(place([{ tokenOffsetBytes: 512 }], tokens), [
    { fromBytes: 512, toBytes: 0, lengthBytes: 16 * KIB - 512 },
  ]);
  assert.throws(() => place([{ tokenOffsetBytes: 16 * KIB }], tokens), { code: "TOKEN_CUT" });
  assert.throws(() => place([{ tokenOffsetBytes: 15 * KIB, lengthBytes: 2 * KIB }], tokens), {
    code: "TOKEN_CUT",
  });
});

test("T2: zeros that name no length fill the volume to its end", () => {
  const zeros = [placed(0, Number.MAX_SAFE_INTEGER)];
  assert.deepEqual(place([{ lengthBytes: KIB }, { offsetBytes: 100 * KIB }], zeros), [
    { fromBytes: 0, toBytes: 0, lengthBytes: KIB },
    { fromBytes: KIB, toBytes: 100 * KIB, lengthBytes: 28 * KIB },
  ]);
});

test("T2: a token of one use counts as used by the last piece that reads from it", () => {
  const tokens = [placed(0, 8 * KIB), placed(8 * KIB, 8 * KIB), placed(16 * KIB, KIB)];
  const pieces = place(
    [{ lengthBytes: KIB }, { lengthBytes: 12 * KIB }, { tokenOffsetBytes: 0, lengthBytes: 8 * KIB }],
    tokens,
  );
  const last = lastPieces(tokens, pieces);
  assert.deepEqual(
    tokens.map(({ token }) => last.get(token)),
    [2, 1, undefined],
  );
});
