// Presents tokens at every door of a token room and takes down what it says: of what was forged, that nothing is
// accepted and that all refusals of a door are one and the same; of what has ended, that it is refused with its reason.
import { RopewalkError } from "../../src/base/errors.ts";
import { type ForgeriesRoom, writeToken } from "./forgeries-room.ts";

const DOORS = ["show", "read", "write", "revoke", "companion"] as const;
type Door = (typeof DOORS)[number];
const HERE = { isProtected: true };
const PROBLEMS_MAX = 20;

export class ForgeriesPresented {
  /** What was accepted, or refused otherwise than everything else. */
  readonly problems: string[] = [];
  /** Forged and replayed ones, by their kinds. */
  readonly counts = new Map<string, number>();
  presented = 0;
  accepted = 0;
  /** Of the forged ones, those that the room is to count. */
  counted = 0;
  readonly #room: ForgeriesRoom;
  readonly #refusals = new Map<Door, Set<string>>(DOORS.map((door) => [door, new Set()]));
  readonly #answer = new Uint8Array(16);

  constructor(room: ForgeriesRoom) {
    this.#room = room;
  }

  /** Presents a forged token; `genuine`: whose companion it may claim to be. */
  async forged(kind: string, bytes: Uint8Array, genuine: Uint8Array, turn: number): Promise<void> {
    const door = DOORS[(this.presented + turn) % DOORS.length]!;
    this.#count(kind);
    if (door !== "companion") this.counted += 1;
    const refusal = await this.#present(door, bytes, genuine);
    if (refusal === undefined) return this.#accepted(`${kind} at ${door}`);
    const refusals = this.#refusals.get(door)!;
    const said = `${refusal.code}: ${refusal.message}`;
    if (refusals.has(said)) return;
    refusals.add(said);
    if (refusal.code !== "TOKEN_UNKNOWN" || refusals.size > 1) this.#problem(`${kind} at ${door}: ${said}`);
  }

  /** Presents a token that was good once. */
  async replayed(kind: string, token: Uint8Array, code: string): Promise<void> {
    for (const door of ["read", "write"] as const) {
      this.#count(kind);
      const refusal = await this.#present(door, token, token);
      if (refusal === undefined) this.#accepted(`${kind} at ${door}`);
      else if (refusal.code !== code)
        this.#problem(`${kind} at ${door}: ${refusal.code} in place of ${code}`);
    }
  }

  /** What each door said to all that was forged. */
  get refusals(): string[] {
    return [...this.#refusals].map(([door, said]) => `${door}: ${[...said].join(" | ")}`);
  }

  async #present(door: Door, bytes: Uint8Array, genuine: Uint8Array): Promise<RopewalkError | undefined> {
    const { room, target } = this.#room;
    try {
      switch (door) {
        case "show":
          room.show(bytes, HERE);
          break;
        case "read":
          await room.read(bytes, 0, this.#answer, HERE);
          break;
        case "write":
          await writeToken(target, bytes);
          break;
        case "revoke":
          await room.revoke(bytes, { strength: "mandatory" });
          break;
        case "companion":
          await writeToken(target, genuine, [bytes]);
      }
      return undefined;
    } catch (error) {
      if (error instanceof RopewalkError) return error;
      throw error;
    }
  }

  #count(kind: string): void {
    this.presented += 1;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  #accepted(what: string): void {
    this.accepted += 1;
    this.#problem(`${what} was accepted`);
  }

  #problem(sentence: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(sentence);
  }
}
