/**
 * The Linux calls that a directory tree is read and written with, on descriptors of directories, through koffi.
 *
 * Always holds: a call returns what it did (a descriptor, a count, 0), or the negated errno; nothing here throws for
 * what the kernel says. No call follows a symbolic link. Names are bytes: latin1 strings. The calls block their thread:
 * they are for the threads of `tree-threads.ts`, and for single calls of a microsecond.
 * Addresses and lengths go as numbers: koffi's own conversion of pointers and structs costs more than most calls
 * (0.15 µs is what remains of it).
 */
import { constants } from "node:fs";
import koffi from "koffi";
import { ENAMETOOLONG, ENOSYS } from "./errno-names.ts";
import { addressOf, kernelMemory, PATH_MEMORY_BYTES, PathMemory, WORD } from "./kernel-memory.ts";
import { statusAddress } from "./last-status.ts";

const isArm = process.arch === "arm64";
/** Numbers of calls that not every C library of the time has. */
const SYS = {
  getdents64: isArm ? 61 : 217,
  mknodat: isArm ? 33 : 259,
  openat2: 437,
  fchmodat2: 452,
} as const;

/** Flags of `open` that Node does not name, beside those of `node:fs` (which differ by architecture). */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
export const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
/** A directory that is read, or whose names are worked on. */
export const OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY;
/** A file that is read: a FIFO or a terminal put in its place never stops the thread. */
export const OPEN_FILE = O_RDONLY | O_NONBLOCK | O_NOCTTY;

export const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const RESOLVE_BENEATH_WITHOUT_LINKS = 0x08 | 0x04 | 0x02;
const STATX_BASIC = 0x7ff;
const FICLONERANGE = 0x4020940d;
/** Where the atime is to stay, file systems on libfuse 2 leave the mtime too, and say that they set it. */
const UTIME_NOW = 2 ** 30 - 1;
const SYNC_FILE_RANGE_WRITE = 2;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const SEEK = { data: 3, hole: 4 } as const;
const RenameFlag = { none: 0, noReplace: 1, exchange: 2 } as const;
/** `d_type` of a directory's entry; `unknown` where the file system does not say. */
export const EntryType = { unknown: 0, directory: 4 } as const;

const libc = koffi.load(null);
const syscall4 = libc.func("intptr_t syscall(int n, int a, uintptr_t b, uintptr_t c, uintptr_t d)");
const call = {
  openat: libc.func("int openat(int directory, uintptr_t name, int flags, int mode)"),
  close: libc.func("int close(int fd)"),
  statx: libc.func("int statx(int fd, uintptr_t name, int flags, unsigned int mask, uintptr_t to)"),
  read: libc.func("intptr_t read(int fd, uintptr_t to, uintptr_t length)"),
  pread: libc.func("intptr_t pread(int fd, uintptr_t to, uintptr_t length, int64_t offset)"),
  write: libc.func("intptr_t write(int fd, uintptr_t from, uintptr_t length)"),
  pwrite: libc.func("intptr_t pwrite(int fd, uintptr_t from, uintptr_t length, int64_t offset)"),
  mkdirat: libc.func("int mkdirat(int directory, uintptr_t name, int mode)"),
  symlinkat: libc.func("int symlinkat(uintptr_t target, int directory, uintptr_t name)"),
  readlinkat: libc.func("intptr_t readlinkat(int directory, uintptr_t name, uintptr_t to, uintptr_t length)"),
  linkat: libc.func("int linkat(int a, uintptr_t from, int b, uintptr_t to, int flags)"),
  renameat2: libc.func("int renameat2(int a, uintptr_t from, int b, uintptr_t to, unsigned int flags)"),
  unlinkat: libc.func("int unlinkat(int directory, uintptr_t name, int flags)"),
  fchmod: libc.func("int fchmod(int fd, int mode)"),
  chmod: libc.func("int chmod(uintptr_t path, int mode)"),
  fchown: libc.func("int fchown(int fd, unsigned int user, unsigned int group)"),
  fchownat: libc.func(
    "int fchownat(int d, uintptr_t name, unsigned int user, unsigned int group, int flags)",
  ),
  futimens: libc.func("int futimens(int fd, uintptr_t times)"),
  utimensat: libc.func("int utimensat(int directory, uintptr_t name, uintptr_t times, int flags)"),
  copyFileRange: libc.func(
    "intptr_t copy_file_range(int a, uintptr_t from, int b, uintptr_t to, uintptr_t length, unsigned int flags)",
  ),
  ioctl: libc.func("int ioctl(int fd, unsigned long request, uintptr_t argument)"),
  fallocate: libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)"),
  ftruncate: libc.func("int ftruncate(int fd, int64_t length)"),
  lseek: libc.func("int64_t lseek(int fd, int64_t offset, int whence)"),
  fdatasync: libc.func("int fdatasync(int fd)"),
  fsync: libc.func("int fsync(int fd)"),
  syncFileRange: libc.func("int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)"),
  syncfs: libc.func("int syncfs(int fd)"),
  fstatfs: libc.func("int fstatfs(int fd, uintptr_t to)"),
};

