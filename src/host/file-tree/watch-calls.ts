/**
 * The Linux calls of inotify, of poll and of an eventfd.
 *
 * Always holds: as in `tree-calls.ts`: a result or the negated errno. A watch is set on an open directory, not on a path,
 * so that it is on what is read afterwards. The descriptors of inotify never block a read.
 */
import koffi from "koffi";
import { addressOf, kernelMemory, PathMemory } from "./kernel-memory.ts";

const IN_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const FIONREAD = 0x541b;
export const POLLIN = 1;

/** `struct inotify_event`: watch s32, mask, cookie, length of the name u32, the name with NULs. */
export const EVENT_HEAD_BYTES = 16;
export const EventMask = {
  modify: 0x2,
  attributes: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x01000000,
  /** No events of files that have lost their name. */
  excludeUnlinked: 0x04000000,
  isDirectory: 0x40000000,
} as const;

const WATCHED =
  EventMask.modify |
  EventMask.attributes |
  EventMask.closeWrite |
  EventMask.movedFrom |
  EventMask.movedTo |
  EventMask.create |
  EventMask.delete |
  EventMask.deleteSelf |
  EventMask.moveSelf |
  EventMask.onlyDirectory |
  EventMask.excludeUnlinked;

/** So often the reader looks up although nothing happened: a process that exits waits for its threads. */
const POLL_MS = 250;
const libc = koffi.load(null);
const call = {
  inotifyInit: libc.func("int inotify_init1(int flags)"),
  inotifyAddWatch: libc.func("int inotify_add_watch(int fd, uintptr_t path, unsigned int mask)"),
  inotifyRemoveWatch: libc.func("int inotify_rm_watch(int fd, int watch)"),
  poll: libc.func("int poll(uintptr_t fds, unsigned long count, int timeoutMs)"),
  eventfd: libc.func("int eventfd(unsigned int value, int flags)"),
  ioctl: libc.func("int ioctl(int fd, unsigned long request, uintptr_t argument)"),
};

const pathMemory = new PathMemory();
const answer = new Int32Array(kernelMemory(8).buffer);
const answerAddress = addressOf(answer);

const checked = (result: number): number => (result < 0 ? -koffi.errno() : result);

export const watchCalls = {
  createInotify(): number {
    return checked(call.inotifyInit(IN_NONBLOCK_CLOEXEC));
  },

  /** Watches an open directory; one that is watched already keeps its number. */
  addWatch(inotify: number, directory: number): number {
    const path = pathMemory.put(`/proc/self/fd/${directory}`);
    return checked(call.inotifyAddWatch(inotify, path, WATCHED));
  },

  removeWatch(inotify: number, watch: number): number {
    return checked(call.inotifyRemoveWatch(inotify, watch));
  },

  createEventfd(): number {
    return checked(call.eventfd(0, IN_NONBLOCK_CLOEXEC));
  },

  /** `struct pollfd` at the address: fd s32, events s16, revents s16. Waits for as long as it takes. */
  poll(address: number, count: number): number {
    return checked(call.poll(address, count, POLL_MS));
  },

  /** FIONREAD: bytes that wait to be read. */
  waitingBytes(fd: number): number {
    const result = checked(call.ioctl(fd, FIONREAD, answerAddress));
    return result < 0 ? result : answer[0]!;
  },
};
