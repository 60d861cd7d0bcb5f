/**
 * Follows a volume's records through cursors, as a mirror would, over all lives of the pool.
 *
 * Always holds: what a cursor delivers is the model's operations on its volume, in order, without a gap
 * (`cursor`), and durable when it is delivered (`cursor-undurable`). After the pool dropped a cursor's log, the
 * difference that it offers instead brings the reader's copy up to date (`cursor-difference`).
 */

import type { ErrorCode } from "../src/base/errors.ts";
import type { CursorRecord } from "../src/pool/mod.ts";
import { CheckFailed, check } from "./check-failed.ts";
import { checkBytes } from "./checks/contents.ts";
import type { Life, Machine } from "./machine.ts";
import { chunkBytes, type MapModel } from "./map-model.ts";
import { changedMap, type Operation } from "./pool-model.ts";
import { pageBytes, requestBytes, stampZero, unitBytes, unitsPerPage } from "./unit-content.ts";

/**
 * What a reader applied since its cursor's frozen map was made. It has to copy these pages again behind a dropped
 * log in any case: they may have been undone since, and then the difference rightly does not name them.
 */
class PageRanges {
  readonly #ranges: { from: number; to: number }[] = [];

  add(operation: Operation): void {
    if (operation.kind === "rollback" || operation.kind === "resize")
      this.#ranges.push({ from: 0, to: Number.POSITIVE_INFINITY });
    else if ("offset" in operation)
      this.#ranges.push({
        from: Math.floor(operation.offset / pageBytes),
        to: Math.ceil((operation.offset + operation.length) / pageBytes),
      });
  }

  has(page: number): boolean {
    return this.#ranges.some(({ from, to }) => from <= page && page < to);
  }
}

/** What one reader has received so far. */
interface Following {
  readonly volume: number;
  sequence: number;
  /** The reader's copy of the volume, brought forward by what the cursor delivers. */
  copy: MapModel;
  /** Pages that it changed in its copy since the cursor began. */
  readonly touched: PageRanges;
}

const delivered = new Set([
  "write",
  "zero",
  "trim",
  "resize",
  "snapshot",
  "snapshot-delete",
  "graft",
  "rollback",
  "marker",
]);

/** What reading a cursor may end with: its log was given up, or another one deleted it. */
const errorsOfCursor: readonly ErrorCode[] = ["PIN_DROPPED", "BASE_LOST", "CURSOR_NOT_FOUND", "NO_SPACE"];

/** A restarted cursor may be dropped again before its reader is through with the difference. */
const errorsOfRestart: readonly ErrorCode[] = [
  "NO_SPACE",
  "CURSOR_NOT_FOUND",
  "PIN_DROPPED",
  "PIN_NOT_FOUND",
];

export class CursorReader {
  readonly #machine: Machine;
  readonly #following = new Map<string, Following>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  get names(): string[] {
    return [...this.#following.keys()];
  }

