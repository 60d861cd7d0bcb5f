// Which claims on ranges run beside each other, and in which order the others are admitted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClaimKind, RangeLock } from "./range-lock.ts";

/** Claims that end when they are told to. */
class Claims {
  readonly #lock = new RangeLock();
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  claim(name: string, kind: ClaimKind, offsetBytes: number, lengthBytes: number): void {
    void this.#lock.run({ offsetBytes, lengthBytes }, kind, () => {
      this.begun.push(name);
      return new Promise<void>((resolve) => this.#ends.set(name, resolve));
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)!();
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
}

test("shared claims on one range run beside each other", () => {
  const claims = new Claims();
  claims.claim("a", "shared", 0, 10);
  claims.claim("b", "shared", 5, 10);
  assert.deepEqual(claims.begun, ["a", "b"]);
});

test("an exclusive claim waits for what overlaps it, and what overlaps it waits for it", async () => {
  const claims = new Claims();
  claims.claim("write", "shared", 0, 10);
  claims.claim("compare", "exclusive", 5, 10);
  claims.claim("late write", "shared", 12, 1);
  claims.claim("elsewhere", "exclusive", 20, 1);
  assert.deepEqual(claims.begun, ["write", "elsewhere"]);
  await claims.end("write");
  assert.deepEqual(claims.begun, ["write", "elsewhere", "compare"]);
  await claims.end("compare");
  assert.deepEqual(claims.begun, ["write", "elsewhere", "compare", "late write"]);
});

test("work that throws at once gives its range free", async () => {
  const lock = new RangeLock();
  const span = { offsetBytes: 0, lengthBytes: 1 };
  assert.throws(() =>
    lock.run(span, "exclusive", () => {
      throw new Error("no");
    }),
  );
  assert.equal(
    lock.run(span, "exclusive", () => 7),
    7,
  );
});

test("work that fails later gives its range free", async () => {
  const lock = new RangeLock();
  const span = { offsetBytes: 0, lengthBytes: 1 };
  const failing = lock.run(span, "exclusive", () => Promise.reject(new Error("no")));
  const after = lock.run(span, "exclusive", () => 8);
  await assert.rejects(async () => failing);
  assert.equal(await after, 8);
});
