/** A guarantee that was broken: which check saw it, and what it saw. Everything else that is thrown is a crash of the program. */
export class CheckFailed extends Error {
  readonly check: string;

  constructor(check: string, sentence: string) {
    super(`${check}: ${sentence}`);
    this.name = "CheckFailed";
    this.check = check;
  }
}

export function check(condition: boolean, name: string, sentence: () => string): void {
  if (!condition) throw new CheckFailed(name, sentence());
}
