/**
 * The layer `defer`: token writes are answered first and carried out later. Manual: defer.md.
 * Errors: INVALID_CONFIG when the device below cannot flush, or takes any token for good until it writes from it.
 */
import { RopewalkError } from "../../base/errors.ts";
import { DeferDevice } from "./defer-device.ts";
import { type GivenParameters, invalid } from "./parameters.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const TOKENS = ["persistent", "preserve"] as const;

const TABLE = {
  delayMs: { type: "number", unit: "ms", minimum: 0, maximum: 60_000, default: 1000 },
  bytesMax: { type: "size", unit: "bytes", minimum: 65_536, maximum: 2 ** 40, default: 256 * 1024 * 1024 },
  movesMax: { type: "integer", unit: "", minimum: 2, maximum: 16_384, default: 1024 },
  tokens: { type: "choice", choices: TOKENS, default: "persistent" },
} as const;

/** As a description gives them. */
export type GivenDeferParameters = GivenParameters<typeof TABLE>;

export const deferLayer: TreeLayerKind<typeof TABLE> = {
  name: "defer",
  parameters: TABLE,
  membersMin: 1,
  membersMax: 1,
  create: async ([member], parameters, { where, world }) => {
    const { capabilities, offload } = member!;
    // Without token copies there is nothing to defer.
    if (offload === undefined || !capabilities.writable) return member!;
    if (capabilities.flush === "absent")
      throw invalid(where, "cannot keep writes for a member that cannot flush");
    const isBlind = await offload.write({ ...NO_TOKEN, ranges: [{ offsetBytes: 0, lengthBytes: 0 }] }).then(
      () => true,
      (error: unknown) => !(error instanceof RopewalkError),
    );
    if (isBlind)
      throw invalid(
        where,
        "cannot ask its member whether a token is good without writing from it; put defer below partition, span and stripe",
      );
    return new DeferDevice(member!, offload, {
      ...parameters,
      world,
      print: (line) => world.print(`defer at ${where}: ${line}`),
    });
  },
};

/** A write from what is no token. */
const NO_TOKEN = {
  tokens: [new Uint8Array(512)],
  tokenOffsetBytes: 0,
  fua: false,
  isProtected: true,
  isPart: true,
} as const;
