/** Ways to a target: in this process, or over a byte stream that somebody opens. */
import { RopewalkError } from "../../base/errors.ts";
import type { Random, StreamReceiver } from "../../ports/mod.ts";
import type { Admission } from "../target/target-session.ts";
import { TargetSession } from "../target/target-session.ts";
import type { Connector } from "../threads/connection.ts";
import { FrameExchange } from "./frame-exchange.ts";
import { LocalExchange } from "./local-exchange.ts";
import { TargetLink } from "./target-link.ts";

export interface ConnectorParts {
  readonly random: Random;
  readonly connections: number;
  /** For people at the target. */
  readonly sourceHost: string;
  readonly sourceDirectory: string;
}

/** A root of this process. `end`: a newer connection takes this one's place. */
export function localConnector(
  admission: (end: () => Promise<void>) => Admission,
  parts: ConnectorParts,
): Connector {
  return {
    async connect() {
      const end = async () => {
        exchange.abandon(new RopewalkError("UNREACHABLE", "A newer connection took the place of this one."));
        await exchange.closed;
      };
      const exchange = new LocalExchange(new TargetSession(admission(end)));
      return new TargetLink({ ...parts, exchange, key: undefined });
    },
  };
}

/** `dial` opens a stream and gives it to the receiver; `to` is for sentences of errors. */
export function streamConnector(
  way: {
    readonly to: string;
    readonly key: Uint8Array | undefined;
    readonly dial: (receiver: StreamReceiver) => void;
  },
  parts: ConnectorParts,
): Connector {
  return {
    async connect() {
      const exchange = new FrameExchange(way.to);
      way.dial(exchange.receiver);
      await exchange.ready;
      return new TargetLink({ ...parts, exchange, key: way.key });
    },
  };
}
