/**
 * What an initiator owes a connection by when: its login, the rest of a PDU, data-out, a sign of life, room for answers.
 *
 * Always holds: it only looks, at every `verdict`; a connection that is not read, because we are busy, owes nothing more.
 */
import { ProgressMark } from "../stream/mod.ts";
import type { FullFeature } from "./full-feature.ts";
import type { IscsiLimits } from "./limits.ts";

/** A connection at one look. */
export interface ConnectionState {
  readonly session: FullFeature | undefined;
  /** All bytes that ever arrived. */
  readonly receivedBytes: number;
  /** A PDU has begun and is not complete. */
  readonly isInside: boolean;
  /** We read no further at present. */
  readonly isPaused: boolean;
  readonly isFinishing: boolean;
  readonly isEndSent: boolean;
  /** Answers are queued that the initiator has not taken. */
  readonly isSending: boolean;
  /** How many batches of answers it has taken. */
  readonly batchesTaken: number;
}

/** Nothing; a ping is due; or the sentence that says why the connection must end. */
export type Verdict = "fine" | "ping" | { readonly sentence: string };

export class ConnectionWatch {
  readonly #limits: IscsiLimits;
  readonly #startedMs: number;
  readonly #segment = new ProgressMark();
  readonly #gap = new ProgressMark();
  readonly #replies = new ProgressMark();
  readonly #end = new ProgressMark();
  readonly #silence = new ProgressMark();
  #pingedAtBytes = -1;

  constructor(limits: IscsiLimits, startedMs: number) {
    this.#limits = limits;
    this.#startedMs = startedMs;
  }

  verdict(now: number, state: ConnectionState): Verdict {
    const sentence = this.#overdue(now, state);
    return sentence === undefined ? this.#silent(now, state) : { sentence };
  }

  #overdue(now: number, state: ConnectionState): string | undefined {
    const { loginTimeoutMs, dataTimeoutMs, replyTimeoutMs } = this.#limits;
    const { session, isFinishing } = state;
    if (session === undefined && now - this.#startedMs > loginTimeoutMs) return "the login took too long";
    const isInside = state.isInside && !state.isPaused && !isFinishing;
    if (this.#segment.stalledMs(now, state.receivedBytes, isInside) >= dataTimeoutMs)
      return "the rest of a PDU did not arrive in its time";
    if (this.#gap.stalledMs(now, 0, session?.hasGap ?? false) >= dataTimeoutMs)
      return "a request is missing in the order of commands";
    if (session !== undefined && this.#dataStalls(now, session, state))
      return "data-out did not arrive in its time";
    const repliesMs = this.#replies.stalledMs(now, state.batchesTaken, state.isSending);
    if (repliesMs >= replyTimeoutMs && isFinishing) return "the initiator is leaving and takes no replies";
    if (this.#end.stalledMs(now, 0, state.isEndSent) >= replyTimeoutMs)
      return "the initiator does not close its side";
    return undefined;
  }

  #dataStalls(now: number, session: FullFeature, { isPaused }: ConnectionState): boolean {
    for (const task of session.tasks ?? []) {
      const transfer = task.transfer;
      if (transfer === undefined || task.state !== "collecting") continue;
      if (transfer.hasProgress || !transfer.isOwed || isPaused) {
        transfer.hasProgress = false;
        transfer.stalledSinceMs = now;
      } else if (now - transfer.stalledSinceMs >= this.#limits.dataTimeoutMs) {
        return true;
      }
    }
    return false;
  }

  #silent(now: number, state: ConnectionState): Verdict {
    const { pingIntervalMs, pingTimeoutMs } = this.#limits;
    const isListening = state.session !== undefined && !state.isFinishing;
    const silentMs = this.#silence.stalledMs(now, state.receivedBytes, isListening);
    if (silentMs < pingIntervalMs) return "fine";
    if (this.#pingedAtBytes !== state.receivedBytes) {
      this.#pingedAtBytes = state.receivedBytes;
      return "ping";
    }
    if (silentMs < pingIntervalMs + pingTimeoutMs) return "fine";
    return { sentence: "the initiator does not answer" };
  }
}
