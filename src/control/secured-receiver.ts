/**
 * A receiver that hears of its stream when TLS with the key of the pair stands; at once of one that never leaves this
 * machine. Always holds: nothing that came before reaches it.
 */
import type { ByteStream, StreamReceiver, TlsIdentity } from "../ports/mod.ts";

export function securedReceiver(receiver: StreamReceiver, identity: TlsIdentity): StreamReceiver {
  let stream: ByteStream | undefined;
  let isOpen = false;
  const open = (): void => {
    isOpen = true;
    receiver.opened(stream!);
  };
  return {
    opened(given) {
      stream = given;
      if (given.peer.loopback) open();
      else given.startTls(identity);
    },
    // Asked before anything is known of the stream; what comes into it before TLS stands is not told.
    target: () => receiver.target(),
    received(length) {
      if (isOpen) receiver.received(length);
    },
    drained() {
      if (isOpen) receiver.drained();
    },
    secured: open,
    ended() {
      if (isOpen) receiver.ended();
      else stream?.destroy();
    },
    closed: (error) => receiver.closed(error),
  };
}
