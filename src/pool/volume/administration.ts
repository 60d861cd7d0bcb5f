/**
 * What is done to volumes and snapshots as wholes: each a record of the catalogue, checked in the turn in which it
 * is appended.
 *
 * Always holds: what has clients, clones, snapshots or cursors is not deleted; names are unique. Errors: the codes
 * named at each method.
 */
import { RopewalkError } from "../../base/errors.ts";
import { checkName, checkVolumeSize, quoted } from "../../base/object-name.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import type { SnapshotInfo, VolumeInfo } from "../pool-api.ts";
import { type SnapshotObject, storedLabelBytes, type VolumeObject } from "./catalogue.ts";
import { followed } from "./catalogue-operation.ts";
import type { CatalogueWriter } from "./catalogue-writer.ts";
import type { VolumeWriter } from "./volume-writer.ts";

/** Objects of a pool at most: the catalogue is rewritten whole with each checkpoint. */
const OBJECTS_MAX = 20_000;
/** Of a segment, that pins' labels may fill: the catalogue is one piece of a segment, and the rest is the objects'. */
const LABEL_SHARE = 4;

export class VolumeAdministration {
  readonly #engine: Engine;
  readonly #catalogueWriter: CatalogueWriter;
  readonly #writer: VolumeWriter;

  constructor(engine: Engine, catalogueWriter: CatalogueWriter, writer: VolumeWriter) {
    this.#engine = engine;
    this.#catalogueWriter = catalogueWriter;
    this.#writer = writer;
  }

  volumes(): VolumeInfo[] {
    return [...this.#engine.catalogue.volumes.values()]
      .map((volume) => this.#volumeInfo(volume))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** VOLUME_NOT_FOUND */
  volume(name: string): VolumeInfo {
    return this.#volumeInfo(this.#engine.catalogue.volume(name));
  }

  #volumeInfo(volume: VolumeObject): VolumeInfo {
    const { catalogue } = this.#engine;
    return {
      id: volume.id,
      name: volume.name,
      uuid: volume.uuid,
      sizeBytes: volume.map.sizeBytes,
      usedBytes: volume.map.dataPages * PAGE_BYTES,
      snapshots: catalogue.snapshots.get(volume.id)!.size,
      createdAtMs: volume.createdAtMs,
      origin: volume.origin === 0 ? undefined : this.#nameOf(volume.origin),
      clients: volume.clients,
    };
  }

  #nameOf(id: number): string | undefined {
    const { catalogue } = this.#engine;
    const object = catalogue.objects.get(id);
    if (object?.kind === "volume") return object.name;
    if (object?.kind !== "snapshot") return undefined;
    const volume = catalogue.objects.get(object.volume);
    return volume?.kind === "volume" ? `${volume.name}@${object.name}` : undefined;
  }

  /** All of a volume's snapshots in the order they were made, or everybody's when no name is given. VOLUME_NOT_FOUND */
  snapshots(volume?: string): SnapshotInfo[] {
    const { catalogue } = this.#engine;
    const owners = volume === undefined ? [...catalogue.volumes.values()] : [catalogue.volume(volume)];
    return owners
      .flatMap((owner) =>
        [...catalogue.snapshots.get(owner.id)!.values()].map((snapshot) =>
          this.#snapshotInfo(owner, snapshot),
        ),
      )
      .sort((a, b) => a.sequence - b.sequence);
  }

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND */
  snapshot(volume: string, name: string): SnapshotInfo {
    const { catalogue } = this.#engine;
    return this.#snapshotInfo(catalogue.volume(volume), catalogue.snapshot(volume, name));
  }

  #snapshotInfo(volume: VolumeObject, snapshot: SnapshotObject): SnapshotInfo {
    return {
      id: snapshot.id,
      volume: volume.name,
      name: snapshot.name,
      uuid: snapshot.uuid,
      sizeBytes: snapshot.map.sizeBytes,
      usedBytes: snapshot.map.dataPages * PAGE_BYTES,
      createdAtMs: snapshot.createdAtMs,
      sequence: snapshot.sequence,
      clones: this.#engine.catalogue.clonesOf(snapshot.id),
      clients: snapshot.clients,
    };
  }

