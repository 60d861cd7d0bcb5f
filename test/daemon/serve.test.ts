// How the daemon starts and stops: what it makes, what it says, and that a start that cannot succeed changes
// nothing.
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { resolve } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificates } from "../support/certificates.ts";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import { type ProgramResult, tryProgram } from "../support/run-program.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const command = resolve(import.meta.dirname, "../../bin/ropewalk");
const POOL_SIZE = "1GiB";
const FREE_PORTS = ["iscsi", "nbd", "http", "peer"].flatMap((what) => [`--${what}`, "127.0.0.1:0"]);

/** A start that must fail: exit code 1 and one line on standard error, which is returned. */
async function failedStart(...parameters: string[]): Promise<string> {
  const result = await tryProgram(command, ["serve", ...parameters], { timeoutMs: 30_000 });
  return onlyLine(result);
}

function onlyLine({ code, stdout, stderr }: ProgramResult): string {
  assert.equal(code, 1, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /^ropewalk: [A-Z_]+: [^\n]+\n$/);
  return stderr;
}

async function listening(path: string | { host: string; port: number }): Promise<Server> {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((done) => server.listen(path as never, done));
  return server;
}

/** Everything in a folder with its content, to see that nothing changed. */
function contents(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => `${entry.parentPath}/${entry.name}`)
    .sort()
    .map((path) => (statSync(path).isFile() ? `${path} ${statSync(path).mtimeMs}` : path));
}

test("the first start makes the pool, the key for its owner alone, and says where it listens", async () => {
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE });
  assert.deepEqual(readdirSync(daemon.dataDirectory).sort(), [
    "admin.key",
    "checksums",
    "endpoints.json",
    "nbd.sock",
    "pool",
    "token.key",
  ]);
  for (const key of ["admin.key", "token.key"])
    assert.equal(statSync(`${daemon.dataDirectory}/${key}`).mode & 0o777, 0o600);
  const { pid, nbd, iscsi, http } = daemon.endpoints;
  assert.ok(process.kill(pid, 0));
  for (const address of [...nbd, ...iscsi, ...http]) assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
  assert.match(daemon.output, /^Ropewalk \d+\.\d+\.\d+ serves /m);
  assert.match(daemon.output, /^Try next: .*ropewalk volume create /m);
  assert.match(daemon.output, new RegExp(`"msg":"NBD listens on ${nbd[0]}"`));
  assert.match(daemon.output, new RegExp(`"msg":"HTTP listens on ${daemon.httpUrl}"`));
  const key = readFileSync(`${daemon.dataDirectory}/admin.key`, "utf8").trim();
  assert.ok(!daemon.output.includes(key));
  const status = (await daemon.json("status")) as { pool: { sizeBytes: number }; volumes: number };
  assert.equal(status.pool.sizeBytes, 2 ** 30);
  assert.equal(status.volumes, 0);
});

test("SIGTERM and SIGINT end it with 0 within ten seconds, and what it made is found again", async () => {
  const daemon = await Daemon.start({ poolSize: POOL_SIZE });
  await using _ = daemon;
  await daemon.cli("volume", "create", "v", "--size", "10MiB");
  const key = readFileSync(`${daemon.dataDirectory}/admin.key`, "utf8");
  const { code, elapsedMs } = await daemon.stop();
  assert.equal(code, 0, daemon.output);
  assert.ok(elapsedMs < 10_000);
  assert.deepEqual(readdirSync(daemon.dataDirectory).sort(), ["admin.key", "checksums", "pool", "token.key"]);
  await daemon.start();
  assert.equal(((await daemon.json("volume", "list")) as unknown[]).length, 1);
  assert.equal(readFileSync(`${daemon.dataDirectory}/admin.key`, "utf8"), key);
  process.kill(daemon.pid, "SIGINT");
  assert.equal((await daemon.end()).code, 0);
});

test("the socket that a killed daemon left is replaced, one that is served never", async () => {
  const daemon = await Daemon.start({ poolSize: POOL_SIZE });
  await using _ = daemon;
  await daemon.kill();
  assert.ok(existsSync(daemon.nbdSocket));
  await daemon.start();
  await daemon.stop();
  const other = await listening(daemon.nbdSocket);
  const line = await failedStart("--data", daemon.dataDirectory, ...FREE_PORTS);
  assert.match(line, /ADDRESS_IN_USE: .*nbd\.sock/);
  assert.ok(existsSync(daemon.nbdSocket));
  other.close();
});

test("the first volume is made with the pool and never again", async () => {
  const daemon = await Daemon.start({ poolSize: POOL_SIZE, flags: ["--first-volume", "vol0:10GiB"] });
  await using _ = daemon;
  const [volume] = (await daemon.json("volume", "list")) as { name: string; sizeBytes: number }[];
  assert.equal(volume?.name, "vol0");
  assert.equal(volume?.sizeBytes, 10 * 2 ** 30);
  await daemon.cli("volume", "delete", "vol0");
  await daemon.stop();
  await daemon.start();
  assert.deepEqual(await daemon.json("volume", "list"), []);
});

