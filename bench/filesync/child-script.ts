// A script in a process of its own that is asked over the IPC channel: one question at a time, one answer each.
// Always holds: it ends with its parent; an answer with `error` rejects.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { killAtExit } from "../../test/support/leftovers.ts";

export class ChildScript<Question extends object, Answer extends object> implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #forget: () => void;

  /** `script`: a file of this folder. */
  constructor(script: string, execArgv: readonly string[] = []) {
    this.#child = fork(join(import.meta.dirname, script), { execArgv: [...execArgv] });
    this.#forget = killAtExit(this.#child.pid!);
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`the process asked ended with ${code}`));
      this.#child.once("exit", onExit);
      this.#child.once("message", (answer: Answer | { error: string }) => {
        this.#child.off("exit", onExit);
        if ("error" in answer) reject(new Error(answer.error));
        else resolve(answer);
      });
      this.#child.send(question);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
    this.#forget();
  }
}

/** The child's side: answers what its parent asks, and ends with it. */
export function answerParent<Question, Answer extends object>(
  answer: (question: Question) => Promise<Answer> | Answer,
): void {
  process.on("message", (question: Question) => {
    Promise.resolve()
      .then(() => answer(question))
      .then(
        (found) => process.send!(found),
        (error: Error) => process.send!({ error: error.stack ?? error.message }),
      );
  });
  process.on("disconnect", () => process.exit(0));
}
