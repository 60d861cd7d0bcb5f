/**
 * Copies chunks of one device to the same place of another: by token where both can, else by reading and writing.
 * Always holds: when it resolves, all of the range was copied. Errors: those of the plain copy.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";

const STEP_BYTES_MAX = 1024 * 1024;
/** A token lives for the one copy it is made for. */
const TOKEN_TTL_MS = 60_000;

export class ChunkSaver {
  readonly #source: BlockDevice;
  readonly #target: BlockDevice;
  readonly #stepBytes: number;
  /** Tokens of the one mean nothing to the other; there is no use in asking again. */
  #isByToken: boolean;

  constructor(source: BlockDevice, target: BlockDevice) {
    this.#source = source;
    this.#target = target;
    this.#isByToken = source.offload !== undefined && target.offload !== undefined;
    this.#stepBytes = Math.min(
      STEP_BYTES_MAX,
      source.geometry.maximumRequestBytes,
      target.geometry.maximumRequestBytes,
    );
  }

  async save(range: ByteRange): Promise<void> {
    const copiedBytes = this.#isByToken ? await this.#byToken(range) : 0;
    await this.#plainly({
      offsetBytes: range.offsetBytes + copiedBytes,
      lengthBytes: range.lengthBytes - copiedBytes,
    });
  }

  /** How much of the range, from its start on, was copied so. */
  async #byToken({ offsetBytes, lengthBytes }: ByteRange): Promise<number> {
    let done = 0;
    try {
      while (done < lengthBytes) {
        const ranges = [{ offsetBytes: offsetBytes + done, lengthBytes: lengthBytes - done }];
        const { tokens } = await this.#source.offload!.read({
          ranges,
          policy: "preserve",
          ttlMs: TOKEN_TTL_MS,
          inactivityMs: 0,
          persistent: false,
          // Gone with its use: a provider that preserves by copying would else copy what is overwritten next.
          deleteOnUse: true,
          priority: 0,
          provider: { skip: 0 },
          withChecksums: false,
          creator: "snapshot",
          isProtected: true,
        });
        const first = tokens.filter(({ dataOffsetBytes }) => dataOffsetBytes === 0);
        const length = Math.min(...first.map((token) => token.lengthBytes));
        if (first.length === 0 || length === 0) return done;
        const written = await this.#target.offload!.write({
          tokens: first.map(({ token }) => token),
          tokenOffsetBytes: 0,
          ranges: [{ offsetBytes: offsetBytes + done, lengthBytes: length }],
          fua: false,
          isProtected: true,
        });
        if (written.lengthBytes === 0) return done;
        done += written.lengthBytes;
      }
    } catch (error) {
      // Whatever kept tokens from it, the plain copy has its own say.
      if (!(error instanceof RopewalkError)) throw error;
      if (
        error.code === "TOKEN_UNKNOWN" ||
        error.code === "TOKEN_UNSUPPORTED" ||
        error.code === "UNSUPPORTED"
      )
        this.#isByToken = false;
    }
    return done;
  }

  async #plainly({ offsetBytes, lengthBytes }: ByteRange): Promise<void> {
    const bytes = new Uint8Array(Math.min(lengthBytes, this.#stepBytes));
    for (let done = 0; done < lengthBytes; ) {
      const part = bytes.subarray(0, Math.min(bytes.length, lengthBytes - done));
      await this.#source.read(offsetBytes + done, part);
      await this.#target.write(offsetBytes + done, part, 0);
      done += part.length;
    }
  }
}
