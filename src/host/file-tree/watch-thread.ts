/**
 * The reader of inotify: a thread that does nothing else, so that the kernel's queue (16,384 events by default) never
 * fills because somebody is busy.
 *
 * Always holds: at most EVENTS_MAX events and one read are posted and not yet taken; what comes beyond them is joined to
 * one entry for each watch until half of them were taken. A request to drain is answered after everything that the
 * kernel had queued before it was posted, joined or not.
 */
import { parentPort, workerData } from "node:worker_threads";
import { EAGAIN, EINTR } from "./errno-names.ts";
import { addressOf, kernelMemory } from "./kernel-memory.ts";
import { treeCalls } from "./tree-calls.ts";
import { countEvents, JoinedEvents } from "./tree-events.ts";
import { POLLIN, watchCalls } from "./watch-calls.ts";
import { type WatchMessage, type WatchThreadStart, WatchWord } from "./watch-words.ts";

const EVENTS_MAX = 65_536;
const READ_BYTES = 1024 * 1024;
/**
 * So long after it woke the reader reads: what woke it is mostly the first of several events, a write and the close behind it,
 * and a large file is sent twice for the two. All groups are read together then, so that their events keep their order as far as
 * they can.
 */
const PAUSE_MS = 1;

function serve({ groups, bell, words: shared }: WatchThreadStart): void {
  const words = new Int32Array(shared);
  const port = parentPort!;
  const memory = kernelMemory(READ_BYTES);
  const rung = kernelMemory(8);
  const joined = new JoinedEvents();
  let posted = 0;
  let answered = 0;

  const outstanding = () => (posted - Atomics.load(words, WatchWord.taken)) | 0;

  function post(message: WatchMessage, events: number, buffer: ArrayBuffer): void {
    posted = (posted + events) | 0;
    port.postMessage(message, [buffer]);
  }

  function postJoined(): void {
    if (joined.size === 0) return;
    const count = joined.size;
    const taken = joined.take();
    post({ joined: taken }, count, taken.buffer);
  }

  /** One read; bytes, or 0 when there were none. */
  function read(group: number): number {
    const length = treeCalls.read(groups[group]!, memory);
    if (length === -EINTR) return read(group);
    if (length <= 0) {
      if (length < 0 && length !== -EAGAIN) throw new Error(`read of inotify failed with errno ${-length}`);
      return 0;
    }
    const count = countEvents(memory, length);
    if (joined.size === 0 && outstanding() + count <= EVENTS_MAX) {
      const bytes = new Uint8Array(memory.subarray(0, length));
      post({ group, bytes, count }, count, bytes.buffer);
    } else {
      joined.add(group, memory, length);
      Atomics.store(words, WatchWord.joining, 1);
    }
    return length;
  }

  /** All that the kernel has queued of a group by now. */
  function readQueued(group: number): void {
    let left = watchCalls.waitingBytes(groups[group]!);
    while (left > 0) {
      const length = read(group);
      if (length === 0) return;
      left -= length;
    }
  }

  function unjoin(): void {
    if (joined.size === 0 || outstanding() > EVENTS_MAX / 2) return;
    postJoined();
    Atomics.store(words, WatchWord.joining, 0);
  }

  const polled = new Int32Array(kernelMemory(8 * (groups.length + 1)).buffer);
  for (const [index, fd] of [...groups, bell].entries()) {
    polled[2 * index] = fd;
    polled[2 * index + 1] = POLLIN;
  }

  port.postMessage({ ready: true } satisfies WatchMessage);
  for (;;) {
    // The address is asked for each time: nothing else keeps the memory.
    watchCalls.poll(addressOf(polled), groups.length + 1);
    treeCalls.read(bell, rung);
    if (Atomics.load(words, WatchWord.ending) === 1) break;
    // Ends at once when there is a request to drain.
    Atomics.wait(words, WatchWord.drain, answered, PAUSE_MS);
    const drain = Atomics.load(words, WatchWord.drain);
    for (let group = 0; group < groups.length; group += 1)
      if (drain !== answered) readQueued(group);
      else read(group);
    if (drain !== answered) {
      postJoined();
      Atomics.store(words, WatchWord.joining, 0);
      answered = drain;
      port.postMessage({ drained: drain } satisfies WatchMessage);
    }
    unjoin();
  }
}

serve(workerData as WatchThreadStart);
