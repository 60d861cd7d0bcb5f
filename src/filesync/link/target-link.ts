/**
 * A connection to a target as its thread sees it, over whatever carries requests and replies.
 *
 * Always holds: HELLO proves the key of the pair to both ends, where there is one: the target's challenge is answered with
 * a code over both nonces, and its welcome must carry one of its own. UNAUTHORIZED: the other end does not know the key.
 */
import { RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  HashRequest,
  Random,
  ScanRequest,
  ScanResult,
  TargetFile,
  TreePath,
} from "../../ports/mod.ts";
import {
  type Hello,
  helloMac,
  isSameMac,
  MAC_BYTES,
  NO_MAC,
  NONCE_BYTES,
  PATHS_MAX,
  PROTOCOL_VERSION,
  type Welcome,
  welcomeMac,
} from "../../wire/filesync/mod.ts";
import type { ConnectionConfiguration, TargetAbilities, TargetConnection } from "../threads/connection.ts";
import type { Exchange } from "./exchange.ts";

export interface TargetLinkParts {
  readonly exchange: Exchange;
  readonly random: Random;
  /** Of the pair; undefined: the way itself says who is there (ssh, the same process). */
  readonly key: Uint8Array | undefined;
  readonly connections: number;
  readonly sourceHost: string;
  readonly sourceDirectory: string;
}

export class TargetLink implements TargetConnection {
  readonly closed: Promise<RopewalkError | undefined>;
  readonly #parts: TargetLinkParts;
  readonly #exchange: Exchange;

  constructor(parts: TargetLinkParts) {
    this.#parts = parts;
    this.#exchange = parts.exchange;
    this.closed = parts.exchange.closed;
  }

  get progress(): number {
    return this.#exchange.progress;
  }

  async hello(configuration: ConnectionConfiguration): Promise<TargetAbilities> {
    const { random, key, connections, sourceHost, sourceDirectory } = this.#parts;
    const hello: Hello = {
      version: PROTOCOL_VERSION,
      role: configuration.role,
      connection: configuration.number,
      connections,
      target: configuration.target,
      synchronization: configuration.synchronization,
      nonce: random.bytes(NONCE_BYTES),
      modes: configuration.modes,
      deletes: configuration.deletes,
      sourceHost,
      sourceDirectory,
      mac: NO_MAC,
    };
    const first = await this.#exchange.ask({ type: "hello", hello });
    if (first.stage === "welcome") {
      if (key !== undefined) throw this.#notKnown("welcomed us without asking for the key");
      return first.welcome.abilities;
    }
    if (key === undefined) throw this.#notKnown("asks for a key, and none was given");
    const mac = helloMac(key, hello, first.nonce);
    const second = await this.#exchange.ask({ type: "hello", hello: { ...hello, mac } });
    if (second.stage !== "welcome")
      throw new RopewalkError("PROTOCOL_ERROR", "The target asked for the key twice.");
    this.#checkWelcome(key, { hello: { ...hello, mac }, targetNonce: first.nonce, welcome: second.welcome });
    return second.welcome.abilities;
  }

  async keepAlive(): Promise<void> {
    await this.#exchange.ask({ type: "keepAlive" });
  }

  async apply(bundle: Uint8Array, _operations: number, order?: "kept" | "any"): Promise<ApplyResult> {
    const isUnordered = order === "any";
    return (await this.#exchange.ask({ type: "apply", bundle, isUnordered })).result;
  }

  async begin(path: TreePath): Promise<TargetFile> {
    const exchange = this.#exchange;
    const { handle } = await exchange.ask({ type: "begin", path });
    return {
      write: async (offset, bytes) => {
        await exchange.ask({ type: "write", handle, offset, bytes });
      },
      keep: async (offset, length) => {
        await exchange.ask({ type: "keep", handle, offset, length });
      },
      commit: async (packed) => (await exchange.ask({ type: "commit", handle, packed })).failure,
      abort: async () => {
        await exchange.ask({ type: "abort", handle });
      },
    };
  }

  async hashes(path: TreePath, request: HashRequest): Promise<Uint8Array> {
    return (await this.#exchange.ask({ type: "hashes", path, request })).hashes;
  }

  async scan({ paths, withListings, excludes }: ScanRequest): Promise<ScanResult> {
    return (await this.#exchange.ask({ type: "scan", paths, withListings, excludes })).result;
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    const found: (FileAttributes | undefined)[] = [];
    for (let at = 0; at < paths.length; at += PATHS_MAX) {
      const some = paths.slice(at, at + PATHS_MAX);
      const { attributes } = await this.#exchange.ask({ type: "stat", paths: some });
      if (attributes.length !== some.length)
        throw new RopewalkError("PROTOCOL_ERROR", "The target answered for other paths than it was asked.");
      found.push(...attributes);
    }
    return found;
  }

  async sync(): Promise<void> {
    await this.#exchange.ask({ type: "sync" });
  }

  async freeBytes(): Promise<number> {
    return (await this.#exchange.ask({ type: "free" })).freeBytes;
  }

  async close(): Promise<void> {
    this.#exchange.close();
    await this.closed;
  }

  abandon(reason: RopewalkError): void {
    this.#exchange.abandon(reason);
  }

  #checkWelcome(
    key: Uint8Array,
    exchange: { hello: Hello; targetNonce: Uint8Array; welcome: Welcome },
  ): void {
    const { mac } = exchange.welcome;
    if (mac.length !== MAC_BYTES || !isSameMac(mac, welcomeMac(key, exchange)))
      throw this.#notKnown("does not know the key itself");
  }

  #notKnown(what: string): RopewalkError {
    return new RopewalkError("UNAUTHORIZED", `The target ${what}; compare the keys at both ends.`);
  }
}
