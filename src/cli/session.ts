/** What every command that talks to a daemon shares: where it is, how results are printed, how work is cancelled. */
import type { Command } from "commander";
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import type { Ropewalk } from "../client/mod.ts";
import type { CliWorld } from "./cli-world.ts";
import { ProgressLine } from "./progress.ts";

const DATA_DIRECTORY_DEFAULT = "./ropewalk-data";

export interface SessionOptions {
  readonly url?: string;
  readonly data?: string;
  readonly json?: true;
}

export class Session {
  readonly #world: CliWorld;
  readonly #options: SessionOptions;
  /** Set by a command whose answer is a failure although the call succeeded. */
  exitCode = 0;

  constructor(world: CliWorld, options: SessionOptions) {
    this.#world = world;
    this.#options = options;
  }

  get wantsJson(): boolean {
    return this.#options.json === true;
  }

  /** A flag goes over every variable, so --data is not overruled by ROPEWALK_URL. */
  connect(): Promise<Ropewalk> {
    const { environment } = this.#world;
    const { url, data } = this.#options;
    return this.#world.connect({
      url: url ?? (data === undefined ? set(environment["ROPEWALK_URL"]) : undefined),
      key: set(environment["ROPEWALK_KEY"]),
      dataDirectory: data ?? set(environment["ROPEWALK_DATA"]) ?? DATA_DIRECTORY_DEFAULT,
    });
  }

  /** Prints a result: as JSON, or as the text that `format` makes for people. */
  print<Result>(result: Result, format: (result: Result) => string): Promise<void> {
    return this.#world.print(this.wantsJson ? `${JSON.stringify(result, null, 2)}\n` : format(result));
  }

  write(text: string): Promise<void> {
    return this.#world.print(text);
  }

  writeBytes(bytes: Uint8Array): Promise<void> {
    return this.#world.printBytes(bytes);
  }

  /** The user's file. INVALID_ARGUMENT when it cannot be read, TOO_LARGE */
  async readFile(path: string, bytesMax: number): Promise<Uint8Array> {
    try {
      return await this.#world.readFile(path, bytesMax);
    } catch (cause) {
      throw fileError(`${path} cannot be read`, cause);
    }
  }

  /** A file for the user, with its permissions from the first byte on. INVALID_ARGUMENT when it cannot be written */
  async writeFile(
    path: string,
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    mode: number,
  ): Promise<void> {
    try {
      await this.#world.writeFile(path, pieces, mode);
    } catch (cause) {
      throw fileError(`${path} cannot be written`, cause);
    }
  }

  /** Does long work that Ctrl-C cancels, with a line of progress. */
  async follow<Result>(
    work: (options: { signal: AbortSignal; progress: ProgressLine }) => Promise<Result>,
  ): Promise<Result> {
    const abort = new AbortController();
    const progress = new ProgressLine(this.#world);
    const forget = this.#world.onInterrupt(() => abort.abort());
    try {
      return await work({ signal: abort.signal, progress });
    } finally {
      forget();
      progress.end();
    }
  }
}

/** Adds the options that all these commands have. */
export function withSessionOptions(command: Command): Command {
  return command
    .option("--url <url>", "URL of the daemon; else ROPEWALK_URL")
    .option("--data <dir>", "data directory to find the daemon by; else ROPEWALK_DATA, else ./ropewalk-data")
    .option("--json", "print one JSON value and nothing else");
}

/** How a command of the table of commands runs. */
export type Action = (
  session: Session,
  parameters: string[],
  options: Record<string, string>,
) => Promise<void>;

function set(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** What the system says about a file the user named; what has a code already keeps it. */
function fileError(what: string, cause: unknown): RopewalkError {
  if (cause instanceof RopewalkError) return cause;
  const { code } = cause as { code?: unknown };
  if (typeof code !== "string") return asRopewalkError(cause);
  return new RopewalkError("INVALID_ARGUMENT", `${what}: ${code}.`, { cause });
}
