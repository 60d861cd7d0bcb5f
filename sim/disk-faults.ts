/**
 * Calls that fail on purpose: the n-th of a kind, once or from then on.
 * Always holds: counting begins when a fault is armed, and a fault that is spent never strikes again.
 */
import type { ErrorCode } from "../src/base/errors.ts";

export type DiskCall =
  | "list"
  | "create"
  | "open"
  | "rename"
  | "remove"
  | "syncDirectory"
  | "lock"
  | "write"
  | "read"
  | "sync"
  | "dropCache";

export interface DiskFault {
  /** The kind of call that fails; undefined: any kind, counted together. */
  readonly call?: DiskCall;
  /** Which call from now on fails, counted from 1. */
  readonly nth: number;
  readonly lasting: boolean;
  readonly code: ErrorCode;
  /** Only calls on files whose name contains this. */
  readonly name?: string;
}

export class DiskFaults {
  #armed: { fault: DiskFault; seen: number }[] = [];
  /** How often a fault has struck since the last `clear`. */
  struck = 0;
  /** Calls that could have failed so far, by kind. */
  readonly calls = new Map<DiskCall, number>();

  arm(fault: DiskFault): void {
    this.#armed.push({ fault, seen: 0 });
  }

  clear(): void {
    this.#armed = [];
    this.struck = 0;
  }

  /** The code with which this call fails, or undefined. */
  strike(call: DiskCall, name: string): ErrorCode | undefined {
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
    let code: ErrorCode | undefined;
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (fault.call !== undefined && fault.call !== call) continue;
      if (fault.name !== undefined && !name.includes(fault.name)) continue;
      armed.seen++;
      if (armed.seen === fault.nth || (fault.lasting && armed.seen > fault.nth)) code ??= fault.code;
    }
    if (code !== undefined) this.struck++;
    return code;
  }
}
