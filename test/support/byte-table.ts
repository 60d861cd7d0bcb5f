// The byte tables of docs/formats as values, so that tests can read bytes by what the documents say.
// Always holds: a table's rows lie one behind the other without gaps; numbers are little-endian and below 2^53.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface ByteRow {
  readonly offset: number;
  readonly sizeBytes: number;
  /** Name of the field, or "zero" for bytes that are kept for later. */
  readonly field: string;
}

/** The first table below a heading of a document in docs/formats; its columns begin with offset, size, field. */
export function byteTable(document: string, heading: string): ByteRow[] {
  const text = readFileSync(join(import.meta.dirname, "../../docs/formats", document), "utf8");
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(section, `${document} has a heading "${heading}"`);
  const rows: ByteRow[] = [];
  for (const line of section.split("\n")) {
    const [, offset, size, field] = /^\| (\d+) \| ([\d,]+) \| (?:`([\w.]+)`|zero) \|/.exec(line) ?? [];
    if (offset === undefined) {
      if (rows.length > 0) break;
      continue;
    }
    rows.push({
      offset: Number(offset),
      sizeBytes: Number(size!.replaceAll(",", "")),
      field: field ?? "zero",
    });
  }
  assert.ok(rows.length > 0, `${document} has a byte table below "${heading}"`);
  let end = 0;
  for (const row of rows) {
    assert.equal(row.offset, end, `${document}, ${heading}: ${row.field} begins where the row before ends`);
    end += row.sizeBytes;
  }
  return rows;
}

/** Bytes that a table describes. */
export function tableBytes(rows: readonly ByteRow[]): number {
  const last = rows.at(-1)!;
  return last.offset + last.sizeBytes;
}

/** What stands in the fields; bytes that are to be zero must be. */
export function readFields(rows: readonly ByteRow[], bytes: Uint8Array): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { offset, sizeBytes, field } of rows) {
    const part = bytes.subarray(offset, offset + sizeBytes);
    assert.equal(part.length, sizeBytes, `there are bytes for ${field} at ${offset}`);
    if (field === "zero") {
      assert.ok(
        part.every((byte) => byte === 0),
        `bytes ${offset} to ${offset + sizeBytes} are zero`,
      );
    } else fields[field] = part.reduceRight((value, byte) => value * 256 + byte, 0);
  }
  return fields;
}
