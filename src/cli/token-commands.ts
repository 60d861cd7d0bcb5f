/**
 * `ropewalk token …`: tokens live in files.
 * Always holds: a token file is readable by its owner only, since whoever reads it can read the data.
 */
import type { Command } from "commander";
import { RopewalkError } from "../base/errors.ts";
import { checkName, parseMapName, quoted } from "../base/object-name.ts";
import { formatSize } from "../base/size-text.ts";
import type {
  CreateTokenJson,
  ShownTokensJson,
  TokenJson,
  WriteTokenOptions,
  WriteTokenPiece,
} from "../client/mod.ts";
import { bytesOption } from "./byte-count.ts";
import type { AddCommand } from "./command-line.ts";
import { formatFields, formatTable, formatTime } from "./table.ts";

const TOKEN_FILE_MODE = 0o600;
/** Data is as private as the volume that it comes from. */
const DATA_FILE_MODE = 0o600;
/** No token file is larger; what is, is something else. */
const TOKEN_FILE_BYTES_MAX = 2 ** 18;
const POLICIES = ["preserve", "invalidate", "reference"] as const;
const CHOICES = ["first", "last", "random", "least-loaded", "most-efficient", "lowest-latency"] as const;
const KINDS = ["data", "hash"] as const;
const USAGES = ["random", "sequential", "archive"] as const;

export function addTokenCommands(token: Command, add: AddCommand): void {
  addCreate(token, add);
  addRead(token, add);
  addWrite(token, add);

  add(token, "list", "list all tokens", async (session) => {
    await session.print(await (await session.connect()).tokens(), formatTokens);
  });

  add(token, "show <file>", "show what a token is", async (session, [file]) => {
    const bytes = await session.readFile(file!, TOKEN_FILE_BYTES_MAX);
    await session.print(await (await session.connect()).showToken(bytes), formatShown);
  });

  add(token, "revoke [file]", "end a token", async (session, [file], { hint, id }) => {
    if ((file === undefined) === (id === undefined))
      throw new RopewalkError("INVALID_ARGUMENT", "Give the token's file, or --id, and not both.");
    const given = id === undefined ? await session.readFile(file!, TOKEN_FILE_BYTES_MAX) : { id };
    const strength = hint === undefined ? "mandatory" : "hint";
    await (await session.connect()).revokeToken(given, { strength });
    const which = id === undefined ? `the token in ${file}` : `token ${id}`;
    await session.print(
      { ...(id === undefined ? { file } : { id }), revoked: true },
      () => `Revoked ${which}.\n`,
    );
  })
    .option("--id <id>", "the token's id, as token list shows it, when its file is lost")
    .option("--hint", "it need not end before its space is wanted");
}

function addCreate(token: Command, add: AddCommand): void {
  add(
    token,
    "create <source>",
    "make a token for the data of a volume or snapshot",
    async (session, [source], options) => {
      const out = options["out"]!;
      parseMapName(source!);
      const ropewalk = await session.connect();
      const { token, lengthBytes, tokens } = await ropewalk.createToken({
        source: source!,
        ...wishOf(options),
      });
      try {
        await session.writeFile(out, [token], TOKEN_FILE_MODE);
      } catch (error) {
        // Nobody has it. Of a hash token nothing is kept that could be ended.
        if (options["kind"] !== "hash") await ropewalk.revokeToken(token);
        throw error;
      }
      const made = { source, file: out, lengthBytes, tokens: tokens.length };
      await session.print(made, () => `Made a token for ${formatSize(lengthBytes)} of ${source}: ${out}\n`);
    },
  )
    .requiredOption("--out <file>", "where to write it, for its owner only")
    .option("--offset <bytes>", "where the data begins (0)")
    .option("--length <bytes>", "how much data (to the end)")
    .option(
      "--kind <kind>",
      "data: what it stands for is kept; hash: hashes of at most 56 MiB, nothing is kept (data)",
    )
    .option("--policy <policy>", `what a change of the data does to it: ${POLICIES.join(", ")} (preserve)`)
    .option("--ttl <seconds>", "it ends after this time")
    .option("--inactivity <seconds>", "it ends when it is not used for this time")
    .option("--delete-on-use", "it ends after its first use")
    .option("--persistent", "it outlives a restart of the daemon")
    .option("--priority <number>", "under pressure lower ones end first (0)")
    .option("--provider <id>", "which provider in the volume's stack keeps it")
    .option("--skip <number>", "pass over so many providers, from the outside in")
    .option("--choose <policy>", `how one of several providers is chosen: ${CHOICES.join(", ")} (first)`)
    .option("--usage <usage>", `how the data is used, for whoever copies it: ${USAGES.join(", ")}`)
    .option("--placement <text>", "where the data should be, for whoever copies it: 64 characters at most")
    .option("--secondary <kind>", "checksum: ask for a second token with checksums of the data")
    .option("--single", "one token, also when the data is on several members of a stack")
    .addHelpText(
      "after",
      "\n<source> is VOLUME, as it is now, or VOLUME@SNAPSHOT. Whoever has the file can read the data.",
    );
}

