/**
 * What volumes, snapshots and the like may be called and how large a volume may be: the one place that says so.
 * Always holds: a checked name is legal in a URL, an IQN and a file name, and holds no `@`, so that
 * `VOLUME@SNAPSHOT` reads back in one way only.
 */
import { RopewalkError } from "./errors.ts";

/** As a source text, for schemas too. */
export const NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$";
const NAME = new RegExp(NAME_PATTERN);

export const VOLUME_SIZE_UNIT_BYTES = 512;
/** 4 PiB; far below 2^53, so that offsets plus lengths stay exact in a number. */
export const VOLUME_SIZE_BYTES_MAX = 2 ** 52;

/** Hostile text in a sentence: quoted, control characters escaped, cut. */
export function quoted(text: string): string {
  const charactersMax = 80;
  return JSON.stringify(text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text);
}

/** The name itself. `what` stands in the sentence: "volume", "snapshot". INVALID_NAME */
export function checkName(what: string, name: string): string {
  if (NAME.test(name)) return name;
  throw new RopewalkError(
    "INVALID_NAME",
    `${quoted(name)} cannot name a ${what}: use 1 to 63 of a-z, 0-9, ".", "_", "-", the first a letter or digit.`,
  );
}

/** The size itself. INVALID_SIZE */
export function checkVolumeSize(sizeBytes: number): number {
  const isLegal =
    Number.isSafeInteger(sizeBytes) &&
    sizeBytes > 0 &&
    sizeBytes <= VOLUME_SIZE_BYTES_MAX &&
    sizeBytes % VOLUME_SIZE_UNIT_BYTES === 0;
  if (isLegal) return sizeBytes;
  throw new RopewalkError(
    "INVALID_SIZE",
    `A volume cannot have ${sizeBytes} bytes: its size is a positive multiple of 512, up to 2^52.`,
  );
}

/** A volume, or one of its snapshots. */
export interface MapName {
  readonly volume: string;
  readonly snapshot?: string;
}

/** `VOLUME` or `VOLUME@SNAPSHOT`, both names checked. INVALID_NAME */
export function parseMapName(text: string): MapName {
  const at = text.indexOf("@");
  if (at < 0) return { volume: checkName("volume", text) };
  return {
    volume: checkName("volume", text.slice(0, at)),
    snapshot: checkName("snapshot", text.slice(at + 1)),
  };
}

export function formatMapName({ volume, snapshot }: MapName): string {
  return snapshot === undefined ? volume : `${volume}@${snapshot}`;
}
