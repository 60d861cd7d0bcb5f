/**
 * The daemon's targets: for each one logical unit, shared by all sessions, over a device that is open while there are any.
 *
 * Always holds: a unit lives as long as what it stands for, so reservations outlive sessions; an initiator that is not
 * on a target's list opens nothing; third-party copy reaches only units whose rules let the copying initiator in anyway.
 * Errors: NOT_FOUND, UNAUTHORIZED, and what opening the device throws.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import type { BlockDevice } from "../../device/mod.ts";
import type { TokenService } from "../../offload/mod.ts";
import type { Clock } from "../../ports/mod.ts";
import type { ScsiNexus, ScsiTarget } from "./scsi-target.ts";
import { StandbyDevice } from "./standby-device.ts";
import type {
  ChapAccount,
  IscsiPortal,
  IscsiTargetTable,
  OpenedTarget,
  TargetAuthentication,
  TargetEntry,
} from "./target-table.ts";
import { COPY_LIMITS, type CopyLimits, CopyManager, isSameDesignator } from "./third-party-copy/mod.ts";
import { type CopyUnit, ScsiUnitTarget, type TargetPort, type UnitStore } from "./unit/mod.ts";

/** A target and what it asks of initiators. */
export interface ServedTarget {
  /** Its iSCSI name. */
  readonly name: string;
  readonly volume: string;
  readonly uuid: string;
  readonly rules: {
    /** Empty: nobody needs to log in. */
    readonly users: readonly ChapAccount[];
    readonly mutual: ChapAccount | undefined;
    /** In lower case; empty: any. */
    readonly initiators: readonly string[];
    readonly blockBytes: number;
  };
  readonly trimReadsZeros: boolean;
}

/** Where targets come from. */
export interface ServedTargets {
  list(): readonly ServedTarget[];
  find(name: string): ServedTarget | undefined;
  open(volume: string): BlockDevice | Promise<BlockDevice>;
}

export interface UnitTargetsOptions {
  readonly targets: ServedTargets;
  readonly portals: readonly IscsiPortal[];
  /** What outlives the daemon of a unit: persistent reservations and an unfinished SANITIZE; by the volume's UUID. */
  readonly reservations: (uuid: string) => UnitStore;
  readonly clock: Clock;
  /** Without it units know neither token copies nor EXTENDED COPY. */
  readonly tokens: TokenService | undefined;
  /** The longest that the token service lets a token live. */
  readonly tokenSecondsMax?: number;
}

interface Unit {
  readonly target: ServedTarget;
  readonly device: StandbyDevice;
  readonly scsi: ScsiUnitTarget;
}

export class UnitTargets implements IscsiTargetTable {
  readonly #options: UnitTargetsOptions;
  readonly #copies: CopyManager | undefined;
  /** By UUID, also those that are being made. */
  readonly #units = new Map<string, Promise<Unit>>();
  /** Those of them that are made. */
  readonly #made = new Map<string, Unit>();

  constructor(options: UnitTargetsOptions) {
    this.#options = options;
    const { clock, tokens, tokenSecondsMax = COPY_LIMITS.tokenSecondsMax } = options;
    const findUnit = (designator: Uint8Array, nexus: ScsiNexus) => this.#findUnit(designator, nexus);
    const limits = tokenLimits(tokenSecondsMax);
    this.#copies = tokens && new CopyManager({ clock, tokens, findUnit, limits });
  }

  /** Without aliases, which libiscsi does not understand in an answer to SendTargets. */
  list(): TargetEntry[] {
    return this.#options.targets.list().map(({ name }) => ({ name }));
  }

  async open(name: string, initiator: string): Promise<OpenedTarget> {
    const target = this.#options.targets.find(name);
    if (!target) throw new RopewalkError("NOT_FOUND", `There is no target ${quoted(name)}.`);
    if (!letsIn(target, initiator))
      throw new RopewalkError(
        "UNAUTHORIZED",
        `The initiator ${quoted(initiator)} is not on the list of ${target.name}.`,
      );
    this.#forgetGone();
    const unit = await this.#used(target);
    let closing: Promise<void> | undefined;
    return {
      scsi: this.#withCopies(unit),
      auth: authenticationOf(target),
      close: () => (closing ??= unit.device.close()),
    };
  }

