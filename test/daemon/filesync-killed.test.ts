// A target whose daemon dies in the middle of a first copy: half of a tree is there, and what was staged when it died.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Relay } from "../filesync/relay.ts";
import { until } from "../filesync/shown-filesync.ts";
import { treeDifferences } from "../filesync/tree-differences.ts";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const DIRECTORIES = 400;
const FILES_EACH = 25;
/** Of the directories: how many are there when the target is killed. */
const KILLS_AT = [20, 120, 300] as const;

test(
  "a target that is killed again and again in its first copy equals the source in the end, the times of directories too",
  needs("rsync", "getfattr"),
  async () => {
    using folder = new TemporaryFolder();
    const [source, target, key] = [folder.file("source"), folder.file("target"), folder.file("key")];
    for (let directory = 0; directory < DIRECTORIES; directory += 1) {
      const path = `${source}/d${directory}`;
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < FILES_EACH; file += 1)
        writeFileSync(`${path}/f${file}`, Buffer.alloc(3000, file));
    }
    await using relay = await Relay.start();
    await using far = await Daemon.start();
    await using near = await Daemon.start();
    const opened = () => {
      const port = Number(far.endpoints.peer[0]!.split(":").at(-1));
      relay.target = () => port;
    };
    opened();
    await far.cli("filesync", "target", "add", "t", "--root", target, "--key", key);
    const to = ["--to", `ropewalk://127.0.0.1:${relay.port}/t`, "--key", key];
    await near.cli("filesync", "add", "live", "--source", source, ...to);
    for (const count of KILLS_AT) {
      await until(`${count} directories`, () => readdirSync(target).length >= count);
      await far.kill();
      await far.start();
      opened();
    }
    await near.cli("filesync", "show", "live", "--wait");
    assert.deepEqual(await treeDifferences(source, target), []);
  },
);
