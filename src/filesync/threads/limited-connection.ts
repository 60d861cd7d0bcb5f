/**
 * A connection that keeps to the bandwidth of its target, and counts what it sends.
 * Always holds: requests reach the connection below in the order in which they were made here. When the connection ends,
 * those that wait for their bytes go on, and fail.
 */
import type { RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  FileFailure,
  HashRequest,
  ScanRequest,
  ScanResult,
  TargetFile,
  TreePath,
} from "../../ports/mod.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { ConnectionConfiguration, TargetAbilities, TargetConnection } from "./connection.ts";

/** Content that waits for its turn, and what is asked behind it. */
type Gate = (bytes: number) => Promise<void> | undefined;

export interface SentBytes {
  sentBytes: number;
}

export class LimitedConnection implements TargetConnection {
  readonly #below: TargetConnection;
  readonly #bandwidth: Bandwidth;
  readonly #sent: SentBytes;
  /** The last request that waits; undefined: none does. */
  #last: Promise<void> | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(below: TargetConnection, options: { bandwidth: Bandwidth; sent: SentBytes }) {
    this.#below = below;
    this.#bandwidth = options.bandwidth;
    this.#sent = options.sent;
    void below.closed.then(() => {
      for (const go of this.#waiting) go();
    });
  }

  get progress(): number {
    return this.#below.progress;
  }

  get closed(): Promise<RopewalkError | undefined> {
    return this.#below.closed;
  }

  hello(configuration: ConnectionConfiguration): Promise<TargetAbilities> {
    return this.#below.hello(configuration);
  }

  keepAlive(): Promise<void> {
    return this.#below.keepAlive();
  }

  apply(bundle: Uint8Array, operations: number, order?: "kept" | "any"): Promise<ApplyResult> {
    return inTurn(this.#gate, bundle.length, () => this.#below.apply(bundle, operations, order));
  }

  async begin(path: TreePath): Promise<TargetFile> {
    const file = await inTurn(this.#gate, 0, () => this.#below.begin(path));
    return new LimitedFile(file, this.#gate);
  }

  hashes(path: TreePath, request: HashRequest): Promise<Uint8Array> {
    return inTurn(this.#gate, 0, () => this.#below.hashes(path, request));
  }

  scan(request: ScanRequest): Promise<ScanResult> {
    return inTurn(this.#gate, 0, () => this.#below.scan(request));
  }

  stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    return inTurn(this.#gate, 0, () => this.#below.stat(paths));
  }

  sync(): Promise<void> {
    return inTurn(this.#gate, 0, () => this.#below.sync());
  }

  freeBytes(): Promise<number> {
    return this.#below.freeBytes();
  }

  close(): Promise<void> {
    return this.#below.close();
  }

  abandon(reason: RopewalkError): void {
    this.#below.abandon(reason);
  }

  /** Waits for the bytes, and for the requests before. */
  readonly #gate: Gate = (bytes) => {
    this.#sent.sentBytes += bytes;
    const isLimited = bytes > 0 && this.#bandwidth.bytesPerSecond > 0;
    if (!isLimited) return this.#last;
    const turn = this.#last === undefined ? this.#take(bytes) : this.#last.then(() => this.#take(bytes));
    this.#last = turn;
    void turn.then(() => {
      if (this.#last === turn) this.#last = undefined;
    });
    return turn;
  };

  #take(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        resolve();
      };
      this.#waiting.add(go);
      void this.#bandwidth.take(bytes).then(go);
    });
  }
}

class LimitedFile implements TargetFile {
  readonly #below: TargetFile;
  readonly #gate: Gate;

  constructor(below: TargetFile, gate: Gate) {
    this.#below = below;
    this.#gate = gate;
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return inTurn(this.#gate, bytes.length, () => this.#below.write(offset, bytes));
  }

  keep(offset: number, length: number): Promise<void> {
    return inTurn(this.#gate, 0, () => this.#below.keep(offset, length));
  }

  commit(packed: Uint8Array): Promise<FileFailure | undefined> {
    return inTurn(this.#gate, packed.length, () => this.#below.commit(packed));
  }

  abort(): Promise<void> {
    return inTurn(this.#gate, 0, () => this.#below.abort());
  }
}

/** At once when nothing waits: a request without a limit costs no turn. */
function inTurn<T>(gate: Gate, bytes: number, request: () => Promise<T>): Promise<T> {
  const turn = gate(bytes);
  return turn === undefined ? request() : turn.then(request);
}
