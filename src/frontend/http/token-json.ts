/**
 * Tokens as the API says them, and what requests about them may carry.
 *
 * Always holds: `token` is base64 of one token or of a whole structure of several (docs/formats/token-file.md); a
 * request may instead carry the structure taken apart, as `tokens`. Errors: INVALID_ARGUMENT, TOO_LARGE.
 */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { RopewalkError } from "../../base/errors.ts";
import {
  decodeTokenFile,
  type MadeTokens,
  type ShownToken,
  TOKEN_BYTES,
  TOKEN_FILE_BYTES_MAX,
  TOKEN_WRITE_PIECES_MAX,
  TOKENS_IN_FILE_MAX,
  type TokenInfo,
  type TokenPiece,
  type TokenWish,
  type TokenWritePiece,
  type WrittenTokens,
} from "../../control/mod.ts";
import { NameSchema } from "./volume-json.ts";

/** Room for a structure of as many tokens as there may be, in either form. */
export const TOKEN_BODY_BYTES_MAX = 512 * 1024;
const TTL_SECONDS_MAX = 366 * 86_400;
const PRIORITY_MAX = 255;
const PROVIDERS_MAX = 64;
const MAP_NAME_CHARACTERS_MAX = 127;

export const ByteSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const LengthSchema = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
export const MapNameSchema = Type.String({
  minLength: 1,
  maxLength: MAP_NAME_CHARACTERS_MAX,
  description: "VOLUME or VOLUME@SNAPSHOT.",
});

const base64 = (bytesMax: number, description: string) =>
  Type.String({ minLength: 1, maxLength: 4 * Math.ceil(bytesMax / 3), description });
const choice = <const Value extends string>(values: readonly Value[], description: string) =>
  Type.Unsafe<Value>(
    // A string by its kind, which is what the checks of requests go by.
    Type.String({ enum: [...values], pattern: `^(${values.join("|")})$`, description }),
  );

const PolicySchema = choice(
  ["preserve", "invalidate", "reference"],
  "What a change of the data does to the token: nothing, ends it, or shows through it.",
);
const RoleSchema = choice(
  ["primary", "companion"],
  "Several primary tokens for the same data are alternatives; a companion goes along with one.",
);
const UsageSchema = choice(
  ["random", "sequential", "archive"],
  "How the data is used, as the requestor says.",
);
const PlacementSchema = Type.String({
  pattern: "^[ -~]{1,64}$",
  description: "Where the requestor would like the data to be, in his words.",
});
const KIND = ["data", "zero", "hash"] as const;
const STATE = ["valid", "expired", "revoked", "cancelled", "deleted"] as const;

const TokenPieceSchema = Type.Object(
  {
    token: base64(TOKEN_BYTES, "512 bytes, base64."),
    dataOffsetBytes: ByteSchema,
    lengthBytes: LengthSchema,
    role: RoleSchema,
  },
  { additionalProperties: false },
);

export const MadeTokenSchema = Type.Object(
  {
    token: Type.String({ description: "All of it as one, base64: a token of 512 bytes, or a token file." }),
    lengthBytes: Type.Integer({ description: "How much of what was asked for it stands for." }),
    tokens: Type.Array(TokenPieceSchema, { description: "The tokens in it, one by one." }),
  },
  { $id: "MadeToken", additionalProperties: false },
);

