// What a test process has made on the machine and must not leave behind: processes (by pid), mounts, loop
// devices, folders. Each is registered when it is made and forgotten when it was undone in the ordinary way;
// what is left when this process ends, for whatever reason short of SIGKILL, is undone here, newest first.

const undoing = new Map<symbol, () => void>();
let installed = false;

/** Registers a synchronous `undo` for the end of the process. Returns what forgets it again. */
export function undoAtExit(undo: () => void): () => void {
  install();
  const key = Symbol();
  undoing.set(key, undo);
  return () => void undoing.delete(key);
}

/** Ends a process by its id when this one ends. Returns what forgets it again. */
export function killAtExit(pid: number): () => void {
  return undoAtExit(() => process.kill(pid, "SIGKILL"));
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on("exit", undoAll);
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    // Without a listener the default action would end the process and skip "exit".
    process.once(signal, () => process.exit(128 + number));
  }
}

function undoAll(): void {
  for (const undo of [...undoing.values()].reverse()) {
    try {
      undo();
    } catch {
      // It is gone already; the others must still be undone.
    }
  }
  undoing.clear();
}
