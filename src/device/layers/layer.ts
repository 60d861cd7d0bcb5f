/**
 * What a layer is: a kind with its parameters, of which a stack makes one for each volume, and which then lies
 * over every opening of that volume. State that all openings share (buckets, rules) lives in the layer, so that
 * a limit for a volume stays one limit however many clients connect.
 */
import type { Clock } from "../../ports/mod.ts";
import type { BlockDevice } from "../block-device.ts";
import type { Parameters, ParameterTable } from "./parameters.ts";

/** What layers need of the world. */
export interface LayerWorld {
  readonly clock: Clock;
  /** Takes the lines that a layer prints, without a line end. */
  readonly print: (line: string) => void;
}

export interface Layer<Table extends ParameterTable> {
  /** A device over an opening of the volume; `inner` is behind the shim. */
  over(inner: BlockDevice): BlockDevice;
  /** New parameters for all openings, from the next request on. */
  set(parameters: Parameters<Table>): void;
}

export interface LayerKind<Table extends ParameterTable> {
  readonly name: string;
  readonly parameters: Table;
  create(parameters: Parameters<Table>, world: LayerWorld): Layer<Table>;
}
