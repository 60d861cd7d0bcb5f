// The iSCSI front end of the real daemon in a crowd: idle sessions, and initiators that stall in the middle of their
// data-out, or do not read what they asked for, with all that they may have outstanding, beside one that works. It must
// not notice them, the daemon's memory must stay bounded, and the stalled ones must be ended.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  dataOutPdu,
  encodeText,
  LoginStage,
  loginRequestPdu,
  type PduFields,
  type PduLayout,
  paddedBytes,
  scsiCommandPdu,
} from "../../src/wire/iscsi/mod.ts";
import { Daemon } from "../support/daemon.ts";
import { IscsiInitiator } from "../support/iscsi-initiator.ts";
import type { Checks } from "./checks.ts";

export interface IscsiCrowdOptions {
  readonly idleSessions: number;
  readonly stalledSessions: number;
  /** Sessions that ask for data and do not read it. */
  readonly deafSessions?: number;
  /** How long the one that works is watched with the crowd and without it. */
  readonly workMs: number;
  /** Whether to wait until the daemon has ended the stalled sessions, 30 s or a little more. */
  readonly untilEnded: boolean;
}

const VOLUME = { name: "crowd", size: "64MiB" };
const TARGET = `iqn.2026-11.io.ropewalk:${VOLUME.name}`;
const BLOCK_BYTES = 512;
const HEADER_BYTES = 48;
/** A stalled initiator's commands, of a MiB each: its share of memory, 64 MiB, and as much that waits for it. */
const STALLED_COMMANDS = 100;
const STALLED_BYTES = 2 ** 20;
/** Half of a PDU of data-out. */
const SENT_BYTES = 4096;
/** The daemon's limit, and time for it to look. */
const ENDED_MS_MAX = 40_000;
const SHARE_BYTES = 64 * 2 ** 20;
/** What all connections have together. */
const TOTAL_BYTES = 256 * 2 ** 20;
const IDLE_BYTES_MAX = 64 * 1024;
/** What else the daemon's memory may grow by: garbage, mostly. */
const SLACK_BYTES = 128 * 2 ** 20;
/** One command in so many is long: it has no part in what is kept for small ones. */
const LONG_EVERY = 20;
/** The crowd has sent all that it will. */
const SETTLING_MS = 500;
/** A command of the one that works takes no longer than this, whatever the machine has to do besides. */
const COMMAND_MS_MAX = 1_000;

export async function iscsiCrowd(options: IscsiCrowdOptions, checks: Checks): Promise<void> {
  const deafSessions = options.deafSessions ?? 0;
  await using daemon = await Daemon.start({ poolSize: "1GiB" });
  await daemon.cli("volume", "create", VOLUME.name, "--size", VOLUME.size);
  const portal = daemon.endpoints.iscsi[0]!;
  await using worker = await IscsiInitiator.connect({ portal, target: TARGET });
  const alone = await work(worker, options.workMs);
  const before = residentBytes(daemon.pid);
  const crowd: RawSession[] = [];
  const stalled: RawSession[] = [];
  const deaf: RawSession[] = [];
  try {
    for (let index = 0; index < options.idleSessions; index++)
      crowd.push(await RawSession.open(portal, `idle-${index}`));
    for (let index = 0; index < options.stalledSessions; index++) {
      const session = await RawSession.open(portal, `stalled-${index}`);
      stalled.push(session);
      session.stall();
    }
    for (let index = 0; index < deafSessions; index++) {
      const session = await RawSession.open(portal, `deaf-${index}`);
      deaf.push(session);
      session.turnDeaf();
    }
    await delay(SETTLING_MS);
    const beside = await work(worker, options.workMs);
    const grownBytes = residentBytes(daemon.pid) - before;
    const shares = Math.min((stalled.length + deaf.length) * SHARE_BYTES, TOTAL_BYTES);
    const inWork = options.idleSessions * IDLE_BYTES_MAX + shares;
    checks.say(
      `${options.idleSessions} idle, ${options.stalledSessions} stalled and ${deafSessions} deaf: ${beside.commands} commands (alone ${alone.commands}), the slowest ${beside.slowestMs.toFixed(0)} ms (alone ${alone.slowestMs.toFixed(0)} ms), ${mebibytes(grownBytes)} MiB more`,
    );
    checks.check("all commands beside the crowd succeed", [...alone.problems, ...beside.problems]);
    checks.check(
      "none of them waits for the crowd",
      beside.slowestMs <= COMMAND_MS_MAX ? [] : [`${beside.slowestMs.toFixed(0)} ms`],
    );
    checks.check(
      "memory stays within the shares",
      grownBytes <= inWork + SLACK_BYTES ? [] : [`${mebibytes(grownBytes)} MiB more`],
    );
    if (options.untilEnded) await ended(stalled, checks);
    const lost = crowd.filter(({ isClosed }) => isClosed).length;
    checks.check("idle sessions stay", lost === 0 ? [] : [`${lost} were ended`]);
    checks.check("the daemon lives", daemon.running ? [] : [daemon.output]);
  } finally {
    for (const session of [...crowd, ...stalled, ...deaf]) session.drop();
  }
}

