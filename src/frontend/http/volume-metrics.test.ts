import assert from "node:assert/strict";
import { test } from "node:test";
import { type Control, VolumeMeter } from "../../control/mod.ts";
import { volumeMetrics } from "./volume-metrics.ts";

/** So many volumes, each with some requests. */
function controlOf(count: number): Control {
  const names = Array.from({ length: count }, (_, index) => `volume-${index}`);
  const meters = names.map((name) => {
    const meter = new VolumeMeter();
    meter.done(0, 0.003, 4096);
    meter.done(0, 90_000, 4096);
    return [name, meter] as const;
  });
  const volumes = names.map((name) => ({ name, sizeBytes: 1, usedBytes: 2, snapshots: 3, clients: 4 }));
  return {
    volumes: { list: () => volumes },
    exports: { meters: () => new Map(meters) },
  } as unknown as Control;
}

test("buckets are cumulative, and the last one counts all", () => {
  const text = [...volumeMetrics(controlOf(1))].join("");
  const buckets = [...text.matchAll(/_bucket\{volume="volume-0",request="read",le="(\S+)"\} (\d+)/g)];
  const counts = buckets.map(([, bound, count]) => [bound, Number(count)]);
  assert.deepEqual(counts.slice(0, 3), [
    ["0.000001", 0],
    ["0.000002", 0],
    ["0.000004", 1],
  ]);
  assert.deepEqual(counts.at(-2), ["67.108864", 1]);
  assert.deepEqual(counts.at(-1), ["+Inf", 2]);
  assert.match(text, /_sum\{volume="volume-0",request="read"\} 90\.0000\d+\n/);
  assert.match(text, /_count\{volume="volume-0",request="read"\} 2\n/);
});

test("the text of very many volumes comes in small pieces that end with whole lines", () => {
  let count = 0;
  for (const piece of volumeMetrics(controlOf(2000))) {
    count++;
    assert.ok(piece.length < 20_000);
    assert.ok(piece.endsWith("\n"));
  }
  assert.ok(count > 100);
});
