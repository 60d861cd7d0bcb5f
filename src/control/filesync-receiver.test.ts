import assert from "node:assert/strict";
import { test } from "node:test";
import { RopewalkError } from "../base/errors.ts";
import { TargetRoots } from "../filesync/mod.ts";
import { hostClock, hostRandom } from "../host/mod.ts";
import type { ByteStream, Peer, StreamReceiver, TlsIdentity } from "../ports/mod.ts";
import { FilesyncReceiver } from "./filesync-receiver.ts";
import { securedReceiver } from "./secured-receiver.ts";

const peer: Peer = { kind: "tcp", loopback: true, description: "127.0.0.1:1" };

function receiver(connectionsMax?: number): FilesyncReceiver {
  const roots = new TargetRoots({
    open: () => Promise.reject(new RopewalkError("NOT_FOUND", "nothing is opened here")),
    canonical: (path) => Promise.resolve(path),
    random: hostRandom,
  });
  return new FilesyncReceiver({ roots, find: () => undefined, clock: hostClock, connectionsMax });
}

test("one connection more than the limit is refused, until one has ended", async () => {
  const server = receiver(2);
  const [first, second] = [server.accept(peer)!, server.accept(peer)!];
  assert.ok(second);
  assert.equal(server.accept(peer), undefined);
  first.closed(undefined);
  // It ends when nothing of it is under way, which is later.
  while (server.connections === 2) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(server.accept(peer));
  await server.close();
  assert.equal(server.connections, 0);
  assert.equal(server.accept(peer), undefined, "after its close nobody comes in");
});

/** A receiver that notes what it hears, and a stream that notes what is asked of it. */
function recorded(loopback: boolean): { heard: string[]; stream: ByteStream; receiver: StreamReceiver } {
  const heard: string[] = [];
  const note = (what: string) => () => void heard.push(what);
  const memory = new Uint8Array(8);
  return {
    heard,
    stream: {
      peer: { ...peer, loopback },
      write: () => true,
      pause: note("pause"),
      resume: note("resume"),
      startTls: note("startTls"),
      end: note("end"),
      destroy: note("destroy"),
    },
    receiver: {
      opened: note("opened"),
      target: () => memory,
      received: (length) => void heard.push(`received ${length}`),
      drained: note("drained"),
      secured: note("secured"),
      ended: note("ended"),
      closed: note("closed"),
    },
  };
}

test("who comes from another machine is heard only when TLS stands, who never left this one at once", () => {
  const identity = {} as TlsIdentity;
  const far = recorded(false);
  const guarded = securedReceiver(far.receiver, identity);
  guarded.target();
  guarded.opened(far.stream);
  guarded.received(5);
  assert.deepEqual(far.heard, ["startTls"]);
  guarded.secured();
  guarded.received(6);
  guarded.ended();
  guarded.closed(undefined);
  assert.deepEqual(far.heard, ["startTls", "opened", "received 6", "ended", "closed"]);

  const near = recorded(true);
  const open = securedReceiver(near.receiver, identity);
  open.opened(near.stream);
  open.received(5);
  assert.deepEqual(near.heard, ["opened", "received 5"]);
});

test("who ends before TLS stands is cut off", () => {
  const far = recorded(false);
  const guarded = securedReceiver(far.receiver, {} as TlsIdentity);
  guarded.opened(far.stream);
  guarded.ended();
  assert.deepEqual(far.heard, ["startTls", "destroy"]);
});
