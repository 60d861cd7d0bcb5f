/** The signals that end the daemon, and Ctrl-C for the command line. */

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Resolves at the first signal to stop; any further one calls `impatient`. */
export function stopSignal(impatient: () => void): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    for (const signal of STOP_SIGNALS)
      process.on(signal, () => {
        if (isStopping) impatient();
        isStopping = true;
        resolve(signal);
      });
  });
}

/** Calls `action` at the next Ctrl-C; one more ends the process as ever. The result forgets it. */
export function onInterrupt(action: () => void): () => void {
  process.once("SIGINT", action);
  return () => void process.off("SIGINT", action);
}
