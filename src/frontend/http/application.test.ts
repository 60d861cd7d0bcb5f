import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { serveControl } from "../../../test/support/served-control.ts";
import { ERROR_CATALOGUE, type ErrorCode, RopewalkError } from "../../base/errors.ts";
import { hostClock } from "../../host/mod.ts";
import { BearerKey, HTTP_LIMITS_DEFAULT, HttpServer } from "./mod.ts";

test("every path but /healthz and /metrics wants the key, also ones that do not exist", async () => {
  await using daemon = await serveControl();
  for (const path of ["/api/v1/volumes", "/api/v1/status", "/api/openapi.json", "/none", "/"]) {
    for (const authorization of [
      undefined,
      "",
      "Bearer",
      "Bearer wrong",
      `Basic ${daemon.key}`,
      daemon.key,
    ]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await fetch(daemon.url + path, { headers });
      assert.equal(response.status, 401, `${path} ${authorization}`);
      assert.equal(((await response.json()) as { code: string }).code, "UNAUTHORIZED");
      assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
  }
  for (const path of ["/healthz", "/metrics"]) assert.equal((await fetch(daemon.url + path)).status, 200);
});

test("unknown routes, malformed bodies, unknown fields and wrong types are refused with a code", async () => {
  await using daemon = await serveControl();
  const cases: [string, string, unknown, ErrorCode][] = [
    ["GET", "/api/v1/none", undefined, "NOT_FOUND"],
    ["PUT", "/api/v1/volumes", undefined, "NOT_FOUND"],
    ["GET", "/api/v1/volumes?x=1", undefined, "INVALID_ARGUMENT"],
    ["GET", "/%zz", undefined, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", undefined, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", "", "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", "{", "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", "null", "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", "[]", "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", { name: "v" }, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", { name: 5, sizeBytes: 512 }, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", { name: "v", sizeBytes: "512" }, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", { name: "v", sizeBytes: 512, x: 1 }, "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes", '{"name":"v","sizeBytes":512,"__proto__":{}}', "INVALID_ARGUMENT"],
    ["POST", "/api/v1/volumes/v/detach", { x: 1 }, "INVALID_ARGUMENT"],
    ["GET", "/api/v1/volumes/v/diff", undefined, "INVALID_ARGUMENT"],
    ["GET", "/api/v1/volumes/v/diff?from=s&from=t", undefined, "INVALID_ARGUMENT"],
    ["GET", "/api/v1/volumes/v/diff?from=S", undefined, "INVALID_NAME"],
    ["GET", "/api/v1/volumes/v/diff?from=s&offsetBytes=-1", undefined, "INVALID_RANGE"],
    ["GET", "/api/v1/scrub?waitSeconds=1e9", undefined, "INVALID_ARGUMENT"],
    ["PATCH", "/api/v1/pool", { sizeBytes: 0 }, "INVALID_SIZE"],
    ["PATCH", "/api/v1/pool", { collectAboveRatio: 0 }, "INVALID_ARGUMENT"],
  ];
  for (const [method, path, body, code] of cases) {
    const { status, json } = await daemon.call(method, path, body);
    assert.equal((json as { code: string }).code, code, `${method} ${path} ${JSON.stringify(body)}`);
    assert.equal(status, ERROR_CATALOGUE[code].http);
  }
});

test("bodies that are too large or of another type are refused", async () => {
  await using daemon = await serveControl({ bodyBytesMax: 1000 });
  const large = await daemon.call("POST", "/api/v1/volumes", `"${"x".repeat(1000)}"`);
  assert.deepEqual([large.status, (large.json as { code: string }).code], [413, "TOO_LARGE"]);
  const form = await fetch(`${daemon.url}/api/v1/volumes`, {
    method: "POST",
    headers: { authorization: `Bearer ${daemon.key}` },
    body: new URLSearchParams({ name: "v" }),
  });
  assert.deepEqual([form.status, ((await form.json()) as { code: string }).code], [400, "INVALID_ARGUMENT"]);
});

test("a defect is answered without its details, which go to the log", async () => {
  await using daemon = await serveControl();
  daemon.pool.status = () => {
    throw new Error("secret detail");
  };
  const { status, json } = await daemon.call("GET", "/api/v1/status");
  assert.equal(status, 500);
  assert.equal((json as { code: string }).code, "INTERNAL");
  assert.doesNotMatch(JSON.stringify(json), /secret/);
  assert.equal(daemon.defects.length, 1);
});

test("any JSON sent to any route is answered with a success or a catalogued error", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: 2 ** 20 });
  const part = fc.oneof(fc.constantFrom("v", "s", "volumes", "snapshots", "clone", "resize"), fc.string());
  const body = fc.oneof(
    fc.json(),
    fc.record({
      name: fc.oneof(fc.string(), fc.constant("w")),
      sizeBytes: fc.oneof(fc.double(), fc.integer()),
    }),
  );
  const request = fc.record({
    method: fc.constantFrom("GET", "POST", "DELETE", "PATCH", "OPTIONS"),
    parts: fc.array(part, { maxLength: 4 }),
    query: fc.string(),
    body: fc.oneof(fc.constant(undefined), body),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ method, parts, query, body }) => {
      const path = `/api/v1/${parts.map(encodeAny).join("/")}?${encodeAny(query)}`;
      const { status, json } = await daemon.call(method, path, method === "GET" ? undefined : body);
      if (status < 300) return;
      const { code, message, ...rest } = json as { code: ErrorCode; message: string };
      assert.equal(ERROR_CATALOGUE[code].http, status);
      assert.ok(message.length > 0 && message.length < 1000);
      assert.deepEqual(rest, {});
    }),
    { numRuns: 300 },
  );
  assert.deepEqual(daemon.defects, []);
  assert.equal((await daemon.call("GET", "/api/v1/volumes/v")).status, 200);
});

