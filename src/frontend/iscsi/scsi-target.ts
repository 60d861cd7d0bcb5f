/**
 * The line between the transport (RFC 7143) and the SCSI device server behind it (SAM-5): a command with all its
 * data in, a status with data or sense out.
 *
 * Always holds: the transport has collected all data-out before it calls; one command is answered once, also when
 * it was aborted (then nobody looks at the answer). Lengths are bytes.
 */

/** An I_T nexus: one session between an initiator port and a target portal group. */
export interface ScsiNexus {
  /** Unique among all that live, never used again while the daemon runs. */
  readonly number: number;
  /** The initiator's name, an IQN or EUI. */
  readonly initiator: string;
  /** Initiator port (RFC 7143, 4.2.7): the name with the ISID, `NAME,i,0xISID`. Persistent reservations know initiators by it. */
  readonly initiatorPort: string;
  /** Target port: `TARGET,t,0xTAG`. */
  readonly targetPort: string;
  readonly portalGroupTag: number;
  /** Relative target port identifier, from 1. */
  readonly relativePort: number;
  /** Nobody can listen on it: loopback or a Unix socket. */
  readonly isProtected: boolean;
}

export interface ScsiCommand {
  readonly nexus: ScsiNexus;
  /** The first level of the LUN (SAM-5, 4.7); 0 is the volume. Undefined: of a form that no unit has. */
  readonly lun: number | undefined;
  readonly cdb: Uint8Array;
  /** All of it; memory is the device server's until it has answered. */
  readonly dataOut: Uint8Array;
  /** What the initiator has for the command, also beyond what the command takes of it. Undefined: just `dataOut`. */
  readonly expectedOutBytes?: number;
  /** What the initiator expects to receive at most. */
  readonly dataInBytesMax: number;
  /**
   * Memory for data-in, which the transport takes back once the answer has left or nobody wants it; asked for once at
   * most. Left out: the device server takes its own.
   */
  dataInMemory?(lengthBytes: number): Uint8Array;
  /** Told when the task was aborted: long work may stop. */
  readonly signal: AbortSignal;
}

/** SAM-5, 5.3.1. */
export const ScsiStatus = {
  good: 0x00,
  checkCondition: 0x02,
  conditionMet: 0x04,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
  acaActive: 0x30,
  taskAborted: 0x40,
} as const;

export interface ScsiReply {
  readonly status: number;
  /** Fixed or descriptor format, without the transport's length in front. Only with a check condition. */
  readonly sense?: Uint8Array;
  /** Sent as far as the initiator takes it; what was left out and what it did not fill becomes the residual. */
  readonly dataIn?: Uint8Array;
}

export interface ScsiTarget {
  /** Its LUNs' commands; tasks of one nexus come in the order of their numbers and run beside each other. */
  execute(command: ScsiCommand): ScsiReply | Promise<ScsiReply>;
  /** How many bytes of data-out the command takes, as its CDB says; 0 for none. The transport asks for so much at most. */
  dataOutBytes(lun: number | undefined, cdb: Uint8Array): number;
  opened(nexus: ScsiNexus): void;
  /** The session ended, however: what belonged to the nexus ends, and it is never heard of again. */
  closed(nexus: ScsiNexus): void;
  /** LOGICAL UNIT RESET, TARGET WARM/COLD RESET: reservations that are not persistent end, others get a unit attention. */
  reset(nexus: ScsiNexus, lun: number | "all"): Promise<void>;
}
