/**
 * The target's end of connections, over whatever streams they come: the peer port's, or one on standard input and output.
 *
 * Always holds: at most `connectionsMax` connections at once; who names a target that is no more is let in nowhere, and
 * those that named it before are ended; after `close` nothing is written any more.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import { type AdmissionOptions, TargetConnectionServer, type TargetRoots } from "../filesync/mod.ts";
import type { Clock, StreamReceiver } from "../ports/mod.ts";

export const PEER_CONNECTIONS_MAX = 1024;

export interface FilesyncReceiverParts {
  readonly roots: TargetRoots;
  /** By the name that a connection gives; undefined: there is none. */
  readonly find: (
    name: string,
  ) => { readonly root: string; readonly key: Uint8Array | undefined } | undefined;
  readonly clock: Clock;
  readonly connectionsMax?: number | undefined;
  /** For the log: why a connection ended that did not end well. */
  readonly report?: (sentence: string) => void;
}

interface Connection {
  /** What it asked for. */
  name: string | undefined;
  readonly end: () => Promise<void>;
  readonly gone: Promise<void>;
}

export class FilesyncReceiver {
  readonly #parts: FilesyncReceiverParts;
  readonly #connections = new Set<Connection>();
  #isClosed = false;

  constructor(parts: FilesyncReceiverParts) {
    this.#parts = parts;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** The receiver of a stream that came; undefined refuses it. */
  accept(peer: { readonly description: string }): StreamReceiver | undefined {
    const { roots, clock, connectionsMax = PEER_CONNECTIONS_MAX, report } = this.#parts;
    if (this.#isClosed || this.#connections.size >= connectionsMax) return undefined;
    const gone = Promise.withResolvers<void>();
    const connection: Connection = {
      name: undefined,
      gone: gone.promise,
      end: () => {
        server.close();
        return gone.promise;
      },
    };
    const options: AdmissionOptions = { find: (name) => this.#find(connection, name), end: connection.end };
    const server = new TargetConnectionServer({
      clock,
      admission: roots.admission(options),
      ended: (error) => {
        this.#connections.delete(connection);
        if (error !== undefined) report?.(`${peer.description}: ${error.code}: ${error.message}`);
        gone.resolve();
      },
    });
    this.#connections.add(connection);
    return server.receiver;
  }

  /** Ends the connections that came for this target. */
  async endOf(name: string): Promise<void> {
    await Promise.all([...this.#connections].filter((each) => each.name === name).map(({ end }) => end()));
  }

  /** Resolves when nobody is connected. */
  async idle(): Promise<void> {
    while (this.#connections.size > 0) await Promise.all([...this.#connections].map(({ gone }) => gone));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#connections].map(({ end }) => end()));
  }

  #find(connection: Connection, name: string): { path: string; key: Uint8Array | undefined } {
    const found = this.#parts.find(name);
    if (found === undefined)
      throw new RopewalkError(
        "NOT_FOUND",
        `There is no target ${quoted(name)} here; make it with ropewalk filesync target add.`,
      );
    connection.name = name;
    return { path: found.root, key: found.key };
  }
}