function addRead(token: Command, add: AddCommand): void {
  add(token, "read <file>", "read the data that a token stands for", async (session, [file], options) => {
    const { out, offset, length } = options;
    if (session.wantsJson && out === undefined)
      throw new RopewalkError("INVALID_ARGUMENT", "The data takes standard output; with --json give --out.");
    const bytes = await session.readFile(file!, TOKEN_FILE_BYTES_MAX);
    const ropewalk = await session.connect();
    let count = 0;
    await session.follow(async ({ signal }) => {
      const pieces = counted(
        ropewalk.readToken(bytes, {
          ...bytesOption("offsetBytes", offset),
          ...bytesOption("lengthBytes", length),
          signal,
        }),
        (length) => (count += length),
      );
      if (out !== undefined) await session.writeFile(out, pieces, DATA_FILE_MODE);
      else for await (const piece of pieces) await session.writeBytes(piece);
    });
    if (out !== undefined)
      await session.print({ file: out, bytes: count }, () => `Read ${formatSize(count)} into ${out}.\n`);
  })
    .option("--offset <bytes>", "where in the token's data to begin (0)")
    .option("--length <bytes>", "how much to read (to the token's end)")
    .option("--out <file>", "write it there instead of to standard output");
}

function addWrite(token: Command, add: AddCommand): void {
  add(
    token,
    "write <file> <volume>",
    "write a token's data into a volume",
    async (session, given, options) => {
      const [file, volume] = given as [string, string];
      checkName("volume", volume);
      const bytes = await session.readFile(file, TOKEN_FILE_BYTES_MAX);
      const ropewalk = await session.connect();
      const written = await session.follow(({ signal }) =>
        ropewalk.writeToken(bytes, { volume, ...writePlaceOf(options), signal }),
      );
      await session.print(
        written,
        ({ bytes, bytesMoved, pieces }) =>
          `Wrote ${formatSize(bytes)} into ${volume}${pieces === undefined ? "" : ` in ${pieces.length} pieces`}; ${formatSize(bytesMoved)} of data moved.\n`,
      );
    },
  )
    .option("--token-offset <bytes>", "where in the token's data to begin (0)")
    .option("--offset <bytes>", "where in the volume to begin (0)")
    .option("--length <bytes>", "how much to write (all that the token holds)")
    .option(
      "--piece <token-offset:offset:length>",
      "instead of these three, and as often as needed; each part may be empty: an offset then goes on from the piece before",
      (piece: string, before: readonly string[] | undefined) => [...(before ?? []), piece],
    )
    .addHelpText("after", "\nCtrl-C cancels; what was written stays.");
}

/** INVALID_ARGUMENT, INVALID_SIZE */
function writePlaceOf(options: Record<string, string>): Omit<WriteTokenOptions, "volume"> {
  const { tokenOffset, offset, length } = options;
  const place = {
    ...bytesOption("tokenOffsetBytes", tokenOffset),
    ...bytesOption("offsetBytes", offset),
    ...bytesOption("lengthBytes", length),
  };
  // What may be repeated comes as a list.
  const given = options["piece"] as unknown as readonly string[] | undefined;
  if (given === undefined) return place;
  if (Object.keys(place).length === 0) return { pieces: given.map(parsePiece) };
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    "--piece stands instead of --token-offset, --offset and --length; give one or the other.",
  );
}

