import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import { needs } from "../support/needs.ts";
import { type TraceEvent, traceEvents } from "../support/system-call-trace.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const PAGE_BYTES = 4096;
const ROUNDS = 12;
const MARK_BYTES = 24;

/** A page that is found again in a trace of system calls, whatever stands before it in the same call. */
function markedPage(number: number): { mark: string; page: Buffer } {
  const mark = `page-${String(number).padStart(6, "0")}-of-this-test`
    .padEnd(MARK_BYTES, ".")
    .slice(0, MARK_BYTES);
  return { mark, page: Buffer.from(mark.repeat(Math.ceil(PAGE_BYTES / MARK_BYTES))).subarray(0, PAGE_BYTES) };
}

test(
  "between dirty data and the reply to every FLUSH and FUA write there is a completed fdatasync of its file",
  needs("strace"),
  async () => {
    using folder = new TemporaryFolder();
    const trace = folder.file("trace");
    const calls = "trace=pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync";
    const asked: { cookie: bigint; marks: string[]; kind: string }[] = [];
    {
      await using daemon = await Daemon.start({
        // All strings whole and in hexadecimal, descriptors with their paths.
        wrapper: ["strace", "-f", "-y", "-xx", "-s", "65536", "-e", calls, "-o", trace],
      });
      await daemon.cli("volume", "create", "vol0", "--size", "64MiB");
      const client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
      let number = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const marks: string[] = [];
        for (let write = 0; write <= round % 4; write++) {
          const { mark, page } = markedPage(number++);
          marks.push(mark);
          await client.write(number * 3 * PAGE_BYTES, page, { fua: false });
        }
        const flush = await client.ask({ type: 3 });
        asked.push({ cookie: flush.cookie, marks, kind: "FLUSH" });
        const { mark, page } = markedPage(number++);
        const fua = await client.ask({ type: 1, flags: 1, offset: number * 3 * PAGE_BYTES, payload: page });
        asked.push({ cookie: fua.cookie, marks: [mark], kind: "FUA write" });
      }
      await client.close();
      assert.equal((await daemon.stop()).code, 0, daemon.output);
    }

    const events = traceEvents(readFileSync(trace, "latin1"));
    for (const { cookie, marks, kind } of asked) {
      const replied = events.findIndex((event) => event.kind === "write" && isReply(event, cookie));
      assert.notEqual(replied, -1, `the reply to ${kind} ${cookie} is in the trace`);
      for (const mark of marks) {
        const written = events.findIndex(
          (event) => event.kind === "write" && event.bytes.includes(hex(mark)),
        );
        assert.ok(
          written !== -1 && written < replied,
          `${mark} was written before the reply to ${kind} ${cookie}`,
        );
        assert.ok(
          isSyncedBetween(events, written, replied),
          `no fdatasync of ${events[written]!.path} between ${mark} and the reply to ${kind} ${cookie}`,
        );
      }
    }
  },
);

/** Whether a sync of the written file began after the write and ended well before the reply. */
function isSyncedBetween(events: readonly TraceEvent[], written: number, replied: number): boolean {
  const { path } = events[written]!;
  for (let begin = written + 1; begin < replied; begin++) {
    const event = events[begin]!;
    if (event.kind !== "sync-begin" || event.path !== path) continue;
    const end = events.findIndex(
      (other, at) => at > begin && other.kind === "sync-end" && other.thread === event.thread,
    );
    if (end !== -1 && end < replied && events[end]!.succeeded) return true;
  }
  return false;
}

/** A simple reply's magic, no error, and the cookie. */
function isReply(event: TraceEvent, cookie: bigint): boolean {
  return event.bytes.includes(`6744669800000000${cookie.toString(16).padStart(16, "0")}`);
}

function hex(text: string): string {
  return Buffer.from(text).toString("hex");
}
