// The NBD front end under the clients that people use: libnbd's tools, QEMU's, fio and nbdkit, against a
// device in memory, over a Unix socket and TCP.
import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { NbdContext } from "../../src/frontend/nbd/mod.ts";
import { SocketNetwork } from "../../src/host/mod.ts";
import { makeCertificates } from "../support/certificates.ts";
import { NbdTestServer } from "../support/nbd-test-server.ts";
import { needs } from "../support/needs.ts";
import { ObservedDevice } from "../support/observed-device.ts";
import { runProgram, tryProgram } from "../support/run-program.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const folder = new TemporaryFolder();
let server: NbdTestServer;
let device: ObservedDevice;

const dirty: NbdContext = {
  name: "qemu:dirty-bitmap:monday",
  query: async (offset, length) => {
    const end = Math.max(offset + length, 2 * MIB);
    if (offset >= MIB) return [{ lengthBytes: end - offset, flags: 0 }];
    return [
      { lengthBytes: MIB - offset, flags: 1 },
      { lengthBytes: end - MIB, flags: 0 },
    ];
  },
};

before(async () => {
  device = new ObservedDevice({ sizeBytes: SIZE });
  const readOnly = new ObservedDevice({ sizeBytes: SIZE, capabilities: { writable: false } });
  server = await NbdTestServer.start({
    exports: {
      volume: { device, description: "a volume", contexts: [dirty] },
      "volume@snap": { device: readOnly },
    },
  });
});

after(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** An image with data at its beginning, middle and end, and holes between. */
function image(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  for (const [start, length] of [
    [0, MIB],
    [20 * MIB + 512, 3 * MIB + 700],
    [SIZE - 4096, 4096],
  ] as const)
    randomFillSync(bytes, start, length);
  return bytes;
}

function fill(bytes: Buffer): void {
  device.inner.trim(0, SIZE, 0);
  for (let at = 0; at < SIZE; at += 4096) {
    const page = bytes.subarray(at, at + 4096);
    if (page.some((byte) => byte !== 0)) device.inner.write(at, page, 0);
  }
}

function contents(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  device.inner.read(0, bytes);
  return bytes;
}

test("nbdinfo shows an export's facts", needs("nbdinfo"), async () => {
  fill(image());
  const shown = JSON.parse(await runProgram("nbdinfo", ["--json", server.uri("volume")]));
  const found = shown.exports[0];
  assert.equal(shown.protocol, "newstyle-fixed");
  assert.equal(shown.structured, true);
  assert.equal(found["export-size"], SIZE);
  assert.equal(found.description, "a volume");
  assert.deepEqual(found.contexts, ["base:allocation", "qemu:dirty-bitmap:monday"]);
  for (const can of [
    "can_cache",
    "can_df",
    "can_fast_zero",
    "can_flush",
    "can_fua",
    "can_multi_conn",
    "can_trim",
    "can_zero",
  ])
    assert.equal(found[can], true, can);
  assert.equal(found.block_size_minimum, 1);
  assert.equal(found.block_size_maximum, 32 * MIB);
});

test("nbdinfo lists the exports, also over TCP", needs("nbdinfo"), async () => {
  for (const uri of [`nbd+unix:///?socket=${server.path}`, `nbd://127.0.0.1:${server.port}/`]) {
    const shown = JSON.parse(await runProgram("nbdinfo", ["--list", "--json", uri]));
    const names = shown.exports.map((found: { "export-name": string }) => found["export-name"]);
    assert.deepEqual(names, ["volume", "volume@snap"]);
    assert.equal(shown.exports[1].is_read_only, true);
  }
});

test("nbdinfo --map shows holes and data, and the changes of a dirty bitmap", needs("nbdinfo"), async () => {
  fill(image());
  const map = JSON.parse(await runProgram("nbdinfo", ["--json", "--map", server.uri("volume")]));
  const data = map.filter(({ type }: { type: number }) => type === 0);
  assert.deepEqual(
    data.map(({ offset, length }: { offset: number; length: number }) => [offset, length]),
    [
      [0, MIB],
      [20 * MIB, 3 * MIB + 4096],
      [SIZE - 4096, 4096],
    ],
  );
  const changes = await runProgram("nbdinfo", ["--map=qemu:dirty-bitmap:monday", server.uri("volume")]);
  assert.match(changes, /^\s*0\s+1048576\s+1/);
});

test("nbdcopy brings an image in and out, bit for bit, and keeps its holes", needs("nbdcopy"), async () => {
  const bytes = image();
  writeFileSync(folder.file("in.img"), bytes);
  device.inner.trim(0, SIZE, 0);
  await runProgram("nbdcopy", [folder.file("in.img"), server.uri("volume")]);
  assert.equal(contents().equals(bytes), true);
  assert.equal(device.inner.allocatedPages < 3_000, true);
  for (const synchronous of [[], ["--synchronous"]]) {
    await runProgram("nbdcopy", [...synchronous, server.uri("volume"), folder.file("out.img")]);
    assert.equal(readFileSync(folder.file("out.img")).equals(bytes), true);
  }
});

test("QEMU's image tools read, map, compare, convert and measure an export", needs("qemu-img"), async () => {
  const bytes = image();
  fill(bytes);
  writeFileSync(folder.file("same.img"), bytes);
  const uri = server.uri("volume");
  const facts = JSON.parse(await runProgram("qemu-img", ["info", "--output=json", uri]));
  assert.equal(facts["virtual-size"], SIZE);
  const map = JSON.parse(await runProgram("qemu-img", ["map", "--output=json", uri]));
  const data = map.filter((extent: { data: boolean }) => extent.data);
  assert.deepEqual(
    data.map((extent: { start: number }) => extent.start),
    [0, 20 * MIB, SIZE - 4096],
  );
  await runProgram("qemu-img", ["compare", "-f", "raw", "-F", "raw", folder.file("same.img"), uri]);
  await runProgram("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", folder.file("same.img"), uri]);
  assert.equal(contents().equals(bytes), true);
  await runProgram("qemu-img", ["bench", "-f", "raw", "-w", "-c", "2000", "-d", "32", "-s", "4096", uri]);
  bytes[0]! ^= 1;
  writeFileSync(folder.file("other.img"), bytes);
  const differs = await tryProgram("qemu-img", [
    "compare",
    "-f",
    "raw",
    "-F",
    "raw",
    folder.file("other.img"),
    uri,
  ]);
  assert.equal(differs.code, 1);
});

