/**
 * One initiator's connection: its stream, its login, then its session.
 *
 * Always holds: it reads from the stream only while the phase can take more; everything that a turn answers goes out
 * in one write; target and session are let go once, after the last command in work has ended, whether the initiator
 * logged out, vanished or broke the protocol.
 */

import { AssertionFailed } from "../../base/assert.ts";
import { asRopewalkError, type RopewalkError } from "../../base/errors.ts";
import type { ByteStream, Random, StreamReceiver } from "../../ports/mod.ts";
import { DEFAULT_DATA_SEGMENT_BYTES } from "../../wire/iscsi/mod.ts";
import {
  ByteAccount,
  type ByteBudget,
  type ChunkPool,
  ReceiveWindow,
  type RelievedConnection,
  ReplyQueue,
  SMALL_BYTES,
} from "../stream/mod.ts";
import { ConnectionWatch } from "./connection-watch.ts";
import type { IscsiCounters } from "./counters.ts";
import { FullFeature } from "./full-feature.ts";
import type { IscsiLimits } from "./limits.ts";
import { type LoggedIn, Login } from "./login.ts";
import { LoginSink } from "./login-sink.ts";
import { PduReader } from "./pdu-reader.ts";
import { PduWriter } from "./pdu-writer.ts";
import type { ScsiNexus } from "./scsi-target.ts";
import type { SessionEntry, SessionIdentity, SessionTable } from "./session-table.ts";
import { StallRelief } from "./stall-relief.ts";
import type { IscsiPortal, IscsiTargetTable } from "./target-table.ts";

/** What all connections of a server share. */
export interface ConnectionWorld {
  readonly targets: IscsiTargetTable;
  readonly portals: () => readonly IscsiPortal[];
  readonly portal: IscsiPortal;
  readonly sessions: SessionTable;
  readonly limits: IscsiLimits;
  readonly pool: ChunkPool;
  readonly budget: ByteBudget;
  readonly waitingBudget: ByteBudget;
  readonly counters: IscsiCounters;
  readonly random: Random;
  readonly nowMs: () => number;
  /** Clock.soon */
  readonly soon: (action: () => void) => void;
  /** The connection is over and holds nothing any more. */
  readonly ended: (connection: Connection) => void;
  /** Why a connection was closed by us, or a command failed by a defect: for the log. */
  readonly report: (peer: string, sentence: string) => void;
}

/** When so much is being sent, that comes before making more: Node delivers what arrived before it goes on writing. */
const SENT_BYTES_MAX = 256 * 1024;

/** One connection has at most this part of the memory for data that waits. */
const WAITING_SHARES = 4;

export class Connection implements StreamReceiver, SessionEntry, RelievedConnection {
  readonly #world: ConnectionWorld;
  readonly #window: ReceiveWindow;
  readonly #reader: PduReader;
  readonly #replies: ReplyQueue;
  readonly #writer: PduWriter;
  readonly #account: ByteAccount;
  readonly #login: Login;
  readonly #loginSink: LoginSink;
  readonly #watch: ConnectionWatch;
  readonly #relief: StallRelief;
  readonly #released = Promise.withResolvers<void>();
  #loggedIn: LoggedIn | undefined;
  #session: FullFeature | undefined;
  #stream: ByteStream | undefined;
  #isAdvancing = false;
  #isScheduled = false;
  #isDeferred = false;
  #peerEnded = false;
  #isFinishing = false;
  #isEndSent = false;
  #isGone = false;
  #isReleasing = false;

