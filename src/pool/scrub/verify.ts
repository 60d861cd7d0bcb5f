/**
 * The pool's fsck: recomputes reference counts, referrers, data pages and live blocks from the maps alone and
 * compares them with what the tables say. For tests, the simulator and the suspicious; it holds the loop's turn
 * no longer than a node, but nothing may change meanwhile.
 */
import { highWord, joinWords } from "../../base/words.ts";
import type { Engine } from "../engine.ts";
import { FANOUT, NODE_INDEX_FIRST, PAGE_BYTES } from "../format/layout.ts";
import { type InnerNode, isNode } from "../map/inner-node.ts";
import { EntryKind, KIND_SHIFT, type Leaf, VALUE_MASK } from "../map/leaf.ts";
import type { MapRoot } from "../map/map-root.ts";

const REPORT_MAX = 50;

interface Expected {
  count: number;
  low: number;
  high: number;
}

export async function verify(engine: Engine): Promise<string[]> {
  const { nodes, cache, catalogue, segments } = engine;
  const findings: string[] = [];
  const find = (sentence: string) => {
    if (findings.length < REPORT_MAX) findings.push(sentence);
  };
  const expected = new Map<number, Expected>();
  const refer = (id: number, referrer: number) => {
    const entry = expected.get(id) ?? { count: 0, low: 0, high: 0 };
    entry.count += 1;
    entry.low = (entry.low ^ (referrer >>> 0)) >>> 0;
    entry.high = (entry.high ^ highWord(referrer)) >>> 0;
    expected.set(id, entry);
  };
  const maps: { name: string; map: MapRoot }[] = [];
  for (const object of catalogue.objects.values()) {
    if (object.kind === "cursor") continue;
    if (isNode(object.map.root)) refer(object.map.root, object.map.holder);
    maps.push({ name: `${object.kind} ${object.id}`, map: object.map });
  }
  const live = new Map<number, number>();
  const blocks = new Set<string>();
  const foreignUses: { leaf: number; slot: number; by: number }[] = [];
  const owned = new Map<number, Uint8Array>();
  for (let index = NODE_INDEX_FIRST; index < nodes.bound; index += 1) {
    const id = nodes.idAt(index);
    if (id === 0) continue;
    const node = await cache.fetch(id);
    if (node.level > 0) {
      for (let slot = 0; slot < FANOUT; slot += 1) {
        const child = (node as InnerNode).children[slot]!;
        if (child < NODE_INDEX_FIRST) continue;
        refer(child, id);
        if (!nodes.has(child) || nodes.level(child) !== node.level - 1)
          find(`node ${id} has child ${child}, which is not there or of another level`);
      }
      continue;
    }
    const leaf = node as Leaf;
    const own = new Uint8Array(512);
    const uses: number[] = [];
    let data = 0;
    leaf.forEach((page, first, second) => {
      const kind = first >>> KIND_SHIFT;
      if (kind === EntryKind.zero) return;
      data += 1;
      if (kind === EntryKind.own) {
        own[page] = 1;
        live.set(first, (live.get(first) ?? 0) + 1);
        const key = `${first}:${second}`;
        if (blocks.has(key)) find(`block ${key} is owned twice (leaf ${id}, page ${page})`);
        blocks.add(key);
        return;
      }
      const position = first & VALUE_MASK;
      uses[position] = (uses[position] ?? 0) + 1;
      foreignUses.push({ leaf: leaf.foreign![position]!, slot: second, by: id });
    });
    owned.set(id, own);
    leaf.foreign?.forEach((foreign, position) => {
      if ((uses[position] ?? 0) !== leaf.foreignUses![position])
        find(
          `leaf ${id} counts ${leaf.foreignUses![position]} uses of ${foreign}, but has ${uses[position] ?? 0}`,
        );
      if (foreign !== 0 && (uses[position] ?? 0) > 0) refer(foreign, id);
    });
    if (data !== nodes.dataPages(id))
      find(`leaf ${id} has ${data} data pages, the table says ${nodes.dataPages(id)}`);
  }
  for (const { leaf, slot, by } of foreignUses) {
    if (owned.get(leaf)?.[slot] !== 1)
      find(`leaf ${by} refers to page ${slot} of leaf ${leaf}, which is not its own block`);
  }
  for (let index = NODE_INDEX_FIRST; index < nodes.bound; index += 1) {
    const id = nodes.idAt(index);
    if (id === 0) continue;
    const entry = expected.get(id) ?? { count: 0, low: 0, high: 0 };
    if (entry.count !== nodes.count(id))
      find(`node ${id} is referred to ${entry.count} times, the table says ${nodes.count(id)}`);
    else if (joinWords(entry.low, entry.high) !== nodes.referrers(id))
      find(`the referrers of node ${id} do not agree`);
    if (entry.count === 0) find(`node ${id} is leaked`);
    expected.delete(id);
  }
  for (const id of expected.keys()) find(`node ${id} is referred to but not in the table`);
  let total = 0;
  for (const segment of segments.all.values()) {
    if (segment.row < 0) continue;
    const count = live.get(segment.number) ?? 0;
    total += count;
    live.delete(segment.number);
    if (count !== segments.live(segment))
      find(`segment ${segment.number} has ${count} live blocks, the table says ${segments.live(segment)}`);
  }
  for (const number of live.keys()) find(`segment ${number} holds live blocks but is not there`);
  if (total !== segments.liveBlocks) find(`${total} blocks are live, the pool says ${segments.liveBlocks}`);
  for (const { name, map } of maps) {
    const pages = await subtreePages(engine, map.root, map.height);
    if (pages !== map.dataPages)
      find(`${name} has ${pages * PAGE_BYTES} bytes of data, its map says ${map.dataPages * PAGE_BYTES}`);
  }
  return findings;
}

async function subtreePages(engine: Engine, id: number, level: number): Promise<number> {
  if (id < NODE_INDEX_FIRST) return 0;
  if (level === 0) return engine.nodes.dataPages(id);
  const node = (await engine.cache.fetch(id)) as InnerNode;
  let pages = 0;
  for (let slot = 0; slot < FANOUT; slot += 1)
    pages += await subtreePages(engine, node.children[slot]!, level - 1);
  return pages;
}
