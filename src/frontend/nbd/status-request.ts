/**
 * One BLOCK_STATUS: which contexts are asked for over which range, and the chunks that answer it.
 *
 * Always holds: the answer takes no more memory than `statusBytesMax` says beforehand; all its chunks are made
 * before one is sent, so that none follows an error.
 */
import { Errno } from "../../base/errors.ts";
import type { BlockDevice } from "../../device/mod.ts";
import {
  CHUNK_DONE,
  type ChunkFormat,
  CommandFlag,
  encodeBlockStatus,
  parseBlockStatusFilter,
  type ReplyAddress,
  type RequestHeader,
} from "../../wire/nbd/mod.ts";
import {
  type BlockStatusRequest,
  blockStatus,
  EXTENTS_PER_ANSWER_MAX,
  type SelectedContext,
} from "./block-status.ts";
import type { Refusal, RequestRules } from "./request-rules.ts";

const WRONG_FILTER: Refusal = {
  errno: Errno.EINVAL,
  sentence: "the filter names contexts that were not selected",
};
/** An extent of the 64-bit format, and what stands around the extents of a context. */
const EXTENT_BYTES = 16;
const CHUNK_BYTES = 64;

export interface StatusRequest {
  readonly contexts: readonly SelectedContext[];
  readonly range: BlockStatusRequest;
}

/** The most that an answer can take. */
export function statusBytesMax(header: RequestHeader, contexts: number): number {
  const extents = (header.flags & CommandFlag.requestOne) !== 0 ? 1 : EXTENTS_PER_ANSWER_MAX;
  return contexts * (CHUNK_BYTES + extents * EXTENT_BYTES);
}

/** What is asked for; `payload` is the filter that the request carries, if it does. */
export function statusRequest(
  header: RequestHeader,
  selected: readonly SelectedContext[],
  rules: RequestRules,
  payload: Uint8Array | undefined,
): StatusRequest | Refusal {
  const answer = (header.flags & CommandFlag.requestOne) !== 0 ? "one" : "many";
  const { offset } = header;
  if (payload === undefined) return { contexts: selected, range: { offset, length: header.length, answer } };
  const filter = parseBlockStatusFilter(payload);
  const contexts = selected.filter(({ id }) => filter?.contextIds.includes(id));
  if (filter === undefined || contexts.length !== filter.contextIds.length || contexts.length === 0)
    return WRONG_FILTER;
  const length = filter.lengthBytes;
  return rules.statusRange(offset, length) ?? { contexts, range: { offset, length, answer } };
}

export async function statusChunks(
  device: BlockDevice,
  { contexts, range }: StatusRequest,
  address: ReplyAddress,
  format: ChunkFormat,
): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for (const [index, context] of contexts.entries()) {
    const extents = await blockStatus(device, context, range, format);
    const flags = index === contexts.length - 1 ? CHUNK_DONE : 0;
    chunks.push(encodeBlockStatus(address, format, { contextId: context.id, extents, flags }));
  }
  return chunks;
}