  constructor(world: ConnectionWorld) {
    this.#world = world;
    const { pool, limits, budget } = world;
    this.#watch = new ConnectionWatch(limits, world.nowMs());
    this.#window = new ReceiveWindow(pool);
    this.#reader = new PduReader(this.#window, DEFAULT_DATA_SEGMENT_BYTES);
    this.#account = new ByteAccount(budget, limits.connectionBytesMax);
    this.#replies = new ReplyQueue(pool, this.#account, SMALL_BYTES);
    this.#relief = new StallRelief({
      limits,
      account: this.#account,
      window: this.#window,
      replies: this.#replies,
    });
    this.#writer = new PduWriter(this.#replies);
    this.#login = new Login({
      targets: world.targets,
      random: world.random,
      limits,
      portal: world.portal,
      writer: this.#writer,
      admit: (loggedIn) => this.#admit(loggedIn),
      recover: (handle, request) => {
        const session = world.sessions.find(handle);
        // The initiator has lost that connection, and with it, at this recovery level, the session.
        if (session?.connectionId === request.connectionId) void session.end();
        return session !== undefined && session.connectionId !== request.connectionId;
      },
      complete: (loggedIn) => this.#begin(loggedIn),
      refused: (status, sentence) => {
        world.counters.loginsFailed++;
        this.#report(`login refused (0x${status.toString(16).padStart(4, "0")}): ${sentence}`);
        this.finish();
      },
      progressed: this.#soon,
    });
    this.#loginSink = new LoginSink(
      this.#login,
      () => !this.#login.isBusy && !this.#isFinishing && this.#session === undefined,
    );
  }

  get identity(): SessionIdentity {
    const { initiator = "", isid, targetName } = this.#loggedIn ?? {};
    const { portalGroupTag } = this.#world.portal;
    return {
      initiator,
      isid: isid === undefined ? "" : Buffer.from(isid).toString("hex"),
      targetName,
      portalGroupTag,
    };
  }

  get connectionId(): number {
    return this.#loggedIn?.connectionId ?? 0;
  }

  get work(): SessionEntry["work"] {
    const session = this.#session;
    if (session?.tasks === undefined || session.nexus === undefined) return undefined;
    return { nexus: session.nexus, tasks: session.tasks };
  }

  opened(stream: ByteStream): void {
    this.#stream = stream;
    this.#replies.stream = stream;
  }

  target(): Uint8Array {
    return this.#window.target();
  }

  received(length: number): void {
    this.#window.received(length);
    this.#relief.proceeded();
    if (this.#isFinishing) this.#window.skip(this.#window.availableBytes);
    else if (this.#replies.sentBytes >= SENT_BYTES_MAX && this.#window.availableBytes < SENT_BYTES_MAX)
      this.#later();
    else this.#advance();
  }

  drained(): void {
    this.#replies.drained();
    this.#relief.proceeded();
    // What has gathered goes out before anything is made.
    this.#replies.flush();
    this.#advance();
  }

  /** iSCSI has no TLS of its own. */
  secured(): void {}

  /** An initiator that sends no more is answered what it has asked. */
  ended(): void {
    this.#peerEnded = true;
    this.#advance();
  }

  closed(_error: Error | undefined): void {
    this.#isGone = true;
    this.#window.close();
    this.#replies.close();
    this.#release();
  }

  end(): Promise<void> {
    if (this.#stream === undefined && !this.#isGone) this.closed(undefined);
    else this.#stream?.destroy();
    return this.#released.promise;
  }

  /** Takes no more requests, answers those in work, then closes. */
  finish(): void {
    this.#isFinishing = true;
    this.#session?.finish();
    this.#soon();
  }

  /** The server is closing: the initiator should log out within the time. */
  requestLogout(seconds: number): void {
    if (this.#session === undefined) {
      this.finish();
      return;
    }
    this.#session.requestLogout(seconds);
    this.#soon();
  }

  /** The server is closing, and the initiator has not logged out. */
  announceEnd(): void {
    if (this.#isFinishing) return;
    this.#session?.announceEnd();
    this.finish();
  }

  destroy(): void {
    this.#stream?.destroy();
  }

  /** Closes an initiator that has used up its time, and pings a silent one; called every now and then. */
  check(): void {
    if (this.#isGone || this.#stream === undefined) return;
    const verdict = this.#watch.verdict(this.#world.nowMs(), {
      session: this.#session,
      receivedBytes: this.#window.receivedBytes,
      isInside: this.#reader.isInside,
      isPaused: this.#isPaused,
      isFinishing: this.#isFinishing,
      isEndSent: this.#isEndSent,
      isSending: this.#replies.isBusy,
      batchesTaken: this.#replies.batchesTaken,
    });
    this.#relief.proceeded();
    if (verdict === "ping") {
      this.#session?.ping();
      this.#soon();
    } else if (verdict !== "fine") {
      this.#giveUp(verdict.sentence);
    }
  }

  relieve(lookMs: number): number {
    return this.#isGone ? 0 : this.#relief.relieve(lookMs);
  }

  endForMemory(): void {
    this.#giveUp("the initiator takes no replies, or stalls in its data-out, while memory is wanted");
  }

  async #admit(loggedIn: LoggedIn): Promise<number> {
    this.#loggedIn = loggedIn;
    return await this.#world.sessions.add(this);
  }

  /** The login is complete: digests and the longer segments hold from the next PDU on. */
  #begin(loggedIn: LoggedIn): void {
    const world = this.#world;
    this.#loggedIn = loggedIn;
    this.#session = new FullFeature(loggedIn, this.#nexus(loggedIn), {
      reader: this.#reader,
      replies: this.#replies,
      writer: this.#writer,
      pool: world.pool,
      limits: world.limits,
      counters: world.counters,
      account: this.#account,
      waitingAccount: new ByteAccount(
        world.waitingBudget,
        Math.ceil(world.limits.waitingBytesMax / WAITING_SHARES),
      ),
      discovery: () => ({
        targets: world.targets.list(),
        portals: world.portals(),
        targetName: loggedIn.targetName,
        localAddress: this.#stream?.peer.localAddress,
      }),
      sessions: () => (loggedIn.targetName === undefined ? [] : world.sessions.ofTarget(loggedIn.targetName)),
      progressed: this.#soon,
      finish: () => this.finish(),
      report: (sentence) => this.#report(sentence),
    });
    this.#relief.session = this.#session;
    const { headerDigest, dataDigest } = loggedIn.parameters;
    this.#reader.segmentBytesMax = world.limits.dataSegmentBytesMax;
    this.#reader.headerDigest = this.#writer.headerDigest = headerDigest;
    this.#reader.dataDigest = this.#writer.dataDigest = dataDigest;
    world.counters.sessions++;
    if (this.#isFinishing) this.#session.finish();
  }

  #nexus(loggedIn: LoggedIn): ScsiNexus | undefined {
    if (loggedIn.targetName === undefined) return undefined;
    const { portalGroupTag, relativePort } = this.#world.portal;
    return {
      number: this.#world.sessions.nextNexus(),
      initiator: loggedIn.initiator,
      initiatorPort: `${loggedIn.initiator},i,0x${Buffer.from(loggedIn.isid).toString("hex")}`,
      targetPort: `${loggedIn.targetName},t,0x${portalGroupTag.toString(16).padStart(4, "0")}`,
      portalGroupTag,
      relativePort,
      isProtected: this.#stream?.peer.loopback ?? false,
    };
  }

  #later(): void {
    if (this.#isDeferred) return;
    this.#isDeferred = true;
    this.#world.soon(() => {
      this.#isDeferred = false;
      this.#advance();
    });
  }

  /** Goes on after the callbacks of this turn that are still to come, so that their replies leave together. */
  readonly #soon = (): void => {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#advance();
    });
  };

  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      if (!this.#isGone) this.#work();
    } catch (error) {
      if (error instanceof AssertionFailed) throw error;
      this.#violated(asRopewalkError(error));
    } finally {
      this.#isAdvancing = false;
    }
    if (this.#isGone) {
      this.#replies.close();
      return;
    }
    this.#endWhenIdle();
    if (this.#isPaused) this.#stream?.pause();
    else this.#stream?.resume();
  }

  #work(): void {
    for (let again = true; again; ) {
      again = false;
      if (!this.#isFinishing) {
        const hadSession = this.#session !== undefined;
        this.#reader.advance(this.#session ?? this.#loginSink);
        // Requests may stand right behind the one that completed the login.
        again = !hadSession && this.#session !== undefined;
      }
      const queuedBytes = this.#replies.queuedBytes;
      const wasPaused = this.#isPaused;
      this.#replies.flush();
      // What was in the way may have gone out at once.
      if (wasPaused && this.#replies.queuedBytes < queuedBytes && !this.#isPaused) again = true;
    }
    if (this.#peerEnded && !this.#isFinishing && !this.#login.isBusy) this.finish();
  }

  /** The phase takes nothing now, although bytes may be there. */
  get #isPaused(): boolean {
    if (this.#isFinishing) return false;
    if (this.#session !== undefined) return !this.#session.ready();
    return this.#login.isBusy;
  }

  #endWhenIdle(): void {
    if (!this.#isFinishing || this.#isEndSent || this.#replies.queuedBytes > 0) return;
    if (this.#login.isBusy || this.#session?.isIdle === false) return;
    this.#isEndSent = true;
    this.#stream?.end();
  }

  #release(): void {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    this.#letGo()
      .catch((error: unknown) => this.#report(asRopewalkError(error).message))
      .then(() => {
        this.#replies.close();
        this.#world.sessions.remove(this);
        if (this.#session !== undefined) this.#world.counters.sessions--;
        this.#released.resolve();
        this.#world.ended(this);
      });
  }

  async #letGo(): Promise<void> {
    await this.#login.close();
    await this.#session?.close();
    if (this.#session !== undefined) await this.#loggedIn?.target?.close();
  }

  /** Says so as far as the initiator still listens; where the next PDU begins may not be known. */
  #violated(error: RopewalkError): void {
    if (error.code === "PROTOCOL_ERROR") this.#session?.rejectViolation();
    this.#replies.flush();
    this.#giveUp(error.message);
  }

  #giveUp(sentence: string): void {
    this.#report(sentence);
    this.#isFinishing = true;
    this.#isEndSent = true;
    this.#stream?.destroy();
  }

  #report(sentence: string): void {
    this.#world.report(this.#stream?.peer.description ?? "unknown", sentence);
  }
}
