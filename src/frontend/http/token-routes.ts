/**
 * /api/v1/tokens: tokens for ranges of volumes and snapshots. Tokens travel in bodies, never in URLs, which logs keep.
 *
 * Always holds: who leaves while a token is read or written cancels that; what was written stays.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { RopewalkError } from "../../base/errors.ts";
import type { TokenInfo } from "../../control/mod.ts";
import type { Api } from "./api.ts";
import { channelOf } from "./channel.ts";
import { errorResponses } from "./error-json.ts";
import { streamedArray } from "./streamed-array.ts";
import {
  CreateTokenSchema,
  givenTokens,
  type MadeTokenJson,
  madeTokenJson,
  ReadTokenSchema,
  RevokeTokenSchema,
  type ShownTokensJson,
  ShowTokenSchema,
  shownTokensJson,
  TOKEN_BODY_BYTES_MAX,
  type TokenJson,
  type TokenWrittenJson,
  tokenJson,
  tokenSchemas,
  tokenWish,
  tokenWrittenJson,
  WriteTokenSchema,
  writePieces,
} from "./token-json.ts";
import { expectSilence, signalOfClient } from "./waiting-request.ts";

const tags = ["tokens"];
const MadeToken = Type.Unsafe<MadeTokenJson>({ $ref: "MadeToken#" });
const Token = Type.Unsafe<TokenJson>({ $ref: "Token#" });
const ShownTokens = Type.Unsafe<ShownTokensJson>({ $ref: "ShownTokens#" });
const TokenWritten = Type.Unsafe<TokenWrittenJson>({ $ref: "TokenWritten#" });

const bodyLimit = TOKEN_BODY_BYTES_MAX;

export function addTokenRoutes({ app, control }: Api, { nextTurn }: { nextTurn: () => Promise<void> }): void {
  for (const schema of tokenSchemas) app.addSchema(schema as TSchema);

  app.post(
    "/api/v1/tokens",
    {
      schema: {
        tags,
        summary: "Make a token for a range of a volume or snapshot",
        description:
          "It may stand for less than was asked for; `lengthBytes` says so. Ask again for the rest.",
        body: CreateTokenSchema,
        response: { 201: MadeToken, ...errorResponses },
      },
    },
    async (request, reply) => {
      expectSilence(request, reply);
      const made = await control().tokens.create(tokenWish(request.body), channelOf(request));
      return reply.code(201).send(madeTokenJson(made));
    },
  );

  app.get(
    "/api/v1/tokens",
    {
      schema: {
        tags,
        summary: "List the tokens that are known; none of them can be used by what the list says",
        response: { 200: Type.Array(Token), ...errorResponses },
      },
    },
    async (_request, reply) => {
      const { tokens } = control();
      const routesOf = tokens.routes();
      const json = (token: TokenInfo) => tokenJson({ ...token, routes: routesOf(token) });
      const pieces = streamedArray(tokens.list(), json, nextTurn);
      reply.type("application/json; charset=utf-8");
      return reply.send(ReadableStream.from(pieces) as never);
    },
  );

  app.post(
    "/api/v1/tokens/show",
    {
      bodyLimit,
      schema: {
        tags,
        summary: "Show what a token is",
        body: ShowTokenSchema,
        response: { 200: ShownTokens, ...errorResponses },
      },
    },
    (request) => shownTokensJson(control().tokens.show(givenTokens(request.body), channelOf(request))),
  );

  app.post(
    "/api/v1/tokens/read",
    {
      bodyLimit,
      schema: {
        tags,
        summary: "Read the data that a token stands for",
        description: "Cut at the token's end. An answer shorter than its content-length failed on the way.",
        produces: ["application/octet-stream"],
        body: ReadTokenSchema,
        response: { 200: Type.Unsafe<Uint8Array>({ type: "string", format: "binary" }), ...errorResponses },
      },
    },
    async (request, reply) => {
      const { offsetBytes, lengthBytes } = request.body;
      const reading = control().tokens.read(
        givenTokens(request.body),
        { offsetBytes, lengthBytes },
        channelOf(request),
      );
      // The first piece is read before the status is sent, so that refusals have theirs.
      const pieces = startingWith(await reading.bytes.next(), reading.bytes);
      reply.type("application/octet-stream").header("content-length", reading.lengthBytes);
      return reply.send(ReadableStream.from(pieces) as never);
    },
  );

  app.post(
    "/api/v1/tokens/write",
    {
      bodyLimit,
      schema: {
        tags,
        summary: "Write the data that a token stands for into a volume",
        description: "Durable when answered. No data passes through the client, and on the pool none moves.",
        body: WriteTokenSchema,
        response: { 200: TokenWritten, ...errorResponses },
      },
    },
    async (request, reply) => {
      const { body } = request;
      expectSilence(request, reply);
      const written = await control().tokens.write(
        { tokens: givenTokens(body), volume: body.volume, pieces: writePieces(body) },
        channelOf(request),
        { signal: signalOfClient(reply) },
      );
      return tokenWrittenJson(written, body);
    },
  );

  app.post(
    "/api/v1/tokens/revoke",
    {
      bodyLimit,
      schema: {
        tags,
        summary: "End a token, by what it is or by its id",
        body: RevokeTokenSchema,
        response: { 204: Type.Null({ description: "Ended." }), ...errorResponses },
      },
    },
    async (request, reply) => {
      const { id, token, tokens, strength = "mandatory" } = request.body;
      if (id === undefined) await control().tokens.revoke(givenTokens(request.body), { strength });
      else if (token === undefined && tokens === undefined) await control().tokens.revokeId(id, { strength });
      else throw new RopewalkError("INVALID_ARGUMENT", "Give an id or the token itself, not both.");
      return reply.code(204).send(null);
    },
  );
}

async function* startingWith(
  first: IteratorResult<Uint8Array>,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}