test("a data directory in use is POOL_IN_USE, and the daemon that has it goes on", async () => {
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE });
  const before = contents(daemon.dataDirectory);
  const line = await failedStart("--data", daemon.dataDirectory, ...FREE_PORTS);
  assert.match(line, new RegExp(`POOL_IN_USE: .*process ${daemon.pid}`));
  assert.deepEqual(contents(daemon.dataDirectory), before);
  await daemon.cli("status");
});

test("an address in use is ADDRESS_IN_USE and nothing is made", async () => {
  using folder = new TemporaryFolder();
  const taken = await listening({ host: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;
  const data = folder.file("data");
  for (const parameters of [
    [...FREE_PORTS, "--http", address],
    [...FREE_PORTS, "--nbd", address],
    [...FREE_PORTS, "--iscsi", address],
    [...FREE_PORTS, "--peer", address],
    [...FREE_PORTS, "--nbd", "192.0.2.1:1", "--insecure"],
  ])
    assert.match(await failedStart("--data", data, ...parameters), /ADDRESS_IN_USE: /, parameters.join(" "));
  taken.close();
  assert.deepEqual(readdirSync(folder.path), []);
});

test("a data directory that is a file, holds other things or cannot be made is DATA_DIRECTORY", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("file"), "content");
  mkdirSync(folder.file("home"));
  writeFileSync(folder.file("home/letter"), "content");
  mkdirSync(folder.file("locked"));
  chmodSync(folder.file("locked"), 0o500);
  const before = contents(folder.path);
  const start = (name: string) => failedStart("--data", folder.file(name), ...FREE_PORTS);
  for (const name of ["file", "file/below", "home"])
    assert.match(await start(name), /DATA_DIRECTORY: /, name);
  assert.deepEqual(contents(folder.path), before);
  assert.match(await failedStart("--data", "/proc/ropewalk", ...FREE_PORTS), /DATA_DIRECTORY: /);
});

test("a data directory that the user may not write to is DATA_DIRECTORY", needs("setpriv"), async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("locked"));
  chmodSync(folder.file("locked"), 0o500);
  // Without these capabilities permissions mean the same for the superuser as for everybody.
  const powerless = process.getuid?.() === 0 ? ["--bounding-set=-dac_override,-dac_read_search"] : [];
  for (const name of ["locked", "locked/data"]) {
    const serve = [command, "serve", "--data", folder.file(name), ...FREE_PORTS];
    const result = await tryProgram("setpriv", [...powerless, ...serve], { timeoutMs: 30_000 });
    assert.match(onlyLine(result), /DATA_DIRECTORY: .*not (readable and )?writable/, name);
  }
  assert.deepEqual(readdirSync(folder.file("locked")), []);
});

test("a damaged pool, one of a newer format and one that is no pool are one clear line, and stay as they are", async () => {
  using folder = new TemporaryFolder();
  const data = folder.file("data");
  await (async () => {
    await using daemon = await Daemon.start({ dataDirectory: data, poolSize: POOL_SIZE });
    await daemon.cli("volume", "create", "v", "--size", "10MiB");
    await daemon.stop();
  })();
  const pool = `${data}/pool`;
  for (const name of readdirSync(pool).filter((name) => statSync(`${pool}/${name}`).size <= 65_536)) {
    const path = `${pool}/${name}`;
    if (statSync(path).size > 0) writeFileSync(path, Buffer.alloc(statSync(path).size, 0x5a));
  }
  const before = contents(data);
  assert.match(
    await failedStart("--data", data, ...FREE_PORTS),
    /ropewalk: (POOL_DAMAGED|DATA_DIRECTORY|POOL_NEWER): /,
  );
  assert.deepEqual(
    contents(data).filter((line) => !line.includes("/lock ")),
    before.filter((line) => !line.includes("/lock ")),
  );
});

test("wrong settings are INVALID_CONFIG with their place, and nothing is made", async () => {
  using folder = new TemporaryFolder();
  const config = folder.file("ropewalk.yaml");
  const data = folder.file("data");
  const withConfig = async (text: string) => {
    writeFileSync(config, text);
    return await failedStart("--data", data, "--config", config, ...FREE_PORTS);
  };
  assert.match(
    await withConfig("data: x\nport: 5\n"),
    /INVALID_CONFIG: .*ropewalk\.yaml:2: "port" is not a setting/,
  );
  assert.match(
    await withConfig("volumes:\n  v:\n    layers: [{layer: magic}]\n"),
    /INVALID_CONFIG: .*ropewalk\.yaml:1: volumes\.v: .*magic/,
  );
  assert.match(
    await withConfig("http: {tls: {certificate: nowhere.pem, key: k.pem}}"),
    /INVALID_CONFIG: .*nowhere\.pem/,
  );
  writeFileSync(folder.file("not.pem"), "not a certificate");
  const pem = folder.file("not.pem");
  assert.match(await withConfig(`http: {tls: {certificate: ${pem}, key: ${pem}}}`), /INVALID_CONFIG: /);
  assert.match(
    await failedStart("--data", data, "--config", folder.file("none")),
    /INVALID_CONFIG: .*none.*ENOENT/,
  );
  assert.match(await failedStart("--data", data, "--http", "nowhere"), /INVALID_CONFIG: --http: /);
  assert.match(await failedStart("--data", data, "--pool-size", "-1"), /INVALID_CONFIG: --pool-size: /);
  assert.match(
    await failedStart("--data", data, "--first-volume", "V:1"),
    /INVALID_CONFIG: --first-volume: /,
  );
  assert.ok(!existsSync(data));
});

