/**
 * TLS between two ends that share a key, and no certificates.
 *
 * Always holds: TLS 1.2 with one suite that has forward secrecy and none that takes a certificate, so whoever finishes
 * the handshake knows the key (RFC 4279, RFC 7905); no session is resumed, so a key that is no longer known opens
 * nothing. The suite is ECDHE_PSK with ChaCha20-Poly1305: OpenSSL has no AES-GCM with ECDHE_PSK, and its DHE_PSK costs
 * a server, before it knows whom it talks to, much more time per handshake.
 */
import { constants } from "node:crypto";
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { RopewalkError } from "../base/errors.ts";
import type { PairSecret, TlsIdentity } from "../ports/mod.ts";
import type { TlsSettings } from "./tls-identity.ts";

const SUITES = "ECDHE-PSK-CHACHA20-POLY1305";
const KEY_BYTES = 32;
const IDENTITY_BYTES_MAX = 128;

/** What OpenSSL calls a key that is not the same at both ends: at the end that notices, and at the one that is told. */
const OTHER_KEY = [
  "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  "ERR_SSL_DIGEST_CHECK_FAILED",
  "ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC",
  "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
  "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
];
const UNKNOWN_IDENTITY = ["ERR_SSL_PSK_IDENTITY_NOT_FOUND", "ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY"];
/** The other end went away, in the words of Node or of the kernel. */
const LEFT = ["ECONNRESET", "EPIPE"];

let sharedContext: SecureContext | undefined;

function pskContext(): SecureContext {
  sharedContext ??= createSecureContext({
    ciphers: SUITES,
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.2",
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  });
  return sharedContext;
}

/** INVALID_ARGUMENT for a secret that no handshake could take. */
export function checkSecret({ identity, key }: PairSecret): void {
  const length = Buffer.byteLength(identity);
  if (length === 0 || length > IDENTITY_BYTES_MAX || identity.includes("\0"))
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `the identity of a shared key is 1 to ${IDENTITY_BYTES_MAX} bytes long`,
    );
  if (key.length !== KEY_BYTES)
    throw new RopewalkError("INVALID_ARGUMENT", `a shared key is ${KEY_BYTES} bytes long, not ${key.length}`);
}

/** For `tls.connect`. */
export function dialerSettings(secret: PairSecret): {
  readonly secureContext: SecureContext;
  readonly pskCallback: () => { readonly identity: string; readonly psk: Buffer<ArrayBuffer> };
  readonly checkServerIdentity: () => undefined;
} {
  return {
    secureContext: pskContext(),
    pskCallback: () => ({ identity: secret.identity, psk: Buffer.from(secret.key) }),
    checkServerIdentity: () => undefined,
  };
}

/** The accepting end's. */
export function makePskIdentity(
  keyOf: (identity: string) => Uint8Array | undefined,
  handshakeTimeoutMs: number,
): TlsIdentity {
  const named = new WeakMap<TLSSocket, string>();
  const failures = new WeakMap<TLSSocket, Error>();
  const settings: TlsSettings = {
    secureContext: pskContext(),
    requestCert: false,
    rejectUnauthorized: false,
    // Node calls this out of OpenSSL, where nothing may be thrown.
    pskCallback: (socket, identity) => {
      named.set(socket, identity);
      try {
        const key = keyOf(identity);
        if (key !== undefined) checkSecret({ identity, key });
        return key;
      } catch (error) {
        failures.set(socket, error as Error);
        return undefined;
      }
    },
    handshake: {
      timeoutMs: handshakeTimeoutMs,
      explain: (socket, error) =>
        failures.get(socket) ?? handshakeFailure(error, { identity: named.get(socket), peer: "the peer" }),
    },
  };
  return settings as unknown as TlsIdentity;
}

/**
 * Why a handshake failed, in a clause. `error` is what the socket said, undefined when it only closed; `identity` is
 * the dialer's, as far as it is known.
 */
export function handshakeFailure(
  error: Error | undefined,
  { identity, peer }: { readonly identity: string | undefined; readonly peer: string },
): RopewalkError {
  if (error instanceof RopewalkError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
  const name = JSON.stringify(identity ?? "");
  if (UNKNOWN_IDENTITY.includes(code))
    return new RopewalkError("UNAUTHORIZED", `${peer}: the identity ${name} of the shared key is not known`, {
      cause: error,
    });
  if (OTHER_KEY.includes(code))
    return new RopewalkError(
      "UNAUTHORIZED",
      `${peer}: the key of the identity ${name} is not the same at both ends`,
      { cause: error },
    );
  if (error === undefined || LEFT.includes(code))
    return new RopewalkError("UNREACHABLE", `${peer} closed the connection during the TLS handshake`, {
      cause: error,
    });
  return new RopewalkError("PROTOCOL_ERROR", `${peer} does not speak TLS with a shared key`, {
    cause: error,
  });
}
