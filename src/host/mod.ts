/** The host room's public door: Node's and Linux's answers to the ports, and what a process needs of its machine. */
export { openAdminKey } from "./admin-key-file.ts";
export { openAppendFile } from "./append-file.ts";
export { hostClock } from "./clock.ts";
export { DaemonDirectory, type Endpoints } from "./daemon-directory.ts";
export { openDirectoryDisk } from "./directory-disk.ts";
export { type FileDeviceOptions, openFileDevice } from "./file-device.ts";
export { isInFolder } from "./in-folder.ts";
export { LoopMeter } from "./loop-meter.ts";
export { type NbdClientOptions, openNbdClientDevice } from "./nbd-client/nbd-client-device.ts";
export { openPageThreads } from "./page-threads/page-threads.ts";
export { openProcessLog, type ProcessLog } from "./process-log.ts";
export { onInterrupt, stopSignal } from "./process-signals.ts";
export { hostRandom } from "./random.ts";
export { readConfiguredFile, readSmallFile } from "./small-file.ts";
export { isLoopback, SocketNetwork } from "./stream-server.ts";
export { TextFolder } from "./text-folder.ts";
export { openTokenKey } from "./token-key-file.ts";
export { readUserFile, writeUserFile } from "./user-file.ts";
