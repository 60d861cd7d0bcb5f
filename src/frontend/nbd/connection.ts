/**
 * One client: its stream, its handshake, then its requests.
 *
 * Always holds: it reads from the stream only while the phase can take more; everything that a turn answers
 * goes out in one write; the export's device is closed once, after the last request in work has ended,
 * whether the client said goodbye, vanished or broke the protocol.
 */
import { asRopewalkError } from "../../base/errors.ts";
import type { BlockDevice } from "../../device/mod.ts";
import type { ByteStream, StreamReceiver, TlsIdentity } from "../../ports/mod.ts";
import {
  ByteAccount,
  type ByteBudget,
  type ChunkPool,
  LARGE_BYTES,
  ProgressMark,
  ReceiveWindow,
  type RelievedConnection,
  ReplyQueue,
} from "../stream/mod.ts";
import type { NbdCounters } from "./counters.ts";
import { deviceError } from "./export-facts.ts";
import type { NbdExports } from "./exports.ts";
import { Handshake, type TlsMode } from "./handshake.ts";
import { type NbdLimits, PAYLOAD_PROGRESS_BYTES } from "./limits.ts";
import { StallRelief } from "./stall-relief.ts";
import { FLUSH_BYTES, Transmission, type TransmissionStart } from "./transmission.ts";

/** What all connections of a server share. */
export interface ConnectionWorld {
  readonly exports: NbdExports;
  readonly tls: TlsMode;
  readonly limits: NbdLimits;
  readonly pool: ChunkPool;
  readonly budget: ByteBudget;
  readonly counters: NbdCounters;
  readonly nowMs: () => number;
  /** Clock.soon */
  readonly soon: (action: () => void) => void;
  /** The connection is over and holds nothing any more. */
  readonly ended: (connection: Connection) => void;
  /** Why a connection was closed by us: for the log. */
  readonly report: (peer: string, sentence: string) => void;
}

export class Connection implements StreamReceiver, RelievedConnection {
  readonly #world: ConnectionWorld;
  readonly #window: ReceiveWindow;
  readonly #replies: ReplyQueue;
  readonly #account: ByteAccount;
  readonly #handshake: Handshake;
  readonly #payload = new ProgressMark();
  readonly #leaving = new ProgressMark();
  readonly #relief: StallRelief;
  readonly #startedMs: number;
  #transmission: Transmission | undefined;
  #device: BlockDevice | undefined;
  #stream: ByteStream | undefined;
  #advancing = false;
  #scheduled = false;
  #deferred = false;
  /** TLS is to begin once the answer in the clear is with the kernel. */
  #tlsNext: TlsIdentity | undefined;
  /** Between STARTTLS and the end of the TLS handshake nothing is taken. */
  #securing = false;
  #peerEnded = false;
  #finishing = false;
  #endSent = false;
  #gone = false;
  #released = false;

