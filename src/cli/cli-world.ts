/** What the command line needs of the process that it runs in, so that tests can run it inside their own. */
import type { ConnectOptions, Ropewalk } from "../client/mod.ts";

export interface CliWorld {
  /** What stands behind the program's name. */
  readonly parameters: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Standard output; resolves when more may be written. */
  print(text: string): Promise<void>;
  /** Standard output, for data; resolves when more may be written. */
  printBytes(bytes: Uint8Array): Promise<void>;
  /** The whole file. TOO_LARGE above `bytesMax`; else rejects with the system's error. */
  readFile(path: string, bytesMax: number): Promise<Uint8Array>;
  /** Makes the file of these pieces, or replaces it once all are there; it has `mode` from its first byte on. */
  writeFile(
    path: string,
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    mode: number,
  ): Promise<void>;
  /** Standard error. */
  printError(text: string): void;
  /** Whether standard error is a terminal, where a line may be written over. */
  readonly isTerminal: boolean;
  /** Calls `action` at the next Ctrl-C instead of ending the process. The result forgets it. */
  onInterrupt(action: () => void): () => void;
  connect(options: ConnectOptions): Promise<Ropewalk>;
  /** Runs the daemon until it is told to stop; the exit code. */
  serve(options: ServeOptions): Promise<number>;
  /** Writes what a synchronization elsewhere sends on standard input to a directory; the exit code. */
  receive(directory: string): Promise<number>;
}

/** Flags of `serve`, by the keys of the configuration file. */
export interface ServeOptions {
  readonly configFile: string | undefined;
  readonly flags: Record<string, string | string[] | true | undefined>;
  readonly firstVolume: string | undefined;
}
