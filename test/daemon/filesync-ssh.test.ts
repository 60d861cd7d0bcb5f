// A directory that is replicated by the system's own ssh through a real sshd.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { findProgram } from "../../tools/find-program.ts";
import { until, untilShown } from "../filesync/shown-filesync.ts";
import { treeDifferences } from "../filesync/tree-differences.ts";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const ropewalk = resolve(import.meta.dirname, "../../bin/ropewalk");
const FILES = 60;
const FILE_BYTES = 100_000;
/** So that connections can be killed while the first copy runs. */
const BANDWIDTH = "2MiB";

/** A folder of programs: `ropewalk`, and an `ssh` that is the system's with a configuration of its own. */
function programs(folder: TemporaryFolder): string {
  const bin = folder.file("bin");
  mkdirSync(bin);
  const configFile = folder.file("ssh_config");
  writeFileSync(`${bin}/ssh`, `#!/bin/sh\nexec ${findProgram("ssh")} -F ${configFile} "$@"\n`);
  chmodSync(`${bin}/ssh`, 0o755);
  symlinkSync(ropewalk, `${bin}/ropewalk`);
  return bin;
}

test(
  "by ssh and a real sshd on a port of its own a tree arrives and is followed, also when the connections are killed in the middle",
  needs("sshd", "ssh", "ssh-keygen", "rsync", "getfattr"),
  async () => {
    using folder = new TemporaryFolder();
    const [source, copy] = [folder.file("source"), folder.file("my copy")];
    for (let index = 0; index < FILES; index += 1) {
      mkdirSync(`${source}/directory${index % 5}`, { recursive: true });
      writeFileSync(`${source}/directory${index % 5}/file${index}`, randomBytes(FILE_BYTES));
    }
    const PATH = `${programs(folder)}:${process.env["PATH"]}`;
    await using server = await startSshServer(folder, { environment: { PATH, TMPDIR: folder.path } });
    await using daemon = await Daemon.start({ poolSize: "1GiB", environment: { PATH } });
    const to = `ssh://${server.user}@${server.host}:${server.port}${encodeURI(copy)}`;
    await daemon.cli("filesync", "add", "a", "--source", source, "--to", to, "--bandwidth", BANDWIDTH);

    const copied = await untilShown(
      daemon,
      "a",
      "the bulk copies",
      ({ targets }) => targets[0]!.copiedFiles > 0,
    );
    assert.equal(copied.targets[0]!.to, to);
    writeFileSync(`${source}/live`, "while the bulk runs");
    await until("what is killed serves something", () => server.killConnections() > 0);
    renameSync(`${source}/directory1`, `${source}/renamed`);
    await daemon.cli("filesync", "show", "a", "--wait");
    assert.deepEqual(await treeDifferences(source, copy), []);

    // Nobody runs any more but the main connection, perhaps; it is killed, too.
    await until("the connections that are left are killed", () => server.killConnections() > 0);
    writeFileSync(`${source}/later`, "live");
    await daemon.cli("filesync", "show", "a", "--wait");
    assert.deepEqual(await treeDifferences(source, copy), []);
  },
);

test(
  "a user that is not let in is told as ssh says it, and nothing is made there",
  needs("sshd", "ssh", "ssh-keygen"),
  async () => {
    using folder = new TemporaryFolder();
    const source = folder.file("source");
    mkdirSync(source);
    const PATH = `${programs(folder)}:${process.env["PATH"]}`;
    await using server = await startSshServer(folder, { environment: { PATH, TMPDIR: folder.path } });
    await using daemon = await Daemon.start({ poolSize: "1GiB", environment: { PATH } });
    const to = `ssh://nobody-here@${server.host}:${server.port}${folder.file("copy")}`;
    await daemon.cli("filesync", "add", "a", "--source", source, "--to", to);
    const { targets } = await untilShown(
      daemon,
      "a",
      "it is told",
      (shown) => shown.targets[0]!.error !== undefined,
    );
    const { code, message } = targets[0]!.error!;
    assert.equal(code, "UNREACHABLE");
    assert.match(message, /ssh to ssh:\/\/nobody-here@.* ended with status 255: .*Permission denied/);
    assert.equal(existsSync(folder.file("copy")), false);
  },
);