test("an address that is not loopback is INSECURE_ADDRESS without TLS or --insecure", async () => {
  using folder = new TemporaryFolder();
  const data = folder.file("data");
  for (const flag of ["--http", "--nbd", "--iscsi"])
    assert.match(await failedStart("--data", data, flag, "0.0.0.0:0"), /INSECURE_ADDRESS: 0\.0\.0\.0:0 /);
  assert.ok(!existsSync(data));
  await using daemon = await Daemon.start({
    poolSize: POOL_SIZE,
    flags: ["--nbd", "0.0.0.0:0", "--insecure"],
  });
  assert.equal(daemon.endpoints.nbd.length, 2);
});

test(
  "with a certificate the API speaks HTTPS, and the command line trusts its authority",
  needs("openssl"),
  async () => {
    using folder = new TemporaryFolder();
    await makeCertificates(folder.path);
    const config = folder.file("ropewalk.yaml");
    const [certificate, key] = [folder.file("server-cert.pem"), folder.file("server-key.pem")];
    writeFileSync(config, `http: {tls: {certificate: ${certificate}, key: ${key}}}\n`);
    const data = folder.file("data");
    const served = tryProgram(command, [
      "serve",
      "--data",
      data,
      "--config",
      config,
      "--pool-size",
      POOL_SIZE,
      ...FREE_PORTS,
    ]);
    try {
      while (!existsSync(`${data}/endpoints.json`)) await sleep(50);
      const status = await tryProgram(command, ["status", "--data", data, "--json"], {
        environment: { NODE_EXTRA_CA_CERTS: folder.file("ca-cert.pem") },
      });
      assert.equal(status.code, 0, status.stderr);
      const stranger = await tryProgram(command, ["status", "--data", data]);
      assert.match(onlyLine(stranger), /UNREACHABLE: /);
    } finally {
      process.kill(
        (JSON.parse(readFileSync(`${data}/endpoints.json`, "utf8")) as { pid: number }).pid,
        "SIGTERM",
      );
      assert.equal((await served).code, 0);
    }
  },
);

test(
  "with a certificate NBD wants TLS of everybody but the Unix socket, when an address is not loopback",
  needs("openssl", "nbdinfo"),
  async () => {
    using folder = new TemporaryFolder();
    await makeCertificates(folder.path);
    const config = folder.file("ropewalk.yaml");
    const [certificate, key] = [folder.file("server-cert.pem"), folder.file("server-key.pem")];
    writeFileSync(config, `nbd: {tls: {certificate: ${certificate}, key: ${key}}}\n`);
    const flags = ["--config", config, "--nbd", "0.0.0.0:0", "--first-volume", "disk:1MiB"];
    await using daemon = await Daemon.start({ poolSize: POOL_SIZE, flags });
    const size = (uri: string) => tryProgram("nbdinfo", ["--size", uri]);
    const plain = await size(daemon.tcpUri("disk"));
    assert.notEqual(plain.code, 0);
    assert.match(plain.stderr, /TLS/);
    const secured = `nbds://127.0.0.1:${daemon.nbdPort}/disk?tls-certificates=${folder.path}`;
    for (const uri of [secured, daemon.uri("disk")])
      assert.equal((await size(uri)).stdout.trim(), "1048576", uri);
    assert.match(daemon.output, / nbds:\/\/0\.0\.0\.0:/);
  },
);

test("a second signal ends it at once with 1, and the next start finds everything acknowledged", async () => {
  const daemon = await Daemon.start({ poolSize: POOL_SIZE });
  await using _ = daemon;
  await daemon.cli("volume", "create", "v", "--size", "10MiB");
  // A request that does not end keeps the stop waiting for its grace.
  const { port } = new URL(daemon.httpUrl);
  const client = connect({ port: Number(port), host: "127.0.0.1" });
  client.on("error", () => {});
  client.write("GET / HTTP/1.1\r\nHost:");
  await sleep(200);
  const { pid } = daemon;
  process.kill(pid, "SIGTERM");
  await sleep(300);
  assert.ok(daemon.running);
  process.kill(pid, "SIGTERM");
  const { code, elapsedMs } = await daemon.end();
  client.destroy();
  assert.equal(code, 1);
  assert.ok(elapsedMs < 2000);
  await daemon.start();
  assert.equal(((await daemon.json("volume", "list")) as unknown[]).length, 1);
});
