/**
 * What administrators do to the pool: volumes, snapshots, clones, rollbacks, grafts, pins, markers, and the
 * pool's own chores. All of it may overlap with data requests, except where a volume must be held alone.
 *
 * Always holds: an administrative change that was acknowledged is promised as durable; one that must be
 * refused by the state of the model is refused with the right code (`refusal`).
 */
import type { ErrorCode } from "../src/base/errors.ts";
import { check } from "./check-failed.ts";
import { checkMapContent } from "./checks/contents.ts";
import { checkDifference } from "./checks/differences.ts";
import type { DataRequests } from "./data-requests.ts";
import type { Life } from "./machine.ts";
import type { MapModel } from "./map-model.ts";
import type { MapKey, PoolModel, VolumeModel } from "./pool-model.ts";
import type { RequestShape } from "./requests.ts";
import { pageBytes } from "./unit-content.ts";
import type { VolumeAccess } from "./volume-access.ts";

const errorsOfFullPool: readonly ErrorCode[] = ["NO_SPACE"];
/** What a graft may end with when its source was deleted on the way. */
const errorsOfLostSource: readonly ErrorCode[] = ["NOT_FOUND", "SNAPSHOT_NOT_FOUND", "PIN_NOT_FOUND"];

/** A change of one record. */
interface ChangeRequest {
  readonly doing: string;
  readonly kind: string;
  /** Undefined when the pool chooses the id, 0 for records of no volume. */
  readonly volume?: number;
  readonly change: RequestShape["change"];
  readonly send: () => Promise<unknown>;
  /** The code with which it must end instead of being done. */
  readonly refusal?: ErrorCode | undefined;
  /** Codes with which it may end, for reasons that the model does not know. */
  readonly mayEnd?: readonly ErrorCode[];
  /** What an acknowledgement means; `durable` where nothing is said. */
  readonly promise?: "durable" | "nothing";
}

export interface GraftOptions {
  readonly source: MapKey;
  readonly sourceOffset: number;
  readonly volume: VolumeModel;
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
}

export class Administration {
  readonly #life: Life;
  readonly #access: VolumeAccess;
  readonly #data: DataRequests;

  constructor(life: Life, access: VolumeAccess, data: DataRequests) {
    this.#life = life;
    this.#access = access;
    this.#data = data;
  }

