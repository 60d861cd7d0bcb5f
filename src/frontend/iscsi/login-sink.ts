/**
 * The PDUs of a connection until its login is complete: login requests, and nothing else.
 * Always holds: anything else throws PROTOCOL_ERROR before its data is received.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type AdditionalHeaders, InitiatorOpcode, type InitiatorPdu } from "../../wire/iscsi/mod.ts";
import type { Login } from "./login.ts";
import type { PduSink, Segment, SegmentPlace } from "./pdu-reader.ts";

export class LoginSink implements PduSink {
  readonly #login: Login;
  readonly ready: () => boolean;

  constructor(login: Login, ready: () => boolean) {
    this.#login = login;
    this.ready = ready;
  }

  place(pdu: InitiatorPdu): SegmentPlace {
    checkLoginRequest(pdu);
    return "window";
  }

  take(pdu: InitiatorPdu, _additional: AdditionalHeaders, segment: Segment): void {
    checkLoginRequest(pdu);
    this.#login.take(pdu, segment.bytes);
  }

  unknown(): void {
    throw new RopewalkError("PROTOCOL_ERROR", "the login begins with something else");
  }
}

function checkLoginRequest(
  pdu: InitiatorPdu,
): asserts pdu is InitiatorPdu & { opcode: typeof InitiatorOpcode.loginRequest } {
  if (pdu.opcode !== InitiatorOpcode.loginRequest)
    throw new RopewalkError("PROTOCOL_ERROR", "a request before the login was complete");
}
