// Token copies as an initiator does them: the two commands, what is asked behind them, and plain reads and writes.
import assert from "node:assert/strict";
import {
  type Blocks,
  type PopulateTokenList,
  populateTokenList,
  readTokenInformation,
  receiveCdb,
  senseText,
  type TokenInformation,
  tokenCdb,
  type WriteUsingTokenList,
  writeUsingTokenList,
} from "./copy-commands.ts";
import type { InitiatorReply, IscsiInitiator } from "./iscsi-initiator.ts";

/** `good`, the sense of a check condition as `5/26/00`, or another status in hexadecimal digits. */
export function outcome({ status, sense }: InitiatorReply): string {
  if (status === 2) return senseText(sense);
  return status === 0 ? "good" : status.toString(16);
}

const INFORMATION_BYTES = 4096;
/** Of one read or write; no unit takes less. */
const TRANSFER_BYTES = 512 * 1024;

export class CopySession {
  readonly initiator: IscsiInitiator;
  readonly blockBytes: number;
  #listId = 0;

  constructor(initiator: IscsiInitiator, blockBytes: number) {
    this.initiator = initiator;
    this.blockBytes = blockBytes;
  }

  async populate(fields: PopulateTokenList, listId: number): Promise<string> {
    const dataOut = populateTokenList(fields);
    return outcome(await this.initiator.command({ cdb: tokenCdb(0x10, listId, dataOut.length), dataOut }));
  }

  async writeUsing(fields: WriteUsingTokenList, listId: number): Promise<string> {
    const dataOut = writeUsingTokenList(fields);
    return outcome(await this.initiator.command({ cdb: tokenCdb(0x11, listId, dataOut.length), dataOut }));
  }

  receive(serviceAction: number, listId: number, bytes = INFORMATION_BYTES): Promise<InitiatorReply> {
    return this.initiator.command({ cdb: receiveCdb(serviceAction, listId, bytes), dataInBytes: bytes });
  }

  async information(listId: number): Promise<TokenInformation> {
    const reply = await this.receive(0x07, listId);
    assert.equal(outcome(reply), "good");
    return readTokenInformation(reply.dataIn);
  }

  /** A token for the ranges, or the test fails. */
  async token(ranges: readonly Blocks[], fields: Omit<PopulateTokenList, "ranges"> = {}): Promise<Buffer> {
    const listId = ++this.#listId;
    assert.equal(await this.populate({ ranges, ...fields }, listId), "good");
    const { token } = await this.information(listId);
    assert.ok(token);
    return token;
  }

  async read({ lba, blocks }: { lba: number; blocks: number }): Promise<Buffer> {
    const stepBlocks = TRANSFER_BYTES / this.blockBytes;
    const pieces: Uint8Array[] = [];
    for (let done = 0; done < blocks; done += stepBlocks) {
      const length = Math.min(stepBlocks, blocks - done);
      const cdb = blockCdb(0x88, lba + done, length);
      const reply = await this.initiator.command({ cdb, dataInBytes: length * this.blockBytes });
      assert.equal(outcome(reply), "good");
      pieces.push(reply.dataIn);
    }
    return Buffer.concat(pieces);
  }

  async write(lba: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += TRANSFER_BYTES) {
      const dataOut = data.subarray(at, at + TRANSFER_BYTES);
      const cdb = blockCdb(0x8a, lba + at / this.blockBytes, dataOut.length / this.blockBytes);
      assert.equal(outcome(await this.initiator.command({ cdb, dataOut })), "good");
    }
  }

  /** A VPD page. */
  async page(code: number): Promise<Buffer> {
    const cdb = Uint8Array.of(0x12, 1, code, 0x10, 0, 0);
    const reply = await this.initiator.command({ cdb, dataInBytes: 0x1000 });
    assert.equal(outcome(reply), "good");
    return Buffer.from(reply.dataIn);
  }
}

/** READ (16) and WRITE (16). */
function blockCdb(opcode: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

/** Bytes that differ everywhere and from seed to seed. */
export function patternBytes(lengthBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 8 <= lengthBytes; at += 8) {
    bytes.writeUInt32LE(at, at);
    bytes.writeUInt32LE((at ^ Math.imul(seed, 0x9e3779b1)) >>> 0, at + 4);
  }
  return bytes;
}
