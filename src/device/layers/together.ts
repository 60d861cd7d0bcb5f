/**
 * Several requests that are one: all are begun, and the whole ends when the last of them has ended.
 * Always holds: nothing is under way any more when the whole has failed, so buffers are the caller's again.
 * Errors: that of the first request, in their order, that failed.
 */
import type { Completion } from "../block-device.ts";

/** Begins `start(0)` to `start(count - 1)`. */
export function together(count: number, start: (index: number) => Completion): Completion {
  let waiting: Promise<unknown>[] | undefined;
  let failure: { readonly error: unknown } | undefined;
  for (let index = 0; index < count; index++) {
    try {
      const completion = start(index);
      if (completion !== undefined) (waiting ??= []).push(completion);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (waiting !== undefined) return settled(waiting, failure);
  if (failure !== undefined) throw failure.error;
  return undefined;
}

async function settled(
  waiting: readonly Promise<unknown>[],
  failure: { readonly error: unknown } | undefined,
): Promise<void> {
  const outcomes = await Promise.allSettled(waiting);
  if (failure !== undefined) throw failure.error;
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
