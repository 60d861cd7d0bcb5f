/**
 * Assertions for programmer's errors. A failed one ends the process: state is not what the code believes,
 * and going on could write that belief to disk.
 */

export class AssertionFailed extends Error {
  constructor(claim: string) {
    super(`assertion failed: ${claim}`);
    this.name = "AssertionFailed";
  }
}

export function assert(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new AssertionFailed(claim);
}

export function unreachable(value: never): never {
  throw new AssertionFailed(`unreachable: ${String(value)}`);
}
