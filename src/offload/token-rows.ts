/**
 * Rows of numbers, one for each token, in blocks of memory that never move; and the way from a token's id to its row.
 *
 * Always holds: a row's place (slot) stays until it is freed, then another token may have it; finding by id does not
 * depend on how many there are; growing never copies more than one small table in a turn. Why not objects: a million
 * of them cost the collector of garbage, and memory, several times as much.
 */

/** Columns of a row. */
export const Column = {
  idHigh: 0,
  idLow: 1,
  /** 48 bits of the token's nonce. */
  check: 2,
  lengthBytes: 3,
  /** Start of the one range; tokens of several have theirs beside the rows. */
  offsetBytes: 4,
  createdAtMs: 5,
  expiresAtMs: 6,
  inactivityMs: 7,
  usedAtMs: 8,
  uses: 9,
  rank: 10,
  /** When the token is to be looked at for its end. */
  dueAtMs: 11,
  duePlace: 12,
  rankPlace: 13,
  state: 14,
  /** Bits of `RowFlag`. */
  flags: 15,
  /** Numbers of what stands beside the rows. */
  backing: 16,
  creator: 17,
  source: 18,
} as const;

export type Column = (typeof Column)[keyof typeof Column];

const COLUMNS = 19;
const BLOCK_ROWS = 4096;
const SHARDS = 1024;

/** Memory of a row and its way by id, rounded up from what was measured. */
export const ROW_BYTES_ESTIMATE = 256;

export class TokenRows {
  readonly #blocks: Float64Array[] = [];
  readonly #free: number[] = [];
  /** Many small tables, so that none takes long to grow. */
  readonly #shards: (Map<number, number> | undefined)[] = new Array(SHARDS).fill(undefined);
  #used = 0;

  /** A row of zeros for a token of this id, which no other has. */
  add(idHigh: number, idLow: number): number {
    const slot = this.#free.pop() ?? this.#used++;
    const block = Math.floor(slot / BLOCK_ROWS);
    if (block === this.#blocks.length) this.#blocks.push(new Float64Array(BLOCK_ROWS * COLUMNS));
    const start = (slot % BLOCK_ROWS) * COLUMNS;
    this.#blocks[block]!.fill(0, start, start + COLUMNS);
    this.set(slot, Column.idHigh, idHigh);
    this.set(slot, Column.idLow, idLow);
    const shard = idHigh % SHARDS;
    (this.#shards[shard] ??= new Map()).set(keyOf(idHigh, idLow), slot);
    return slot;
  }

  free(slot: number): void {
    const idHigh = this.get(slot, Column.idHigh);
    this.#shards[idHigh % SHARDS]?.delete(keyOf(idHigh, this.get(slot, Column.idLow)));
    this.#free.push(slot);
  }

  find(idHigh: number, idLow: number): number | undefined {
    const slot = this.#shards[idHigh % SHARDS]?.get(keyOf(idHigh, idLow));
    // The key leaves out one bit of the id.
    return slot !== undefined && this.get(slot, Column.idHigh) === idHigh ? slot : undefined;
  }

  /** Whether the id can be given to a token. */
  isFree(idHigh: number, idLow: number): boolean {
    return this.#shards[idHigh % SHARDS]?.has(keyOf(idHigh, idLow)) !== true;
  }

  get(slot: number, column: Column): number {
    return this.#blocks[Math.floor(slot / BLOCK_ROWS)]![(slot % BLOCK_ROWS) * COLUMNS + column]!;
  }

  set(slot: number, column: Column, value: number): void {
    this.#blocks[Math.floor(slot / BLOCK_ROWS)]![(slot % BLOCK_ROWS) * COLUMNS + column] = value;
  }

  *slots(): Generator<number> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.values();
  }
}

/** What the shard does not say of an id, as a number that is exact. */
function keyOf(idHigh: number, idLow: number): number {
  return (Math.floor(idHigh / SHARDS) % 2 ** 21) * 2 ** 32 + idLow;
}
