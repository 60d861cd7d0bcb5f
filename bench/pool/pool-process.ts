// A process of its own around a pool, so that its memory is only its own and SIGKILL can strike it.
import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { killAtExit } from "../../test/support/leftovers.ts";
import type { SuiteContext } from "../suite.ts";
import type { PoolOperations } from "./pool-operations.ts";

export interface PoolRequest {
  readonly operation: Exclude<keyof PoolOperations, symbol>;
  readonly options: unknown;
}

export type PoolAnswer = { readonly value: unknown } | { readonly error: string };

type Options<Name extends keyof PoolOperations> = Parameters<PoolOperations[Name]>;
type Value<Name extends keyof PoolOperations> = Awaited<ReturnType<PoolOperations[Name]>>;

export class PoolProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor({ profileFolder }: SuiteContext, name: string) {
    const place = profileFolder === undefined ? undefined : join(profileFolder, name);
    if (place !== undefined) mkdirSync(place, { recursive: true });
    this.#child = fork(join(import.meta.dirname, "pool-child.ts"), {
      // With the heap's settings of bin/ropewalk, as the daemon runs.
      execArgv: [
        "--max-semi-space-size=2",
        "--heap-growing-percent=50",
        "--no-parallel-scavenge",
        ...(place === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${place}`]),
      ],
      env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
    });
    const forget = killAtExit(this.#child.pid!);
    this.#ended = new Promise<void>((done) => this.#child.once("exit", () => done())).then(forget);
  }

  /** Runs one of PoolOperations' methods there. One at a time. */
  call<Name extends PoolRequest["operation"]>(
    operation: Name,
    ...options: Options<Name>
  ): Promise<Value<Name>> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`the pool's process ended with ${code}`));
      this.#child.once("exit", onExit);
      this.#child.once("message", (answer: PoolAnswer) => {
        this.#child.off("exit", onExit);
        if ("error" in answer) reject(new Error(answer.error));
        else resolve(answer.value as Value<Name>);
      });
      this.#child.send({ operation, options: options[0] } satisfies PoolRequest);
    });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Lets it end by itself, so that a profile is written. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
  }
}
