// An iSCSI initiator that shares no code with the target: libiscsi, given raw CDBs.
// Its calls are synchronous and run in a thread of their own, so that the target may live in the test's process;
// commands of one session run one after another.
import { once } from "node:events";
import { globSync } from "node:fs";
import { Worker } from "node:worker_threads";

export interface InitiatorOptions {
  /** `HOST:PORT`. */
  readonly portal: string;
  readonly target: string;
  readonly initiator?: string;
  readonly lun?: number;
  readonly headerDigest?: boolean;
  readonly chap?: { readonly user: string; readonly secret: string };
  readonly targetChap?: { readonly user: string; readonly secret: string };
  readonly timeoutSeconds?: number;
}

export interface InitiatorCommand {
  readonly cdb: Uint8Array;
  readonly dataOut?: Uint8Array;
  /** What it takes at most. */
  readonly dataInBytes?: number;
  /** Another unit than the session's first. */
  readonly lun?: number;
}

export interface InitiatorReply {
  readonly status: number;
  /** Empty but for a check condition. */
  readonly sense: Uint8Array;
  readonly dataIn: Uint8Array;
}

/** Options for a test that needs libiscsi; under CI=true it fails where there is none. */
export function needsLibiscsi(): { skip: string | false } {
  const isPresent = ["/usr/lib/*/libiscsi.so.7", "/usr/lib64/libiscsi.so.7"].some(
    (path) => globSync(path).length > 0,
  );
  if (isPresent) return { skip: false };
  if (process.env["CI"] === "true") throw new Error("a test cannot run here: needs libiscsi.so.7");
  return { skip: "needs libiscsi.so.7" };
}

/** Messages to the thread and back. */
export type InitiatorRequest =
  | { readonly kind: "connect" | "logout" | "destroy" }
  | {
      readonly kind: "command";
      readonly cdb: Uint8Array;
      readonly dataOut: Uint8Array | undefined;
      readonly dataInBytes: number;
      readonly lun: number | undefined;
    };
export type InitiatorResponse =
  | ({ readonly kind: "reply" } & InitiatorReply)
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly sentence: string };

export class IscsiInitiator implements AsyncDisposable {
  readonly #worker: Worker;
  /** Settles when the command before has ended. */
  #last: Promise<unknown> = Promise.resolve();
  #isOpen = true;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Logs in. Rejects with libiscsi's sentence when the target refuses. */
  static async connect(options: InitiatorOptions): Promise<IscsiInitiator> {
    const file = new URL("./iscsi-initiator-worker.ts", import.meta.url);
    const initiator = new IscsiInitiator(new Worker(file, { workerData: options }));
    try {
      await initiator.#ask({ kind: "connect" });
    } catch (error) {
      await initiator.drop();
      throw error;
    }
    return initiator;
  }

  async command({ cdb, dataOut, dataInBytes = 0, lun }: InitiatorCommand): Promise<InitiatorReply> {
    const response = await this.#ask({ kind: "command", cdb, dataOut, dataInBytes, lun });
    if (response.kind !== "reply") throw new Error(`the initiator's thread answered ${response.kind}`);
    const { status, sense, dataIn } = response;
    return { status, sense, dataIn };
  }

  /** Ends the session as the protocol wants it. */
  logout(): Promise<void> {
    return this.#end("logout");
  }

  /** Ends the connection without a logout. */
  drop(): Promise<void> {
    return this.#end("destroy");
  }

  async #end(kind: "logout" | "destroy"): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#ask({ kind });
    } finally {
      await this.#worker.terminate();
    }
  }

  #ask(request: InitiatorRequest): Promise<InitiatorResponse> {
    const answer = this.#last.then(async () => {
      const response = once(this.#worker, "message");
      this.#worker.postMessage(request);
      const [message] = (await response) as [InitiatorResponse];
      if (message.kind === "failed") throw new Error(message.sentence);
      return message;
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.logout().catch(() => undefined);
  }
}
