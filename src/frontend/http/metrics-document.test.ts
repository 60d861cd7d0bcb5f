import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { serveControl } from "../../../test/support/served-control.ts";

test("docs/operating/metrics.md names exactly the metrics that are served", async () => {
  await using daemon = await serveControl();
  const served = await (await fetch(`${daemon.url}/metrics`)).text();
  const names = [...served.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!);
  const document = readFileSync(new URL("../../../docs/operating/metrics.md", import.meta.url), "utf8");
  const rows = document
    .split("\n")
    .filter((line) => line.startsWith("| `ropewalk_") && / (counter|gauge|histogram) /.test(line));
  const documented = rows.flatMap((row) =>
    [...row.split("|")[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  );
  assert.deepEqual(documented.sort(), names.sort());
});