const tokenFields = {
  id: Type.String({ description: "16 hexadecimal digits." }),
  state: choice(STATE, "Only a valid token gives data."),
  kind: choice(KIND, "What it stands for."),
  lengthBytes: Type.Integer(),
  policy: PolicySchema,
  persistent: Type.Boolean({ description: "It outlives a restart." }),
  deleteOnUse: Type.Boolean(),
  priority: Type.Integer({ description: "Under pressure lower ones go first." }),
  createdAt: Type.String({ format: "date-time" }),
  expiresAt: Type.Union([Type.String({ format: "date-time" }), Type.Null()], {
    description: "null: never.",
  }),
  inactivitySeconds: Type.Number({ description: "It ends when unused for so long; 0: does not." }),
  uses: Type.Integer(),
  usedAt: Type.Union([Type.String({ format: "date-time" }), Type.Null()]),
  creator: Type.String(),
  provider: Type.String({ description: "Which provider keeps it." }),
  source: Type.String({ description: "What it was made of." }),
  usage: Type.Optional(UsageSchema),
  placement: Type.Optional(PlacementSchema),
  routes: Type.Array(Type.String(), {
    description: "URIs under which the source is served, as far as they are known; of what is gone none.",
  }),
};
export const TokenSchema = Type.Object(tokenFields, { $id: "Token", additionalProperties: false });
export const ShownTokensSchema = Type.Object(
  {
    state: choice(STATE, "valid when all of them are; else the state of the first that is not."),
    lengthBytes: Type.Integer({ description: "How much data all of them stand for." }),
    tokens: Type.Array(
      Type.Object(
        { dataOffsetBytes: Type.Integer(), role: RoleSchema, ...tokenFields },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: "ShownTokens", additionalProperties: false },
);
export const TokenWrittenSchema = Type.Object(
  {
    bytes: Type.Integer({ description: "How much was written." }),
    bytesMoved: Type.Integer({ description: "Bytes of data that were read and written for it." }),
    elapsedMs: Type.Number(),
    pieces: Type.Optional(
      Type.Array(
        Type.Object(
          { tokenOffsetBytes: Type.Integer(), offsetBytes: Type.Integer(), bytes: Type.Integer() },
          { additionalProperties: false },
        ),
        { description: "Of a request with `pieces`: where each was read and written, and how much it was." },
      ),
    ),
  },
  { $id: "TokenWritten", additionalProperties: false },
);

export const CreateTokenSchema = Type.Object(
  {
    source: MapNameSchema,
    offsetBytes: Type.Optional(ByteSchema),
    lengthBytes: Type.Optional(LengthSchema),
    kind: Type.Optional(
      choice(
        ["data", "hash"],
        "data: what it stands for is kept; hash: it carries hashes of at most 56 MiB, nothing is kept for it, and a block that has changed is noticed when it is used.",
      ),
    ),
    policy: Type.Optional(PolicySchema),
    ttlSeconds: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: TTL_SECONDS_MAX })),
    inactivitySeconds: Type.Optional(Type.Number({ minimum: 0, maximum: TTL_SECONDS_MAX })),
    persistent: Type.Optional(Type.Boolean()),
    deleteOnUse: Type.Optional(Type.Boolean()),
    priority: Type.Optional(Type.Integer({ minimum: 0, maximum: PRIORITY_MAX })),
    provider: Type.Optional(
      Type.String({ minLength: 1, maxLength: 255, description: "Id of the provider that is to keep it." }),
    ),
    skip: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: PROVIDERS_MAX,
        description: "Pass over so many providers, from the outside in; not together with `provider`.",
      }),
    ),
    choose: Type.Optional(
      choice(
        ["first", "last", "random", "least-loaded", "most-efficient", "lowest-latency"],
        "How one of several providers is chosen; not together with `provider` or `skip`.",
      ),
    ),
    usage: Type.Optional(UsageSchema),
    placement: Type.Optional(PlacementSchema),
    secondary: Type.Optional(choice(["checksum"], "A second token beside it, with checksums of the data.")),
    single: Type.Optional(
      Type.Boolean({
        description:
          "One token for all of it, also when the data is on several members of a stack; then it is neither persistent nor a hash token.",
      }),
    ),
  },
  { additionalProperties: false },
);

/** One of the two. */
const given = {
  token: Type.Optional(base64(TOKEN_FILE_BYTES_MAX, "A token or a token file, base64.")),
  tokens: Type.Optional(
    Type.Array(TokenPieceSchema, {
      minItems: 1,
      maxItems: TOKENS_IN_FILE_MAX,
      description: "Instead of `token`: tokens taken out of what was given, in the order of preference.",
    }),
  ),
};
const withTokens = <Fields extends Record<string, TSchema>>(fields: Fields) =>
  Type.Object({ ...given, ...fields }, { additionalProperties: false });

export const ShowTokenSchema = withTokens({});
export const ReadTokenSchema = withTokens({
  offsetBytes: Type.Optional(ByteSchema),
  lengthBytes: Type.Optional(LengthSchema),
});
const writePlace = {
  tokenOffsetBytes: Type.Optional(ByteSchema),
  offsetBytes: Type.Optional(ByteSchema),
  lengthBytes: Type.Optional(LengthSchema),
};
export const WriteTokenSchema = withTokens({
  volume: NameSchema,
  ...writePlace,
  pieces: Type.Optional(
    Type.Array(Type.Object(writePlace, { additionalProperties: false }), {
      minItems: 1,
      maxItems: TOKEN_WRITE_PIECES_MAX,
      description:
        "Instead of the three: pieces, written in this order. An offset that is left out goes on where the piece before ended. The first that fails ends the request.",
    }),
  ),
});
export const RevokeTokenSchema = withTokens({
  id: Type.Optional(
    Type.String({
      pattern: "^[0-9a-f]{16}$",
      description: "Instead of `token` and `tokens`: the id of one that the list shows.",
    }),
  ),
  strength: Type.Optional(
    choice(["mandatory", "hint"], "mandatory: over when answered; hint: when space is wanted."),
  ),
});

