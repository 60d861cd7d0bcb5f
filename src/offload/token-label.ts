/**
 * What a persistent token's pin says of it, so that the token is there again after a restart (docs/formats/token.md).
 * Always holds: a label fits the pool's limit; one that is not of this form is not taken for a token.
 */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { ByteRange } from "../device/mod.ts";
import { PLACEMENT_PATTERN, TOKEN_USAGES } from "./token-notes.ts";

const LABEL_PREFIX = "token ";
/** The pool's limit of a pin's label. */
const LABEL_BYTES_MAX = 2048;

const Bytes = (length: number) => Type.String({ pattern: `^[0-9a-f]{${length * 2}}$` });
const Whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const LabelShape = Type.Object(
  {
    v: Type.Literal(1),
    id: Bytes(8),
    nonce: Bytes(16),
    key: Bytes(8),
    volume: Type.String({ maxLength: 255 }),
    snapshot: Type.Optional(Type.String({ maxLength: 255 })),
    object: Whole,
    uuid: Type.String({ maxLength: 255 }),
    policy: Type.Union([Type.Literal("preserve"), Type.Literal("invalidate")]),
    created: Whole,
    expires: Whole,
    inactivity: Whole,
    once: Type.Boolean(),
    protected: Type.Boolean(),
    priority: Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
    creator: Type.String({ maxLength: 255 }),
    usage: Type.Optional(Type.Union(TOKEN_USAGES.map((usage) => Type.Literal(usage)))),
    placement: Type.Optional(Type.String({ pattern: PLACEMENT_PATTERN })),
    ranges: Type.Array(Type.Tuple([Whole, Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })]), {
      minItems: 1,
    }),
  },
  { additionalProperties: false },
);

export type TokenLabel = Omit<Static<typeof LabelShape>, "v" | "ranges">;

/** The label with as many of the ranges as it has room for: at least one, as everything else is short. */
export function encodeLabel(
  label: TokenLabel,
  ranges: readonly ByteRange[],
): { text: string; ranges: readonly ByteRange[] } {
  const text = (count: number) =>
    LABEL_PREFIX +
    JSON.stringify({
      v: 1,
      ...label,
      ranges: ranges.slice(0, count).map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]),
    });
  let count = Math.min(ranges.length, LABEL_BYTES_MAX / 4);
  while (count > 1 && Buffer.byteLength(text(count)) > LABEL_BYTES_MAX) count -= 1;
  return { text: text(count), ranges: ranges.slice(0, count) };
}

/** What stands in a pin's label; undefined: no token's. `malformed`: meant as one, but it cannot be. */
export function decodeLabel(
  text: string | undefined,
): { label: TokenLabel; ranges: ByteRange[] } | "malformed" | undefined {
  if (text?.startsWith(LABEL_PREFIX) !== true) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.slice(LABEL_PREFIX.length));
  } catch {
    return "malformed";
  }
  if (!Value.Check(LabelShape, value)) return "malformed";
  const { v: _, ranges, ...label } = value;
  let total = 0;
  for (const [offsetBytes, lengthBytes] of ranges) {
    total += lengthBytes;
    if (!Number.isSafeInteger(total) || !Number.isSafeInteger(offsetBytes + lengthBytes)) return "malformed";
  }
  return { label, ranges: ranges.map(([offsetBytes, lengthBytes]) => ({ offsetBytes, lengthBytes })) };
}
