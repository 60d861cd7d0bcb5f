import assert from "node:assert/strict";
import { test } from "node:test";
import type { FastifyRequest } from "fastify";
import { type ServedControl, serveControl } from "../../../test/support/served-control.ts";
import { channelOf } from "./channel.ts";
import type { MadeTokenJson, ShownTokensJson, TokenJson, TokenWrittenJson } from "./token-json.ts";

const MIB = 2 ** 20;

async function served(): Promise<ServedControl> {
  const daemon = await serveControl();
  await daemon.control.volumes.create({ name: "v", sizeBytes: 4 * MIB });
  await write(daemon, 4096, 9);
  return daemon;
}

async function write({ control }: ServedControl, offset: number, value: number): Promise<void> {
  const device = control.exports.open("v");
  await device.write(offset, new Uint8Array(8192).fill(value), 0);
  await device.close();
}

async function made(daemon: ServedControl, wish: object = {}): Promise<MadeTokenJson> {
  const { status, json } = await daemon.call("POST", "/api/v1/tokens", { source: "v", ...wish });
  assert.equal(status, 201, JSON.stringify(json));
  return json as MadeTokenJson;
}

async function read(daemon: ServedControl, body: object): Promise<Buffer> {
  const response = await fetch(`${daemon.url}/api/v1/tokens/read`, {
    method: "POST",
    headers: { authorization: `Bearer ${daemon.key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(response.headers.get("content-length"), String(bytes.length));
  return bytes;
}

async function refusal(daemon: ServedControl, path: string, body: object): Promise<[number, string]> {
  const { status, json } = await daemon.call("POST", path, body);
  return [status, (json as { code: string }).code];
}

test("a token is 512 bytes, is shown and listed as it was asked for, and the list gives nothing away", async () => {
  await using daemon = await served();
  const wish = { offsetBytes: 4096, lengthBytes: 5000, ttlSeconds: 60, priority: 7, inactivitySeconds: 30 };
  const { token, tokens, lengthBytes } = await made(daemon, { ...wish, persistent: true });
  assert.equal(Buffer.from(token, "base64").length, 512);
  assert.equal(lengthBytes, 5000);
  assert.deepEqual(tokens, [{ token, dataOffsetBytes: 0, lengthBytes: 5000, role: "primary" }]);
  const shown = (await daemon.call("POST", "/api/v1/tokens/show", { token })).json as ShownTokensJson;
  assert.deepEqual([shown.state, shown.lengthBytes, shown.tokens.length], ["valid", 5000, 1]);
  const { dataOffsetBytes: _, role, ...info } = shown.tokens[0]!;
  assert.equal(role, "primary");
  assert.equal(Date.parse(info.expiresAt!) - Date.parse(info.createdAt), 60_000);
  assert.deepEqual(
    [info.source, info.policy, info.persistent, info.priority, info.inactivitySeconds, info.usedAt],
    ["v", "preserve", true, 7, 30, null],
  );
  const { json } = await daemon.call("GET", "/api/v1/tokens");
  assert.deepEqual(json, [info satisfies TokenJson]);
});

test("T13: usage and placement are told of a token as they were given, and others are refused", async () => {
  await using daemon = await served();
  const notes = { usage: "sequential", placement: "near the door" };
  const { token } = await made(daemon, notes);
  const shown = (await daemon.call("POST", "/api/v1/tokens/show", { token })).json as ShownTokensJson;
  const { usage, placement } = shown.tokens[0]!;
  assert.deepEqual({ usage, placement }, notes);
  const [listed] = (await daemon.call("GET", "/api/v1/tokens")).json as TokenJson[];
  assert.deepEqual({ usage: listed!.usage, placement: listed!.placement }, notes);
  for (const wrong of [
    { usage: "often" },
    { placement: "" },
    { placement: "x".repeat(65) },
    { placement: "é" },
  ])
    assert.deepEqual(await refusal(daemon, "/api/v1/tokens", { source: "v", ...wrong }), [
      400,
      "INVALID_ARGUMENT",
    ]);
});

test("a token gives the data as it was, whatever is written later, and is cut at its end", async () => {
  await using daemon = await served();
  const { token } = await made(daemon, { offsetBytes: 4096, lengthBytes: 3 * MIB });
  await write(daemon, 4096, 1);
  const all = await read(daemon, { token });
  assert.equal(all.length, 3 * MIB);
  assert.ok(all.subarray(0, 8192).every((byte) => byte === 9));
  assert.ok(all.subarray(8192).every((byte) => byte === 0));
  const some = await read(daemon, { token, offsetBytes: 8190, lengthBytes: 4 });
  assert.deepEqual([...some], [9, 9, 0, 0]);
  assert.equal((await read(daemon, { token, offsetBytes: 3 * MIB - 10, lengthBytes: 100 })).length, 10);
  assert.equal((await read(daemon, { token, offsetBytes: 4 * MIB })).length, 0);
});

test("a token write says how much was written and moves no data; tokens may be sent taken apart", async () => {
  await using daemon = await served();
  await daemon.control.volumes.create({ name: "w", sizeBytes: MIB });
  const { token, tokens } = await made(daemon, { lengthBytes: MIB });
  for (const given of [{ token }, { tokens }]) {
    const { status, json } = await daemon.call("POST", "/api/v1/tokens/write", { ...given, volume: "w" });
    assert.equal(status, 200, JSON.stringify(json));
    const { elapsedMs, ...written } = json as TokenWrittenJson;
    assert.deepEqual(written, { bytes: MIB, bytesMoved: 0 });
    assert.ok(elapsedMs > 0);
  }
  const { token: copy } = await made(daemon, { source: "w" });
  assert.ok((await read(daemon, { token })).equals(await read(daemon, { token: copy })));
  const parts = { token, volume: "w", tokenOffsetBytes: 4096, offsetBytes: 8192, lengthBytes: 4096 };
  const { json } = await daemon.call("POST", "/api/v1/tokens/write", parts);
  assert.equal((json as TokenWrittenJson).bytes, 4096);
});

test("several tokens in one structure are written and read one behind the other", async () => {
  await using daemon = await served();
  const first = await made(daemon, { offsetBytes: 4096, lengthBytes: 8192 });
  const second = await made(daemon, { offsetBytes: 0, lengthBytes: 4096 });
  const tokens = [...first.tokens, { ...second.tokens[0]!, dataOffsetBytes: 8192 }];
  const bytes = await read(daemon, { tokens, offsetBytes: 8000 });
  assert.equal(bytes.length, 4288);
  assert.ok(bytes.subarray(0, 192).every((byte) => byte === 9));
  assert.ok(bytes.subarray(192).every((byte) => byte === 0));
  const body = { tokens, volume: "v", offsetBytes: MIB };
  const { json } = await daemon.call("POST", "/api/v1/tokens/write", body);
  assert.equal((json as TokenWrittenJson).bytes, 12_288);
});

test("T2: pieces of one request have places of their own, and one that is left out goes on from the piece before", async () => {
  await using daemon = await served();
  const { token } = await made(daemon, { lengthBytes: MIB, deleteOnUse: true });
  const pieces = [
    { tokenOffsetBytes: 8192, offsetBytes: MIB, lengthBytes: 4096 },
    { lengthBytes: 4096 },
    { tokenOffsetBytes: 4096, lengthBytes: 4096 },
    { offsetBytes: 3 * MIB, lengthBytes: 512 },
  ];
  const { status, json } = await daemon.call("POST", "/api/v1/tokens/write", { token, volume: "v", pieces });
  assert.equal(status, 200, JSON.stringify(json));
  const { elapsedMs: _, ...written } = json as TokenWrittenJson;
  assert.deepEqual(
    [written.bytes, written.pieces],
    [
      12_800,
      [
        { tokenOffsetBytes: 8192, offsetBytes: MIB, bytes: 4096 },
        { tokenOffsetBytes: 12_288, offsetBytes: MIB + 4096, bytes: 4096 },
        { tokenOffsetBytes: 4096, offsetBytes: MIB + 8192, bytes: 4096 },
        { tokenOffsetBytes: 8192, offsetBytes: 3 * MIB, bytes: 512 },
      ],
    ],
  );
  const after = await read(daemon, { token: (await made(daemon)).token });
  const expected = Buffer.alloc(4 * MIB);
  for (const [at, length] of [
    [4096, 8192],
    [MIB, 4096],
    [MIB + 8192, 4096],
    [3 * MIB, 512],
  ] as const)
    expected.fill(9, at, at + length);
  assert.ok(after.equals(expected));
  // It lasted for all pieces, and no longer.
  const again = await refusal(daemon, "/api/v1/tokens/write", { token, volume: "v" });
  assert.deepEqual(again, [410, "TOKEN_DELETED"]);
});

test("T2: pieces that overlap, pass an end or stand beside the single fields are refused before anything is written", async () => {
  await using daemon = await served();
  const { token } = await made(daemon, { lengthBytes: MIB, deleteOnUse: true });
  const first = { tokenOffsetBytes: 4096, offsetBytes: MIB, lengthBytes: 4096 };
  for (const [more, status, code] of [
    [{ pieces: [first, { offsetBytes: 4 * MIB - 512, lengthBytes: 1024 }] }, 507, "NO_SPACE"],
    [{ pieces: [first, { offsetBytes: 4 * MIB }] }, 507, "NO_SPACE"],
    [{ pieces: [first, { offsetBytes: Number.MAX_SAFE_INTEGER }] }, 507, "NO_SPACE"],
    [{ pieces: [first, { offsetBytes: MIB + 3584, lengthBytes: 512 }] }, 400, "INVALID_RANGE"],
    [{ pieces: [first, { offsetBytes: MIB - 512, lengthBytes: 1024 }] }, 400, "INVALID_RANGE"],
    [{ pieces: [first, { tokenOffsetBytes: MIB }] }, 409, "TOKEN_CUT"],
    [{ pieces: [first, { lengthBytes: MIB }] }, 409, "TOKEN_CUT"],
    [{ pieces: [first], offsetBytes: 0 }, 400, "INVALID_ARGUMENT"],
    [{ pieces: [] }, 400, "INVALID_ARGUMENT"],
    [{ pieces: [{ ...first, volume: "v" }] }, 400, "INVALID_ARGUMENT"],
    [{ pieces: Array.from({ length: 1025 }, () => ({ lengthBytes: 512 })) }, 400, "INVALID_ARGUMENT"],
  ] as const)
    assert.deepEqual(
      await refusal(daemon, "/api/v1/tokens/write", { token, volume: "v", ...more }),
      [status, code],
      JSON.stringify(more).slice(0, 100),
    );
  const after = await read(daemon, { token: (await made(daemon)).token, offsetBytes: 2 * 8192 });
  assert.ok(after.every((byte) => byte === 0));
  const pieces = Array.from({ length: 1024 }, () => ({ lengthBytes: 512 }));
  const { json } = await daemon.call("POST", "/api/v1/tokens/write", { token, volume: "v", pieces });
  assert.equal((json as TokenWrittenJson).bytes, 1024 * 512);
});

test("T2: the first piece that fails ends the request and says how far it came; the rest can be asked for", async () => {
  await using daemon = await served();
  const [first, second] = [
    await made(daemon, { lengthBytes: 8192 }),
    await made(daemon, { lengthBytes: 8192 }),
  ];
  await daemon.call("POST", "/api/v1/tokens/revoke", { token: second.token });
  const tokens = [...first.tokens, { ...second.tokens[0]!, dataOffsetBytes: 8192 }];
  const pieces = [
    { offsetBytes: MIB, lengthBytes: 512 },
    { tokenOffsetBytes: 4096, offsetBytes: 2 * MIB, lengthBytes: 8192 },
    { tokenOffsetBytes: 0, offsetBytes: 3 * MIB, lengthBytes: 512 },
  ];
  const { status, json } = await daemon.call("POST", "/api/v1/tokens/write", { tokens, volume: "v", pieces });
  assert.equal(status, 410);
  assert.match(
    (json as { message: string }).message,
    / 4608 of 9216 bytes were written and stay\. Piece 2 of 3 came to 4096 of 8192 bytes\.$/,
  );
  const after = await read(daemon, { token: (await made(daemon)).token });
  assert.ok(after.subarray(2 * MIB, 2 * MIB + 4096).every((byte) => byte === 9));
  assert.ok(after.subarray(2 * MIB + 4096).every((byte) => byte === 0));
});

test("a token of one use is used up by one write, however long, and a revoked one says so", async () => {
  await using daemon = await served();
  const once = await made(daemon, { deleteOnUse: true });
  assert.deepEqual(
    (await daemon.call("POST", "/api/v1/tokens/write", { token: once.token, volume: "v" })).status,
    200,
  );
  const { token } = await made(daemon);
  assert.equal((await daemon.call("POST", "/api/v1/tokens/revoke", { token })).status, 204);
  for (const [given, code] of [
    [once.token, "TOKEN_DELETED"],
    [token, "TOKEN_REVOKED"],
  ]) {
    const answer = await refusal(daemon, "/api/v1/tokens/write", { token: given, volume: "v" });
    assert.deepEqual(answer, [410, code]);
    const { json } = await daemon.call("POST", "/api/v1/tokens/show", { token: given });
    assert.equal((json as ShownTokensJson).state, code!.slice("TOKEN_".length).toLowerCase());
  }
});

test("what is no token of ours is TOKEN_UNKNOWN, and what is no token at all INVALID_ARGUMENT", async () => {
  await using daemon = await served();
  const { token } = await made(daemon);
  const forged = Buffer.from(token, "base64");
  forged[300]! ^= 1;
  for (const path of ["show", "read", "revoke"]) {
    const answer = await refusal(daemon, `/api/v1/tokens/${path}`, { token: forged.toString("base64") });
    assert.deepEqual(answer, [404, "TOKEN_UNKNOWN"], path);
    for (const body of [
      {},
      { token, tokens: [] },
      { token: "" },
      { token: "AAAA" },
      { token: `${token} ` },
      { token: token.replace(/=*$/, "") },
      { tokens: [{ token: "AAAA", dataOffsetBytes: 0, lengthBytes: 1, role: "primary" }] },
      { tokens: [{ token, dataOffsetBytes: 0, lengthBytes: 1, role: "other" }] },
    ])
      assert.deepEqual(
        await refusal(daemon, `/api/v1/tokens/${path}`, body),
        [400, "INVALID_ARGUMENT"],
        JSON.stringify(body).slice(0, 40),
      );
  }
  const huge = { token: "A".repeat(600_000) };
  assert.deepEqual(await refusal(daemon, "/api/v1/tokens/show", huge), [413, "TOO_LARGE"]);
  assert.deepEqual(daemon.defects, []);
});

test("what cannot be made or written is refused with its code", async () => {
  await using daemon = await served();
  const { token } = await made(daemon, { lengthBytes: 4096 });
  for (const [path, body, status, code] of [
    ["", { source: "none" }, 404, "VOLUME_NOT_FOUND"],
    ["", { source: "v@none" }, 404, "SNAPSHOT_NOT_FOUND"],
    ["", { source: "../v" }, 400, "INVALID_NAME"],
    ["", { source: "v", offsetBytes: 4 * MIB }, 400, "INVALID_RANGE"],
    ["", { source: "v", lengthBytes: 5 * MIB }, 400, "INVALID_RANGE"],
    ["", { source: "v", offsetBytes: -1 }, 400, "INVALID_RANGE"],
    ["", { source: "v", policy: "keep" }, 400, "INVALID_ARGUMENT"],
    ["", { source: "v", ttlSeconds: 0 }, 400, "INVALID_ARGUMENT"],
    ["", { source: "v", provider: "pool", skip: 0 }, 400, "INVALID_ARGUMENT"],
    ["", { source: "v", policy: "reference", secondary: "checksum" }, 501, "TOKEN_UNSUPPORTED"],
    ["/write", { token, volume: "v", lengthBytes: 8192 }, 409, "TOKEN_CUT"],
    ["/write", { token, volume: "v", tokenOffsetBytes: 4096 }, 409, "TOKEN_CUT"],
    ["/write", { token, volume: "v@s" }, 400, "INVALID_NAME"],
    ["/write", { token, volume: "none" }, 404, "VOLUME_NOT_FOUND"],
    ["/write", { token, volume: "v", offsetBytes: 4 * MIB - 512 }, 507, "NO_SPACE"],
  ] as const)
    assert.deepEqual(
      await refusal(daemon, `/api/v1/tokens${path}`, body),
      [status, code],
      JSON.stringify(body),
    );
});

test("T23: a hash token is asked for over the API; nothing is stored for it, and a changed block is noticed", async () => {
  await using daemon = await served();
  await daemon.control.volumes.create({ name: "w", sizeBytes: 4 * MIB });
  const { token, lengthBytes } = await made(daemon, { kind: "hash" });
  assert.deepEqual([Buffer.from(token, "base64").length, lengthBytes], [512, 4 * MIB]);
  assert.deepEqual((await daemon.call("GET", "/api/v1/tokens")).json, []);
  assert.deepEqual(daemon.pool.pins(), []);
  const { json } = await daemon.call("POST", "/api/v1/tokens/show", { token });
  const [shown] = (json as ShownTokensJson).tokens;
  assert.deepEqual([shown!.kind, shown!.policy, shown!.source], ["hash", "invalidate", "v"]);
  const written = await daemon.call("POST", "/api/v1/tokens/write", { token, volume: "w" });
  assert.deepEqual((written.json as TokenWrittenJson).bytes, 4 * MIB);
  assert.ok(
    (await read(daemon, { token, offsetBytes: 4096, lengthBytes: 8192 })).every((byte) => byte === 9),
  );
  await write(daemon, 4096, 1);
  const again = { token, volume: "w" };
  // The destination has it.
  assert.equal((await daemon.call("POST", "/api/v1/tokens/write", again)).status, 200);
  await daemon.call("POST", "/api/v1/volumes/w/zero", {});
  assert.deepEqual(await refusal(daemon, "/api/v1/tokens/write", again), [410, "TOKEN_CANCELLED"]);
  for (const wish of [{ policy: "preserve" }, { deleteOnUse: true }, { secondary: "checksum" }]) {
    const body = { source: "v", kind: "hash", ...wish };
    assert.deepEqual(await refusal(daemon, "/api/v1/tokens", body), [501, "TOKEN_UNSUPPORTED"]);
  }
  const other = { source: "v", kind: "other" };
  assert.deepEqual(await refusal(daemon, "/api/v1/tokens", other), [400, "INVALID_ARGUMENT"]);
});

test("loopback and TLS are protected channels, and nothing else is", () => {
  const isProtected = (remoteAddress?: string, encrypted?: boolean) =>
    channelOf({ raw: { socket: { remoteAddress, encrypted } } } as unknown as FastifyRequest).isProtected;
  for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
    assert.ok(isProtected(address));
  for (const address of ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", undefined]) {
    assert.ok(!isProtected(address));
    assert.ok(isProtected(address, true));
  }
});

test("T10: a token whose file is lost is revoked by the id that the list shows", async () => {
  await using daemon = await served();
  const { token } = await made(daemon, { persistent: true });
  await made(daemon);
  const [first] = (await daemon.call("GET", "/api/v1/tokens")).json as TokenJson[];
  const path = "/api/v1/tokens/revoke";
  const { json } = await daemon.call("POST", "/api/v1/tokens/show", { token });
  const { id } = (json as ShownTokensJson).tokens[0]!;
  assert.equal(first!.id, id);
  assert.equal((await daemon.call("POST", path, { id, strength: "hint" })).status, 204);
  assert.equal((await daemon.call("POST", path, { id })).status, 204);
  assert.equal((await daemon.call("POST", path, { id })).status, 204);
  assert.equal(((await daemon.call("GET", "/api/v1/tokens")).json as TokenJson[]).length, 1);
  assert.equal(daemon.pool.pins().length, 1);
  assert.deepEqual(await refusal(daemon, "/api/v1/tokens/read", { token }), [410, "TOKEN_REVOKED"]);
  for (const [body, status, code] of [
    [{ id: "0123456789abcdef" }, 404, "NOT_FOUND"],
    [{ id: "0123" }, 400, "INVALID_ARGUMENT"],
    [{ id: id.toUpperCase().replace(/^./, "A") }, 400, "INVALID_ARGUMENT"],
    [{ id, token }, 400, "INVALID_ARGUMENT"],
    [{}, 400, "INVALID_ARGUMENT"],
  ] as const)
    assert.deepEqual(await refusal(daemon, path, body), [status, code], JSON.stringify(body));
});

test("T17: over the API a provider is chosen by a policy, named, or skipped to, and only one of these", async () => {
  await using daemon = await served();
  for (const choose of ["first", "last", "random", "least-loaded", "most-efficient", "lowest-latency"]) {
    const { token } = await made(daemon, { choose });
    const { json } = await daemon.call("POST", "/api/v1/tokens/show", { token });
    assert.equal((json as ShownTokensJson).tokens[0]!.provider, "pool");
  }
  for (const wish of [{ choose: "last", skip: 0 }, { choose: "last", provider: "pool" }, { choose: "any" }])
    assert.deepEqual(await refusal(daemon, "/api/v1/tokens", { source: "v", ...wish }), [
      400,
      "INVALID_ARGUMENT",
    ]);
});

test("T11: every reason for which tokens are given up is counted in the metrics", async () => {
  await using daemon = await served();
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  const reasons = [...text.matchAll(/^ropewalk_tokens_ended_total\{reason="(\w+)"\} 0$/gm)].map(
    ([, reason]) => reason,
  );
  for (const reason of [
    "count",
    "memory",
    "held",
    "pins",
    "preserved",
    "overhead",
    "cost",
    "latency",
    "provider",
  ])
    assert.ok(reasons.includes(reason), reason);
});
