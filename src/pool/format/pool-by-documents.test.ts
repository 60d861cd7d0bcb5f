// A pool's files, read by a reader that knows nothing but docs/formats: tables of bytes and the rules around them.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { xxh64 } from "@node-rs/xxhash";
import { type ByteRow, byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import { TemporaryFolder } from "../../../test/support/temporary-folder.ts";
import { hostClock, hostRandom, openDirectoryDisk } from "../../host/mod.ts";
import { Pool } from "../mod.ts";

const MIB = 2 ** 20;
const PAGE = 4096;

interface Place {
  segment: number;
  offset: number;
  length: number;
  checksum: number;
}

interface MapJson {
  root: number;
  height: number;
  sizeBytes: number;
}

interface CatalogueJson {
  volumes: { id: number; name: string; map: MapJson }[];
  snapshots: { volume: number; name: string; map: MapJson }[];
}

function checksum(bytes: Uint8Array): number {
  return Number(xxh64(bytes) & 0xffff_ffffn);
}

function placeIn(fields: Record<string, number>, prefix = ""): Place {
  const field = (name: string) => fields[`${prefix}${name}`]!;
  return {
    segment: field("segment"),
    offset: field("offset"),
    length: fields[`${prefix}length`] ?? PAGE,
    checksum: field("checksum"),
  };
}

/** A closed pool as its documents say that it stands in the directory. */
class DocumentReader {
  readonly #path: string;
  readonly catalogue: CatalogueJson;
  readonly #nodePages: Buffer[];
  readonly slot: Record<string, number>;

  constructor(path: string) {
    this.#path = path;
    const slots = ["superblock-0", "superblock-1"]
      .map((name) => this.#checked(readFileSync(join(path, name)).subarray(0, 512), "superblock.md", "Slot"))
      .sort((one, other) => other["checkpoint"]! - one["checkpoint"]!);
    this.slot = slots[0]!;
    const root = readFields(byteTable("checkpoint.md", "Root"), this.#piece(placeIn(this.slot, "root.")));
    assert.equal(root["checkpoint"], this.slot["checkpoint"]);
    const directory = byteTable("checkpoint.md", "Directory entry");
    const pages = Math.ceil(root["nodeBound"]! / 128);
    const entries = this.#piece(placeIn(root, "nodeDirectory."));
    this.#nodePages = Array.from({ length: pages }, (_, page) =>
      this.#piece(placeIn(readFields(directory, entries.subarray(page * tableBytes(directory))))),
    );
    const text = this.#piece(placeIn(root, "catalogue.")).subarray(0, root["catalogueBytes"]);
    this.catalogue = JSON.parse(text.toString("utf8")) as CatalogueJson;
  }

  /** Fields of a structure that carries its own checksum, over its table's bytes unless `length` says more. */
  #checked(bytes: Buffer, document: string, heading: string, length?: number): Record<string, number> {
    const rows: ByteRow[] = byteTable(document, heading);
    const fields = readFields(rows, bytes);
    const whole = Buffer.from(bytes.subarray(0, length ?? tableBytes(rows)));
    const at = rows.find((row) => row.field === "checksum")!.offset;
    whole.fill(0, at, at + 4);
    assert.equal(checksum(whole), fields["checksum"], `${document}, ${heading}`);
    return fields;
  }

  /** The records of a log segment, with their payloads; each page of data is compared with its checksum. */
  records(number: number): { fields: Record<string, number>; payload: string }[] {
    const segment = this.#segment(number);
    const { keyLow, keyHigh } = this.header(number);
    const found: { fields: Record<string, number>; payload: string }[] = [];
    const isRecord = (at: number) =>
      at + 88 <= segment.length - PAGE &&
      segment.toString("latin1", at, at + 4) === "RwRc" &&
      segment.readUInt32LE(at + 16) === keyLow &&
      segment.readUInt32LE(at + 20) === keyHigh;
    for (let at = PAGE; ; ) {
      if (!isRecord(at)) at = Math.ceil(at / PAGE) * PAGE;
      if (!isRecord(at)) return found;
      const bytes = segment.subarray(at);
      const headerBytes = bytes.readUInt32LE(4);
      const fields = this.#checked(bytes, "record.md", "Header", headerBytes);
      const dataPages = fields["dataPages"]!;
      for (let page = 0; page < dataPages; page++) {
        const data = bytes.subarray(headerBytes + page * PAGE, headerBytes + (page + 1) * PAGE);
        assert.equal(checksum(data), bytes.readUInt32LE(88 + page * 4));
      }
      const payloadAt = 88 + dataPages * 4;
      found.push({
        fields,
        payload: bytes.toString("utf8", payloadAt, payloadAt + fields["payloadBytes"]!),
      });
      at += headerBytes + dataPages * PAGE;
    }
  }

  segmentName(number: number): string {
    return `segment-${number.toString(16).padStart(8, "0")}`;
  }

  header(number: number): Record<string, number> {
    return this.#checked(this.#segment(number), "segment.md", "Header");
  }

  #segment(number: number): Buffer {
    return readFileSync(join(this.#path, this.segmentName(number)));
  }

  #piece({ segment, offset, length, checksum: sum }: Place): Buffer {
    const bytes = this.#segment(segment).subarray(offset, offset + length);
    assert.equal(checksum(bytes), sum, `segment ${segment}, offset ${offset}`);
    return bytes;
  }

  #node(id: number): { bytes: Buffer; fields: Record<string, number> } {
    const index = id % 2 ** 30;
    const rows = byteTable("checkpoint.md", "Node entry");
    const page = this.#nodePages[Math.floor(index / 128)]!;
    const entry = readFields(rows, page.subarray((index % 128) * tableBytes(rows)));
    assert.equal(entry["state"]! % 2 ** 22, Math.floor(id / 2 ** 30), "the generation is the id's");
    const bytes = this.#piece({ ...placeIn(entry), length: entry["lengthAndPages"]! % 2 ** 20 });
    const fields = readFields(byteTable("node.md", "Header"), bytes);
    assert.equal(fields["id"], id);
    return { bytes, fields };
  }

  /** Bytes of a page of a map; undefined for a hole or zeros. */
  page(map: MapJson, page: number): Buffer | undefined {
    let id = map.root;
    for (let level = map.height; level >= 1 && id > 1; level--) {
      const { bytes, fields } = this.#node(id);
      assert.equal(fields["level"], level);
      const slot = Math.floor(page / 512 ** level) % 512;
      const present = (child: number) => (bytes[32 + (child >>> 3)]! >>> (child & 7)) & 1;
      if (present(slot) === 0) return undefined;
      let rank = 0;
      for (let child = 0; child < slot; child++) rank += present(child);
      id = Number(bytes.readBigUInt64LE(32 + 64 + rank * 8));
    }
    return id > 1 ? this.#leafPage(id, page % 512) : undefined;
  }

  #leafPage(id: number, wanted: number): Buffer | undefined {
    const { bytes, fields } = this.#node(id);
    const word = (at: number) => bytes.readUInt32LE(at * 4);
    let at = 8;
    for (let run = 0; run < fields["runs"]!; run++) {
      const pages = (word(at) % 2 ** 9) + 1;
      const first = Math.floor(word(at) / 2 ** 10) % 2 ** 9;
      const kind = word(at) >>> 28;
      const within = wanted - first;
      const isHere = within >= 0 && within < pages;
      if (isHere && kind === 0) {
        const sum = word(at + 3 + within);
        return this.#piece({
          segment: word(at + 1),
          offset: word(at + 2) + within * PAGE,
          length: PAGE,
          checksum: sum,
        });
      }
      if (isHere && kind === 1) {
        const foreign = (fields["foreignAt"]! + word(at + 1) * 2) * 4;
        return this.#leafPage(Number(bytes.readBigUInt64LE(foreign)), word(at + 2) + within);
      }
      if (isHere) return undefined;
      at += kind === 0 ? 3 + pages : kind === 1 ? 3 : 1;
    }
    return undefined;
  }
}

