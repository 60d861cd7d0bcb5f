/**
 * What a configuration file may say: the one description from which files are checked and
 * docs/config.schema.json is made. Strict: what is not here is refused.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { NAME_PATTERN } from "../../base/object-name.ts";
import { PROVIDER_POLICIES } from "../../offload/mod.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const RUNNING_WRITES = ["finish", "abort"] as const;
export type RunningWrites = (typeof RUNNING_WRITES)[number];
export const UNKNOWN_COMPANIONS = ["fail", "ignore"] as const;
export type UnknownCompanions = (typeof UNKNOWN_COMPANIONS)[number];

/** From a second to a year. */
export const TOKEN_SECONDS = { minimum: 1, maximum: 31_536_000 };
const ISCSI_USERS_MAX = 256;
const ISCSI_INITIATORS_MAX = 1024;

const strict = { additionalProperties: false };
const section = <Properties extends Record<string, TSchema>>(properties: Properties) =>
  Type.Optional(Type.Object(properties, strict));
const text = (description: string) => Type.Optional(Type.String({ minLength: 1, description }));
const size = (description: string) =>
  Type.Optional(
    Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: "^[0-9]" })], {
      description: `${description} Bytes, or a size such as 100GiB.`,
    }),
  );
const count = (description: string, range: { minimum: number; maximum: number }) =>
  Type.Optional(Type.Integer({ description, ...range }));

const switchedOn = (description: string) => Type.Optional(Type.Boolean({ description }));
const seconds = (description: string, range: { minimum: number; maximum: number }) =>
  count(`${description} Seconds.`, range);

const files = {
  certificate: text("File with the certificate chain, PEM."),
  key: text("File with the private key, PEM."),
};

/** A user name and its secret, or the file that holds the secret. */
const Credentials = (description: string) =>
  Type.Object(
    {
      user: Type.String({ minLength: 1, maxLength: 255 }),
      secret: text("The secret, 12 to 255 bytes."),
      secretFile: text("File that holds the secret; white space at its end does not count."),
    },
    { ...strict, description },
  );

/** What a target asks of initiators; the same for all targets and for one. */
const targetRules = {
  chap: Type.Optional(
    Type.Array(Credentials("A user that may log in."), {
      maxItems: ISCSI_USERS_MAX,
      description: "Users that initiators must log in as, by CHAP; empty asks for none.",
    }),
  ),
  mutual: Type.Optional(
    Credentials("Who the target says it is when an initiator asks it for CHAP (mutual CHAP)."),
  ),
  initiators: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 223 }), {
      maxItems: ISCSI_INITIATORS_MAX,
      description: "Names of the initiators that may log in; empty lets any.",
    }),
  ),
  blockBytes: Type.Optional(
    Type.Union([Type.Literal(512), Type.Literal(4096)], { description: "Logical block size; 512." }),
  ),
};

