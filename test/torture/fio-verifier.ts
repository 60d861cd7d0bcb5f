// fio as a third writer: random sizes with its own checksums in every block, read back by itself after every
// few hundred. It ends when the server dies; only what it says about wrong data is a problem.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { killAtExit } from "../support/leftovers.ts";

const RUNTIME_SECONDS = 600;

export class FioVerifier {
  readonly problems: string[] = [];
  readonly #folder: string;
  readonly #sizeBytes: number;
  #end = () => {};

  constructor({ folder, sizeBytes }: { folder: string; sizeBytes: number }) {
    this.#folder = folder;
    this.#sizeBytes = sizeBytes;
  }

  async run(uri: string): Promise<void> {
    const output = join(this.#folder, "fio.txt");
    const child = spawn(
      "fio",
      [
        "--name=torture",
        "--ioengine=nbd",
        `--uri=${uri}`,
        "--thread",
        "--rw=randwrite",
        "--bsrange=4k-128k",
        "--blockalign=4k",
        "--iodepth=16",
        `--size=${this.#sizeBytes}`,
        "--time_based",
        `--runtime=${RUNTIME_SECONDS}`,
        "--fsync=64",
        "--verify=crc32c",
        "--verify_backlog=256",
        "--randrepeat=0",
        `--output=${output}`,
      ],
      { cwd: this.#folder, stdio: ["ignore", "pipe", "pipe"] },
    );
    const forget = killAtExit(child.pid!);
    this.#end = () => void child.kill("SIGTERM");
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
      });
    }
    await new Promise<void>((done) => child.once("close", () => done()));
    forget();
    const said = `${printed}\n${readFileSync(output, "utf8")}`;
    this.problems.push(
      ...said.split("\n").filter((line) => /verify.*(fail|bad)|bad.*(header|magic)|received/i.test(line)),
    );
  }

  end(): void {
    this.#end();
  }
}