async function makePool(path: string): Promise<void> {
  const world = { disk: await openDirectoryDisk(path), clock: hostClock, random: hostRandom };
  await Pool.format(world, { segmentBytes: MIB, sizeBytes: 64 * MIB });
  const pool = await Pool.open(world);
  await pool.createVolume({ name: "one", sizeBytes: 5 * 2 ** 30 });
  const device = pool.openVolume("one");
  const write = (page: number, value: number, pages = 1) =>
    device.write(page * PAGE, new Uint8Array(pages * PAGE).fill(value), 0);
  await write(0, 1, 3);
  await write(511, 2, 2);
  await write(1_000_000, 3);
  await pool.createSnapshot("one", "before");
  await write(1, 4);
  await device.zero(2 * PAGE, PAGE, 2);
  await pool.cloneVolume({ source: "one", snapshot: "before", name: "two" });
  await pool.graft({
    source: { volume: "one" },
    sourceOffset: 0,
    volume: "two",
    offset: 7 * PAGE,
    length: 3 * PAGE,
  });
  await device.close();
  await pool.close();
}

test("a closed pool can be read with docs/formats alone: every page of volumes, snapshots and clones", async () => {
  using folder = new TemporaryFolder();
  await makePool(folder.path);
  const reader = new DocumentReader(folder.path);
  const map = (name: string) => reader.catalogue.volumes.find((volume) => volume.name === name)!.map;
  const values = (of: MapJson, pages: number[]) => pages.map((page) => reader.page(of, page)?.[4095]);
  assert.deepEqual(values(map("one"), [0, 1, 2, 3, 511, 512, 999_999, 1_000_000]), [
    1,
    4,
    undefined,
    undefined,
    2,
    2,
    undefined,
    3,
  ]);
  const snapshot = reader.catalogue.snapshots[0]!;
  assert.equal(snapshot.name, "before");
  assert.deepEqual(values(snapshot.map, [0, 1, 2, 511, 1_000_000]), [1, 1, 1, 2, 3]);
  assert.deepEqual(values(map("two"), [0, 1, 2, 6, 7, 8, 9, 10, 511, 512]), [
    1,
    1,
    1,
    undefined,
    1,
    4,
    undefined,
    undefined,
    2,
    2,
  ]);
});

