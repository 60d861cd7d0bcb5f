// qemu-io as a second, foreign writer: patterns into slots of a volume of its own, some with FUA, some followed
// by a flush, each taken down once qemu-io said that it was written; and read back with its own verification.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Prng } from "../../src/base/prng.ts";
import { killAtExit } from "../support/leftovers.ts";
import { tryProgram } from "../support/run-program.ts";

const SLOT_BYTES = 64 * 1024;
const VERIFY_TIMEOUT_MS = 60_000;

export class QemuIoWriter {
  readonly #slots: (number | undefined)[];
  readonly #prng: Prng;
  #ending = false;
  #outstanding: { slot: number; pattern: number } | undefined;
  written = 0;
  readonly problems: string[] = [];

  constructor({ sizeBytes, prng }: { sizeBytes: number; prng: Prng }) {
    this.#slots = new Array(Math.floor(sizeBytes / SLOT_BYTES)).fill(undefined);
    this.#prng = prng;
  }

  /** Writes until `end`, or until its connection breaks. */
  async run(uri: string): Promise<void> {
    this.#ending = false;
    const child = spawn("qemu-io", ["-f", "raw", uri], { stdio: ["pipe", "pipe", "pipe"] });
    const forget = killAtExit(child.pid!);
    const closed = new Promise<void>((done) => child.once("close", () => done()));
    child.stdin.on("error", () => {});
    const answers = new Answers(child);
    // Its first prompt says that the volume is open.
    await answers.next();
    while (!this.#ending) {
      const slot = Math.floor(this.#prng.fraction() * this.#slots.length);
      const pattern = 1 + Math.floor(this.#prng.fraction() * 255);
      const fua = this.#prng.chance(0.3) ? "-f " : "";
      this.#outstanding = { slot, pattern };
      child.stdin.write(`write ${fua}-P ${pattern} ${slot * SLOT_BYTES} ${SLOT_BYTES}\n`);
      const answer = await answers.next();
      if (answer === undefined || !answer.includes(`wrote ${SLOT_BYTES}/${SLOT_BYTES} bytes`)) {
        if (!this.#ending) this.problems.push(`qemu-io: write failed: ${answer ?? answers.stderr}`);
        break;
      }
      this.#slots[slot] = pattern;
      this.#outstanding = undefined;
      this.written++;
      if (this.#prng.chance(0.2)) {
        child.stdin.write("flush\n");
        if ((await answers.next()) === undefined) break;
      }
    }
    child.stdin.end("quit\n");
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await closed;
    clearTimeout(timer);
    forget();
  }

  end(): void {
    this.#ending = true;
  }

  /** Reads all slots back; what was outstanding may be there or not, and is settled thereby. */
  async verify(uri: string): Promise<string[]> {
    if (this.#outstanding !== undefined) {
      const { slot, pattern } = this.#outstanding;
      this.#outstanding = undefined;
      if ((await readBack(uri, [{ slot, pattern }])).length === 0) this.#slots[slot] = pattern;
    }
    return readBack(
      uri,
      this.#slots.flatMap((pattern, slot) => (pattern === undefined ? [] : [{ slot, pattern }])),
    );
  }
}

async function readBack(uri: string, slots: readonly { slot: number; pattern: number }[]): Promise<string[]> {
  if (slots.length === 0) return [];
  const commands = slots.flatMap(({ slot, pattern }) => [
    "-c",
    `read -P ${pattern} ${slot * SLOT_BYTES} ${SLOT_BYTES}`,
  ]);
  const { code, stdout, stderr } = await tryProgram("qemu-io", ["-r", "-f", "raw", ...commands, uri], {
    timeoutMs: VERIFY_TIMEOUT_MS,
  });
  const problems = `${stdout}\n${stderr}`.split("\n").filter((line) => /failed|error/i.test(line));
  const read = stdout.match(/^read \d+\/\d+ bytes/gm)?.length ?? 0;
  if (code !== 0 && problems.length === 0) problems.push(`qemu-io ended with ${code}`);
  if (problems.length === 0 && read !== slots.length)
    problems.push(`qemu-io read ${read} of ${slots.length} slots`);
  return problems;
}

/** What qemu-io prints between two of its prompts. */
class Answers {
  stderr = "";
  #text = "";
  #over = false;
  #wake: (() => void) | undefined;

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#wake?.();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    child.once("close", () => {
      this.#over = true;
      this.#wake?.();
    });
  }

  /** The text up to the next prompt; undefined when the program ended. */
  async next(): Promise<string | undefined> {
    const prompt = "qemu-io> ";
    for (;;) {
      const end = this.#text.indexOf(prompt);
      if (end !== -1) {
        const answer = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + prompt.length);
        return answer;
      }
      if (this.#over) return undefined;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }
}
