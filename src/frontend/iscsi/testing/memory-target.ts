/**
 * A disk in memory as the transport's tests need it: the few commands that initiators send before and while they read and
 * write, and hooks to hold commands back.
 *
 * Always holds: `running` counts what was executed and not answered; blocks are 512 bytes.
 */
import { SenseKey, sense } from "../../../wire/iscsi/mod.ts";
import { type ScsiCommand, type ScsiNexus, type ScsiReply, ScsiStatus, type ScsiTarget } from "../mod.ts";

const BLOCK_BYTES = 512;
const GOOD: ScsiReply = { status: ScsiStatus.good };

interface BlockRange {
  readonly offset: number;
  readonly length: number;
}

export class MemoryTarget implements ScsiTarget {
  readonly bytes: Buffer;
  readonly executed: ScsiCommand[] = [];
  readonly nexuses = new Set<ScsiNexus>();
  readonly resets: (number | "all")[] = [];
  running = 0;
  /** Commands wait for it before they are done. */
  gate: Promise<void> | undefined;

  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes);
  }

  opened(nexus: ScsiNexus): void {
    this.nexuses.add(nexus);
  }

  closed(nexus: ScsiNexus): void {
    this.nexuses.delete(nexus);
  }

  reset(_nexus: ScsiNexus, lun: number | "all"): Promise<void> {
    this.resets.push(lun);
    return Promise.resolve();
  }

  dataOutBytes(_lun: number | undefined, cdb: Uint8Array): number {
    const isWrite = [0x2a, 0x2e, 0x8a, 0x8e, 0xaa, 0xae].includes(cdb[0]!);
    return isWrite ? blockRange(cdb).length : 0;
  }

  execute(command: ScsiCommand): ScsiReply | Promise<ScsiReply> {
    this.executed.push(command);
    if (this.gate === undefined) return this.#answer(command);
    this.running++;
    return this.gate.then(() => {
      this.running--;
      return command.signal.aborted ? { status: ScsiStatus.taskAborted } : this.#answer(command);
    });
  }

  #answer(command: ScsiCommand): ScsiReply {
    const { cdb, lun } = command;
    const operation = cdb[0]!;
    if (operation === 0xa0) return { status: ScsiStatus.good, dataIn: lunList(cdb) };
    if (lun !== 0) return illegal(0x25);
    switch (operation) {
      case 0x00:
        return GOOD;
      case 0x12:
        return inquiry(cdb);
      case 0x1a:
        return { status: ScsiStatus.good, dataIn: cut(Uint8Array.of(3, 0, 0, 0), cdb[4]!) };
      case 0x25:
        return { status: ScsiStatus.good, dataIn: this.#capacity10() };
      case 0x9e:
        return (cdb[1]! & 0x1f) === 0x10 ? this.#capacity16(cdb) : illegal(0x20);
      case 0x28:
      case 0x88:
      case 0xa8:
        return this.#read(blockRange(cdb));
      case 0x2a:
      case 0x2e:
      case 0x8a:
      case 0x8e:
      case 0xaa:
      case 0xae:
        return this.#write(blockRange(cdb), command.dataOut);
      default:
        return illegal(0x20);
    }
  }

  #read({ offset, length }: BlockRange): ScsiReply {
    if (offset + length > this.bytes.length) return illegal(0x21);
    return { status: ScsiStatus.good, dataIn: this.bytes.subarray(offset, offset + length) };
  }

  #write({ offset, length }: BlockRange, data: Uint8Array): ScsiReply {
    if (offset + length > this.bytes.length) return illegal(0x21);
    this.bytes.set(data.subarray(0, length), offset);
    return GOOD;
  }

  #capacity10(): Uint8Array {
    const data = Buffer.alloc(8);
    data.writeUInt32BE(this.bytes.length / BLOCK_BYTES - 1, 0);
    data.writeUInt32BE(BLOCK_BYTES, 4);
    return data;
  }

  #capacity16(cdb: Uint8Array): ScsiReply {
    const data = Buffer.alloc(32);
    data.writeBigUInt64BE(BigInt(this.bytes.length / BLOCK_BYTES - 1), 0);
    data.writeUInt32BE(BLOCK_BYTES, 8);
    return { status: ScsiStatus.good, dataIn: cut(data, number32(cdb, 10)) };
  }
}

function inquiry(cdb: Uint8Array): ScsiReply {
  const allocatedBytes = cdb[3]! * 256 + cdb[4]!;
  if ((cdb[1]! & 1) === 1) {
    const pages: Record<number, Uint8Array> = {
      0: Uint8Array.of(0, 0, 0, 2, 0x00, 0x80),
      128: Buffer.concat([Uint8Array.of(0, 0x80, 0, 4), Buffer.from("TEST")]),
    };
    const page = pages[cdb[2]!];
    return page === undefined
      ? illegal(0x24)
      : { status: ScsiStatus.good, dataIn: cut(page, allocatedBytes) };
  }
  const data = Buffer.alloc(36, 0x20);
  data.set([0, 0, 5, 2, 31, 0, 0, 2]);
  data.write("TEST", 8);
  data.write("memory", 16);
  return { status: ScsiStatus.good, dataIn: cut(data, allocatedBytes) };
}

function lunList(cdb: Uint8Array): Uint8Array {
  const data = Buffer.alloc(16);
  data.writeUInt32BE(8, 0);
  return cut(data, number32(cdb, 6));
}

function blockRange(cdb: Uint8Array): BlockRange {
  const isLong = (cdb[0]! & 0xe0) === 0x80;
  const is12 = (cdb[0]! & 0xe0) === 0xa0;
  const lba = isLong ? number32(cdb, 2) * 2 ** 32 + number32(cdb, 6) : number32(cdb, 2);
  const blocks = isLong ? number32(cdb, 10) : is12 ? number32(cdb, 6) : cdb[7]! * 256 + cdb[8]!;
  return { offset: lba * BLOCK_BYTES, length: blocks * BLOCK_BYTES };
}

function number32(bytes: Uint8Array, position: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(position);
}

function cut(data: Uint8Array, length: number): Uint8Array {
  return data.subarray(0, length);
}

function illegal(asc: number): ScsiReply {
  return { status: ScsiStatus.checkCondition, sense: sense(SenseKey.illegalRequest, asc, 0) };
}
