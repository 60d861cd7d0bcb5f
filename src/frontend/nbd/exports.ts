/**
 * What the NBD front end serves, as seen by whoever hands it in. The front end knows devices, not volumes.
 *
 * Always holds: an export that was opened is closed again through its device, exactly once, whatever becomes
 * of the connection; so the device's `close` counts clients.
 */
import type { BlockDevice } from "../../device/mod.ts";
import type { StatusExtent } from "../../wire/nbd/mod.ts";

export interface ExportEntry {
  readonly name: string;
  /** One line for humans; empty when there is nothing to say. */
  readonly description: string;
}

/** A meta context besides `base:allocation`, which the front end answers from `device.extents`. */
export interface NbdContext {
  /** Full name: `qemu:allocation-depth`, `qemu:dirty-bitmap:NAME`. */
  readonly name: string;
  /**
   * The range in order and without gaps from `offset`, at least one extent, at most `extentsMax`; then what
   * follows is left out. The last may reach past the range, never past the device.
   */
  query(offset: number, length: number, extentsMax: number): Promise<readonly StatusExtent[]>;
}

export interface OpenedExport {
  readonly device: BlockDevice;
  readonly description: string;
  /** The contexts as of now, in a stable order. */
  contexts(): readonly NbdContext[];
}

export interface NbdExports {
  list(): readonly ExportEntry[];
  /** Rejects or throws VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, NOT_FOUND or INVALID_NAME when there is no such export. */
  open(name: string): OpenedExport | Promise<OpenedExport>;
}
