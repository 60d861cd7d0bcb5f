/**
 * All sessions that live, so that a new login replaces the one before it and task management reaches the other
 * sessions of a target.
 *
 * Always holds: no two sessions have the same TSIH; a session is in the table until it holds nothing any more.
 */
import type { ScsiNexus } from "./scsi-target.ts";
import type { TaskSet } from "./task-set.ts";

/** What the standard makes a session by (RFC 7143, 4.3.6): initiator, ISID, target, portal group. */
export interface SessionIdentity {
  readonly initiator: string;
  readonly isid: string;
  /** Undefined: discovery. */
  readonly targetName: string | undefined;
  readonly portalGroupTag: number;
}

export interface SessionEntry {
  readonly identity: SessionIdentity;
  readonly connectionId: number;
  /** While it is in the full feature phase and not a discovery. */
  readonly work: { readonly nexus: ScsiNexus; readonly tasks: TaskSet } | undefined;
  /** Closes its connection; resolves when the session is gone. */
  end(): Promise<void>;
  /** Takes no more requests and closes once what is queued was sent. */
  finish(): void;
}

const HANDLE_MAX = 0xffff;

export class SessionTable {
  readonly #sessionsMax: number;
  readonly #sessions = new Map<number, SessionEntry>();
  #lastHandle = 0;
  #lastNexus = 0;

  constructor(sessionsMax: number) {
    this.#sessionsMax = Math.min(sessionsMax, HANDLE_MAX);
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Adds a session and ends those that it replaces; resolves with its TSIH, 0 when there is no room. */
  async add(session: SessionEntry): Promise<number> {
    const replaced = [...this.#sessions.values()].filter((other) => isSame(other.identity, session.identity));
    if (this.#sessions.size - replaced.length >= this.#sessionsMax) return 0;
    if (this.#sessions.size >= HANDLE_MAX) return 0;
    do this.#lastHandle = (this.#lastHandle % HANDLE_MAX) + 1;
    while (this.#sessions.has(this.#lastHandle));
    const handle = this.#lastHandle;
    this.#sessions.set(handle, session);
    await Promise.all(replaced.map((other) => other.end()));
    return handle;
  }

  remove(session: SessionEntry): void {
    for (const [handle, other] of this.#sessions) {
      if (other === session) this.#sessions.delete(handle);
    }
  }

  find(handle: number): SessionEntry | undefined {
    return this.#sessions.get(handle);
  }

  ofTarget(name: string): SessionEntry[] {
    return [...this.#sessions.values()].filter((session) => session.identity.targetName === name);
  }

  nextNexus(): number {
    return ++this.#lastNexus;
  }
}

export function isSame(one: SessionIdentity, other: SessionIdentity): boolean {
  return (
    one.initiator === other.initiator &&
    one.isid === other.isid &&
    one.targetName === other.targetName &&
    one.portalGroupTag === other.portalGroupTag
  );
}
