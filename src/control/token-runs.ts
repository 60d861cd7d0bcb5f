/**
 * Which tokens of a structure serve a place of its data, and writing through them (T2, T3, T4, T17).
 *
 * Always holds: alternatives that begin at the same place are handed to the device together, others are turned to
 * when those fail; what was written is told before anything else can fail. Errors: TOKEN_CUT where no token stands
 * for the data, UNSUPPORTED when a device takes nothing, and whatever the device says.
 */
import { RopewalkError } from "../base/errors.ts";
import type { DeviceOffload } from "../device/mod.ts";
import { saysCopyPlainly } from "./offload-fallback.ts";

/** A token whose range in the structure's data is known. */
export interface PlacedToken {
  readonly token: Uint8Array;
  readonly dataOffsetBytes: number;
  readonly lengthBytes: number;
  readonly role: "primary" | "companion";
}

export interface TokenRun {
  /** Any one of them suffices; in the structure's order. */
  readonly alternatives: readonly Uint8Array[];
  readonly companions: readonly Uint8Array[];
  readonly tokenOffsetBytes: number;
  readonly lengthBytes: number;
}

/** The ways to the data at `atBytes`, the preferred one first; none where no token stands for it. */
export function runsAt(tokens: readonly PlacedToken[], atBytes: number): TokenRun[] {
  const covering = tokens.filter(
    ({ dataOffsetBytes, lengthBytes }) =>
      dataOffsetBytes <= atBytes && atBytes < dataOffsetBytes + lengthBytes,
  );
  const primaries = covering.filter(({ role }) => role === "primary");
  const starts = new Set(primaries.map(({ dataOffsetBytes }) => dataOffsetBytes));
  return [...starts].map((start) => {
    const alternatives = primaries.filter(({ dataOffsetBytes }) => dataOffsetBytes === start);
    const companions = covering.filter(
      ({ role, dataOffsetBytes }) => role === "companion" && dataOffsetBytes === start,
    );
    return {
      alternatives: alternatives.map(({ token }) => token),
      companions: companions.map(({ token }) => token),
      tokenOffsetBytes: atBytes - start,
      lengthBytes: Math.min(...alternatives.map(({ lengthBytes }) => start + lengthBytes)) - atBytes,
    };
  });
}

/** How much data there is from `fromBytes` on without a gap. */
export function dataLengthFrom(tokens: readonly PlacedToken[], fromBytes: number): number {
  let at = fromBytes;
  for (;;) {
    const [run] = runsAt(tokens, at);
    if (run === undefined) return at - fromBytes;
    at += run.lengthBytes;
  }
}

export interface TokenWriting {
  readonly tokens: readonly PlacedToken[];
  /** Where in the tokens' data to begin. */
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly lengthBytes: number;
  readonly isProtected: boolean;
  /** `whole`: all in one request as far as the tokens allow it, since each request is a use; `bounded`: for progress. */
  readonly steps: "whole" | "bounded";
  readonly signal: AbortSignal | undefined;
  /** A later request of the same operation reads from the token: one of a single use does not end with this. */
  readonly isWantedLater?: (token: Uint8Array) => boolean;
  /** What one step wrote, and what it read and wrote for that. */
  readonly onWritten: (bytes: number, movedBytes: number) => void;
}

/** A step that moved no data may be followed by one of twice the length. */
const STEP_BYTES_MIN = 2 ** 30;
const STEP_BYTES_MAX = 2 ** 36;

export async function writeThroughTokens(device: DeviceOffload, writing: TokenWriting): Promise<void> {
  const { tokens, fromBytes, toBytes, lengthBytes, steps, signal, onWritten } = writing;
  let stepBytes = steps === "whole" ? lengthBytes : STEP_BYTES_MIN;
  for (let done = 0; done < lengthBytes; ) {
    signal?.throwIfAborted();
    const runs = runsAt(tokens, fromBytes + done);
    if (runs.length === 0)
      throw new RopewalkError("TOKEN_CUT", `No token stands for the data at ${fromBytes + done}.`);
    const offsetBytes = toBytes + done;
    const lengthMax = Math.min(lengthBytes - done, stepBytes);
    const written = await writeOne(device, { runs, offsetBytes, lengthMax, writing });
    if (written.lengthBytes === 0)
      throw new RopewalkError("UNSUPPORTED", "The device wrote nothing of the token; copy plainly.");
    done += written.lengthBytes;
    if (steps === "bounded")
      stepBytes = written.movedBytes === 0 ? Math.min(stepBytes * 2, STEP_BYTES_MAX) : STEP_BYTES_MIN;
    onWritten(written.lengthBytes, written.movedBytes);
  }
}

/** Tries one way after the other. */
async function writeOne(
  device: DeviceOffload,
  step: { runs: readonly TokenRun[]; offsetBytes: number; lengthMax: number; writing: TokenWriting },
): Promise<{ lengthBytes: number; movedBytes: number }> {
  const { runs, offsetBytes, lengthMax, writing } = step;
  let failure: unknown;
  for (const run of runs) {
    try {
      return await device.write({
        tokens: run.alternatives,
        companions: run.companions,
        tokenOffsetBytes: run.tokenOffsetBytes,
        ranges: [{ offsetBytes, lengthBytes: Math.min(run.lengthBytes, lengthMax) }],
        fua: false,
        isProtected: writing.isProtected,
        ...(isPart(run, writing) && { isPart: true }),
        ...(writing.signal === undefined ? {} : { signal: writing.signal }),
      });
    } catch (error) {
      if (!saysCopyPlainly(error)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

function isPart({ alternatives }: TokenRun, { isWantedLater }: TokenWriting): boolean {
  return isWantedLater !== undefined && alternatives.some(isWantedLater);
}
