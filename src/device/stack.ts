/**
 * A stack of layers, as the configuration describes it for a volume, over every opening of that volume.
 *
 * Always holds: the first layer of the description lies next to the volume, the last one faces the clients; the
 * shim stands between every two and at both ends; what a layer keeps (buckets, rules) is shared by all openings.
 * Devices open from the inside out and close from the outside in.
 * Errors: INVALID_CONFIG with the place in the description.
 */
import { quoted } from "../base/object-name.ts";
import type { BlockDevice } from "./block-device.ts";
import { checkDevice } from "./checked-device.ts";
import { faultLayer, type GivenFaultParameters } from "./layers/fault.ts";
import type { Layer, LayerKind, LayerWorld } from "./layers/layer.ts";
import {
  asList,
  asObject,
  invalid,
  type Parameters,
  type ParameterTable,
  parseParameters,
} from "./layers/parameters.ts";
import { type GivenRateParameters, rateLayer } from "./layers/rate.ts";
import { type GivenTraceParameters, traceLayer } from "./layers/trace.ts";

const LAYERS_MAX = 16;

export const LAYER_KINDS: readonly LayerKind<ParameterTable>[] = [
  traceLayer as LayerKind<ParameterTable>,
  faultLayer as LayerKind<ParameterTable>,
  rateLayer as LayerKind<ParameterTable>,
];

/** One layer: its name and those of its parameters that differ from the defaults (see the manual pages in layers/). */
export type LayerDescription =
  | ({ readonly layer: "trace" } & GivenTraceParameters)
  | ({ readonly layer: "fault" } & GivenFaultParameters)
  | ({ readonly layer: "rate" } & GivenRateParameters);

/** From the volume outwards. */
export type StackDescription = readonly LayerDescription[];

export class LayerStack {
  readonly #layers: readonly StackedLayer[];

  constructor(layers: readonly StackedLayer[]) {
    this.#layers = layers;
  }

  /** The layers over one opening of the volume; the result owns `base` and closes it. */
  over(base: BlockDevice): BlockDevice {
    return this.#layers.reduce((inner, layer) => checkDevice(layer.over(inner)), checkDevice(base));
  }

  /** The layers with all their parameters, as they are now. */
  describe(): StackDescription {
    return this.#layers.map((layer) => layer.describe());
  }

  /** Changes the parameters given of the layer at `index`, for all openings; the others stay. INVALID_CONFIG */
  set(index: number, parameters: unknown): void {
    const layer = this.#layers[index];
    if (layer === undefined)
      throw invalid(`layers[${index}]`, `does not exist; there are ${this.#layers.length}`);
    layer.set(parameters, `layers[${index}]`);
  }
}

/** The stack that `description` (a StackDescription, not yet checked) describes. INVALID_CONFIG */
export function buildStack(description: unknown, world: LayerWorld): LayerStack {
  const list = asList(description, LAYERS_MAX, "layers");
  return new LayerStack(
    list.map((value, index) => {
      const where = `layers[${index}]`;
      const { layer: name, ...parameters } = asObject(value, where);
      const kind = LAYER_KINDS.find((candidate) => candidate.name === name);
      if (kind === undefined) {
        const known = LAYER_KINDS.map((candidate) => candidate.name).join(", ");
        const named = typeof name === "string" ? `names the layer ${quoted(name)}` : "names no layer";
        throw invalid(where, `${named}; known are ${known}`);
      }
      return new StackedLayer({
        kind,
        parameters: parseParameters(kind.parameters, parameters, { where }),
        world,
      });
    }),
  );
}

class StackedLayer {
  readonly #kind: LayerKind<ParameterTable>;
  readonly #layer: Layer<ParameterTable>;
  #parameters: Parameters<ParameterTable>;

  constructor(options: {
    kind: LayerKind<ParameterTable>;
    parameters: Parameters<ParameterTable>;
    world: LayerWorld;
  }) {
    this.#kind = options.kind;
    this.#parameters = options.parameters;
    this.#layer = options.kind.create(options.parameters, options.world);
  }

  over(inner: BlockDevice): BlockDevice {
    return this.#layer.over(inner);
  }

  describe(): LayerDescription {
    return { layer: this.#kind.name, ...this.#parameters } as LayerDescription;
  }

  set(given: unknown, where: string): void {
    this.#parameters = parseParameters(this.#kind.parameters, given, { where, rest: this.#parameters });
    this.#layer.set(this.#parameters);
  }
}
