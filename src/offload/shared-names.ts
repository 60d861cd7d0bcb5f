/**
 * Values that many tokens share, by small numbers: each is kept once, as long as somebody counts on it.
 * Always holds: number 0 stands for nothing.
 */
export class SharedNames {
  readonly #names: (string | undefined)[] = [undefined];
  readonly #counts: number[] = [0];
  readonly #free: number[] = [];
  readonly #numbers = new Map<string, number>();

  /** The name's number; give it back with `release`. */
  hold(name: string): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#names.length;
      this.#names[number] = name;
      this.#counts[number] = 0;
      this.#numbers.set(name, number);
    }
    this.#counts[number]! += 1;
    return number;
  }

  release(number: number): void {
    if ((this.#counts[number]! -= 1) > 0) return;
    this.#numbers.delete(this.#names[number]!);
    this.#names[number] = undefined;
    this.#free.push(number);
  }

  numberOf(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  name(number: number): string {
    return this.#names[number] ?? "";
  }
}
