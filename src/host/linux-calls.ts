/**
 * The Linux calls that Node lacks and the room needs, through koffi.
 *
 * Always holds: a call returns what it did, or the negated errno; nothing here throws for what the kernel says.
 * `readNowait` writes to memory by address: the range inside `target` must have been checked by the caller.
 * The synchronous calls return in about a microsecond; the others run in the thread pool.
 */
import koffi from "koffi";

const RWF_NOWAIT = 8;
const LOCK_EX = 2;
const LOCK_NB = 4;
const POSIX_FADV_DONTNEED = 4;
const SYNC_FILE_RANGE_WRITE = 2;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;
const SEEK = { end: 2, data: 3, hole: 4 } as const;

/** One result for all: a count or zero, or the negated errno. */
export interface LinuxCalls {
  /** preadv2 with RWF_NOWAIT: bytes read, of what is in the page cache. */
  readNowait(fd: number, target: Uint8Array, targetOffset: number, length: number, position: number): number;
  /** flock, exclusive, without waiting. Ends with the open file. */
  lockExclusive(fd: number): number;
  /** posix_fallocate: gives every block of the file's first `sizeBytes` a place; the C library writes zeros where the file system cannot. */
  allocate(fd: number, sizeBytes: number): Promise<number>;
  /** sync_file_range: the kernel begins to write what is changed of a range, and says nothing of its end. May wait for the device's queue. */
  beginWriteback(fd: number, position: number, length: number): Promise<number>;
  /** posix_fadvise: the page cache forgets what it holds of the file and is clean. */
  dropCache(fd: number): Promise<number>;
  /** fallocate: the range is a hole and reads as zeros. The size stays, also when the range lies behind it. */
  punchHole(fd: number, position: number, length: number): Promise<number>;
  /** fallocate: the range reads as zeros and keeps its place. */
  zeroRange(fd: number, position: number, length: number): Promise<number>;
  /** lseek: where the next data or hole begins, or the end. The file's own position is nobody's. */
  seek(fd: number, position: number, to: keyof typeof SEEK): Promise<number>;
}

const libc = koffi.load(null);
const preadv2 = libc.func("intptr_t preadv2(int fd, uintptr_t iov, int count, int64_t offset, int flags)");
const flock = libc.func("int flock(int fd, int operation)");
const posixFallocate = libc.func("int posix_fallocate(int fd, int64_t offset, int64_t length)");
const syncFileRange = libc.func(
  "int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)",
);
const posixFadvise = libc.func("int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)");
const fallocate = libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
const lseek = libc.func("int64_t lseek(int fd, int64_t offset, int whence)");

// The one iovec of all reads: { void *base; size_t length } as four little-endian words, on x86-64 and arm64 alike.
// Numbers for the address and words for the fields keep the call free of allocations: koffi's own conversion of
// pointers and structs costs more than the copy of 4 KiB.
const iovec = new Uint32Array(new ArrayBuffer(16));
const iovecAddress = Number(koffi.address(iovec));
const WORD = 2 ** 32;

function inThreadPool(call: typeof posixFallocate, ...values: number[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...values, (error: unknown, errno: number) => (error ? reject(error) : resolve(-errno)));
  });
}

/** Of calls that say -1 and leave their errno with the thread; koffi takes it along. */
function withErrno(call: typeof fallocate, ...values: number[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...values, (error: unknown, result: number | bigint) => {
      if (error) reject(error);
      else resolve(Number(result) < 0 ? -koffi.errno() : Number(result));
    });
  });
}

export const linuxCalls: LinuxCalls = {
  readNowait(fd, target, targetOffset, length, position) {
    // Asked anew each time (0.04 µs): a remembered address would outlive a transferred buffer.
    const address = Number(koffi.address(target)) + targetOffset;
    iovec[0] = address % WORD;
    iovec[1] = address / WORD;
    iovec[2] = length % WORD;
    iovec[3] = length / WORD;
    const count: number = preadv2(fd, iovecAddress, 1, position, RWF_NOWAIT);
    return count < 0 ? -koffi.errno() : count;
  },

  lockExclusive(fd) {
    return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -koffi.errno() : 0;
  },

  allocate: (fd, sizeBytes) => inThreadPool(posixFallocate, fd, 0, sizeBytes),

  beginWriteback: (fd, position, length) =>
    inThreadPool(syncFileRange, fd, position, length, SYNC_FILE_RANGE_WRITE),

  dropCache: (fd) => inThreadPool(posixFadvise, fd, 0, 0, POSIX_FADV_DONTNEED),

  punchHole: (fd, position, length) =>
    withErrno(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length),

  zeroRange: (fd, position, length) =>
    withErrno(fallocate, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, position, length),

  seek: (fd, position, to) => withErrno(lseek, fd, position, SEEK[to]),
};
