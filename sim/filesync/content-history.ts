/**
 * Every content that a file of the source ever had at one moment, by its digest: a target may show no other.
 * Always holds: a content that was torn while it was read is allowed only when the reader was told, or could not have seen
 * it (a change within one tick of the clock); the trees' comparison at the end says whether it was made good.
 */
import { digest128 } from "../../src/base/digest.ts";
import type { TreePath } from "../../src/ports/mod.ts";
import { check } from "../check-failed.ts";

export class ContentHistory {
  readonly #contents = new Set<string>([keyOf(new Uint8Array(0))]);
  readonly #torn = new Set<string>();
  readonly #tornSizes = new Set<number>();
  torn = 0;

  /** A file has it from now on. */
  had(content: Uint8Array): void {
    this.#contents.add(keyOf(content));
  }

  /** Read at two moments. */
  wasTorn(content: Uint8Array): void {
    this.torn++;
    this.#torn.add(keyOf(content));
  }

  /** A large file of this size changed while it was open. */
  wasTornOfSize(sizeBytes: number): void {
    this.torn++;
    this.#tornSizes.add(sizeBytes);
  }

  /** The target shows it. */
  checkShown(path: TreePath, content: Uint8Array): void {
    const key = keyOf(content);
    check(
      this.#contents.has(key) || this.#torn.has(key) || this.#tornSizes.has(content.length),
      "torn",
      () => `the target's ${JSON.stringify(path)} has ${content.length} bytes that no file ever had`,
    );
  }
}

function keyOf(content: Uint8Array): string {
  return Buffer.from(digest128(content)).toString("latin1");
}
