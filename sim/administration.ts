/**
 * What administrators do to the pool: volumes, snapshots, clones, rollbacks, grafts, pins, markers, and the
 * pool's own chores. All of it may overlap with data requests, except where a volume must be held alone.
 *
 * Always holds: an administrative change that was acknowledged is promised as durable; one that must be
 * refused by the state of the model is refused with the right code (`refusal`).
 */
import type { ErrorCode } from "../src/base/errors.ts";
import type { MapRef } from "../src/pool/mod.ts";
import { check } from "./check-failed.ts";
import { checkMapContent } from "./checks/contents.ts";
import { checkDifference } from "./checks/differences.ts";
import type { DataRequests } from "./data-requests.ts";
import type { Life } from "./machine.ts";
import type { MapModel } from "./map-model.ts";
import type { Change, MapKey, PoolModel, VolumeModel } from "./pool-model.ts";
import type { RequestShape } from "./requests.ts";
import type { VolumeAccess } from "./volume-access.ts";

const errorsOfFullPool: readonly ErrorCode[] = ["NO_SPACE"];

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

  mapRef(key: MapKey): MapRef {
    if ("pin" in key) return { pin: key.pin };
    const { name } = this.#model.volume(key.volume);
    return key.snapshot === undefined ? { volume: name } : { volume: name, snapshot: key.snapshot };
  }

  async createVolume(name: string, sizeBytes: number): Promise<void> {
    const taken = this.#model.volumeNamed(name) !== undefined;
    await this.#change(
      `create ${name}`,
      ({ volume }) => ({ kind: "create", volume, name, sizeBytes }),
      () => this.#life.pool.createVolume({ name, sizeBytes }),
      taken ? "ALREADY_EXISTS" : undefined,
    );
  }

  async cloneVolume(source: VolumeModel, snapshot: string | undefined, name: string): Promise<void> {
    const key: MapKey = snapshot === undefined ? { volume: source.id } : { volume: source.id, snapshot };
    const origin = snapshot === undefined ? source.name : `${source.name}@${snapshot}`;
    await this.#change(
      `clone ${origin}`,
      ({ volume }) => ({ kind: "clone", volume, name, source: key, origin }),
      () =>
        this.#life.pool.cloneVolume({
          source: source.name,
          ...(snapshot === undefined ? {} : { snapshot }),
          name,
        }),
      this.#model.volumeNamed(name) !== undefined ? "ALREADY_EXISTS" : undefined,
    );
  }

  async detachVolume({ id: volume, name, origin }: VolumeModel): Promise<void> {
    if (origin === undefined) return;
    await this.#change(
      `detach ${name}`,
      () => ({ kind: "detach", volume }),
      () => this.#life.pool.detachVolume(name),
    );
  }

  async deleteVolume(volume: VolumeModel): Promise<void> {
    const { id, name, snapshots } = volume;
    if (!(await this.#access.takeAlone(id))) return;
    const refusal: ErrorCode | undefined =
      snapshots.size > 0 ? "HAS_SNAPSHOTS" : this.#model.clonesOf(name).length > 0 ? "HAS_CLONES" : undefined;
    await this.#change(
      `delete ${name}`,
      () => ({ kind: "delete", volume: id }),
      () => this.#life.pool.deleteVolume(name),
      refusal,
    );
    this.#access.giveBack(id);
  }

  async resizeVolume({ id, name, map }: VolumeModel, sizeBytes: number): Promise<void> {
    if (sizeBytes === map.sizeBytes || !(await this.#access.takeAlone(id))) return;
    const marks = this.#data.marks(sizeBytes, 8192);
    await this.#change(
      `resize ${name} to ${sizeBytes}`,
      { kind: "resize", volume: id, change: () => ({ kind: "resize", volume: id, sizeBytes, marks }) },
      () => this.#life.pool.resizeVolume(name, sizeBytes),
    );
    this.#access.giveBack(id);
  }

  async createSnapshot({ id, name: volumeName, snapshots }: VolumeModel, name: string): Promise<void> {
    await this.#change(
      `snapshot ${volumeName}@${name}`,
      () => ({ kind: "snapshot", volume: id, name }),
      () => this.#life.pool.createSnapshot(volumeName, name),
      snapshots.has(name) ? "ALREADY_EXISTS" : undefined,
    );
  }

  async deleteSnapshot({ id, name: volumeName }: VolumeModel, name: string): Promise<void> {
    const clones = this.#model.clonesOf(`${volumeName}@${name}`).length;
    await this.#change(
      `delete ${volumeName}@${name}`,
      () => ({ kind: "snapshot-delete", volume: id, name }),
      () => this.#life.pool.deleteSnapshot(volumeName, name),
      clones > 0 ? "HAS_CLONES" : undefined,
    );
  }

  async rollback({ id, name: volumeName }: VolumeModel, name: string): Promise<void> {
    if (!(await this.#access.takeAlone(id))) return;
    await this.#change(
      `rollback ${volumeName}@${name}`,
      () => this.#rollbackChange(id, name),
      () => this.#life.pool.rollback(volumeName, name),
    );
    this.#access.giveBack(id);
  }

  /** While a client has the volume open, a rollback must be refused. */
  async rollbackInUse({ id, name: volumeName }: VolumeModel, name: string): Promise<void> {
    if (!this.#access.free(id)) return;
    this.#access.acquire(id);
    await this.#change(
      `rollback ${volumeName}@${name} in use`,
      () => this.#rollbackChange(id, name),
      () => this.#life.pool.rollback(volumeName, name),
      "IN_USE",
    );
    this.#access.release(id);
  }

  #rollbackChange(volume: number, name: string): Change {
    return { kind: "rollback", volume, name, map: this.#model.map({ volume, snapshot: name }) };
  }

  async mark({ id, name }: VolumeModel, text: string): Promise<void> {
    await this.#change(
      `mark ${name}`,
      () => ({ kind: "marker", volume: id, text }),
      () => this.#life.pool.mark(name, text),
    );
  }

  async graft(options: {
    source: MapKey;
    sourceOffset: number;
    volume: VolumeModel;
    offset: number;
    length: number;
    fua: boolean;
  }): Promise<void> {
    const { source, sourceOffset, volume, offset, length, fua } = options;
    const { id, name } = volume;
    if (this.#life.requests.clashes("graft", id, offset, length)) return;
    const lockedSource = "volume" in source && source.volume !== id && source.snapshot === undefined;
    // A large graft freezes its source once; until we know at which record, nobody else may change the source.
    let frozen: MapModel | undefined;
    const { history } = this.#life.machine;
    const request = this.#life.requests.begin({
      kind: "graft",
      volume: id,
      range: { offset, length },
      change: (event) => {
        frozen ??= this.#model.map(source).freeze();
        return {
          kind: "graft",
          volume: id,
          offset: event.offset,
          length: event.length,
          source: frozen,
          sourceOffset: sourceOffset + event.offset - offset,
        };
      },
    });
    if (lockedSource && !(await this.#access.takeAlone(source.volume))) {
      this.#life.requests.end(request);
      return;
    }
    try {
      const ref = this.mapRef(source);
      await this.#life.answer(
        this.#life.pool.graft({ source: ref, sourceOffset, volume: name, offset, length, fua }),
      );
      check(request.complete, "no-record", () => `a graft at ${offset} was acknowledged without its records`);
      if (fua) history.promiseDurable(request.lastSequence);
      else history.promiseWritten(request.lastSequence);
    } catch (error) {
      this.#life.expectError(error, `graft to ${name} at ${offset}+${length}`, errorsOfFullPool);
    } finally {
      this.#life.requests.end(request);
      if (lockedSource) this.#access.giveBack(source.volume);
    }
  }

  async pin(source: MapKey, kind: "persistent" | "passing"): Promise<void> {
    const persistent = kind === "persistent";
    await this.#change(
      "pin",
      ({ volume: pin }) => ({ kind: "pin", pin, source, persistent }),
      async () => {
        const pin = await this.#life.pool.pin(this.mapRef(source), { persistent });
        check(this.#model.pins.has(pin), "catalogue", () => `the pin's record does not name ${pin}`);
      },
    );
  }

  async unpin(pin: number): Promise<void> {
    if (!this.#model.pins.has(pin)) return;
    await this.#change(
      `unpin ${pin}`,
      () => ({ kind: "unpin", pin }),
      () => this.#life.pool.unpin(pin),
    );
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
      if (taken.length === live.length)
        await checkDifference(this.#life, this.#model, from, to, (key) => this.mapRef(key));
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

  /** Sends a change, which is a catalogue record unless `shape` says otherwise, whose acknowledgement means that it is durable. With `refusal`, it must end with that code. */
  async #change(
    doing: string,
    shape: RequestShape | RequestShape["change"],
    send: () => Promise<unknown>,
    refusal?: ErrorCode,
  ): Promise<void> {
    const { machine } = this.#life;
    const request = this.#life.requests.begin(
      typeof shape === "function" ? { kind: "catalogue", change: shape } : shape,
    );
    try {
      await this.#life.answer(send(), doing);
      check(refusal === undefined, "refusal", () => `${doing} was done, but should end with ${refusal}`);
      check(request.complete, "no-record", () => `${doing} was acknowledged without a record`);
      machine.history.promiseDurable(request.lastSequence);
    } catch (error) {
      this.#life.expectError(
        error,
        doing,
        refusal === undefined ? errorsOfFullPool : [refusal, ...errorsOfFullPool],
      );
    } finally {
      this.#life.requests.end(request);
    }
  }
}
