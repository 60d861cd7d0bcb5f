// Counts what a scenario proved and what it found wrong, and says the latter at once.
const PRINTED_MAX = 10;

export class Checks {
  passed = 0;
  failed = 0;
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void = console.log) {
    this.#say = say;
  }

  say(line: string): void {
    this.#say(line);
  }

  /** One check: passed if there are no problems. */
  check(claim: string, problems: readonly string[]): void {
    if (problems.length === 0) {
      this.passed++;
      return;
    }
    this.failed++;
    this.#say(`FAILED: ${claim}`);
    for (const problem of problems.slice(0, PRINTED_MAX)) this.#say(`  ${problem}`);
  }

  get summary(): string {
    return `${this.passed} passed, ${this.failed} failed`;
  }
}
