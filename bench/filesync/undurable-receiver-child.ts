// The process of the target that does not wait until data is on the disk.
import { realpath } from "node:fs/promises";
import { TargetConnectionServer, TargetRoots } from "../../src/filesync/mod.ts";
import { hostClock, hostRandom, openTargetTree, SocketNetwork } from "../../src/host/mod.ts";
import { answerParent } from "./child-script.ts";
import type { Destination } from "./replica-daemon.ts";
import type { UndurableQuestion } from "./undurable-receiver.ts";

const KEY_BYTES = 32;
const NAME = "undurable";

async function receive({ root }: UndurableQuestion): Promise<Destination> {
  const key = hostRandom.bytes(KEY_BYTES);
  const roots = new TargetRoots({
    random: hostRandom,
    canonical: (path) => realpath(path),
    open: async (path, { deletes }) => {
      const tree = await openTargetTree(path, { deletes, durability: "none" });
      return { tree, abilities: tree.abilities };
    },
  });
  const listener = await new SocketNetwork().listen({ kind: "tcp", host: "127.0.0.1", port: 0 }, () => {
    const gone = Promise.withResolvers<void>();
    const end = () => {
      server.close();
      return gone.promise;
    };
    const server = new TargetConnectionServer({
      clock: hostClock,
      admission: roots.admission({ find: () => ({ path: root, key }), end }),
      ended: () => gone.resolve(),
    });
    return server.receiver;
  });
  if (listener.address.kind !== "tcp") throw new Error("it listens on no port");
  return { port: listener.address.port, name: NAME, key: Buffer.from(key).toString("hex") };
}

answerParent(receive);
