/**
 * What the target sees of the rules F5, F7, F8 and F12, whoever keeps them.
 *
 * Always holds, or `CheckFailed`: a command that only the main thread may send (rename, remove, link) is carried out while
 * no sync connection has work under way (strict barrier), zombies of dead connections included; no sync connection works
 * before all of its source's connections said hello; two connections never make one path at the same time.
 */
import type { TreePath } from "../../src/ports/mod.ts";
import { type CheckFailed, check } from "../check-failed.ts";

/** A connection as the target sees it: of one life of the source, with a number there. */
export interface SeenConnection {
  readonly life: number;
  readonly number: number;
  /** How many its source will have. */
  readonly connections: number;
}

const commands: ReadonlySet<string> = new Set(["rename", "remove", "link"]);

export class WireRules {
  readonly #barrier: "tree" | "path";
  readonly #hellos = new Map<number, Set<number>>();
  /** Requests under way that change the target. */
  readonly #working = new Map<SeenConnection, number>();
  readonly #making = new Map<TreePath, SeenConnection>();
  /** Commands that only the main thread may send, under way. */
  #commands = 0;
  /** A broken rule ends the run. */
  readonly #broken: (error: CheckFailed) => void;
  hellos = 0;

  constructor(options: { readonly barrier: "tree" | "path"; readonly broken: (error: CheckFailed) => void }) {
    this.#barrier = options.barrier;
    this.#broken = options.broken;
  }

  saidHello({ life, number }: SeenConnection): void {
    this.hellos++;
    const numbers = this.#hellos.get(life) ?? new Set();
    this.#hellos.set(life, numbers.add(number));
  }

  /** A request that changes the target, until `ended`. */
  began(connection: SeenConnection): void {
    this.#working.set(connection, (this.#working.get(connection) ?? 0) + 1);
    if (connection.number === 0) return;
    const count = this.#hellos.get(connection.life)?.size ?? 0;
    this.#must(
      count === connection.connections,
      "F8",
      () => `connection ${connection.number} works after ${count} of ${connection.connections} hellos`,
    );
    this.#must(
      this.#commands === 0 || this.#barrier === "path",
      "F6",
      () => `connection ${connection.number} copies while the main one carries out a command`,
    );
  }

  ended(connection: SeenConnection): void {
    const count = (this.#working.get(connection) ?? 0) - 1;
    if (count <= 0) this.#working.delete(connection);
    else this.#working.set(connection, count);
  }

  /** An operation begins; it is under way until `made`. */
  makes(connection: SeenConnection, op: string, path: TreePath): void {
    if (commands.has(op)) {
      this.#commands++;
      const other = this.#otherWork(connection);
      const isStrict = this.#barrier === "tree";
      this.#must(
        other === undefined || !isStrict,
        "F7",
        () => `${op} of ${JSON.stringify(path)} while connection ${other!.number} copies`,
      );
      return;
    }
    if (op !== "file") return;
    const other = this.#making.get(path);
    this.#must(
      other === undefined || other === connection,
      "F12",
      () => `connections ${other!.number} and ${connection.number} make ${JSON.stringify(path)} together`,
    );
    this.#making.set(path, connection);
  }

  made(connection: SeenConnection, op: string, path: TreePath): void {
    if (commands.has(op)) this.#commands--;
    if (this.#making.get(path) === connection) this.#making.delete(path);
  }

  /** F5: a bulk is over. */
  finished(): void {
    for (const connection of this.#working.keys())
      this.#must(
        connection.number === 0,
        "F5",
        () => `a synchronization is finished while connection ${connection.number} copies`,
      );
  }

  /** The target's process died: nothing is under way. */
  died(): void {
    this.#working.clear();
    this.#making.clear();
    this.#commands = 0;
  }

  #otherWork(connection: SeenConnection): SeenConnection | undefined {
    for (const other of this.#working.keys()) if (other !== connection && other.number > 0) return other;
    return undefined;
  }

  #must(condition: boolean, rule: string, sentence: () => string): void {
    try {
      check(condition, rule, sentence);
    } catch (error) {
      this.#broken(error as CheckFailed);
    }
  }
}
