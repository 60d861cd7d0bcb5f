/**
 * This process's standard input and output as a ByteStream: the other end of `ssh-stream.ts`, run by sshd.
 *
 * Always holds: both are read and written without ever blocking the loop; nobody else writes to standard output from
 * here on. May fail: INVALID_ARGUMENT when they are files or a terminal.
 */
import { Socket } from "node:net";
import { RopewalkError } from "../base/errors.ts";
import type { StreamReceiver } from "../ports/mod.ts";
import { ChildStream } from "./child-stream.ts";

const STANDARD_INPUT = 0;
const STANDARD_OUTPUT = 1;

export function stdioStream(receiver: StreamReceiver): void {
  let input: Socket;
  let output: Socket;
  try {
    input = new Socket({ fd: STANDARD_INPUT, readable: true, writable: false });
    output = new Socket({ fd: STANDARD_OUTPUT, readable: false, writable: true });
  } catch (cause) {
    const sentence = "standard input and output must be pipes or sockets, as sshd makes them";
    setImmediate(() => receiver.closed(new RopewalkError("INVALID_ARGUMENT", sentence, { cause })));
    return;
  }
  setImmediate(() => {
    const cut = () => {
      input.destroy();
      output.destroy();
    };
    const peer = { kind: "process", loopback: false, description: "standard input and output" } as const;
    const stream = new ChildStream({ peer, input, output, cut }, receiver);
    let failure: Error | undefined;
    for (const end of [input, output]) {
      end.on("error", (error) => {
        failure ??= error;
        cut();
      });
      end.on("close", () => {
        if (input.closed && output.closed) stream.over(failure);
      });
    }
  });
}
