/** What the front ends that serve byte streams share: memory that the network's bytes stand in, and replies on their way. */

export { Chunk, ChunkPool, LARGE_BYTES, SMALL_BYTES } from "./chunk-pool.ts";
export { ReceiveWindow } from "./receive-window.ts";
export { type ReplyAccount, ReplyQueue, type ReplyRegion } from "./reply-queue.ts";
