/**
 * Progress of long work on standard error: one line that is written over on a terminal, else a line now and then.
 * Always holds: after `end` the terminal's line is empty again.
 */
import type { CliWorld } from "./cli-world.ts";

const LINE_INTERVAL_MS = 10_000;
const BAR_CHARACTERS = 24;
const CLEAR_LINE = "\r\u001b[2K";

export class ProgressLine {
  readonly #world: CliWorld;
  #printedMs = 0;
  #isShown = false;

  constructor(world: CliWorld) {
    this.#world = world;
  }

  show(text: string, elapsedMs: number): void {
    if (this.#world.isTerminal) {
      this.#world.printError(`${CLEAR_LINE}${text}`);
      this.#isShown = true;
    } else if (elapsedMs - this.#printedMs >= LINE_INTERVAL_MS) {
      this.#world.printError(`${text}\n`);
      this.#printedMs = elapsedMs;
    }
  }

  end(): void {
    if (this.#isShown) this.#world.printError(CLEAR_LINE);
    this.#isShown = false;
  }
}

/** `[#####-----]  50 %` of a part from 0 to 1. */
export function formatBar(part: number): string {
  const bounded = Math.max(0, Math.min(1, part));
  const filled = Math.floor(bounded * BAR_CHARACTERS);
  const bar = "#".repeat(filled) + "-".repeat(BAR_CHARACTERS - filled);
  return `[${bar}] ${String(Math.floor(bounded * 100)).padStart(3)} %`;
}