  /** INVALID_NAME, INVALID_SIZE, ALREADY_EXISTS, TOO_MANY */
  async createVolume(options: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    const { name, sizeBytes } = options;
    checkName("volume", name);
    checkVolumeSize(sizeBytes);
    const uuid = this.#uuid();
    await this.#catalogueWriter.commit(() => {
      this.#mustBeNew(name);
      return {
        operation: { op: "volume-create", id: this.#catalogueWriter.nextId(), name, uuid, sizeBytes },
        volume: this.#catalogueWriter.nextId(),
      };
    });
    return this.volume(name);
  }

  /** VOLUME_NOT_FOUND, IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async deleteVolume(name: string): Promise<void> {
    await this.#catalogueWriter.commit(() => {
      const { catalogue } = this.#engine;
      const volume = catalogue.volume(name);
      if (volume.clients > 0)
        throw new RopewalkError(
          "IN_USE",
          `${volume.clients} client(s) are connected to volume ${quoted(name)}; disconnect them first`,
        );
      const snapshots = catalogue.snapshots.get(volume.id)!.size;
      if (snapshots > 0)
        throw new RopewalkError(
          "HAS_SNAPSHOTS",
          `volume ${quoted(name)} has ${snapshots} snapshot(s); delete them first`,
        );
      if (catalogue.clonesOf(volume.id) > 0)
        throw new RopewalkError(
          "HAS_CLONES",
          `volume ${quoted(name)} has clones; delete or detach them first`,
        );
      for (const cursor of catalogue.cursors.values()) {
        if (cursor.volume === volume.id)
          throw new RopewalkError(
            "IN_USE",
            `cursor ${quoted(cursor.name)} follows volume ${quoted(name)}; delete it first`,
          );
      }
      return { operation: { op: "volume-delete", id: volume.id }, volume: volume.id };
    });
  }

  /** VOLUME_NOT_FOUND, INVALID_SIZE, IN_USE when it would shrink under clients */
  async resizeVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    const volume = this.#engine.catalogue.volume(name);
    checkVolumeSize(sizeBytes);
    const guard = () => {
      if (sizeBytes >= volume.map.sizeBytes || volume.clients === 0) return;
      throw new RopewalkError(
        "IN_USE",
        `${volume.clients} client(s) are connected to volume ${quoted(name)}; it cannot shrink under them`,
      );
    };
    guard();
    if (sizeBytes !== volume.map.sizeBytes) await this.#writer.resize(volume, sizeBytes, guard);
    return this.volume(name);
  }

  /** A writable copy in O(1). VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, ALREADY_EXISTS, INVALID_NAME */
  async cloneVolume(options: { source: string; snapshot?: string; name: string }): Promise<VolumeInfo> {
    const { source, snapshot, name } = options;
    checkName("volume", name);
    const uuid = this.#uuid();
    await this.#catalogueWriter.commit(() => {
      const { catalogue } = this.#engine;
      const origin = snapshot === undefined ? catalogue.volume(source) : catalogue.snapshot(source, snapshot);
      this.#mustBeNew(name);
      const id = this.#catalogueWriter.nextId();
      return { operation: { op: "volume-clone", id, name, uuid, source: origin.id }, volume: id };
    });
    return this.volume(name);
  }

  /** Forgets what the volume was cloned from, so that this can be deleted. VOLUME_NOT_FOUND */
  async detachVolume(name: string): Promise<VolumeInfo> {
    await this.#catalogueWriter.commit(() => {
      const { id } = this.#engine.catalogue.volume(name);
      return { operation: { op: "volume-detach", id }, volume: id };
    });
    return this.volume(name);
  }

  /** Freezes the volume as it is: all requests acknowledged before, none begun after. */
  async createSnapshot(volume: string, name: string): Promise<SnapshotInfo> {
    checkName("snapshot", name);
    const uuid = this.#uuid();
    await this.#catalogueWriter.commit(() => {
      const { catalogue } = this.#engine;
      const owner = catalogue.volume(volume);
      if (catalogue.snapshots.get(owner.id)!.has(name))
        throw new RopewalkError(
          "ALREADY_EXISTS",
          `there is a snapshot ${quoted(`${volume}@${name}`)} already`,
        );
      this.mustHaveRoom();
      return {
        operation: {
          op: "snapshot-create",
          id: this.#catalogueWriter.nextId(),
          volume: owner.id,
          name,
          uuid,
        },
        volume: owner.id,
      };
    });
    return this.snapshot(volume, name);
  }

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, IN_USE, HAS_CLONES */
  async deleteSnapshot(volume: string, name: string): Promise<void> {
    await this.#catalogueWriter.commit(() => {
      const { catalogue } = this.#engine;
      const snapshot = catalogue.snapshot(volume, name);
      const full = quoted(`${volume}@${name}`);
      if (snapshot.clients > 0)
        throw new RopewalkError("IN_USE", `${snapshot.clients} client(s) are connected to snapshot ${full}`);
      if (catalogue.clonesOf(snapshot.id) > 0)
        throw new RopewalkError("HAS_CLONES", `snapshot ${full} has clones; delete or detach them first`);
      return { operation: { op: "snapshot-delete", id: snapshot.id, name }, volume: snapshot.volume };
    });
  }

  /** Makes the volume what the snapshot holds. IN_USE while clients are connected to the volume */
  async rollback(volume: string, snapshot: string): Promise<VolumeInfo> {
    await this.#catalogueWriter.commit(() => {
      const { catalogue } = this.#engine;
      const owner = catalogue.volume(volume);
      const frozen = catalogue.snapshot(volume, snapshot);
      if (owner.clients > 0)
        throw new RopewalkError(
          "IN_USE",
          `${owner.clients} client(s) are connected to volume ${quoted(volume)}; disconnect them first`,
        );
      const hold = followed(catalogue, owner.id) ? this.#catalogueWriter.nextId() : 0;
      return {
        operation: { op: "rollback", volume: owner.id, snapshot: frozen.id, name: snapshot, hold },
        volume: owner.id,
      };
    });
    return this.volume(volume);
  }

  /** Puts a marker into the volume's record stream; resolves to its sequence when it is durable. */
  async mark(volume: string, text: string): Promise<number> {
    if (text.length > 4096)
      throw new RopewalkError("TOO_LARGE", "a marker's text is at most 4,096 characters");
    let sequence = 0;
    await this.#catalogueWriter.commit(() => {
      const { id } = this.#engine.catalogue.volume(volume);
      // The record is appended in this very turn or prepared anew.
      sequence = this.#engine.log.sequence + 1;
      return { operation: { op: "marker", volume: id, text }, volume: id };
    });
    return sequence;
  }

  /** The catalogue is one piece of a metadata segment. */
  get #objectsMax(): number {
    return Math.min(OBJECTS_MAX, Math.floor(this.#engine.segments.segmentBytes / 512));
  }

  #mustBeNew(name: string): void {
    if (this.#engine.catalogue.volumes.has(name))
      throw new RopewalkError("ALREADY_EXISTS", `there is a volume ${quoted(name)} already`);
    this.mustHaveRoom();
  }

  /** Room for one object more, and for the label that it brings. TOO_MANY */
  mustHaveRoom(label?: string): void {
    const { catalogue, segments } = this.#engine;
    const labelBytesMax = segments.segmentBytes / LABEL_SHARE;
    if (label !== undefined && catalogue.labelBytes + storedLabelBytes(label) > labelBytesMax)
      throw new RopewalkError("TOO_MANY", `the labels of the pool's pins fill ${labelBytesMax} bytes`);
    if (this.#engine.catalogue.objects.size >= this.#objectsMax)
      throw new RopewalkError(
        "TOO_MANY",
        `the pool has ${this.#objectsMax} volumes, snapshots and pins; delete some`,
      );
  }

  #uuid(): string {
    const bytes = Buffer.from(this.#engine.world.random.bytes(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