function parsePiece(text: string): WriteTokenPiece {
  const parts = text.split(":").map((part) => (part === "" ? undefined : part));
  if (parts.length !== 3)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${quoted(text)} is no piece; say TOKEN-OFFSET:OFFSET:LENGTH, each of which may be empty.`,
    );
  const [tokenOffset, offset, length] = parts;
  return {
    ...bytesOption("tokenOffsetBytes", tokenOffset),
    ...bytesOption("offsetBytes", offset),
    ...bytesOption("lengthBytes", length),
  };
}

/** What the options ask for. INVALID_ARGUMENT, INVALID_SIZE */
function wishOf(options: Record<string, string>): Omit<CreateTokenJson, "source"> {
  const {
    offset,
    length,
    kind,
    policy,
    ttl,
    inactivity,
    deleteOnUse,
    persistent,
    priority,
    provider,
    skip,
    choose,
    usage,
    placement,
    secondary,
    single,
  } = options;
  return {
    ...bytesOption("offsetBytes", offset),
    ...bytesOption("lengthBytes", length),
    ...(kind === undefined ? {} : { kind: oneOf("kind", kind, KINDS) }),
    ...(policy === undefined ? {} : { policy: oneOf("policy", policy, POLICIES) }),
    ...(ttl === undefined ? {} : { ttlSeconds: parseNumber("ttl", ttl) }),
    ...(inactivity === undefined ? {} : { inactivitySeconds: parseNumber("inactivity", inactivity) }),
    ...(deleteOnUse === undefined ? {} : { deleteOnUse: true }),
    ...(persistent === undefined ? {} : { persistent: true }),
    ...(priority === undefined ? {} : { priority: parseNumber("priority", priority) }),
    ...(provider === undefined ? {} : { provider }),
    ...(skip === undefined ? {} : { skip: parseNumber("skip", skip) }),
    ...(choose === undefined ? {} : { choose: oneOf("choose", choose, CHOICES) }),
    ...(usage === undefined ? {} : { usage: oneOf("usage", usage, USAGES) }),
    ...(placement === undefined ? {} : { placement }),
    ...(secondary === undefined ? {} : { secondary: oneOf("secondary", secondary, ["checksum"] as const) }),
    ...(single === undefined ? {} : { single: true }),
  };
}

function oneOf<Value extends string>(option: string, text: string, values: readonly Value[]): Value {
  const value = values.find((candidate) => candidate === text);
  if (value !== undefined) return value;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `${quoted(text)} is nothing for --${option}; possible: ${values.join(", ")}.`,
  );
}

function parseNumber(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number)) return number;
  throw new RopewalkError("INVALID_ARGUMENT", `${quoted(text)} is no number for --${option}.`);
}

async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  count: (lengthBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    count(piece.length);
    yield piece;
  }
}

function formatTokens(tokens: readonly TokenJson[]): string {
  if (tokens.length === 0) return "There are no tokens. Make one: ropewalk token create VOLUME --out FILE\n";
  const hasNotes = tokens.some(({ usage, placement }) => usage !== undefined || placement !== undefined);
  const table = formatTable(
    [
      ...["ID", "STATE", "LENGTH", "SOURCE", "POLICY", "PRIORITY", "USES", "CREATOR", "EXPIRES"],
      ...(hasNotes ? ["USAGE", "PLACEMENT"] : []),
    ],
    tokens.map((token) => [
      token.id,
      token.state,
      formatSize(token.lengthBytes),
      token.source,
      token.policy,
      String(token.priority),
      String(token.uses),
      token.creator,
      timeOf(token.expiresAt),
      ...(hasNotes ? [token.usage ?? "", token.placement ?? ""] : []),
    ]),
    ["LENGTH", "PRIORITY", "USES"],
  );
  const served = new Map(tokens.map(({ source, routes }) => [source, routes]));
  const routes = [...served].flatMap(([source, routes]) => routes.map((route) => [source, route]));
  return routes.length === 0 ? table : `${table}\n${formatTable(["SOURCE", "ROUTE"], routes)}`;
}

function formatShown({ lengthBytes, tokens }: ShownTokensJson): string {
  const head =
    tokens.length === 1 ? "" : `${tokens.length} tokens for ${formatSize(lengthBytes)} of data\n\n`;
  return head + tokens.map(formatToken).join("\n");
}

function formatToken(token: ShownTokensJson["tokens"][number]): string {
  const flags = [token.persistent ? "persistent" : "", token.deleteOnUse ? "ends on use" : ""];
  return formatFields([
    ["id", token.id],
    ["state", token.state],
    ["kind", token.role === "primary" ? token.kind : `${token.kind}, companion`],
    ["source", token.source],
    ["stands at", String(token.dataOffsetBytes)],
    ["length", `${formatSize(token.lengthBytes)} (${token.lengthBytes} bytes)`],
    ["policy", [token.policy, ...flags].filter((flag) => flag !== "").join(", ")],
    ["priority", String(token.priority)],
    ["provider", token.provider],
    ["creator", token.creator],
    ...(token.usage === undefined ? [] : [["usage", token.usage] as const]),
    ...(token.placement === undefined ? [] : [["placement", token.placement] as const]),
    ...token.routes.map((route) => ["route", route] as const),
    ["made", formatTime(token.createdAt)],
    ["expires", timeOf(token.expiresAt)],
    ["used", usesText(token)],
  ]);
}

function timeOf(iso: string | null): string {
  return iso === null ? "never" : formatTime(iso);
}

function usesText({ uses, usedAt }: TokenJson): string {
  if (uses === 0) return "never";
  return `${uses === 1 ? "once" : `${uses} times`}, last ${timeOf(usedAt)}`;
}
