/**
 * What the front ends that serve byte streams share: memory that the network's bytes stand in, who may have how much of
 * it, and replies on their way.
 */

export { ByteAccount, ByteBudget, type ByteBudgetOptions, type ByteRequest } from "./byte-budget.ts";
export { Chunk, ChunkPool, LARGE_BYTES, SMALL_BYTES } from "./chunk-pool.ts";
export { MemoryRelief, type RelievedConnection } from "./memory-relief.ts";
export { ProgressMark } from "./progress-mark.ts";
export { ReceiveWindow } from "./receive-window.ts";
export { type ReplyAccount, ReplyQueue, type ReplyRegion } from "./reply-queue.ts";
export { type SuspendedConnection, Suspension } from "./suspension.ts";
