/**
 * Counts and latencies of the requests to one export, as plain numbers in typed arrays.
 * Always holds: counting allocates nothing and only ever adds, so it can stand in the hottest path.
 */

/** The kinds of request, each a row in every array. */
export const METERED_REQUESTS = ["read", "write", "flush", "zero", "trim"] as const;
export const MeteredRequest = { read: 0, write: 1, flush: 2, zero: 3, trim: 4 } as const;

/** Bucket i holds latencies of at most 2^i µs; the last holds all above 2^26 µs, about 67 s. */
export const LATENCY_BUCKETS = 28;

const KINDS = METERED_REQUESTS.length;

export class VolumeMeter {
  /** Completed without an error, by kind. */
  readonly requests = new Float64Array(KINDS);
  readonly errors = new Float64Array(KINDS);
  readonly bytes = new Float64Array(KINDS);
  readonly latencyMs = new Float64Array(KINDS);
  /** Bucket b of kind k stands at k × LATENCY_BUCKETS + b. */
  readonly buckets = new Float64Array(KINDS * LATENCY_BUCKETS);

  done(kind: number, latencyMs: number, bytes: number): void {
    this.requests[kind]! += 1;
    this.bytes[kind]! += bytes;
    this.latencyMs[kind]! += latencyMs;
    this.buckets[kind * LATENCY_BUCKETS + bucketOf(latencyMs)]! += 1;
  }

  failed(kind: number): void {
    this.errors[kind]! += 1;
  }
}

/** Smallest i with latency ≤ 2^i µs. */
export function bucketOf(latencyMs: number): number {
  const latencyUs = Math.min(Math.ceil(latencyMs * 1000), 2 ** 30);
  if (latencyUs <= 1) return 0;
  return Math.min(32 - Math.clz32(latencyUs - 1), LATENCY_BUCKETS - 1);
}