const firstPath = new PathMemory();
const secondPath = new PathMemory();
/** Arguments and answers of some words: open_how, offsets, times, statfs. */
const words = new Uint32Array(kernelMemory(256).buffer);
const wordsAddress = addressOf(words);
const answer = kernelMemory(256 * 1024);
const answerAddress = addressOf(answer);

const checked = (result: number): number => (result < 0 ? -koffi.errno() : result);

/** Puts an s64 into two words; exact to 2^53. */
function putLong(at: number, value: number): void {
  words[at] = value % WORD;
  words[at + 1] = Math.floor(value / WORD);
}

function putTimes(seconds: number, nanoseconds: number): number {
  putLong(0, 0);
  putLong(2, UTIME_NOW);
  putLong(4, seconds);
  putLong(6, nanoseconds);
  return wordsAddress;
}

/** The names of a directory without `.` and `..`, in the order of the file system, and their `d_type`. */
export interface DirectoryNames {
  readonly names: string[];
  readonly types: number[];
}

/** linux_dirent64: inode u64, offset s64, length of the record u16, type u8, name with a NUL. */
function takeEntries(count: number, into: DirectoryNames): void {
  for (let at = 0; at < count; ) {
    const next = at + answer[at + 16]! + 256 * answer[at + 17]!;
    const from = at + 19;
    const isDot =
      answer[from] === 46 && (answer[from + 1] === 0 || (answer[from + 1] === 46 && answer[from + 2] === 0));
    if (!isDot) {
      into.names.push(answer.toString("latin1", from, answer.indexOf(0, from)));
      into.types.push(answer[at + 18]!);
    }
    at = next;
  }
}

function openHow(directory: number, path: string, flags: number, mode: number): number {
  putLong(0, (flags | O_CLOEXEC) >>> 0);
  putLong(2, mode);
  putLong(4, RESOLVE_BENEATH_WITHOUT_LINKS);
  const result: number = syscall4(SYS.openat2, directory, firstPath.put(path), wordsAddress, 24);
  return checked(result);
}

/** Old kernels and some containers have no openat2, or forbid it. */
let hasOpenat2: boolean | undefined;

function isOpenat2There(): boolean {
  const probe = openHow(AT_FDCWD, ".", O_PATH, 0);
  if (probe >= 0) call.close(probe);
  return probe >= 0;
}

/** Name by name; also for paths that are longer than one call takes. */
function walk(directory: number, path: string, flags: number, mode: number): number {
  const names = path.split("/");
  let parent = directory;
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    const fd =
      name === "" || name === ".."
        ? -ENOSYS
        : treeCalls.openat(parent, name, isLast ? flags : O_PATH | O_DIRECTORY, isLast ? mode : 0);
    if (parent !== directory) call.close(parent);
    if (fd < 0) return fd;
    parent = fd;
  }
  return parent;
}

