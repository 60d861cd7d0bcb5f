/**
 * Inotify's events as the port's.
 *
 * Always holds: events keep their order. Own names (OWN_PREFIX) are left out: what is renamed from one is created.
 * A reader that fell behind hands over joined events instead: for each watch what happened, as flags.
 */
import { type TreeEvent, WATCH_GROUP_SPAN } from "../../ports/mod.ts";
import { OWN_PREFIX } from "../../wire/filesync/mod.ts";
import { EVENT_HEAD_BYTES, EventMask } from "./watch-calls.ts";

/** Of one read; `count` events. */
export interface EventBytes {
  readonly group: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly count: number;
}

const JoinedFlag = {
  several: 1,
  attributes: 2,
  movedSelf: 4,
  deletedSelf: 8,
  unmounted: 16,
  watchGone: 32,
} as const;
const JOINED_KINDS = Object.entries(JoinedFlag) as [keyof typeof JoinedFlag, number][];

function kindOf(mask: number): TreeEvent["kind"] | undefined {
  if (mask & EventMask.modify) return "written";
  if (mask & EventMask.closeWrite) return "closed";
  if (mask & EventMask.create) return "created";
  if (mask & EventMask.delete) return "deleted";
  if (mask & EventMask.attributes) return "attributes";
  if (mask & EventMask.movedFrom) return "movedFrom";
  if (mask & EventMask.movedTo) return "movedTo";
  if (mask & EventMask.deleteSelf) return "deletedSelf";
  if (mask & EventMask.moveSelf) return "movedSelf";
  if (mask & EventMask.unmount) return "unmounted";
  if (mask & EventMask.ignored) return "watchGone";
  return undefined;
}

const overflowOf = (group: number): TreeEvent => ({
  watch: -1,
  name: "",
  kind: "overflow",
  isDirectory: false,
  cookie: 0,
  group,
});

export function overflowOfGroups(groups: number): TreeEvent[] {
  return Array.from({ length: groups }, (_, group) => overflowOf(group));
}

export function decodeEvents({ group, bytes }: EventBytes): TreeEvent[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const events: TreeEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const watch = view.getInt32(at, true);
    const mask = view.getUint32(at + 4, true);
    const cookie = view.getUint32(at + 8, true);
    const length = view.getUint32(at + 12, true);
    const from = at + EVENT_HEAD_BYTES;
    at = from + length;
    if (mask & EventMask.overflow) {
      events.push(overflowOf(group));
      continue;
    }
    const kind = kindOf(mask);
    const name = length === 0 ? "" : text.toString("latin1", from, text.indexOf(0, from));
    if (kind === undefined || name.startsWith(OWN_PREFIX)) continue;
    const isDirectory = name === "" || (mask & EventMask.isDirectory) !== 0;
    events.push({ watch: group * WATCH_GROUP_SPAN + watch, name, kind, isDirectory, cookie });
  }
  return events;
}

/** How many events a read brought. */
export function countEvents(bytes: Buffer, length: number): number {
  let count = 0;
  for (let at = 0; at < length; at += EVENT_HEAD_BYTES + bytes.readUInt32LE(at + 12)) count += 1;
  return count;
}

/** What the reader keeps while nobody takes its events: one entry for each watch. */
export class JoinedEvents {
  /** By watch; an overflow of group g is kept as -1 - g. */
  readonly #flags = new Map<number, number>();

  get size(): number {
    return this.#flags.size;
  }

  add(group: number, bytes: Buffer, length: number): void {
    for (let at = 0; at < length; at += EVENT_HEAD_BYTES + bytes.readUInt32LE(at + 12)) {
      const mask = bytes.readUInt32LE(at + 4);
      const hasName = bytes.readUInt32LE(at + 12) > 0;
      const watch = mask & EventMask.overflow ? -1 - group : group * WATCH_GROUP_SPAN + bytes.readInt32LE(at);
      const kind = hasName ? "several" : kindOf(mask);
      const flag = JoinedFlag[kind as keyof typeof JoinedFlag] ?? JoinedFlag.several;
      this.#flags.set(watch, (this.#flags.get(watch) ?? 0) | flag);
    }
  }

  /** Watch and flags, watch and flags …; it is empty then. */
  take(): Float64Array<ArrayBuffer> {
    const taken = new Float64Array(2 * this.#flags.size);
    let at = 0;
    for (const [watch, flags] of this.#flags) {
      taken[at++] = watch;
      taken[at++] = flags;
    }
    this.#flags.clear();
    return taken;
  }
}

export function decodeJoined(joined: Float64Array): TreeEvent[] {
  const events: TreeEvent[] = [];
  for (let at = 0; at < joined.length; at += 2) {
    const watch = joined[at]!;
    if (watch < 0) {
      events.push(overflowOf(-1 - watch));
      continue;
    }
    for (const [kind, flag] of JOINED_KINDS)
      if (joined[at + 1]! & flag) events.push({ watch, name: "", kind, isDirectory: true, cookie: 0 });
  }
  return events;
}