test("qemu-io writes, zeroes, discards, flushes and reads patterns back", needs("qemu-io"), async () => {
  const commands = [
    "write -P 0xaa 0 1M",
    "write -f -P 0xbb 1000k 300k",
    "flush",
    "write -z 64k 64k",
    "write -z -u 200k 100k",
    "discard 512k 64k",
    "aio_write -P 0xcc 4M 1M",
    "aio_write -P 0xdd 5M 31M",
    "aio_flush",
    "read -P 0xaa 0 64k",
    "read -P 0 64k 64k",
    "read -P 0 200k 100k",
    "read -P 0xbb 1000k 300k",
    "read -P 0 512k 64k",
    "read -P 0xcc 4M 1M",
    "read -P 0xdd 5M 31M",
  ];
  const shown = await runProgram("qemu-io", [
    "-f",
    "raw",
    ...commands.flatMap((command) => ["-c", command]),
    server.uri("volume"),
  ]);
  assert.doesNotMatch(shown, /fail|error|verif/i);
  assert.match(shown, /read 1048576\/1048576 bytes at offset 4194304/);
});

test("fio verifies what it wrote at random, on several connections", needs("fio"), async () => {
  const parameters = [
    "--name=verify",
    "--ioengine=nbd",
    `--uri=${server.uri("volume")}`,
    "--rw=randwrite",
    "--bsrange=512-128k",
    "--bs_unaligned",
    "--iodepth=32",
    "--size=32m",
    "--verify=crc32c",
    "--fsync=64",
  ];
  await runProgram("fio", parameters);
});

test(
  "nbdkit's nbd plugin, in front of the server, finds the same bytes",
  needs("nbdkit", "nbdcopy"),
  async () => {
    const bytes = image();
    fill(bytes);
    writeFileSync(folder.file("check.img"), bytes);
    const nbdkit = (filters: readonly string[], settings: readonly string[]) =>
      runProgram("nbdkit", [
        "-U",
        "-",
        ...filters,
        "nbd",
        `uri=${server.uri("volume")}`,
        ...settings,
        "--run",
        `nbdcopy ${folder.file("check.img")} "$uri"`,
      ]);
    await nbdkit(["--filter=checkwrite"], []);
    await nbdkit(["--filter=delay"], ["wdelay=1ms", "delay-zero=1ms"]);
    assert.equal(contents().equals(bytes), true);
  },
);

/** Runs a script in nbdsh with a connected handle `h`; what it raises fails the test. */
async function nbdsh(script: string, name = "volume", options: readonly string[] = []): Promise<string> {
  const connect = `import nbd\nh = nbd.NBD()\nh.add_meta_context("base:allocation")\n${options.join("\n")}\n`;
  const tail = `h.connect_uri("${server.uri(name)}")\n${script}`;
  return await runProgram("/usr/bin/python3", ["-c", connect + tail]);
}

const EXPECT = `
import errno
def expect(code, call):
    try:
        call()
    except nbd.Error as error:
        assert error.errnum == code, (error.errnum, code, error.string)
        return
    raise AssertionError("no error")
`;

const shell = needs("python3-libnbd");

test("every command works from nbdsh", shell, async () => {
  await nbdsh(`
data = bytes(range(256)) * 1024
h.pwrite(data, 4096, nbd.CMD_FLAG_FUA)
assert h.pread(len(data), 4096) == data
h.pwrite(b"x" * 3, 1)
assert h.pread(5, 0)[1:4] == b"xxx"
h.zero(4096, 4096, nbd.CMD_FLAG_FAST_ZERO)
h.zero(4096, 8192, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
assert h.pread(8192, 4096) == bytes(8192)
h.trim(1 << 20, 1 << 20, nbd.CMD_FLAG_FUA)
h.cache(1 << 20, 0)
h.flush()
seen = []
h.block_status(1 << 20, 0, lambda *call: seen.append(call) and 0)
assert seen[0][0] == "base:allocation", seen
chunks = []
h.pread_structured(1 << 20, 0, lambda data, offset, kind, error: chunks.append(kind) and 0)
assert nbd.READ_HOLE in chunks or nbd.READ_DATA in chunks
h.pread_structured(65536, 0, lambda *call: 0, nbd.CMD_FLAG_DF)
h.shutdown()
`);
});

