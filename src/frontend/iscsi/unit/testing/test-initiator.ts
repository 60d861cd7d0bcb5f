/**
 * An initiator without a transport, for tests: sends CDBs to a target over a nexus of its own.
 *
 * Always holds: hands over as much data-out as the target asks for, and as much of a reply as `dataInBytesMax` lets
 * through, just as the transport does; bytes are written as hexadecimal digits with spaces.
 */

import { Buffer } from "node:buffer";
import { parseSense } from "../../../../wire/iscsi/scsi/mod.ts";
import type { ScsiNexus, ScsiReply, ScsiTarget } from "../../scsi-target.ts";

const CDB_BYTES = 16;
const DATA_IN_BYTES_MAX = 64 * 1024 * 1024;

export interface Sent {
  readonly status: number;
  readonly data: Uint8Array;
  /** As `key/asc/ascq` in hexadecimal; empty without sense data. */
  readonly sense: string;
  readonly reply: ScsiReply;
}

export function testNexus(number: number, name = `iqn.2026-11.io.ropewalk.test:${number}`): ScsiNexus {
  return {
    number,
    initiator: name,
    initiatorPort: `${name},i,0x00023d00000${number}`,
    targetPort: "iqn.2026-11.io.ropewalk:vol0,t,0x0001",
    portalGroupTag: 1,
    relativePort: 1,
    isProtected: true,
  };
}

export class TestInitiator {
  readonly nexus: ScsiNexus;
  readonly #target: ScsiTarget;
  readonly #abortion = new AbortController();

  constructor(target: ScsiTarget, nexus: ScsiNexus) {
    this.#target = target;
    this.nexus = nexus;
    target.opened(nexus);
  }

  /** A nexus that has been told of its beginning. */
  static async ready(target: ScsiTarget, nexus: ScsiNexus): Promise<TestInitiator> {
    const initiator = new TestInitiator(target, nexus);
    await initiator.send("00 00 00 00 00 00");
    return initiator;
  }

  async send(
    cdb: string | Uint8Array,
    dataOut: Uint8Array = new Uint8Array(0),
    lun: number | undefined = 0,
  ): Promise<Sent> {
    const bytes = typeof cdb === "string" ? cdbOf(cdb) : cdb;
    const taken = Math.min(dataOut.length, this.#target.dataOutBytes(lun, bytes));
    const reply = await this.#target.execute({
      nexus: this.nexus,
      lun,
      cdb: bytes,
      dataOut: dataOut.slice(0, taken),
      dataInBytesMax: DATA_IN_BYTES_MAX,
      signal: this.#abortion.signal,
    });
    const data = reply.sense && parseSense(reply.sense);
    const sense = data
      ? [data.key, data.asc, data.ascq].map((part) => part.toString(16).padStart(2, "0")).join("/")
      : "";
    return { status: reply.status, data: reply.dataIn ?? new Uint8Array(0), sense, reply };
  }

  abort(): void {
    this.#abortion.abort();
  }

  leave(): void {
    this.#target.closed(this.nexus);
  }
}

/** Sixteen bytes, filled up with zeros. */
export function cdbOf(digits: string): Uint8Array {
  const cdb = new Uint8Array(CDB_BYTES);
  cdb.set(Buffer.from(digits.replaceAll(" ", ""), "hex").subarray(0, CDB_BYTES));
  return cdb;
}
