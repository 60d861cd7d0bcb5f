/**
 * Byte streams, accepted and dialed, as a port: TCP and Unix sockets in the daemon, pairs in memory in tests.
 *
 * Always holds: the receiver owns the memory that bytes arrive in (`target`), so nothing is copied on the way;
 * of a stream at most one batch of parts is queued, the next `write` waits for `drained`. Callbacks come one
 * at a time, never from inside a call of the stream.
 */

export type StreamAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Who is at the other end. */
export interface Peer {
  /** `process`: the standard input and output of a program, which may speak for somebody far away. */
  readonly kind: "tcp" | "unix" | "process";
  /** Nobody outside this machine can be at the other end. */
  readonly loopback: boolean;
  /** For logs: `127.0.0.1:40312`, `unix`, `ssh://HOST`. */
  readonly description: string;
  /** The numeric address, without a port, that it came to; of TCP only, and undefined while that is not known. */
  readonly localAddress?: string | undefined;
}

declare const tlsIdentityBrand: unique symbol;

/** What a server shows or asks of who speaks TLS with it, checked when it was made; opaque outside the host. */
export interface TlsIdentity {
  readonly [tlsIdentityBrand]: true;
}

export interface TlsFiles {
  /** PEM texts. */
  readonly certificate: string;
  readonly key: string;
  /** With it, clients must show a certificate that this authority signed. */
  readonly clientAuthority?: string;
}

/** A key that two ends share, and the name by which the accepting end finds it. */
export interface PairSecret {
  /** 1 to 128 bytes of UTF-8 without NUL (RFC 4279); it crosses the network in the clear. */
  readonly identity: string;
  /** 32 random bytes. */
  readonly key: Uint8Array;
}

export interface ConnectOptions {
  /** For all of it: finding the name, connecting, and TLS. */
  readonly timeoutMs: number;
  /** With it the stream is TLS, and both ends have proved that they know the key. */
  readonly secret?: PairSecret | undefined;
}

export interface ByteStream {
  readonly peer: Peer;

  /**
   * Sends the parts one behind the other. True: all are with the kernel and the memory is the caller's again.
   * False: some are queued, the memory is taken until `drained`; no further `write` before that.
   */
  write(parts: readonly Uint8Array[]): boolean;

  /** No more bytes are delivered until `resume`. Both may be called again without effect. */
  pause(): void;
  resume(): void;

  /**
   * Speaks TLS from here on, as the server; of accepted streams only. Bytes that came before are the receiver's to
   * throw away. UNAUTHORIZED, PROTOCOL_ERROR, TIMEOUT of `closed`: the handshake with a shared key failed.
   */
  startTls(identity: TlsIdentity): void;

  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once; what is queued is lost. */
  destroy(): void;
}

export interface StreamReceiver {
  /** The stream is ready; called once, before everything else except `target`. */
  opened(stream: ByteStream): void;
  /** Memory for the next bytes, at least one long. It stays the stream's until `received` or `closed`. */
  target(): Uint8Array;
  /** `length` bytes stand at the beginning of what `target` gave last. */
  received(length: number): void;
  /** All that was queued is with the kernel. */
  drained(): void;
  /** The TLS handshake that `startTls` began is complete. */
  secured(): void;
  /** The peer sends nothing more; it may still read. */
  ended(): void;
  /** The stream is gone; called once, the last call. */
  closed(error: Error | undefined): void;
}

export interface Listener {
  /** Where it listens; a port 0 is replaced by the real one. */
  readonly address: StreamAddress;
  /** Accepts no more; streams that exist stay. */
  close(): Promise<void>;
}

/** Called for each new stream; undefined refuses it. */
export type StreamAcceptor = (peer: Peer) => StreamReceiver | undefined;

export interface Network {
  /** ADDRESS_IN_USE when the address is taken or not available. A Unix socket that nobody serves is replaced. */
  listen(address: StreamAddress, accept: StreamAcceptor): Promise<Listener>;
  /**
   * Dials out. The receiver hears `opened` when the stream is ready, or else only `closed`, with a clause that says
   * why: UNREACHABLE, TIMEOUT; UNAUTHORIZED when the secret is not the right one, PROTOCOL_ERROR when the other end
   * does not speak TLS; INVALID_ARGUMENT for an address or secret that cannot be.
   */
  connect(address: StreamAddress, receiver: StreamReceiver, options: ConnectOptions): void;
  /** INVALID_CONFIG when certificate, key and authority are not valid or do not belong together. */
  tlsIdentity(files: TlsFiles): TlsIdentity;
  /** For `startTls` with who dialed with a PairSecret; `keyOf` gives the 32 bytes of an identity that is known. */
  pskIdentity(keyOf: (identity: string) => Uint8Array | undefined): TlsIdentity;
}