  /** The unit with one user more. */
  async #used(target: ServedTarget): Promise<Unit> {
    const present = this.#units.get(target.uuid);
    if (present) {
      const unit = await present;
      await unit.device.use();
      return unit;
    }
    const making = this.#make(target);
    this.#units.set(target.uuid, making);
    try {
      const unit = await making;
      this.#made.set(target.uuid, unit);
      return unit;
    } catch (error) {
      this.#units.delete(target.uuid);
      throw error;
    }
  }

  async #make(target: ServedTarget): Promise<Unit> {
    const { targets, portals, reservations, clock } = this.#options;
    const { volume, uuid, rules } = target;
    const device = await StandbyDevice.open(() => targets.open(volume));
    try {
      const scsi = await ScsiUnitTarget.open({
        device,
        // A device whose smallest block is larger than asked for decides.
        blockBytes: Math.max(rules.blockBytes, device.geometry.minimumBlockBytes) > 512 ? 4096 : 512,
        identity: { name: volume, uuid },
        ports: targetPorts(target.name, portals),
        store: reservations(uuid),
        clock,
        isWritable: device.capabilities.writable,
        trimReadsZeros: target.trimReadsZeros,
        thirdPartyCopy: this.#copies,
      });
      return { target, device, scsi };
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /** Units of what is there no more; a new volume of the same name has another UUID. */
  #forgetGone(): void {
    const uuids = new Set(this.#options.targets.list().map(({ uuid }) => uuid));
    for (const [uuid, { device }] of this.#made) {
      if (uuids.has(uuid) || device.users > 0) continue;
      this.#made.delete(uuid);
      this.#units.delete(uuid);
    }
  }

  /** What the copy manager keeps for a session or a unit ends with it. */
  #withCopies({ scsi }: Unit): ScsiTarget {
    const copies = this.#copies;
    if (!copies) return scsi;
    return {
      execute: (command) => scsi.execute(command),
      dataOutBytes: (lun, cdb) => scsi.dataOutBytes(lun, cdb),
      opened: (nexus) => scsi.opened(nexus),
      closed: (nexus) => {
        copies.closed(nexus);
        scsi.closed(nexus);
      },
      reset: async (nexus, lun) => {
        await copies.reset(scsi.copyUnit);
        await scsi.reset(nexus, lun);
      },
    };
  }

  #findUnit(designator: Uint8Array, nexus: ScsiNexus): CopyUnit | undefined {
    const from = [...this.#made.values()].find(({ target }) =>
      nexus.targetPort.startsWith(`${target.name},`),
    );
    for (const { target, device, scsi } of this.#made.values()) {
      if (device.users === 0 || !scsi.copyUnit.designators.some((own) => isSameDesignator(own, designator)))
        continue;
      return from && mayReach({ from: from.target, to: target, initiator: nexus.initiator })
        ? scsi.copyUnit
        : undefined;
    }
    return undefined;
  }
}

/**
 * Whether a session with `from` may copy from and to `to`: whoever could log in there could log in here too. That the
 * initiator has a session with `to` proves nothing, since without CHAP a name is only said.
 */
function mayReach({
  from,
  to,
  initiator,
}: {
  from: ServedTarget;
  to: ServedTarget;
  initiator: string;
}): boolean {
  if (from.uuid === to.uuid) return true;
  if (!letsIn(to, initiator)) return false;
  if (to.rules.users.length === 0) return true;
  const isUserOf = ({ rules }: ServedTarget, { user, secret }: ChapAccount) =>
    rules.users.some((other) => other.user === user && other.secret === secret);
  return from.rules.users.length > 0 && from.rules.users.every((account) => isUserOf(to, account));
}

function letsIn({ rules }: ServedTarget, initiator: string): boolean {
  return rules.initiators.length === 0 || rules.initiators.includes(initiator.toLowerCase());
}

function authenticationOf({ rules: { users, mutual } }: ServedTarget): TargetAuthentication {
  if (users.length === 0) return "none";
  return mutual ? { incoming: users, outgoing: mutual } : { incoming: users };
}

/** So that what page 8Fh offers, the token service keeps to. */
function tokenLimits(secondsMax: number): Partial<CopyLimits> {
  return {
    tokenSecondsMax: Math.min(COPY_LIMITS.tokenSecondsMax, secondsMax),
    inactivitySecondsMax: Math.min(COPY_LIMITS.inactivitySecondsMax, secondsMax),
    inactivitySecondsDefault: Math.min(COPY_LIMITS.inactivitySecondsDefault, secondsMax),
  };
}

/** One port for each portal group (RFC 7143, 4.4.6). */
function targetPorts(target: string, portals: readonly IscsiPortal[]): TargetPort[] {
  const byTag = new Map(portals.map((portal) => [portal.portalGroupTag, portal]));
  return [...byTag.values()].map(({ portalGroupTag, relativePort }) => ({
    name: `${target},t,0x${portalGroupTag.toString(16).padStart(4, "0")}`,
    portalGroupTag,
    relativePort,
  }));
}