export type MadeTokenJson = Static<typeof MadeTokenSchema>;
export type TokenJson = Static<typeof TokenSchema>;
export type ShownTokensJson = Static<typeof ShownTokensSchema>;
export type TokenWrittenJson = Static<typeof TokenWrittenSchema>;
export type CreateTokenJson = Static<typeof CreateTokenSchema>;
export type ReadTokenJson = Static<typeof ReadTokenSchema>;
export type WriteTokenJson = Static<typeof WriteTokenSchema>;
export type RevokeTokenJson = Static<typeof RevokeTokenSchema>;

export const tokenSchemas = [MadeTokenSchema, TokenSchema, ShownTokensSchema, TokenWrittenSchema];

export function tokenWish(body: CreateTokenJson): TokenWish {
  const { ttlSeconds, inactivitySeconds, provider, skip, secondary, ...rest } = body;
  const ways = [provider, skip, body.choose].filter((way) => way !== undefined);
  if (ways.length > 1)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      "Name a provider, how many to skip, or how to choose, and only one of these.",
    );
  return {
    ...rest,
    ttlMs: ttlSeconds === undefined ? undefined : Math.max(1, Math.round(ttlSeconds * 1000)),
    inactivityMs: inactivitySeconds === undefined ? undefined : Math.round(inactivitySeconds * 1000),
    provider: provider === undefined ? (skip === undefined ? undefined : { skip }) : { id: provider },
    withChecksums: secondary === "checksum",
  };
}

/** The pieces that a write asks for. INVALID_ARGUMENT */
export function writePieces({
  tokenOffsetBytes,
  offsetBytes,
  lengthBytes,
  pieces,
}: WriteTokenJson): readonly TokenWritePiece[] {
  if (pieces === undefined) return [{ tokenOffsetBytes, offsetBytes, lengthBytes }];
  if (tokenOffsetBytes === undefined && offsetBytes === undefined && lengthBytes === undefined) return pieces;
  throw new RopewalkError("INVALID_ARGUMENT", "Give offsets and length, or pieces that have them, not both.");
}

export function tokenWrittenJson(
  { pieces, ...written }: WrittenTokens,
  { pieces: asked }: WriteTokenJson,
): TokenWrittenJson {
  return asked === undefined ? written : { ...written, pieces: [...pieces] };
}

/** The tokens that a request carries, in whichever form. */
export function givenTokens(body: Pick<ReadTokenJson, "token" | "tokens">): TokenPiece[] {
  if ((body.token === undefined) === (body.tokens === undefined))
    throw new RopewalkError("INVALID_ARGUMENT", "Give either token or tokens.");
  if (body.token !== undefined) return decodeTokenFile(fromBase64(body.token));
  return body.tokens!.map((piece) => {
    const token = fromBase64(piece.token);
    if (token.length !== TOKEN_BYTES)
      throw new RopewalkError("INVALID_ARGUMENT", `A token has ${TOKEN_BYTES} bytes, not ${token.length}.`);
    return { ...piece, token };
  });
}

export function madeTokenJson({ file, tokens, lengthBytes }: MadeTokens): MadeTokenJson {
  return {
    token: toBase64(file),
    lengthBytes,
    tokens: tokens.map((piece) => {
      return { ...piece, token: toBase64(piece.token) };
    }),
  };
}

export function tokenJson(token: TokenInfo & { readonly routes: readonly string[] }): TokenJson {
  const { createdAtMs, expiresAtMs, inactivityMs, usedAtMs, uses, routes, ...rest } = token;
  return {
    ...rest,
    createdAt: new Date(createdAtMs).toISOString(),
    expiresAt: timeText(expiresAtMs),
    inactivitySeconds: inactivityMs / 1000,
    uses,
    usedAt: uses === 0 ? null : timeText(usedAtMs),
    routes: [...routes],
  };
}

export function shownTokensJson(shown: readonly ShownToken[]): ShownTokensJson {
  const tokens = shown.map(({ dataOffsetBytes, role, ...info }) => {
    return { dataOffsetBytes, role, ...tokenJson(info) };
  });
  const ends = tokens
    .filter(({ role }) => role === "primary")
    .map(({ dataOffsetBytes, lengthBytes }) => dataOffsetBytes + lengthBytes);
  const ended = tokens.find(({ state }) => state !== "valid");
  return { state: ended?.state ?? "valid", lengthBytes: Math.max(0, ...ends), tokens };
}

/** null for a time that no calendar has. */
function timeText(timeMs: number): string | null {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/** Strictly: what another encoder would write for the same bytes is refused. */
function fromBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") === text) return bytes;
  throw new RopewalkError("INVALID_ARGUMENT", "A token is not well-formed base64.");
}
