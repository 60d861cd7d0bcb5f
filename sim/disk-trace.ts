/**
 * A running hash over everything that was asked of the disk and answered: two runs are the same run when
 * their hashes are. Prints each when asked to.
 */
import { checksum } from "../src/base/checksum.ts";

export class DiskTrace {
  #low = 0x811c_9dc5;
  #high = 0x1234_5678;
  readonly #print: boolean;

  constructor(options: { print?: boolean } = {}) {
    this.#print = options.print ?? false;
  }

  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  note(event: string, name: string, first = 0, second = 0): void {
    this.#mixText(event);
    this.#mixText(name);
    this.#mix(first);
    this.#mix(second);
    if (this.#print) console.log(`${event} ${name} ${first} ${second}`);
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
