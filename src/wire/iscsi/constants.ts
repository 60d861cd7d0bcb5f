/** Numbers of RFC 7143: opcodes, stages, statuses and reasons, by the sections that define them. */

/** A basic header segment (11.2). */
export const BASIC_HEADER_BYTES = 48;
export const DIGEST_BYTES = 4;
/** TotalAHSLength is one byte that counts words. */
export const ADDITIONAL_HEADER_BYTES_MAX = 255 * 4;
/** Longest data segment before anything is negotiated (13.12). */
export const DEFAULT_DATA_SEGMENT_BYTES = 8192;
/** Tag of no task, and of no transfer. */
export const NO_TAG = 0xffff_ffff;
/** The one version there is. */
export const ISCSI_VERSION = 0;

/** 11.2.1.2, from the initiator. */
export const InitiatorOpcode = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagementRequest: 0x02,
  loginRequest: 0x03,
  textRequest: 0x04,
  dataOut: 0x05,
  logoutRequest: 0x06,
  snackRequest: 0x10,
} as const;

/** 11.2.1.2, from the target. */
export const TargetOpcode = {
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagementResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  readyToTransfer: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const;

/** 11.3.1.2 */
export const TaskAttribute = { untagged: 0, simple: 1, ordered: 2, headOfQueue: 3, aca: 4 } as const;

/** 11.5.1 */
export const TaskFunction = {
  abortTask: 1,
  abortTaskSet: 2,
  clearAca: 3,
  clearTaskSet: 4,
  logicalUnitReset: 5,
  targetWarmReset: 6,
  targetColdReset: 7,
  taskReassign: 8,
} as const;

/** 11.6.1 */
export const TaskFunctionResponse = {
  complete: 0,
  taskDoesNotExist: 1,
  lunDoesNotExist: 2,
  taskStillAllegiant: 3,
  reassignmentNotSupported: 4,
  notSupported: 5,
  authorizationFailed: 6,
  rejected: 255,
} as const;

/** 11.12.3 */
export const LoginStage = { security: 0, operational: 1, fullFeature: 3 } as const;

/** Class and detail (11.13.5) in one number. */
export const LoginStatus = {
  success: 0x0000,
  initiatorError: 0x0200,
  authenticationFailure: 0x0201,
  authorizationFailure: 0x0202,
  notFound: 0x0203,
  unsupportedVersion: 0x0205,
  tooManyConnections: 0x0206,
  missingParameter: 0x0207,
  sessionTypeNotSupported: 0x0209,
  sessionDoesNotExist: 0x020a,
  invalidDuringLogin: 0x020b,
  targetError: 0x0300,
  serviceUnavailable: 0x0301,
  outOfResources: 0x0302,
} as const;

/** 11.14.1 */
export const LogoutReason = { closeSession: 0, closeConnection: 1, removeForRecovery: 2 } as const;

/** 11.15.1 */
export const LogoutResponse = {
  closed: 0,
  connectionNotFound: 1,
  recoveryNotSupported: 2,
  cleanupFailed: 3,
} as const;

/** 11.17.1 */
export const RejectReason = {
  dataDigestError: 0x02,
  snackReject: 0x03,
  protocolError: 0x04,
  commandNotSupported: 0x05,
  tooManyImmediateCommands: 0x06,
  taskInProgress: 0x07,
  invalidDataAck: 0x08,
  invalidPduField: 0x09,
  outOfResources: 0x0a,
  waitingForLogout: 0x0c,
} as const;

/** 11.9.1 */
export const AsyncEvent = {
  scsi: 0,
  logoutRequested: 1,
  connectionDropped: 2,
  connectionsDropped: 3,
  negotiationRequested: 4,
} as const;
