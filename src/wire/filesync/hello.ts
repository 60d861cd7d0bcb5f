/**
 * HELLO: who speaks, about what, and the proof that both know the key of the pair.
 *
 * With a channel that authenticates by itself (TLS) one exchange suffices: HELLO -> welcome. Where a key protects the
 * pair: HELLO -> challenge (the target's nonce), the same HELLO again with `mac` -> welcome with the target's `mac`. The
 * codes cover both nonces and all fields, so that none can be repeated or changed; what follows is then as safe as the
 * channel is. A connection that did not get its welcome may send nothing else.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { RopewalkError } from "../../base/errors.ts";
import { NAME_PATTERN } from "../../base/object-name.ts";
import type { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  CONNECTIONS_MAX,
  HOST_BYTES_MAX,
  MAC_BYTES,
  NAME_BYTES_MAX,
  NONCE_BYTES,
  PATH_BYTES_MAX,
  PROTOCOL_VERSION,
  SYNCHRONIZATION_ID_BYTES,
  TIME_STEPS,
} from "./constants.ts";

export type SendMode = "full" | "incremental" | "attributes";
export type DeletesPolicy = "mirror" | "keep" | "trash";
export type ConnectionRole = "main" | "sync";

export interface Hello {
  readonly version: number;
  readonly role: ConnectionRole;
  /** 0: the main connection. */
  readonly connection: number;
  /** How many connections there will be, 1 to 16. */
  readonly connections: number;
  /** Name of the target at its machine. */
  readonly target: string;
  /** 16 bytes: the same for all connections of a synchronization, also after a restart. */
  readonly synchronization: Uint8Array;
  /** 32 random bytes. */
  readonly nonce: Uint8Array;
  /** What it will send; in any order. */
  readonly modes: readonly SendMode[];
  readonly deletes: DeletesPolicy;
  /** The source's host and directory, for people; cut to 255 and 4096 bytes of UTF-8. */
  readonly sourceHost: string;
  readonly sourceDirectory: string;
  /** 32 bytes: `helloMac` after a challenge, else zeros. */
  readonly mac: Uint8Array;
}

/** What the target's file system and user can do. */
export interface TargetAbilities {
  readonly extendedAttributes: boolean;
  readonly accessControlLists: boolean;
  readonly deviceNodes: boolean;
  /** Owners and groups of files can be set (root). */
  readonly ownership: boolean;
  /** Names that differ only in upper and lower case are one. */
  readonly foldsCase: boolean;
  /** Those of a mode's 12 bits that are kept as they are set. */
  readonly modeBits: number;
  /** What times are cut to: one of `TIME_STEPS`. */
  readonly timeStepNanoseconds: number;
  readonly nameBytesMax: number;
  readonly freeBytes: number;
}

export interface Welcome {
  readonly version: number;
  readonly abilities: TargetAbilities;
  /** 32 bytes: `welcomeMac` after a challenge, else zeros. */
  readonly mac: Uint8Array;
}

export type HelloReply =
  /** `nonce`: 32 random bytes of the target. */
  | { readonly stage: "challenge"; readonly nonce: Uint8Array }
  | { readonly stage: "welcome"; readonly welcome: Welcome };

export const NO_MAC: Uint8Array = new Uint8Array(MAC_BYTES);

/** "RWFS", little-endian: what else may speak to this port is told apart at once. */
const MAGIC = 0x53465752;
const ROLES: readonly ConnectionRole[] = ["main", "sync"];
const MODES: readonly SendMode[] = ["full", "incremental", "attributes"];
const DELETES: readonly DeletesPolicy[] = ["mirror", "keep", "trash"];
const STAGES = ["challenge", "welcome"] as const;
const MODE_BITS_MAX = 0o7777;
const TARGET_NAME_BYTES_MAX = 63;
const TARGET_NAME = new RegExp(NAME_PATTERN);

export function writeHello(writer: ByteWriter, hello: Hello): void {
  writer.u32(MAGIC);
  writer.u16(hello.version);
  writer.u8(ROLES.indexOf(hello.role));
  writer.u8(hello.connection);
  writer.u8(hello.connections);
  writer.u8(MODES.reduce((bits, mode, index) => bits | (hello.modes.includes(mode) ? 1 << index : 0), 0));
  writer.u8(DELETES.indexOf(hello.deletes));
  writer.u8(0);
  writeFixed(writer, hello.synchronization, SYNCHRONIZATION_ID_BYTES);
  writeFixed(writer, hello.nonce, NONCE_BYTES);
  writeFixed(writer, hello.mac, MAC_BYTES);
  writer.utf8(hello.target, TARGET_NAME_BYTES_MAX);
  writer.utf8(hello.sourceHost, HOST_BYTES_MAX);
  writer.utf8(hello.sourceDirectory, PATH_BYTES_MAX);
}