test("any bytes on a connection are answered or dropped, and the next request is served", async () => {
  await using daemon = await serveControl();
  const { port, hostname } = new URL(daemon.url);
  const start = fc.constantFrom(
    "",
    "GET / HTTP/1.1\r\n",
    "POST /api/v1/volumes HTTP/1.1\r\nContent-Length: 5\r\n",
  );
  await fc.assert(
    fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), async (head, bytes) => {
      const socket = connect({ port: Number(port), host: hostname });
      socket.on("error", () => {});
      socket.resume();
      socket.end(Buffer.concat([Buffer.from(head, "latin1"), bytes]));
      await once(socket, "close");
    }),
    { numRuns: 100 },
  );
  assert.equal((await fetch(`${daemon.url}/healthz`)).status, 200);
});

test("headers that are too large are TOO_LARGE, what is no HTTP is PROTOCOL_ERROR", async () => {
  await using daemon = await serveControl({ headerBytesMax: 2000 });
  const overflow = await talk(daemon.url, `GET / HTTP/1.1\r\nX: ${"x".repeat(4000)}\r\n\r\n`);
  assert.match(overflow, /^HTTP\/1\.1 413 .*"code":"TOO_LARGE"/s);
  assert.match(await talk(daemon.url, "HELLO\r\n\r\n"), /^HTTP\/1\.1 400 .*"code":"PROTOCOL_ERROR"/s);
});

test("a request that does not arrive in time is answered with TIMEOUT and closed", async () => {
  await using daemon = await serveControl({ requestTimeoutMs: 200 });
  assert.match(await talk(daemon.url, "GET / HTTP/1.1\r\nHost:"), /^HTTP\/1\.1 504 .*"code":"TIMEOUT"/s);
});

test("connections beyond the limit are closed at once", async () => {
  await using daemon = await serveControl({ connectionsMax: 2 });
  const { port, hostname } = new URL(daemon.url);
  const open = () => connect({ port: Number(port), host: hostname });
  const kept = [open(), open()];
  await Promise.all(kept.map((socket) => once(socket, "connect")));
  const refused = open().on("error", () => {});
  await once(refused, "close");
  for (const socket of kept) socket.destroy();
});

test("the OpenAPI document is served to who has the key", async () => {
  await using daemon = await serveControl();
  const { json } = await daemon.call("GET", "/api/openapi.json");
  const { openapi, paths } = json as { openapi: string; paths: Record<string, unknown> };
  assert.equal(openapi, "3.1.0");
  assert.ok(paths["/api/v1/volumes/{volume}/clone"]);
});

test("requests that come before the pool is open wait for it, and are refused when it does not open", async () => {
  const opening = Promise.withResolvers<never>();
  opening.promise.catch(() => {});
  const server = new HttpServer({
    control: opening.promise,
    key: new BearerKey("a key that nobody needs"),
    version: "1",
    log: { debug() {}, info() {}, error() {} },
    connections: () => ({}),
    limits: HTTP_LIMITS_DEFAULT,
    clock: hostClock,
  });
  const [address] = await server.listen({ host: "127.0.0.1", port: 0 });
  const waiting = fetch(`http://${address}/healthz`);
  const first = await Promise.race([
    waiting,
    new Promise((resolve) => setTimeout(resolve, 100, "still waiting")),
  ]);
  assert.equal(first, "still waiting");
  opening.reject(new RopewalkError("SHUTTING_DOWN", "The pool did not open."));
  const answer = await waiting;
  assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [503, "SHUTTING_DOWN"]);
  await server.close(0);
});

/** Sends raw text and returns all that comes back until the server closes. */
async function talk(url: string, text: string): Promise<string> {
  const { port, hostname } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname });
  socket.on("error", () => {});
  let answer = "";
  socket.on("data", (data) => (answer += data.toString("latin1")));
  socket.write(text);
  await once(socket, "close");
  return answer;
}

/** Percent-encodes also what is no Unicode text. */
function encodeAny(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
