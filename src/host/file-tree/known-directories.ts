/**
 * Digests of listings by what statx said of the entries, for all threads of a tree: where no entry has another change
 * time than before, the listing has the digest that it had, and no extended attribute need be asked for.
 *
 * Always holds: what is found is what a reading of everything would give. So nothing is remembered of file systems that
 * may change an extended attribute without a new change time, of attributes that the kernel makes up (`security.*`), or
 * of an entry that changed so lately that its next change may have the same time; and what was remembered before the
 * clock was set back is not found again. Threads write without a lock: an entry with a wrong checksum is none.
 *
 * | size | field |
 * | ---- | ----- |
 * | 8    | epoch: how often the clock was set back |
 * | 8    | milliseconds since 1970 at the start of the machine, by the clock; the most that was seen in the epoch |
 * | 48   | each entry: digest of what statx said, digest of the listing, digest of these two |
 */
import { uptime } from "node:os";
import { DIGEST_BYTES, digest128 } from "../../base/digest.ts";
import type { DirectoryEntries } from "./directory-entries.ts";
import { treeCalls } from "./tree-calls.ts";

/** Of 48 bytes; pages that no entry was put on take no memory. */
const ENTRIES = 2 ** 17;
/** An entry is at one of so many places. */
const PLACES = 4;
const HEAD_BYTES = 16;
const CHECKED_BYTES = 2 * DIGEST_BYTES;
const ENTRY_BYTES = CHECKED_BYTES + DIGEST_BYTES;
/** Change times of some file systems are whole seconds; the clock may have been set back by one unnoticed. */
const STEADY_SECONDS = 3;
const CLOCK_BACK_MS = 1000n;
/** `f_type` of ext2 to ext4 and of XFS: seen to give a file a new change time with each change of an extended attribute or ACL. */
const TIMED_FILE_SYSTEMS = new Set([0xef53, 0x58465342]);

/** For a new tree; empty. */
export function knownDirectoriesMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + ENTRIES * ENTRY_BYTES);
}

/** For the length of one job. */
export class KnownDirectories {
  readonly #bytes: Uint8Array;
  /** What the entries' digest depends on besides them. */
  readonly #seed: Uint8Array;
  readonly #steadyUntilSeconds: number;
  readonly #isTimed = new Map<number, boolean>();

  /** `rules`: what else a listing depends on. */
  constructor(memory: SharedArrayBuffer, rules: readonly string[]) {
    this.#bytes = new Uint8Array(memory);
    const epoch = epochOf(new BigInt64Array(memory, 0, 2));
    this.#seed = digest128(Buffer.from(JSON.stringify([epoch, ...rules])));
    this.#steadyUntilSeconds = Math.floor(Date.now() / 1000) - STEADY_SECONDS;
  }

  /** Under what the directory that is open is remembered; undefined where it cannot be. */
  keyOf(fd: number, entries: DirectoryEntries): Uint8Array | undefined {
    const { device } = entries;
    if (device === undefined || entries.changedSeconds >= this.#steadyUntilSeconds) return undefined;
    let isTimed = this.#isTimed.get(device);
    if (isTimed === undefined) {
      isTimed = TIMED_FILE_SYSTEMS.has(treeCalls.fileSystemType(fd));
      this.#isTimed.set(device, isTimed);
    }
    return isTimed ? entries.digest(this.#seed) : undefined;
  }

  /** The digest of the listing. */
  find(key: Uint8Array): Uint8Array | undefined {
    const place = placeOf(key);
    for (let at = place; at < place + PLACES * ENTRY_BYTES; at += ENTRY_BYTES) {
      if (!isAt(this.#bytes, at, key)) continue;
      // A copy: what is checked must be what is used.
      const entry = this.#bytes.slice(at, at + ENTRY_BYTES);
      const check = digest128(entry.subarray(0, CHECKED_BYTES));
      if (isAt(entry, 0, key) && isAt(entry, CHECKED_BYTES, check))
        return entry.slice(DIGEST_BYTES, CHECKED_BYTES);
    }
    return undefined;
  }

  /** The last one of its places is the oldest, and goes. */
  remember(key: Uint8Array, digest: Uint8Array): void {
    const place = placeOf(key);
    const entry = new Uint8Array(ENTRY_BYTES);
    entry.set(key);
    entry.set(digest, DIGEST_BYTES);
    entry.set(digest128(entry.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
    this.#bytes.copyWithin(place + ENTRY_BYTES, place, place + (PLACES - 1) * ENTRY_BYTES);
    this.#bytes.set(entry, place);
  }
}

/** Another one when the clock was set back since somebody asked. */
function epochOf(words: BigInt64Array): string {
  // The time since the start goes on while the machine sleeps.
  const aheadMs = BigInt(Math.round(Date.now() - uptime() * 1000));
  const beforeMs = Atomics.load(words, 1);
  const isBack = aheadMs < beforeMs - CLOCK_BACK_MS;
  if (isBack) Atomics.add(words, 0, 1n);
  if (isBack || aheadMs > beforeMs) Atomics.store(words, 1, aheadMs);
  return String(Atomics.load(words, 0));
}

function placeOf(key: Uint8Array): number {
  const set = (key[0]! + 256 * key[1]! + 65536 * key[2]!) % (ENTRIES / PLACES);
  return HEAD_BYTES + set * PLACES * ENTRY_BYTES;
}

function isAt(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let index = 0; index < DIGEST_BYTES; index += 1) if (bytes[at + index] !== wanted[index]) return false;
  return true;
}
