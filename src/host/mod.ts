/** The host room's public door: Node's and Linux's answers to the ports. */
export { hostClock } from "./clock.ts";
export { openDirectoryDisk } from "./directory-disk.ts";
export { hostRandom } from "./random.ts";
export { isLoopback, SocketNetwork } from "./stream-server.ts";
