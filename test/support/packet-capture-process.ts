// Writes every packet that passes the interfaces of its network namespace to standard output: length (4), bytes. The first
// record has no bytes, and says that it listens. Needs root.
import { writeSync } from "node:fs";
import koffi from "koffi";

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** ETH_P_ALL in the order of the network. */
const ALL = 0x0300;
/** A packet that the kernel has not cut up yet may be so long. */
const PACKET_BYTES_MAX = 2 ** 17;

const library = koffi.load("libc.so.6");
const socket = library.func("int socket(int, int, int)");
const receive = library.func("long recv(int, _Out_ uint8_t *, size_t, int)");

const fd = socket(AF_PACKET, SOCK_RAW, ALL) as number;
if (fd < 0) throw new Error("no socket for packets");
const record = Buffer.alloc(4 + PACKET_BYTES_MAX);
writeFully(record.subarray(0, 4));
for (;;) {
  const length = receive(fd, record.subarray(4), PACKET_BYTES_MAX, 0) as number;
  if (length < 0) throw new Error("packets cannot be received");
  record.writeUInt32LE(length);
  writeFully(record.subarray(0, 4 + length));
}

function writeFully(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += writeSync(1, bytes, at));
}
