// The peers that replicate live: lsyncd with a delay of one second to an rsync daemon, and Unison between two directories.
// Each runs in the foreground with files of its own only, and is ended by its id.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { killAtExit } from "../../test/support/leftovers.ts";
import { runProgram } from "../../test/support/run-program.ts";
import { findProgram } from "../../tools/find-program.ts";
import type { RsyncDaemon } from "./rsync-daemon.ts";

const END_TIMEOUT_MS = 10_000;
const PRINTED_MAX = 10_000;

export interface LivePeerPlace {
  /** For its own files. */
  readonly folder: string;
  readonly source: string;
  readonly target: string;
  readonly rsync: RsyncDaemon;
}

export class LivePeer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #forget: () => void;
  #printed = "";

  constructor(program: string, parameters: readonly string[], environment: Record<string, string> = {}) {
    const child = spawn(program, parameters, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#printed = (this.#printed + text).slice(-PRINTED_MAX);
      });
    child.on("error", (error) => {
      this.#printed += error.message;
    });
  }

  /** What it said last, for errors. */
  get printed(): string {
    return this.#printed;
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    }
    this.#forget();
  }
}

export interface LivePeerKind {
  readonly name: string;
  /** Undefined: it is not installed. */
  readonly start: (place: LivePeerPlace) => LivePeer;
}

/** Those that are installed. */
export function livePeers(): LivePeerKind[] {
  const peers: LivePeerKind[] = [];
  if (findProgram("lsyncd") !== undefined) peers.push({ name: "lsyncd, delay 1", start: startLsyncd });
  if (findProgram("unison") !== undefined) {
    // Without the helper that watches, which not every package has, it can only look again and again.
    const repeat = findProgram("unison-fsmonitor") === undefined ? "1" : "watch";
    peers.push({ name: `unison -repeat ${repeat}`, start: (place) => startUnison(place, repeat) });
  }
  return peers;
}

export async function livePeerVersions(): Promise<string[]> {
  const versions: string[] = [];
  if (findProgram("lsyncd") !== undefined)
    versions.push(`lsyncd ${(await runProgram("lsyncd", ["--version"])).trim().split(" ").at(-1)}`);
  if (findProgram("unison") !== undefined)
    versions.push((await runProgram("unison", ["-version"])).replace(" version", "").split(" (")[0]!.trim());
  return versions;
}

function startLsyncd({ folder, source, target, rsync }: LivePeerPlace): LivePeer {
  const configuration = join(folder, "lsyncd.lua");
  writeFileSync(
    configuration,
    `settings { nodaemon = true, statusFile = ${lua(join(folder, "lsyncd.status"))} }
sync { default.rsync, source = ${lua(source)}, target = ${lua(rsync.url(target))}, delay = 1, rsync = { archive = true } }
`,
  );
  return new LivePeer("lsyncd", ["-nodaemon", configuration]);
}

function lua(text: string): string {
  return JSON.stringify(text);
}

function startUnison({ folder, source, target }: LivePeerPlace, repeat: string): LivePeer {
  const home = join(folder, "unison");
  mkdirSync(home, { recursive: true });
  const options = ["-batch", "-auto", "-times", "-owner", "-group", "-dumbtty", "-ui", "text", "-logfile"];
  return new LivePeer(
    "unison",
    [source, target, ...options, join(home, "log"), "-repeat", repeat, "-force", source],
    { UNISON: home, HOME: home },
  );
}
