/**
 * What a stream speaks TLS with as the server, and certificates for it (shared keys: `pair-secret.ts`). Always holds: TLS 1.2 at least; with a client authority a client without
 * a certificate of its is turned away.
 */
import { createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { RopewalkError } from "../base/errors.ts";
import type { TlsFiles, TlsIdentity } from "../ports/mod.ts";

export interface TlsSettings {
  readonly secureContext: SecureContext;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  /** The key of the identity that the client gives; undefined ends the handshake. */
  readonly pskCallback?: (socket: TLSSocket, identity: string) => Uint8Array | undefined;
  /** With it the stream itself watches over the handshake. */
  readonly handshake?: HandshakeWatch;
}

export interface HandshakeWatch {
  readonly timeoutMs: number;
  /** What `closed` is told when the handshake ended with `error`, or just ended. */
  readonly explain: (socket: TLSSocket, error: Error | undefined) => Error;
}

/** INVALID_CONFIG when the texts are no certificate, key and authority that belong together. */
export function makeTlsIdentity(files: TlsFiles): TlsIdentity {
  try {
    const secureContext = createSecureContext({
      cert: files.certificate,
      key: files.key,
      minVersion: "TLSv1.2",
      ...(files.clientAuthority === undefined ? {} : { ca: files.clientAuthority }),
    });
    const requestCert = files.clientAuthority !== undefined;
    const settings: TlsSettings = { secureContext, requestCert, rejectUnauthorized: requestCert };
    return settings as unknown as TlsIdentity;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RopewalkError("INVALID_CONFIG", `the TLS certificate or key cannot be used: ${reason}`, {
      cause,
    });
  }
}

export function tlsSettings(identity: TlsIdentity): TlsSettings {
  return identity as unknown as TlsSettings;
}

/**
 * Why a client that has finished its handshake is turned away; undefined lets it in. Node leaves the verdict on
 * a client's certificate to its own TLS server, whose question to the (undocumented) handle is asked here; a
 * Node without that handle turns everybody away.
 */
export function clientRefusal(identity: TlsIdentity, socket: TLSSocket): string | undefined {
  if (!tlsSettings(identity).requestCert) return undefined;
  const handle = (socket as unknown as { _handle?: { verifyError?: () => Error | null } | null })._handle;
  if (typeof handle?.verifyError !== "function") return "client certificates cannot be verified by this Node";
  const failure = handle.verifyError();
  if (failure !== null && failure !== undefined)
    return `the client's certificate is refused: ${failure.message}`;
  if (Object.keys(socket.getPeerCertificate()).length === 0) return "the client shows no certificate";
  return undefined;
}