  /** Whether a cursor follows the volume, also one whose creation was never acknowledged. */
  follows(volume: number): boolean {
    return [...this.#machine.history.current.cursors.values()].some((cursor) => cursor.volume === volume);
  }

  /** After a recovery: no reader may have seen what is gone now; cursors whose creation is gone are forgotten. */
  recovered(): void {
    const { history } = this.#machine;
    for (const [name, following] of this.#following) {
      if (!history.current.cursors.has(name)) this.#following.delete(name);
      else if (following.sequence > history.durableFloor)
        throw new CheckFailed(
          "cursor-undurable",
          `cursor ${name} was given ${following.sequence}, the pool came back at ${history.durableFloor}`,
        );
    }
  }

  async create(life: Life, volume: number, name: string, logBytesMax: number): Promise<void> {
    const { history } = this.#machine;
    let copy: MapModel | undefined;
    const request = life.requests.begin({
      kind: "cursor-create",
      volume,
      change: () => {
        copy = history.current.volume(volume).map.freeze();
        return { kind: "cursor", volume, name };
      },
    });
    try {
      const volumeName = history.current.volume(volume).name;
      const creation = life.pool.createCursor({ name, volume: volumeName, logBytesMax });
      const { sequence } = await life.answer(creation, "create cursor");
      history.promiseDurable(request.lastSequence);
      this.#following.set(name, { volume, sequence, copy: copy!, touched: new PageRanges() });
    } catch (error) {
      life.expectError(error, `create cursor ${name}`, ["NO_SPACE"]);
    } finally {
      life.requests.end(request);
    }
  }

  async delete(life: Life, name: string): Promise<void> {
    const cursor = this.#machine.history.current.cursors.get(name);
    if (cursor === undefined) return;
    const request = life.requests.begin({
      kind: "cursor-delete",
      volume: cursor.volume,
      change: () => ({ kind: "cursor-delete", name }),
    });
    this.#following.delete(name);
    try {
      await life.answer(life.pool.deleteCursor(name), "delete cursor");
      this.#machine.history.promiseDurable(request.lastSequence);
    } catch (error) {
      life.expectError(error, `delete cursor ${name}`, ["NO_SPACE"]);
    } finally {
      life.requests.end(request);
    }
  }

  /** Reads some records, compares them, and at times acknowledges. */
  async read(life: Life, name: string): Promise<void> {
    const following = this.#following.get(name);
    if (following === undefined) return;
    const { random, history } = this.#machine;
    const durable = life.pool.status().durableSequence;
    this.#passOver(life, name, following);
    const after = following.sequence;
    try {
      const records = await life.answer(
        life.pool.readCursor(name, {
          after,
          bytesMax: random.pick([1, 65_536, 1 << 20]),
          waitMs: random.pick([0, 5, 2000]),
        }),
        "read cursor",
      );
      if (!this.#following.has(name) || following.sequence !== after) return;
      const expected = this.#expected(following, after);
      check(
        records.length > 0 || (expected[0]?.sequence ?? Number.POSITIVE_INFINITY) > durable,
        "cursor",
        () => `cursor ${name} gave nothing behind ${after}, but ${expected[0]!.sequence} was durable`,
      );
      for (const [index, record] of records.entries()) {
        const operation = expected[index];
        if (operation === undefined || operation.sequence !== record.sequence)
          throw new CheckFailed(
            "cursor",
            `${name} gave ${record.sequence} behind ${after}, expected ${operation?.sequence}`,
          );
        await this.#compare(life, name, record, operation);
        following.copy = changedMap(following.copy, operation);
        following.touched.add(operation);
        following.sequence = record.sequence;
      }
      history.promiseDurable(following.sequence);
      if (random.chance(0.5)) await this.#acknowledge(life, name, following);
    } catch (error) {
      const code = life.expectError(error, `read cursor ${name}`, errorsOfCursor);
      if (code === "PIN_DROPPED" || code === "BASE_LOST") await this.#restart(life, name, following);
      else if (code === "CURSOR_NOT_FOUND")
        check(!history.current.cursors.has(name), "cursor", () => `cursor ${name} is not found`);
    }
  }

  /** The pool moves a cursor on over records of other volumes by itself; nothing of this volume may be among them. */
  #passOver(life: Life, name: string, following: Following): void {
    const sequence = life.pool.cursors().find((cursor) => cursor.name === name)?.sequence ?? 0;
    if (sequence <= following.sequence) return;
    const [missed] = this.#expected(following, following.sequence);
    check(
      missed === undefined || missed.sequence > sequence,
      "cursor",
      () => `cursor ${name} was moved to ${sequence} over ${missed!.sequence}`,
    );
    following.sequence = sequence;
  }

  /** What the cursor has to deliver behind a sequence. */
  #expected(following: Following, after: number): Operation[] {
    return this.#machine.history.operations.filter(
      (operation) =>
        operation.sequence > after &&
        delivered.has(operation.kind) &&
        "volume" in operation &&
        operation.volume === following.volume,
    );
  }

  async #acknowledge(life: Life, name: string, following: Following): Promise<void> {
    this.#passOver(life, name, following);
    await life.answer(life.pool.acknowledgeCursor(name, following.sequence), "acknowledge");
  }

  /** A new start behind a dropped log: the difference must name every page that changed since the reader's copy. */
  async #restart(life: Life, name: string, following: Following): Promise<void> {
    let now: MapModel | undefined;
    const stop = life.onAppend(({ operation, volume }) => {
      if (operation === "cursor-restart" && volume === following.volume)
        now = this.#machine.history.current.volume(volume).map.freeze();
    });
    // If the process dies on the way, nobody knows whether the pool restarted the cursor.
    this.#following.delete(name);
    try {
      const { from, to, sequence } = await life.answer(life.pool.restartCursor(name), "restart cursor");
      if (from !== undefined) {
        const named = await differingPages(life, from, to);
        const { copy, touched } = following;
        for (const offset of new Set([...copy.chunkOffsets(), ...now!.chunkOffsets()]))
          for (let page = offset / pageBytes; page < (offset + chunkBytes) / pageBytes; page++)
            if (!named.has(page) && !touched.has(page) && differs(copy, now!, page))
              throw new CheckFailed(
                "cursor-difference",
                `page ${page} changed, but the difference of ${name} lacks it`,
              );
      }
      // The reader has the difference and says so; until the pool knows, nothing can be told of where it stands.
      await life.answer(life.pool.acknowledgeCursor(name, sequence), "acknowledge the restart");
      this.#following.set(name, {
        volume: following.volume,
        sequence,
        copy: now!,
        touched: new PageRanges(),
      });
    } catch (error) {
      const code = life.expectError(error, `restart cursor ${name}`, errorsOfRestart);
      check(
        code !== "PIN_NOT_FOUND" || !isFollowing(life, name),
        "held",
        () => `the frozen maps of the restart went while ${name} follows`,
      );
      // Whether it took place is not known, and the reader has no copy to go on from.
      this.#following.delete(name);
    } finally {
      stop();
    }
  }

  async #compare(life: Life, name: string, record: CursorRecord, operation: Operation): Promise<void> {
    const given = record.operation;
    const fail = (what: string): never => {
      throw new CheckFailed("cursor", `${name} at ${record.sequence} (${given.kind}): ${what}`);
    };
    if (given.kind !== operation.kind) return fail(`expected ${operation.kind}`);
    if (given.kind === "write" && operation.kind === "write") {
      const { offset, length, marks } = operation;
      if (given.offsetBytes !== offset || given.data.length !== length) fail("another range");
      const skipped = Math.floor(offset / unitBytes) - Math.floor(marks.requestOffset / unitBytes);
      if (Buffer.compare(given.data, requestBytes(marks.firstStamp + skipped, offset, length)) !== 0)
        fail("other bytes");
    } else if (
      (given.kind === "zero" || given.kind === "trim") &&
      (operation.kind === "zero" || operation.kind === "trim")
    ) {
      if (given.offsetBytes !== operation.offset || given.lengthBytes !== operation.length)
        fail("another range");
    } else if (given.kind === "resize" && operation.kind === "resize") {
      if (given.sizeBytes !== operation.sizeBytes) fail("another size");
    } else if ("name" in given && "name" in operation) {
      if (given.name !== operation.name) fail("another name");
    } else if (given.kind === "marker" && operation.kind === "marker") {
      if (given.text !== operation.text) fail("another text");
    } else if (given.kind === "graft" && operation.kind === "graft") {
      if (given.offsetBytes !== operation.offset || given.lengthBytes !== operation.length)
        fail("another range");
      if ("pin" in given.source)
        await this.#compareSource(life, name, given.source.pin, given.sourceOffsetBytes, operation);
    }
  }

  /** What a graft brought in is held for the cursor until its reader has passed. */
  async #compareSource(
    life: Life,
    name: string,
    pin: number,
    offset: number,
    graft: Operation & { kind: "graft" },
  ): Promise<void> {
    try {
      const device = life.pool.openPin(pin);
      const length = Math.min(graft.length, device.sizeBytes - offset);
      for (let done = 0; done < length; done += chunkBytes) {
        const bytes = new Uint8Array(Math.min(chunkBytes, length - done));
        await life.completion(() => device.read(offset + done, bytes), "read");
        const from = graft.sourceOffset + done;
        const stamps = graft.source.stamps(from / unitBytes, Math.ceil(bytes.length / unitBytes));
        checkBytes(this.#machine.content, `source of the graft at ${graft.sequence}`, bytes, from, [stamps]);
      }
      await life.answer(device.close());
    } catch (error) {
      const code = life.expectError(error, "read of what a cursor holds", ["PIN_NOT_FOUND"]);
      // Only a cursor that was dropped meanwhile gives up what was held for it.
      check(
        code !== "PIN_NOT_FOUND" || !isFollowing(life, name),
        "held",
        () => `what was held for ${graft.sequence} went while ${name} follows`,
      );
    }
  }
}

/** Whether the pool has not given up the cursor's log (again). */
function isFollowing(life: Life, name: string): boolean {
  return life.pool.cursors().some((cursor) => cursor.name === name && cursor.state === "following");
}

async function differingPages(life: Life, from: number, to: number): Promise<Set<number>> {
  const pages = new Set<number>();
  const ranges = life.pool.difference({ from: { pin: from }, to: { pin: to } })[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await life.answer(ranges.next(), "difference");
    if (done) return pages;
    const last = Math.min(value.offsetBytes + value.lengthBytes, value.offsetBytes + (1 << 30));
    for (let at = value.offsetBytes; at < last; at += pageBytes) pages.add(Math.floor(at / pageBytes));
  }
}

function differs(before: MapModel, after: MapModel, page: number): boolean {
  if (page * pageBytes >= Math.min(before.sizeBytes, after.sizeBytes)) return false;
  const old = before.stamps(page * unitsPerPage, unitsPerPage);
  const now = after.stamps(page * unitsPerPage, unitsPerPage);
  return old.some((stamp, unit) => (stamp <= stampZero ? now[unit]! > stampZero : stamp !== now[unit]));
}