/** PROTOCOL_ERROR; PEER_VERSION, whatever stands behind the version then. */
export function readHello(reader: ByteReader): Hello {
  if (reader.u32() !== MAGIC) throw reader.wrong("it does not begin with RWFS");
  const version = readVersion(reader);
  const role = reader.choice("role", ROLES);
  const connection = reader.u8();
  const connections = reader.u8();
  if (connections === 0 || connections > CONNECTIONS_MAX || connection >= connections)
    throw reader.wrong(
      `connection ${connection} of ${connections}, where 1 to ${CONNECTIONS_MAX} are allowed`,
    );
  if ((role === "main") !== (connection === 0))
    throw reader.wrong("connection 0, and no other, is the main one");
  const bits = reader.u8();
  if (bits >= 1 << MODES.length) throw reader.wrong(`there are no modes ${bits}`);
  const modes = MODES.filter((_, index) => (bits & (1 << index)) !== 0);
  const deletes = reader.choice("policy of deletes", DELETES);
  reader.zero(1);
  const synchronization = reader.copied(SYNCHRONIZATION_ID_BYTES);
  const nonce = reader.copied(NONCE_BYTES);
  const mac = reader.copied(MAC_BYTES);
  const target = reader.utf8("the target's name", TARGET_NAME_BYTES_MAX);
  if (!TARGET_NAME.test(target)) throw reader.wrong("what it calls the target is no name");
  const sourceHost = reader.utf8("the source's host", HOST_BYTES_MAX);
  const sourceDirectory = reader.utf8("the source's directory", PATH_BYTES_MAX);
  return {
    version,
    role,
    connection,
    connections,
    target,
    synchronization,
    nonce,
    modes,
    deletes,
    sourceHost,
    sourceDirectory,
    mac,
  };
}

export function writeHelloReply(writer: ByteWriter, reply: HelloReply): void {
  writer.u8(STAGES.indexOf(reply.stage));
  if (reply.stage === "challenge") writeFixed(writer, reply.nonce, NONCE_BYTES);
  else writeWelcome(writer, reply.welcome);
}

/** PROTOCOL_ERROR, PEER_VERSION */
export function readHelloReply(reader: ByteReader): HelloReply {
  const stage = reader.choice("answer to HELLO", STAGES);
  if (stage === "challenge") return { stage, nonce: reader.copied(NONCE_BYTES) };
  const version = readVersion(reader);
  const mac = reader.copied(MAC_BYTES);
  const abilities: TargetAbilities = {
    extendedAttributes: reader.flag(),
    accessControlLists: reader.flag(),
    deviceNodes: reader.flag(),
    ownership: reader.flag(),
    foldsCase: reader.flag(),
    modeBits: readModeBits(reader),
    timeStepNanoseconds: readTimeStep(reader),
    nameBytesMax: readNameBytesMax(reader),
    freeBytes: reader.u64(),
  };
  return { stage, welcome: { version, abilities, mac } };
}

/** The source's proof, for `mac` of its second HELLO: over that HELLO with zeros there, and the challenge's nonce. */
export function helloMac(key: Uint8Array, hello: Hello, targetNonce: Uint8Array): Uint8Array {
  return createHmac("sha256", key)
    .update("ropewalk-filesync source\0")
    .update(targetNonce)
    .update(helloBytes(hello))
    .digest();
}

/** The target's proof, for `mac` of its welcome. */
export function welcomeMac(
  key: Uint8Array,
  exchange: { readonly hello: Hello; readonly targetNonce: Uint8Array; readonly welcome: Welcome },
): Uint8Array {
  const writer = new ByteWriter(64);
  writeWelcome(writer, { ...exchange.welcome, mac: NO_MAC });
  return createHmac("sha256", key)
    .update("ropewalk-filesync target\0")
    .update(exchange.targetNonce)
    .update(writer.written())
    .update(helloBytes(exchange.hello))
    .digest();
}

/** Compares in constant time. */
export function isSameMac(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function helloBytes(hello: Hello): Uint8Array {
  const writer = new ByteWriter(512);
  writeHello(writer, { ...hello, mac: NO_MAC });
  return writer.written();
}

function writeWelcome(writer: ByteWriter, welcome: Welcome): void {
  const { abilities } = welcome;
  writer.u16(welcome.version);
  writeFixed(writer, welcome.mac, MAC_BYTES);
  writer.u8(Number(abilities.extendedAttributes));
  writer.u8(Number(abilities.accessControlLists));
  writer.u8(Number(abilities.deviceNodes));
  writer.u8(Number(abilities.ownership));
  writer.u8(Number(abilities.foldsCase));
  writer.u16(abilities.modeBits);
  writer.u32(abilities.timeStepNanoseconds);
  writer.u16(abilities.nameBytesMax);
  writer.u64(abilities.freeBytes);
}

function readVersion(reader: ByteReader): number {
  const version = reader.u16();
  if (version === PROTOCOL_VERSION) return version;
  throw new RopewalkError(
    "PEER_VERSION",
    `The peer speaks version ${version} of the protocol of file replication, this program ${PROTOCOL_VERSION}; use the same program at both ends.`,
  );
}

function readModeBits(reader: ByteReader): number {
  const bits = reader.u16();
  if (bits > MODE_BITS_MAX) throw reader.wrong(`a mode has no bits ${bits.toString(8)}`);
  return bits;
}

function readTimeStep(reader: ByteReader): number {
  const step = reader.u32();
  if (!TIME_STEPS.includes(step)) throw reader.wrong(`times in steps of ${step} ns are kept nowhere`);
  return step;
}

function readNameBytesMax(reader: ByteReader): number {
  const bytes = reader.u16();
  if (bytes === 0 || bytes > NAME_BYTES_MAX) throw reader.wrong(`names of ${bytes} bytes are no limit`);
  return bytes;
}

function writeFixed(writer: ByteWriter, bytes: Uint8Array, length: number): void {
  const field = new Uint8Array(length);
  field.set(bytes.subarray(0, length));
  writer.copy(field);
}