async function ended(stalled: readonly RawSession[], checks: Checks): Promise<void> {
  const deadlineMs = performance.now() + ENDED_MS_MAX;
  while (stalled.some(({ isClosed }) => !isClosed) && performance.now() < deadlineMs) await delay(200);
  const left = stalled.filter(({ isClosed }) => !isClosed).length;
  checks.check("stalled sessions are ended", left === 0 ? [] : [`${left} are still there`]);
}

/** Writes 4 KiB, or now and then a MiB, and reads them again, one command at a time, for so long. */
async function work(initiator: IscsiInitiator, workMs: number) {
  const problems: string[] = [];
  let slowestMs = 0;
  let commands = 0;
  const timed = async (command: Parameters<IscsiInitiator["command"]>[0]) => {
    const beganMs = performance.now();
    const reply = await initiator.command(command);
    slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    commands++;
    if (reply.status !== 0) problems.push(`status ${reply.status}, sense ${hex(reply.sense)}`);
    return reply;
  };
  while ((await initiator.command({ cdb: Buffer.alloc(6) })).status !== 0);
  for (const untilMs = performance.now() + workMs; performance.now() < untilMs; ) {
    const blocks = commands % LONG_EVERY === 0 ? STALLED_BYTES / BLOCK_BYTES : 8;
    const range = [0, 0, 0, 0, 8, 0, blocks >> 8, blocks & 255, 0];
    const dataOut = Buffer.alloc(blocks * BLOCK_BYTES, commands);
    await timed({ cdb: Buffer.from([0x2a, ...range]), dataOut });
    const { dataIn } = await timed({
      cdb: Buffer.from([0x28, ...range]),
      dataInBytes: dataOut.length,
    });
    if (!dataOut.equals(dataIn)) problems.push("other data was read than was written");
  }
  return { problems, slowestMs, commands };
}

/** A session on a bare socket, which answers nothing but pings. */
class RawSession {
  readonly #socket: Socket;
  isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("close", () => {
      this.isClosed = true;
    });
    socket.on("error", () => {});
  }

  /** Logs in without security. */
  static async open(portal: string, name: string): Promise<RawSession> {
    const colon = portal.lastIndexOf(":");
    const socket = connect({ host: portal.slice(0, colon), port: Number(portal.slice(colon + 1)) });
    await once(socket, "connect");
    const session = new RawSession(socket);
    const keys = {
      InitiatorName: `iqn.2026-11.io.ropewalk:${name}`,
      TargetName: TARGET,
      SessionType: "Normal",
      InitialR2T: "Yes",
      ImmediateData: "No",
    };
    session.#send(
      loginRequestPdu,
      {
        immediate: true,
        transit: true,
        currentStage: LoginStage.operational,
        nextStage: LoginStage.fullFeature,
        isid: Uint8Array.of(0x80, 0, 0, 0, 0, 1),
        connectionId: 1,
        commandNumber: 1,
      },
      encodeText(Object.entries(keys)),
    );
    const [answer] = (await once(socket, "data")) as [Buffer];
    const isLoginResponse = (answer[0]! & 0x3f) === 0x23;
    if (!isLoginResponse || answer.readUInt16BE(36) !== 0) throw new Error(`login failed: ${hex(answer)}`);
    socket.resume();
    return session;
  }

  /** Sends writes, and of the data of the first one half a PDU, once that was asked for. */
  stall(): void {
    this.#socket.once("data", (answer: Buffer) => {
      const targetTransferTag = answer.readUInt32BE(20);
      const bytes = encode(
        dataOutPdu,
        { initiatorTaskTag: 1, targetTransferTag, final: false },
        Buffer.alloc(2 * SENT_BYTES),
      );
      this.#socket.write(bytes.subarray(0, HEADER_BYTES + SENT_BYTES));
    });
    for (let number = 1; number <= STALLED_COMMANDS; number++) {
      const cdb = Buffer.alloc(16);
      cdb.set([0x2a, 0, 0, 0, 0, 0, 0, (STALLED_BYTES / BLOCK_BYTES) >> 8, 0]);
      const fields = { final: true, write: true, attribute: 1, expectedBytes: STALLED_BYTES, cdb };
      this.#send(scsiCommandPdu, { ...fields, initiatorTaskTag: number, commandNumber: number });
    }
  }

  /** Sends reads, and takes none of the answers. */
  turnDeaf(): void {
    this.#socket.pause();
    for (let number = 1; number <= STALLED_COMMANDS; number++) {
      const cdb = Buffer.alloc(16);
      cdb.set([0x28, 0, 0, 0, 0, 0, 0, (STALLED_BYTES / BLOCK_BYTES) >> 8, 0]);
      const fields = { final: true, read: true, attribute: 1, expectedBytes: STALLED_BYTES, cdb };
      this.#send(scsiCommandPdu, { ...fields, initiatorTaskTag: number, commandNumber: number });
    }
  }

  drop(): void {
    this.#socket.destroy();
  }

  #send<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
    fields: PduFields<Fields>,
    data: Uint8Array = Buffer.alloc(0),
  ): void {
    this.#socket.write(encode(layout, fields, data));
  }
}

function encode<Opcode extends number, Fields extends object>(
  layout: PduLayout<Opcode, Fields>,
  fields: PduFields<Fields>,
  data: Uint8Array,
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + paddedBytes(data.length));
  layout.encode(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, fields);
  bytes.writeUIntBE(data.length, 5, 3);
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match![1]) * 1024;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
