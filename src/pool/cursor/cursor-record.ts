/** One record of the log as its reader sees it. Data is compared with its checksums: CHECKSUM_MISMATCH. */
import { checksumAt } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import { type RecordHeader, RecordKind } from "../format/record.ts";
import type { CursorOperation, CursorRecord } from "../pool-api.ts";
import type { CursorObject } from "../volume/catalogue.ts";
import { decodeCatalogueOperation } from "../volume/catalogue-operation.ts";

/** The record, or undefined when it does not concern the volume's content or history. */
export async function cursorRecord(
  engine: Engine,
  cursor: CursorObject,
  header: RecordHeader,
  segment: number,
): Promise<CursorRecord | undefined> {
  const operation = await operationOf(engine, cursor, header, segment);
  return operation === undefined ? undefined : { sequence: header.sequence, atMs: header.atMs, operation };
}

async function operationOf(
  engine: Engine,
  cursor: CursorObject,
  header: RecordHeader,
  segment: number,
): Promise<CursorOperation | undefined> {
  switch (header.kind) {
    case RecordKind.write:
      return { kind: "write", offsetBytes: header.offset, data: await clientBytes(engine, header, segment) };
    case RecordKind.zero:
      return { kind: "zero", offsetBytes: header.offset, lengthBytes: header.length };
    case RecordKind.trim:
      return { kind: "trim", offsetBytes: header.offset, lengthBytes: header.length };
    case RecordKind.resize:
      return { kind: "resize", sizeBytes: header.length };
    case RecordKind.graft:
      return {
        kind: "graft",
        offsetBytes: header.offset,
        lengthBytes: header.length,
        source: { pin: holdAt(cursor, header.sequence) },
        sourceOffsetBytes: header.offset,
      };
    case RecordKind.catalogue: {
      const operation = decodeCatalogueOperation(header.payload);
      if (operation.op === "snapshot-create") return { kind: "snapshot", name: operation.name };
      if (operation.op === "snapshot-delete") return { kind: "snapshot-delete", name: operation.name };
      if (operation.op === "rollback")
        return { kind: "rollback", name: operation.name, map: { pin: holdAt(cursor, header.sequence) } };
      if (operation.op === "marker") return { kind: "marker", text: operation.text };
      return undefined;
    }
    default:
      return undefined;
  }
}

/** The frozen map that was held for this record until the cursor has passed it. */
function holdAt(cursor: CursorObject, sequence: number): number {
  const hold = cursor.holds.find((each) => each.sequence === sequence);
  if (hold === undefined) throw new RopewalkError("POOL_DAMAGED", `nothing was held for record ${sequence}`);
  return hold.pin;
}

/** The bytes of the client's request, cut out of the record's whole pages. */
async function clientBytes(engine: Engine, header: RecordHeader, segment: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(header.dataPages * PAGE_BYTES);
  await engine.segments.read(segment, header.position + header.headerBytes, bytes, 0, bytes.length);
  for (let page = 0; page < header.dataPages; page += 1) {
    if (checksumAt(bytes, page * PAGE_BYTES, PAGE_BYTES) !== header.pageChecksums[page]) {
      engine.counters.checksumErrors += 1;
      throw new RopewalkError(
        "CHECKSUM_MISMATCH",
        `the data of record ${header.sequence} does not match its checksum`,
      );
    }
  }
  const inPage = header.offset % PAGE_BYTES;
  return bytes.subarray(inPage, inPage + header.length);
}