test("a server's errors arrive as the errors that libnbd names", shell, async () => {
  await nbdsh(
    `${EXPECT}
size = h.get_size()
h.set_strict_mode(0)
expect(errno.EINVAL, lambda: h.pread(1, size))
expect(errno.ENOSPC, lambda: h.pwrite(b"xx", size - 1))
expect(errno.ENOSPC, lambda: h.zero(2, size - 1))
expect(errno.EINVAL, lambda: h.trim(2, size - 1))
expect(errno.EINVAL, lambda: h.cache(2, size - 1))
expect(errno.EINVAL, lambda: h.block_status(2, size, lambda *call: 0))
expect(errno.EINVAL, lambda: h.flush(0x4000))
expect(errno.EINVAL, lambda: h.pread(512, 0, 0x4000))
expect(errno.EINVAL, lambda: h.pread(33 << 20, 0))
expect(errno.EINVAL, lambda: h.pwrite(bytes(33 << 20), 0))
expect(errno.EINVAL, lambda: h.pread(0, size + 1))
h.pread(512, 0)
`,
  );
});

test("a read-only export refuses changes from a client that tries", shell, async () => {
  await nbdsh(
    `${EXPECT}
assert h.is_read_only()
h.set_strict_mode(0)
expect(errno.EPERM, lambda: h.pwrite(b"x", 0))
expect(errno.EPERM, lambda: h.zero(1, 0))
expect(errno.EPERM, lambda: h.trim(1, 0))
h.pread(1, 0)
`,
    "volume@snap",
  );
});

test("without structured replies libnbd reads, and cannot ask for extents", shell, async () => {
  await nbdsh(
    `${EXPECT}
assert not h.get_structured_replies_negotiated()
h.pwrite(b"plain", 7)
assert h.pread(5, 7) == b"plain"
h.set_strict_mode(0)
expect(errno.EINVAL, lambda: h.block_status(512, 0, lambda *call: 0))
`,
    "volume",
    ["h.set_request_structured_replies(False)"],
  );
});

test("a client that negotiates option by option gets every answer", shell, async () => {
  await runProgram("/usr/bin/python3", [
    "-c",
    `
import nbd
h = nbd.NBD()
h.set_opt_mode(True)
h.set_full_info(True)
h.connect_unix("${server.path}")
names = []
h.opt_list(lambda name, text: names.append(name) and 0)
assert names == ["volume", "volume@snap"], names
h.set_export_name("nothing")
try:
    h.opt_info()
    raise AssertionError("no error")
except nbd.Error:
    pass
h.set_export_name("volume")
h.opt_info()
assert h.get_export_description() == "a volume"
h.add_meta_context("qemu:")
contexts = []
h.opt_list_meta_context(lambda name: contexts.append(name) and 0)
assert contexts == ["qemu:dirty-bitmap:monday"], contexts
h.clear_meta_contexts()
h.opt_go()
h.pread(512, 0)
h.shutdown()
g = nbd.NBD()
g.set_opt_mode(True)
g.connect_unix("${server.path}")
g.opt_abort()
`,
  ]);
});

test("many requests in flight end in any order, each once", shell, async () => {
  device.together = true;
  try {
    await nbdsh(`
buffers = [nbd.Buffer.from_bytearray(bytearray([n % 251] * 5000)) for n in range(500)]
for n, buffer in enumerate(buffers):
    h.aio_pwrite(buffer, n * 5000)
while h.aio_in_flight() > 0:
    done = h.aio_peek_command_completed()
    if done > 0:
        h.aio_command_completed(done)
    else:
        h.poll(-1)
for n in range(500):
    assert h.pread(5000, n * 5000) == bytes([n % 251] * 5000)
`);
  } finally {
    device.together = false;
  }
});

test("nbdinfo reaches a server with TLS and a client certificate", needs("nbdinfo", "openssl"), async () => {
  const certificates = await makeCertificates(folder.path);
  const identity = new SocketNetwork().tlsIdentity({
    ...certificates.server,
    clientAuthority: certificates.authority,
  });
  const secret = new ObservedDevice({ sizeBytes: MIB });
  await using secure = await NbdTestServer.start({
    exports: { secret: { device: secret } },
    tls: { mode: "forced", identity },
  });
  const uri = `nbds://localhost:${secure.port}/secret?tls-certificates=${folder.path}`;
  const shown = JSON.parse(await runProgram("nbdinfo", ["--json", uri]));
  assert.equal(shown.TLS, true);
  assert.equal(shown.exports[0]["export-size"], MIB);
  const plain = await tryProgram("nbdinfo", [`nbd://localhost:${secure.port}/secret`]);
  assert.notEqual(plain.code, 0);
});