export const treeCalls = {
  /**
   * Opens a path below a directory; `""` opens the directory itself anew. Never through a symbolic link (ELOOP, or
   * ENOTDIR where openat2 is not to be had), never out of the directory. `mode`: of what O_CREAT makes.
   */
  openBeneath(directory: number, path: string, flags: number, mode = 0): number {
    hasOpenat2 ??= isOpenat2There();
    if (path === "") return treeCalls.openat(directory, ".", flags, mode);
    if (!hasOpenat2 || path.length >= PATH_MEMORY_BYTES) return walk(directory, path, flags, mode);
    return openHow(directory, path, flags, mode);
  },

  /** openat of one name (or, from AT_FDCWD, of a path that is trusted), with O_NOFOLLOW and O_CLOEXEC. */
  openat(directory: number, name: string, flags: number, mode = 0): number {
    if (name.length >= PATH_MEMORY_BYTES) return -ENAMETOOLONG;
    return checked(call.openat(directory, firstPath.put(name), flags | O_NOFOLLOW | O_CLOEXEC, mode));
  },

  close(fd: number): number {
    return checked(call.close(fd));
  },

  /** statx of a name, not of what it links to; the answer is in `lastStatus`. */
  statat(directory: number, name: string): number {
    const path = firstPath.put(name);
    return checked(call.statx(directory, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC, statusAddress));
  },

  /** statx of a name that stands in memory, with a NUL behind it; `FileStatus` reads the answer. */
  statInto(directory: number, nameAddress: number, toAddress: number): number {
    return checked(call.statx(directory, nameAddress, AT_SYMLINK_NOFOLLOW, STATX_BASIC, toAddress));
  },

  /** statx of an open file; the answer is in `lastStatus`. */
  fstat(fd: number): number {
    return checked(call.statx(fd, firstPath.put(""), AT_EMPTY_PATH, STATX_BASIC, statusAddress));
  },

  /** getdents64: how many bytes of records, 0 at the end. */
  readRecords(fd: number, toAddress: number, lengthBytes: number): number {
    return checked(syscall4(SYS.getdents64, fd, toAddress, lengthBytes, 0));
  },

  /** Reads a directory that was just opened to its end. */
  readNames(fd: number): DirectoryNames | number {
    const into: DirectoryNames = { names: [], types: [] };
    for (;;) {
      const count = treeCalls.readRecords(fd, answerAddress, answer.length);
      if (count < 0) return count;
      if (count === 0) return into;
      takeEntries(count, into);
    }
  },

  read(fd: number, to: Uint8Array): number {
    return checked(call.read(fd, addressOf(to), to.length));
  },

  pread(fd: number, to: Uint8Array, offset: number): number {
    return checked(call.pread(fd, addressOf(to), to.length, offset));
  },

  write(fd: number, from: Uint8Array): number {
    return checked(call.write(fd, addressOf(from), from.length));
  },

  pwrite(fd: number, from: Uint8Array, offset: number): number {
    return checked(call.pwrite(fd, addressOf(from), from.length, offset));
  },

  mkdirat(directory: number, name: string, mode: number): number {
    return checked(call.mkdirat(directory, firstPath.put(name), mode));
  },

  /** `mode` with the kind's bits (S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK); `deviceNode`: major * 2^32 + minor. */
  mknodat(directory: number, name: string, mode: number, deviceNode: number): number {
    const major = Math.floor(deviceNode / WORD);
    const minor = deviceNode % WORD;
    const device = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
    return checked(syscall4(SYS.mknodat, directory, firstPath.put(name), mode, device));
  },

  symlinkat(target: string, directory: number, name: string): number {
    if (target.length >= PATH_MEMORY_BYTES) return -ENAMETOOLONG;
    return checked(call.symlinkat(secondPath.put(target), directory, firstPath.put(name)));
  },

  /** The target, as latin1. */
  readlinkat(directory: number, name: string): string | number {
    const path = firstPath.put(name);
    const count = checked(call.readlinkat(directory, path, answerAddress, answer.length));
    return count < 0 ? count : answer.toString("latin1", 0, count);
  },

  /** A second name; a symbolic link is linked itself. */
  linkat(directory: number, existing: string, toDirectory: number, name: string): number {
    const from = firstPath.put(existing);
    return checked(call.linkat(directory, from, toDirectory, secondPath.put(name), 0));
  },

  renameat2(
    directory: number,
    from: string,
    toDirectory: number,
    to: string,
    flag: keyof typeof RenameFlag = "none",
  ): number {
    const path = firstPath.put(from);
    return checked(call.renameat2(directory, path, toDirectory, secondPath.put(to), RenameFlag[flag]));
  },

  unlinkat(directory: number, name: string): number {
    return checked(call.unlinkat(directory, firstPath.put(name), 0));
  },

  rmdirat(directory: number, name: string): number {
    return checked(call.unlinkat(directory, firstPath.put(name), AT_REMOVEDIR));
  },

  fchmod(fd: number, mode: number): number {
    return checked(call.fchmod(fd, mode));
  },

  /** Of a name that is no symbolic link (EOPNOTSUPP). */
  fchmodat(directory: number, name: string, mode: number): number {
    const done = checked(syscall4(SYS.fchmodat2, directory, firstPath.put(name), mode, AT_SYMLINK_NOFOLLOW));
    if (done !== -ENOSYS) return done;
    // Through the descriptor, which stays the same file whatever happens to the name. O_PATH of a link: ELOOP below.
    const fd = treeCalls.openat(directory, name, O_PATH);
    if (fd < 0) return fd;
    const changed = checked(call.chmod(firstPath.put(`/proc/self/fd/${fd}`), mode));
    call.close(fd);
    return changed;
  },

  fchown(fd: number, userId: number, groupId: number): number {
    return checked(call.fchown(fd, userId, groupId));
  },

  fchownat(directory: number, name: string, userId: number, groupId: number): number {
    return checked(call.fchownat(directory, firstPath.put(name), userId, groupId, AT_SYMLINK_NOFOLLOW));
  },

  /** Sets the mtime; the atime is now. */
  futimens(fd: number, seconds: number, nanoseconds: number): number {
    return checked(call.futimens(fd, putTimes(seconds, nanoseconds)));
  },

  /** Sets the mtime of a name, also of a symbolic link; the atime is now. */
  utimensat(directory: number, name: string, seconds: number, nanoseconds: number): number {
    const times = putTimes(seconds, nanoseconds);
    return checked(call.utimensat(directory, firstPath.put(name), times, AT_SYMLINK_NOFOLLOW));
  },

  /** copy_file_range: how many bytes, perhaps fewer; shares blocks where the file system can. */
  copyRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
    putLong(0, fromOffset);
    putLong(2, toOffset);
    return checked(call.copyFileRange(from, wordsAddress, to, wordsAddress + 8, length, 0));
  },

  /** FICLONERANGE: shares blocks or fails (EOPNOTSUPP, EXDEV, EINVAL when not aligned). */
  cloneRange(from: number, fromOffset: number, to: number, toOffset: number, length: number): number {
    putLong(0, from);
    putLong(2, fromOffset);
    putLong(4, length);
    putLong(6, toOffset);
    return checked(call.ioctl(to, FICLONERANGE, wordsAddress));
  },

  /** fallocate: the range is a hole; the size stays. */
  punchHole(fd: number, offset: number, length: number): number {
    return checked(call.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length));
  },

  ftruncate(fd: number, sizeBytes: number): number {
    return checked(call.ftruncate(fd, sizeBytes));
  },

  /** Where the next data or hole begins at or behind `offset`; -ENXIO at the end. */
  seek(fd: number, offset: number, to: keyof typeof SEEK): number {
    const found = Number(call.lseek(fd, offset, SEEK[to]));
    return found < 0 ? -koffi.errno() : found;
  },

  /** sync_file_range: the disk begins to write what is not written of the file. An error of that is told by `fdatasync`. */
  startWriteback(fd: number): number {
    return checked(call.syncFileRange(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
  },

  fdatasync(fd: number): number {
    return checked(call.fdatasync(fd));
  },

  fsync(fd: number): number {
    return checked(call.fsync(fd));
  },

  /** All of the file system that the descriptor is on. */
  syncfs(fd: number): number {
    return checked(call.syncfs(fd));
  },

  /** `f_type`: the magic number of the file system. */
  fileSystemType(fd: number): number {
    const result = checked(call.fstatfs(fd, wordsAddress));
    return result < 0 ? result : words[0]!;
  },

  /** Free bytes for this user. */
  freeBytes(fd: number): number {
    const result = checked(call.fstatfs(fd, wordsAddress));
    if (result < 0) return result;
    // struct statfs, all of 8 bytes: type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize.
    const unit = words[18]! === 0 ? words[2]! : words[18]!;
    return (words[9]! * WORD + words[8]!) * unit;
  },
};
