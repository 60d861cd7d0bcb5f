/**
 * A running hash over everything that was asked of the disk and answered: two runs are the same run when
 * their hashes are. Keeps the last lines as text when asked to.
 */
import { checksum } from "../src/base/checksum.ts";

const linesMax = 400;

export class DiskTrace {
  #low = 0x811c_9dc5;
  #high = 0x1234_5678;
  readonly #lines: string[] | undefined;
  readonly #print: boolean;

  constructor(options: { keepLines?: boolean; print?: boolean } = {}) {
    this.#lines = options.keepLines ? [] : undefined;
    this.#print = options.print ?? false;
  }

  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  note(event: string, name: string, first = 0, second = 0): void {
    this.#mixText(event);
    this.#mixText(name);
    this.#mix(first);
    this.#mix(second);
    if (this.#lines === undefined && !this.#print) return;
    const line = `${event} ${name} ${first} ${second}`;
    if (this.#print) console.log(line);
    if (this.#lines === undefined) return;
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.shift();
  }

  noteBytes(bytes: Uint8Array): void {
    this.#mix(checksum(bytes));
  }

  #mixText(text: string): void {
    for (let at = 0; at < text.length; at++)
      this.#low = Math.imul(this.#low ^ text.charCodeAt(at), 0x0100_0193);
  }

  #mix(value: number): void {
    const folded = (value | 0) ^ Math.floor(value / 0x1_0000_0000);
    this.#low = Math.imul(this.#low ^ folded, 0x85eb_ca6b);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ this.#low, 0xc2b2_ae35);
    this.#high ^= this.#high >>> 13;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