  get #model(): PoolModel {
    return this.#life.machine.history.current;
  }

  async createVolume(name: string, sizeBytes: number): Promise<void> {
    await this.#change({
      doing: `create ${name}`,
      kind: "volume-create",
      change: ({ volume }) => ({ kind: "create", volume, name, sizeBytes }),
      send: () => this.#life.pool.createVolume({ name, sizeBytes }),
      refusal: this.#model.volumeNamed(name) !== undefined ? "ALREADY_EXISTS" : undefined,
    });
  }

  async cloneVolume(source: VolumeModel, snapshot: string | undefined, name: string): Promise<void> {
    const key: MapKey = snapshot === undefined ? { volume: source.id } : { volume: source.id, snapshot };
    const origin = snapshot === undefined ? source.name : `${source.name}@${snapshot}`;
    const options = { source: source.name, ...(snapshot === undefined ? {} : { snapshot }), name };
    await this.#change({
      doing: `clone ${origin}`,
      kind: "volume-clone",
      change: ({ volume }) => ({ kind: "clone", volume, name, source: key, origin }),
      send: () => this.#life.pool.cloneVolume(options),
      refusal: this.#model.volumeNamed(name) !== undefined ? "ALREADY_EXISTS" : undefined,
    });
  }

  async detachVolume({ id: volume, name }: VolumeModel): Promise<void> {
    await this.#change({
      doing: `detach ${name}`,
      kind: "volume-detach",
      volume,
      change: () => ({ kind: "detach", volume }),
      send: () => this.#life.pool.detachVolume(name),
    });
  }

  async deleteVolume({ id: volume, name, snapshots }: VolumeModel): Promise<void> {
    if (!(await this.#access.takeAlone(volume))) return;
    const hasClones = this.#model.clonesOf(name).length > 0;
    await this.#change({
      doing: `delete ${name}`,
      kind: "volume-delete",
      volume,
      change: () => ({ kind: "delete", volume }),
      send: () => this.#life.pool.deleteVolume(name),
      refusal: snapshots.size > 0 ? "HAS_SNAPSHOTS" : hasClones ? "HAS_CLONES" : undefined,
    });
    this.#access.giveBack(volume);
  }

  async resizeVolume({ id: volume, name, map }: VolumeModel, sizeBytes: number): Promise<void> {
    if (sizeBytes === map.sizeBytes || !(await this.#access.takeAlone(volume))) return;
    const marks = this.#data.marks(sizeBytes, 2 * pageBytes);
    await this.#change({
      doing: `resize ${name} to ${sizeBytes}`,
      kind: "resize",
      volume,
      change: () => ({ kind: "resize", volume, sizeBytes, marks }),
      send: () => this.#life.pool.resizeVolume(name, sizeBytes),
    });
    this.#access.giveBack(volume);
  }

  async createSnapshot(
    { id: volume, name: volumeName, snapshots }: VolumeModel,
    name: string,
  ): Promise<void> {
    await this.#change({
      doing: `snapshot ${volumeName}@${name}`,
      kind: "snapshot-create",
      volume,
      change: () => ({ kind: "snapshot", volume, name }),
      send: () => this.#life.pool.createSnapshot(volumeName, name),
      refusal: snapshots.has(name) ? "ALREADY_EXISTS" : undefined,
    });
  }

  async deleteSnapshot({ id: volume, name: volumeName }: VolumeModel, name: string): Promise<void> {
    const clones = this.#model.clonesOf(`${volumeName}@${name}`).length;
    await this.#change({
      doing: `delete ${volumeName}@${name}`,
      kind: "snapshot-delete",
      volume,
      change: () => ({ kind: "snapshot-delete", volume, name }),
      send: () => this.#life.pool.deleteSnapshot(volumeName, name),
      refusal: clones > 0 ? "HAS_CLONES" : undefined,
    });
  }

  async rollback({ id: volume, name: volumeName }: VolumeModel, name: string): Promise<void> {
    if (!(await this.#access.takeAlone(volume))) return;
    await this.#change({
      doing: `rollback ${volumeName}@${name}`,
      kind: "rollback",
      volume,
      change: () => ({ kind: "rollback", volume, name, map: this.#model.map({ volume, snapshot: name }) }),
      send: () => this.#life.pool.rollback(volumeName, name),
    });
    this.#access.giveBack(volume);
  }

  /** While a client has the volume open, a rollback must be refused. */
  async rollbackInUse({ id: volume, name: volumeName }: VolumeModel, name: string): Promise<void> {
    if (!this.#access.free(volume)) return;
    this.#access.acquire(volume);
    await this.#change({
      doing: `rollback ${volumeName}@${name} in use`,
      kind: "rollback",
      volume,
      change: () => ({ kind: "nothing" }),
      send: () => this.#life.pool.rollback(volumeName, name),
      refusal: "IN_USE",
    });
    this.#access.release(volume);
  }

  async mark({ id: volume, name }: VolumeModel, text: string): Promise<void> {
    let appendedAt = 0;
    await this.#change({
      doing: `mark ${name}`,
      kind: "marker",
      volume,
      change: ({ sequence }) => {
        appendedAt = sequence;
        return { kind: "marker", volume, text };
      },
      send: async () => {
        const told = await this.#life.pool.mark(name, text);
        check(told === appendedAt, "marker", () => `the marker is at ${appendedAt}, but ${told} was told`);
      },
    });
  }

  /** Only a pin that persists is promised as durable. */
  async pin(source: MapKey, kind: "persistent" | "passing"): Promise<void> {
    const persistent = kind === "persistent";
    await this.#change({
      doing: "pin",
      kind: "pin",
      volume: 0,
      change: ({ object }) => ({ kind: "pin", pin: object!, source, persistent }),
      send: async () => {
        const pin = await this.#life.pool.pin(this.#model.ref(source), { persistent });
        check(this.#model.pins.has(pin), "catalogue", () => `the record of pin ${pin} names another`);
      },
      promise: persistent ? "durable" : "nothing",
    });
  }

  async unpin(pin: number): Promise<void> {
    await this.#change({
      doing: `unpin ${pin}`,
      kind: "unpin",
      volume: 0,
      change: () => ({ kind: "unpin", pin }),
      send: () => this.#life.pool.unpin(pin),
      promise: "nothing",
    });
  }

  /** Sets the pool's size; it cannot fall below what is used. */
  async resizePool(sizeBytes: number): Promise<void> {
    await this.#change({
      doing: `set the pool's size to ${sizeBytes}`,
      kind: "pool-size",
      volume: 0,
      change: () => ({ kind: "pool-size", sizeBytes }),
      send: () => this.#life.pool.set({ sizeBytes }),
      mayEnd: ["INVALID_SIZE", "INVALID_ARGUMENT"],
    });
  }

  async graft(graft: GraftOptions): Promise<void> {
    const { source, sourceOffset, volume, offset, length, fua } = graft;
    if (this.#life.requests.clashes("graft", volume.id, offset, length)) return;
    const { history } = this.#life.machine;
    // A graft of several records freezes its source by a pin first, one of a single record by that record.
    let frozen: MapModel | undefined;
    const freeze = () => {
      frozen ??= this.#model.map(source).freeze();
      return frozen;
    };
    const request = this.#life.requests.begin({
      kind: "graft",
      volume: volume.id,
      range: { offset, length },
      onInternal: (kind) => {
        if (kind === "pin") freeze();
      },
      change: (event) => ({
        kind: "graft",
        volume: volume.id,
        offset: event.offset,
        length: event.length,
        source: freeze(),
        sourceOffset: sourceOffset + event.offset - offset,
      }),
    });
    try {
      const options = {
        source: this.#model.ref(source),
        sourceOffset,
        volume: volume.name,
        offset,
        length,
        fua,
      };
      await this.#life.answer(this.#life.pool.graft(options), "graft");
      check(request.complete, "no-record", () => `a graft at ${offset} was acknowledged without its records`);
      if (fua) history.promiseDurable(request.lastSequence);
      else history.promiseWritten(request.lastSequence);
    } catch (error) {
      const codes = this.#model.has(source) ? errorsOfFullPool : [...errorsOfFullPool, ...errorsOfLostSource];
      this.#life.expectError(error, `graft to ${volume.name} at ${offset}+${length}`, codes);
    } finally {
      this.#life.requests.end(request);
    }
  }

  /** Compares what the pool calls different between two maps with what is. Live volumes are held alone. */
  async difference(from: MapKey, to: MapKey): Promise<void> {
    const live = [from, to].filter((key) => "volume" in key && key.snapshot === undefined);
    const taken: number[] = [];
    for (const key of live) {
      if (!("volume" in key) || taken.includes(key.volume)) continue;
      if (await this.#access.takeAlone(key.volume)) taken.push(key.volume);
    }
    try {
      if (taken.length === live.length) await checkDifference(this.#life, from, to);
    } catch (error) {
      this.#life.expectError(error, "difference", []);
    } finally {
      for (const volume of taken) this.#access.giveBack(volume);
    }
  }

  /** Reads a snapshot through a device of its own. */
  async readSnapshot(volume: VolumeModel, name: string): Promise<void> {
    const { map } = volume.snapshots.get(name)!;
    const device = this.#life.pool.openSnapshot(volume.name, name);
    try {
      const { random } = this.#life.machine;
      await checkMapContent(this.#life, `${volume.name}@${name}`, device, map, () => random.chance(0.2));
    } catch (error) {
      this.#life.expectError(error, "read of a snapshot", []);
    }
    await this.#life.answer(device.close());
  }

  async chore(kind: "checkpoint" | "collect" | "scrub"): Promise<void> {
    const { pool } = this.#life;
    try {
      if (kind === "checkpoint") await this.#life.answer(pool.checkpoint(), "checkpoint");
      else if (kind === "collect") await this.#life.answer(pool.collect({ ratio: 1.2 }), "collect");
      else {
        const sentences: string[] = [];
        const { errors } = await this.#life.answer(
          pool.scrub({ onError: (sentence) => sentences.push(sentence) }),
        );
        const excused = this.#life.machine.disk.faults.struck > 0;
        check(errors === 0 || excused, "scrub", () => `${errors} errors on a sound disk: ${sentences[0]}`);
      }
    } catch (error) {
      this.#life.expectError(error, kind, errorsOfFullPool);
    }
  }

  /** Sends a change and keeps the books on it. */
  async #change({
    doing,
    kind,
    volume,
    change,
    send,
    refusal,
    mayEnd,
    promise,
  }: ChangeRequest): Promise<void> {
    const { machine } = this.#life;
    const request = this.#life.requests.begin({
      kind,
      ...(volume === undefined ? {} : { volume }),
      change,
    });
    try {
      await this.#life.answer(send(), doing);
      check(refusal === undefined, "refusal", () => `${doing} was done, but should end with ${refusal}`);
      check(request.complete, "no-record", () => `${doing} was acknowledged without a record`);
      if (promise !== "nothing") machine.history.promiseDurable(request.lastSequence);
    } catch (error) {
      const codes = [...errorsOfFullPool, ...(mayEnd ?? []), ...(refusal === undefined ? [] : [refusal])];
      this.#life.expectError(error, doing, codes);
    } finally {
      this.#life.requests.end(request);
    }
  }
}