  constructor(world: ConnectionWorld) {
    this.#world = world;
    this.#startedMs = world.nowMs();
    this.#window = new ReceiveWindow(world.pool);
    this.#account = new ByteAccount(world.budget, world.limits.connectionBytesMax);
    this.#replies = new ReplyQueue(world.pool, this.#account, LARGE_BYTES);
    this.#relief = new StallRelief({
      limits: world.limits,
      budget: world.budget,
      account: this.#account,
      window: this.#window,
      replies: this.#replies,
    });
    this.#handshake = new Handshake({
      exports: world.exports,
      tls: world.tls,
      window: this.#window,
      replies: this.#replies,
      optionsMax: world.limits.optionsMax,
      replyBytesMax: world.limits.replyBytesMax,
      startTls: (identity) => {
        this.#securing = true;
        this.#tlsNext = identity;
      },
      transmit: (start) => this.#transmit(start),
      finish: () => this.finish(),
      progressed: this.#soon,
      fail: (error) => this.#fail(error),
    });
  }

  opened(stream: ByteStream): void {
    this.#stream = stream;
    this.#replies.stream = stream;
    this.#handshake.greet();
    this.#replies.flush();
  }

  target(): Uint8Array {
    return this.#window.target();
  }

  received(length: number): void {
    this.#window.received(length);
    this.#relief.proceeded();
    if (this.#finishing) this.#window.skip(this.#window.availableBytes);
    else if (this.#replies.sentBytes >= FLUSH_BYTES && this.#window.availableBytes < FLUSH_BYTES)
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

  secured(): void {
    this.#securing = false;
    this.#handshake.secured();
    this.#advance();
  }

  /** A client that sends no more is answered what it has asked, as after a goodbye. */
  ended(): void {
    this.#peerEnded = true;
    this.#advance();
  }

  closed(error: Error | undefined): void {
    if (error !== undefined && this.#securing) this.#world.report(this.#peer, `TLS failed: ${error.message}`);
    this.#gone = true;
    this.#transmission?.stop();
    this.#window.close();
    this.#replies.close();
    this.#releaseWhenIdle();
  }

  /** Takes no more requests, answers those in work, then closes. */
  finish(): void {
    this.#finishing = true;
    this.#transmission?.stop();
    this.#soon();
  }

  destroy(): void {
    this.#stream?.destroy();
  }

  /** Closes a client that has used up its time; called every now and then. */
  check(): void {
    if (this.#gone) return;
    const { limits, nowMs } = this.#world;
    const now = nowMs();
    if (this.#transmission === undefined && now - this.#startedMs > limits.handshakeTimeoutMs) {
      this.#giveUp("the handshake took too long");
      return;
    }
    const steps = Math.floor(this.#window.receivedBytes / PAYLOAD_PROGRESS_BYTES);
    const isOwed = this.#transmission?.isOwedPayload ?? false;
    if (this.#payload.stalledMs(now, steps, isOwed) >= limits.payloadTimeoutMs) {
      this.#giveUp("a payload did not arrive in its time");
      return;
    }
    const isLeaving = this.#finishing && this.#replies.isBusy;
    if (this.#leaving.stalledMs(now, this.#replies.batchesTaken, isLeaving) >= limits.replyTimeoutMs)
      this.#giveUp("the client is leaving and takes no replies");
  }

  relieve(lookMs: number): number {
    return this.#gone ? 0 : this.#relief.relieve(lookMs);
  }

  endForMemory(): void {
    this.#giveUp("the client takes no replies, or stalls in a payload, while memory is wanted");
  }

  #transmit(start: TransmissionStart): void {
    this.#device = start.device;
    this.#transmission = new Transmission(start, {
      window: this.#window,
      replies: this.#replies,
      account: this.#account,
      pool: this.#world.pool,
      limits: this.#world.limits,
      counters: this.#world.counters,
      progressed: this.#soon,
    });
    this.#relief.transmission = this.#transmission;
    if (this.#finishing) this.#transmission.stop();
  }

  /**
   * While the socket has much to send, refilling it comes before making more: Node delivers what arrived before
   * it goes on writing, and a client that waits for large replies would run dry meanwhile.
   */
  #later(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.#world.soon(() => {
      this.#deferred = false;
      this.#advance();
    });
  }

  /** Goes on after the callbacks of this turn that are still to come, so that their replies leave together. */
  readonly #soon = (): void => {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#advance();
    });
  };

  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      if (!this.#gone) this.#work();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#advancing = false;
    }
    if (this.#gone) {
      this.#replies.close();
      this.#releaseWhenIdle();
      return;
    }
    this.#endWhenIdle();
    if (this.#waits()) this.#stream?.pause();
    else this.#stream?.resume();
  }

  #work(): void {
    for (let again = true; again; ) {
      again = false;
      if (this.#securing) {
        // Nothing that came before TLS may be read as if it came after.
      } else if (this.#transmission !== undefined) {
        this.#transmission.advance();
      } else if (!this.#finishing) {
        this.#handshake.advance();
        // Requests may stand right behind the option that began the transmission.
        again = this.#transmission !== undefined;
      }
      const queuedBytes = this.#replies.queuedBytes;
      this.#replies.flush();
      // What was in the way may have gone out at once.
      if (this.#replies.queuedBytes < queuedBytes && this.#waits()) again = true;
    }
    if (this.#tlsNext !== undefined && !this.#replies.isBusy) {
      const identity = this.#tlsNext;
      this.#tlsNext = undefined;
      this.#window.reset();
      this.#stream?.startTls(identity);
    }
    if (this.#peerEnded && !this.#finishing && !this.#waits()) this.finish();
  }

  #waits(): boolean {
    if (this.#securing) return this.#tlsNext !== undefined;
    if (this.#finishing) return false;
    if (this.#transmission !== undefined) return this.#transmission.waitsFor !== "nothing";
    return this.#handshake.waits;
  }

  #endWhenIdle(): void {
    if (this.#transmission?.ended) this.#finishing = true;
    if (!this.#finishing || this.#endSent || this.#replies.queuedBytes > 0) return;
    if ((this.#transmission?.inFlight ?? 0) > 0) return;
    this.#endSent = true;
    this.#stream?.end();
  }

  #releaseWhenIdle(): void {
    if (this.#released || (this.#transmission?.inFlight ?? 0) > 0) return;
    this.#released = true;
    const closing = this.#device === undefined ? this.#handshake.close() : this.#device.close();
    closing.catch((error: unknown) => void deviceError(error)).then(() => this.#world.ended(this));
  }

  #fail(error: unknown): void {
    this.#giveUp(asRopewalkError(deviceError(error)).message);
  }

  #giveUp(sentence: string): void {
    this.#world.report(this.#peer, sentence);
    this.#transmission?.stop();
    this.#stream?.destroy();
  }

  get #peer(): string {
    return this.#stream?.peer.description ?? "unknown";
  }
}
