// Reads what `strace -f -y -xx -o FILE` wrote: writes with their bytes, and syncs as begin and end, in the order
// in which strace saw them. Calls that another thread interrupted come in two lines; both are understood.

export interface TraceEvent {
  readonly kind: "write" | "sync-begin" | "sync-end";
  readonly thread: number;
  /** The file behind the descriptor; empty for the end of a sync. */
  readonly path: string;
  /** What was written, in hexadecimal; empty for syncs. */
  readonly bytes: string;
  /** Of the end of a sync: whether it returned 0. */
  readonly succeeded: boolean;
}

const LINE = /^(\d+)\s+(?:<\.\.\. (\w+) resumed>|(\w+)\(\d+(?:<((?:->|[^>\\]|\\.)*)>)?)(.*)$/;

export function traceEvents(text: string): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (const line of text.split("\n")) {
    const parts = LINE.exec(line);
    if (!parts) continue;
    const [, threadText, resumed, call, pathText = "", rest = ""] = parts;
    const path = plain(pathText);
    const thread = Number(threadText);
    const isSync = /^f(data)?sync$/.test(call ?? resumed ?? "");
    const nothing = { thread, path: "", bytes: "", succeeded: false };
    if (isSync) {
      if (call !== undefined) events.push({ ...nothing, kind: "sync-begin", path });
      if (!rest.includes("<unfinished ...>")) {
        events.push({ ...nothing, kind: "sync-end", succeeded: /=\s+0\s*$/.test(rest) });
      }
    } else if (call !== undefined) {
      events.push({ ...nothing, kind: "write", path, bytes: stringsOf(rest) });
    }
  }
  return events;
}

/** A path as it is, of which strace wrote every character as a number. */
function plain(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/** All quoted strings of a call, `\x41\x42`, as hexadecimal one behind the other. */
function stringsOf(text: string): string {
  let bytes = "";
  for (const [, quoted] of text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)) bytes += quoted!.replaceAll("\\x", "");
  return bytes;
}