export const ConfigSchema = Type.Object(
  {
    data: text("Data directory: pool, sockets, keys."),
    adminKeyFile: text("File with the admin key; admin.key of the data directory when absent."),
    insecure: Type.Optional(
      Type.Boolean({ description: "Allow addresses that are not loopback without TLS." }),
    ),
    logLevel: Type.Optional(
      // The pattern is what checks; editors offer the enum.
      Type.String({ enum: [...LOG_LEVELS], pattern: `^(${LOG_LEVELS.join("|")})$` }),
    ),
    nbd: section({
      addresses: Type.Optional(
        Type.Array(Type.String(), {
          maxItems: 64,
          description:
            "HOST:PORT to listen on besides nbd.sock of the data directory; port 0 picks a free one.",
        }),
      ),
      tls: section({
        ...files,
        clientAuthority: text("File with the authority that client certificates must come from, PEM."),
        required: Type.Optional(
          Type.Boolean({
            description: "Refuse clients on TCP that do not speak TLS; true unless all is loopback.",
          }),
        ),
      }),
      connectionsMax: count("Clients at once; one more is refused.", { minimum: 1, maximum: 65_536 }),
      pollMicroseconds: count(
        "How long to look for the next request before sleeping; 0 is never. 50 where there are several processors.",
        { minimum: 0, maximum: 1000 },
      ),
    }),
    iscsi: section({
      addresses: Type.Optional(
        Type.Array(Type.String(), {
          maxItems: 64,
          description:
            "Portals, HOST:PORT or HOST:PORT,TAG with the tag of their portal group, which is 1; port 0 picks a free one. An empty list turns iSCSI off.",
        }),
      ),
      connectionsMax: count("Connections at once; one more is refused.", { minimum: 1, maximum: 65_536 }),
      ...targetRules,
      targets: Type.Optional(
        Type.Record(Type.String({ pattern: NAME_PATTERN }), Type.Object(targetRules, strict), {
          ...strict,
          description:
            "Targets of single volumes, by the volume's name; what is given goes over what stands for all. They need not exist.",
        }),
      ),
    }),
    http: section({
      address: text("HOST:PORT to listen on; port 0 picks a free one."),
      tls: section(files),
      connectionsMax: count("Connections at once; one more is closed.", { minimum: 1, maximum: 65_536 }),
      requestSeconds: count("A request must have arrived whole within this time.", {
        minimum: 1,
        maximum: 3600,
      }),
    }),
    peer: section({
      address: text(
        "HOST:PORT that other daemons' synchronizations come to; port 0 picks a free one. Off loopback always TLS by the key of the pair.",
      ),
      connectionsMax: count("Connections at once; one more is refused.", { minimum: 1, maximum: 65_536 }),
    }),
    pool: section({
      size: size("Limit of the pool's size."),
      nodeCache: size("Memory for maps."),
      collectAboveRatio: Type.Optional(
        Type.Number({
          minimum: 1.05,
          maximum: 100,
          description: "Collection begins when used space exceeds this multiple of live data.",
        }),
      ),
      scrubPace: size("Pace of the background scrub, a second; 0 is off."),
      pageThreads: count(
        "Threads that checksum large requests beside the loop. 2 on four processors or more, 1 on two, 0 on one.",
        { minimum: 0, maximum: 16 },
      ),
    }),
    tokens: section({
      ttlSeconds: seconds("Time to live of a token that asks for none.", TOKEN_SECONDS),
      ttlSecondsMax: seconds("Longest time to live that a token gets.", TOKEN_SECONDS),
      inactivitySeconds: seconds(
        "A token that asks for nothing else ends when it is not used for so long; 0 is never.",
        { ...TOKEN_SECONDS, minimum: 0 },
      ),
      countMax: count("Tokens at once; beyond it those of the lowest priority end.", {
        minimum: 1,
        maximum: 1_000_000,
      }),
      memoryMax: size("Memory that tokens may take; beyond it those of the lowest priority end."),
      heldMax: size("Data that only tokens keep; beyond it those of the lowest priority end."),
      savedPerSecondMax: size(
        "Saved in a second for tokens of files and exports; beyond it one of them ends.",
      ),
      movedPerSecondMax: size("Read and written in a second by token writes; beyond it a token in use ends."),
      transferSecondsMax: seconds("Longest use of a token; beyond it a token in use ends.", TOKEN_SECONDS),
      poolFreeMin: size("Free space of the pool below which its tokens end; 0 is never."),
      pinsMax: count(
        "Frozen maps in the pool that tokens hold; beyond it those of the lowest priority end.",
        {
          minimum: 1,
          maximum: 1_000_000,
        },
      ),
      preservedMax: size("Memory for what a file or export overwrites; beyond it tokens of it end."),
      checksumMax: size(
        "Memory for the checksums that token writes leave on a file or export; 0 keeps none.",
      ),
      hashSearchBytes: size(
        "Read at most of the pool's volumes in search of blocks that a use of a hash token misses; 0 searches for none.",
      ),
      runningWrites: Type.Optional(
        Type.String({
          enum: [...RUNNING_WRITES],
          pattern: `^(${RUNNING_WRITES.join("|")})$`,
          description: "What becomes of writes that run when their token ends.",
        }),
      ),
      allowUnprotected: switchedOn(
        "Take tokens that were issued on a protected channel on channels that are not.",
      ),
      endWithVolume: switchedOn("Tokens end when the volume that they were made of is deleted."),
      endWithSession: switchedOn("Tokens end with the session that asked for them."),
      choose: Type.Optional(
        Type.String({
          enum: [...PROVIDER_POLICIES],
          pattern: `^(${PROVIDER_POLICIES.join("|")})$`,
          description: "How one of several providers is chosen for a token that asks for none.",
        }),
      ),
      unknownCompanions: Type.Optional(
        Type.String({
          enum: [...UNKNOWN_COMPANIONS],
          pattern: `^(${UNKNOWN_COMPANIONS.join("|")})$`,
          description:
            "What a companion that is unknown, or whose primary token is missing, does to a write.",
        }),
      ),
    }),
    volumes: Type.Optional(
      Type.Record(
        Type.String({ pattern: NAME_PATTERN }),
        Type.Object(
          {
            layers: Type.Array(Type.Object({ layer: Type.String() }, { additionalProperties: true }), {
              maxItems: 16,
              description:
                "Layers over the volume, from the volume outwards; src/device/layers has their manuals.",
            }),
          },
          strict,
        ),
        { ...strict, description: "Settings of single volumes, by name; they need not exist." },
      ),
    ),
  },
  { ...strict, title: "Configuration of ropewalk serve" },
);

/** As JSON Schema, for editors. */
export function configSchema(): object {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", ...ConfigSchema };
}
