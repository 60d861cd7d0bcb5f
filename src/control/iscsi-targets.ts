/**
 * The iSCSI targets: one for every volume, `iqn.2026-11.io.ropewalk:VOLUME`, none for snapshots.
 *
 * Always holds: a target exists as long as its volume; what it asks of initiators comes from the settings alone.
 * Errors: those of opening the volume.
 */
import type { BlockDevice } from "../device/mod.ts";
import type { Exports } from "./exports.ts";
import type { IscsiRules, IscsiTargetRules } from "./iscsi-rules.ts";
import type { AnyVolumeInfo, Volumes } from "./volumes.ts";

export const ISCSI_NAME_PREFIX = "iqn.2026-11.io.ropewalk:";

export interface IscsiTargetEntry {
  /** The target's iSCSI name. */
  readonly name: string;
  readonly volume: string;
  /** The volume's: the logical unit is the same as long as it is. */
  readonly uuid: string;
  readonly rules: IscsiTargetRules;
  /** What was trimmed reads as zeros: of a volume of the pool yes, of a stack nobody knows. */
  readonly trimReadsZeros: boolean;
}

export class IscsiTargets {
  readonly #volumes: Volumes;
  readonly #exports: Exports;
  readonly #rules: IscsiRules;

  constructor(options: { volumes: Volumes; exports: Exports; rules: IscsiRules }) {
    this.#volumes = options.volumes;
    this.#exports = options.exports;
    this.#rules = options.rules;
  }

  list(): IscsiTargetEntry[] {
    return this.#volumes.list().map((volume) => this.#entry(volume));
  }

  /** The target of that iSCSI name, in whatever case (RFC 7143, 4.2.7.1). */
  find(name: string): IscsiTargetEntry | undefined {
    const lower = name.toLowerCase();
    if (!lower.startsWith(ISCSI_NAME_PREFIX)) return undefined;
    const volume = lower.slice(ISCSI_NAME_PREFIX.length);
    return this.list().find((entry) => entry.volume === volume);
  }

  /** Opens the volume for a target's sessions, which count as one client until the device is closed. */
  open(volume: string): BlockDevice | Promise<BlockDevice> {
    return this.#exports.open(volume);
  }

  #entry({ name, uuid, stack }: AnyVolumeInfo): IscsiTargetEntry {
    return {
      name: ISCSI_NAME_PREFIX + name,
      volume: name,
      uuid,
      rules: this.#rules.of(name),
      trimReadsZeros: stack === undefined,
    };
  }
}
