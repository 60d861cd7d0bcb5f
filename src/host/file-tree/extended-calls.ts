/**
 * The Linux calls for extended attributes (ACLs are two of them), of open files and of names in an open directory.
 *
 * Always holds: as in `tree-calls.ts`; names are never followed. The forms for names serve symbolic links and special
 * files, which cannot be opened. They go through /proc/self/fd, because only kernels from 6.13 on take a directory; of
 * the list, which is asked of every file, both forms are here (1 instead of 3 µs).
 */
import koffi from "koffi";
import { ENOSYS, EPERM, ERANGE } from "./errno-names.ts";
import { addressOf, kernelMemory, PathMemory } from "./kernel-memory.ts";

/** XATTR_SIZE_MAX and XATTR_LIST_MAX. */
export const EXTENDED_BYTES_MAX = 65536;
/** Asked for first: the kernel allocates as much as it is offered, before it looks (64 KiB cost 0.6 µs a call). */
const FIRST_BYTES = 256;

const SYS_LISTXATTRAT = 465;
const AT_SYMLINK_NOFOLLOW = 0x100;

const libc = koffi.load(null);
const listxattrat = libc.func("intptr_t syscall(int n, int a, uintptr_t b, int c, uintptr_t d, uintptr_t e)");
const call = {
  flistxattr: libc.func("intptr_t flistxattr(int fd, uintptr_t to, uintptr_t length)"),
  fgetxattr: libc.func("intptr_t fgetxattr(int fd, uintptr_t name, uintptr_t to, uintptr_t length)"),
  fsetxattr: libc.func("int fsetxattr(int fd, uintptr_t name, uintptr_t from, uintptr_t length, int flags)"),
  fremovexattr: libc.func("int fremovexattr(int fd, uintptr_t name)"),
  llistxattr: libc.func("intptr_t llistxattr(uintptr_t path, uintptr_t to, uintptr_t length)"),
  lgetxattr: libc.func("intptr_t lgetxattr(uintptr_t path, uintptr_t name, uintptr_t to, uintptr_t length)"),
  lsetxattr: libc.func(
    "int lsetxattr(uintptr_t path, uintptr_t name, uintptr_t from, uintptr_t length, int flags)",
  ),
  lremovexattr: libc.func("int lremovexattr(uintptr_t path, uintptr_t name)"),
};

const pathMemory = new PathMemory();
const nameMemory = new PathMemory();
const answer = kernelMemory(EXTENDED_BYTES_MAX);
const answerAddress = addressOf(answer);
const NONE: readonly string[] = [];

/** Old kernels and some containers have no listxattrat, or forbid it. */
let hasListxattrat = true;

const checked = (result: number): number => (result < 0 ? -koffi.errno() : result);

/** The path of a name in a directory; it is never followed at its end. */
function pathOf(directory: number, name: string): number {
  return pathMemory.put(`/proc/self/fd/${directory}/${name}`);
}

/** Asks for little, and again for all where that is too small. */
function answered(ask: (lengthBytes: number) => number): number {
  const count = checked(ask(FIRST_BYTES));
  return count === -ERANGE ? checked(ask(EXTENDED_BYTES_MAX)) : count;
}

/** Names one behind the other, each with a NUL. */
function namesOf(count: number): readonly string[] | number {
  if (count <= 0) return count === 0 ? NONE : count;
  return answer.toString("latin1", 0, count - 1).split("\0");
}

/** A copy of the value in the answer. */
function copiedValue(count: number): Uint8Array | number {
  return count < 0 ? count : new Uint8Array(answer.subarray(0, count));
}

export const extendedCalls = {
  flistxattr(fd: number): readonly string[] | number {
    return namesOf(answered((length) => call.flistxattr(fd, answerAddress, length)));
  },

  fgetxattr(fd: number, name: string): Uint8Array | number {
    const put = nameMemory.put(name);
    return copiedValue(answered((length) => call.fgetxattr(fd, put, answerAddress, length)));
  },

  fsetxattr(fd: number, name: string, value: Uint8Array): number {
    return checked(call.fsetxattr(fd, nameMemory.put(name), addressOf(value), value.length, 0));
  },

  fremovexattr(fd: number, name: string): number {
    return checked(call.fremovexattr(fd, nameMemory.put(name)));
  },

  llistxattr(directory: number, name: string): readonly string[] | number {
    if (hasListxattrat) {
      const path = pathMemory.put(name);
      const count = answered((length) =>
        listxattrat(SYS_LISTXATTRAT, directory, path, AT_SYMLINK_NOFOLLOW, answerAddress, length),
      );
      if (count !== -ENOSYS && count !== -EPERM) return namesOf(count);
      hasListxattrat = false;
    }
    const path = pathOf(directory, name);
    return namesOf(answered((length) => call.llistxattr(path, answerAddress, length)));
  },

  lgetxattr(directory: number, name: string, extended: string): Uint8Array | number {
    const path = pathOf(directory, name);
    const put = nameMemory.put(extended);
    return copiedValue(answered((length) => call.lgetxattr(path, put, answerAddress, length)));
  },

  lsetxattr(directory: number, name: string, extended: string, value: Uint8Array): number {
    const path = pathOf(directory, name);
    const put = nameMemory.put(extended);
    return checked(call.lsetxattr(path, put, addressOf(value), value.length, 0));
  },

  lremovexattr(directory: number, name: string, extended: string): number {
    const path = pathOf(directory, name);
    return checked(call.lremovexattr(path, nameMemory.put(extended)));
  },
};