test("every segment file of a closed pool has the header that the document draws, or is a spare", async () => {
  using folder = new TemporaryFolder();
  await makePool(folder.path);
  const reader = new DocumentReader(folder.path);
  const names = readdirSync(folder.path).sort();
  const segments = names.filter((name) => name.startsWith("segment-"));
  assert.ok(segments.length >= 2);
  for (const name of segments) {
    const number = Number.parseInt(name.slice(8), 16);
    // The log's next segment is made ahead and gets its header when it is begun.
    const bytes = readFileSync(join(folder.path, name));
    if (bytes.readUInt32LE(16) !== number) continue;
    const header = reader.header(number);
    assert.deepEqual([header["number"], header["segmentBytes"]], [number, MIB]);
    assert.deepEqual(
      [header["poolLow"], header["poolHigh"]],
      [reader.slot["poolLow"], reader.slot["poolHigh"]],
    );
  }
  const others = names.filter((name) => !/^(segment|spare)-[0-9a-f]{8}$/.test(name));
  assert.deepEqual(others, ["lock", "superblock-0", "superblock-1"]);
});

test("the records of the log stand where the document says, one sequence behind the other", async () => {
  using folder = new TemporaryFolder();
  await makePool(folder.path);
  const reader = new DocumentReader(folder.path);
  const record = readFileSync(join(import.meta.dirname, "../../../docs/formats/record.md"), "utf8");
  const logs = readdirSync(folder.path)
    .filter((name) => name.startsWith("segment-"))
    .map((name) => Number.parseInt(name.slice(8), 16))
    .filter((number) => readFileSync(join(folder.path, reader.segmentName(number)))[12] === 1);
  const records = logs.sort((one, other) => one - other).flatMap((number) => reader.records(number));
  assert.equal(records.length, 9, "one record a request");
  const first = records[0]!.fields["sequence"]!;
  for (const [index, { fields, payload }] of records.entries()) {
    assert.equal(fields["sequence"], first + index);
    assert.ok(fields["durable"]! < fields["sequence"]!);
    if (fields["kind"] !== 6) continue;
    const { op } = JSON.parse(payload) as { op: string };
    assert.ok(record.includes(`\`${op}\``), `record.md names ${op}`);
  }
  const kinds = new Set(records.map(({ fields }) => fields["kind"]));
  for (const kind of [1, 2, 5, 6]) assert.ok(kinds.has(kind), `a record of kind ${kind}`);
});
