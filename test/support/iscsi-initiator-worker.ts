// The thread in which libiscsi's synchronous calls run, one session each; see iscsi-initiator.ts.
// Offsets are those of `struct scsi_task` in libiscsi 1.19 on 64-bit machines.
import { parentPort, workerData } from "node:worker_threads";
import koffi from "koffi";
import type { InitiatorOptions, InitiatorRequest, InitiatorResponse } from "./iscsi-initiator.ts";

const TASK = { status: 0, dataInBytes: 64, dataIn: 72 } as const;
const SESSION_NORMAL = 2;
const DIGEST = { none: 0, crc32c: 3 } as const;
const Direction = { none: 0, in: 1, out: 2 } as const;
/** A data segment with sense begins with its length (RFC 7143, 11.4.7). */
const SENSE_LENGTH_BYTES = 2;
const CHECK_CONDITION = 2;

const library = koffi.load("libiscsi.so.7");
const createContext = library.func("void *iscsi_create_context(const char *)");
const destroyContext = library.func("int iscsi_destroy_context(void *)");
const setTargetName = library.func("int iscsi_set_targetname(void *, const char *)");
const setSessionType = library.func("int iscsi_set_session_type(void *, int)");
const setHeaderDigest = library.func("int iscsi_set_header_digest(void *, int)");
const setNoReconnect = library.func("void iscsi_set_noautoreconnect(void *, int)");
const setTimeout = library.func("int iscsi_set_timeout(void *, int)");
const setUser = library.func("int iscsi_set_initiator_username_pwd(void *, const char *, const char *)");
const setTargetUser = library.func("int iscsi_set_target_username_pwd(void *, const char *, const char *)");
const fullConnect = library.func("int iscsi_full_connect_sync(void *, const char *, int)");
const logout = library.func("int iscsi_logout_sync(void *)");
const lastError = library.func("const char *iscsi_get_error(void *)");
const createTask = library.func("void *scsi_create_task(int, uint8_t *, int, int)");
const freeTask = library.func("void scsi_free_scsi_task(void *)");
koffi.struct("iscsi_data", { size: "size_t", data: "uint8_t *" });
const commandSync = library.func("void *iscsi_scsi_command_sync(void *, int, void *, iscsi_data *)");

const options = workerData as InitiatorOptions;
const context: unknown = createContext(options.initiator ?? "iqn.2026-11.io.ropewalk:test-initiator");
if (context === null) throw new Error("libiscsi made no context");

function check(result: number, what: string): void {
  if (result !== 0) throw new Error(`${what}: ${lastError(context)}`);
}

function connect(): void {
  check(setTargetName(context, options.target), "target name");
  check(setSessionType(context, SESSION_NORMAL), "session type");
  check(setHeaderDigest(context, options.headerDigest === true ? DIGEST.crc32c : DIGEST.none), "digest");
  if (options.chap !== undefined) check(setUser(context, options.chap.user, options.chap.secret), "CHAP");
  if (options.targetChap !== undefined)
    check(setTargetUser(context, options.targetChap.user, options.targetChap.secret), "CHAP of the target");
  setNoReconnect(context, 1);
  setTimeout(context, options.timeoutSeconds ?? 30);
  check(fullConnect(context, options.portal, options.lun ?? 0), "login");
}

function command(request: Extract<InitiatorRequest, { kind: "command" }>): InitiatorResponse {
  const { cdb, dataOut, dataInBytes } = request;
  const direction = dataOut !== undefined ? Direction.out : dataInBytes > 0 ? Direction.in : Direction.none;
  const task: unknown = createTask(cdb.length, Buffer.from(cdb), direction, dataOut?.length ?? dataInBytes);
  if (task === null) throw new Error("libiscsi made no task");
  try {
    const data = dataOut === undefined ? null : { size: dataOut.length, data: Buffer.from(dataOut) };
    const lun = request.lun ?? options.lun ?? 0;
    if (commandSync(context, lun, task, data) === null) throw new Error(`command: ${lastError(context)}`);
    const status = koffi.decode(task, TASK.status, "int") as number;
    // Statuses above a byte are libiscsi's own: cancelled, lost connection, timeout.
    if (status > 0xff) throw new Error(`command ended with ${status.toString(16)}: ${lastError(context)}`);
    const bytes = dataOf(task);
    return status === CHECK_CONDITION
      ? { kind: "reply", status, sense: bytes.subarray(SENSE_LENGTH_BYTES), dataIn: new Uint8Array() }
      : { kind: "reply", status, sense: new Uint8Array(), dataIn: bytes };
  } finally {
    freeTask(task);
  }
}

function dataOf(task: unknown): Uint8Array {
  const lengthBytes = koffi.decode(task, TASK.dataInBytes, "int") as number;
  if (lengthBytes <= 0) return new Uint8Array();
  const pointer: unknown = koffi.decode(task, TASK.dataIn, "void *");
  return Uint8Array.from(koffi.decode(pointer, koffi.array("uint8_t", lengthBytes, "Typed")) as Uint8Array);
}

function respond(request: InitiatorRequest): InitiatorResponse {
  try {
    if (request.kind === "command") return command(request);
    if (request.kind === "connect") connect();
    else {
      if (request.kind === "logout") check(logout(context), "logout");
      destroyContext(context);
    }
    return { kind: "done" };
  } catch (error) {
    return { kind: "failed", sentence: String(error) };
  }
}

parentPort?.on("message", (request: InitiatorRequest) => {
  parentPort?.postMessage(respond(request));
});
