// What a volume must hold, request by request: the acknowledged ones certainly, the outstanding ones wholly or
// not at all. Outstanding requests never overlap, so each sector has one acknowledged request and at most one
// outstanding one that may be found there.
import { requestOf, SECTOR_BYTES } from "./stamped-sectors.ts";

export interface SectorRange {
  readonly firstSector: number;
  readonly sectors: number;
}

export interface OutstandingRequest extends SectorRange {
  /** What its sectors carry; 0 when it zeroes or trims. */
  readonly request: number;
}

const PROBLEMS_MAX = 20;

export class ExpectedVolume {
  readonly sizeSectors: number;
  readonly #acknowledged: Uint32Array;
  readonly #outstanding = new Set<OutstandingRequest>();
  readonly #reserved = new Set<SectorRange>();

  constructor(sizeBytes: number) {
    this.sizeSectors = sizeBytes / SECTOR_BYTES;
    this.#acknowledged = new Uint32Array(this.sizeSectors);
  }

  /** The state of now, on its own from here on: what a snapshot that begins now must hold. */
  copy(): ExpectedVolume {
    const copy = new ExpectedVolume(this.sizeSectors * SECTOR_BYTES);
    copy.#acknowledged.set(this.#acknowledged);
    for (const request of this.#outstanding) copy.#outstanding.add(request);
    return copy;
  }

  /** Whether no outstanding request and no reader has any of it. */
  isFree(range: SectorRange): boolean {
    return !overlapsAny(range, this.#outstanding) && !overlapsAny(range, this.#reserved);
  }

  /** Keeps a range from changing while it is read. Returns what gives it free again. */
  reserve(range: SectorRange): () => void {
    this.#reserved.add(range);
    return () => void this.#reserved.delete(range);
  }

  begin(request: OutstandingRequest): void {
    this.#outstanding.add(request);
  }

  acknowledge(request: OutstandingRequest): void {
    this.#outstanding.delete(request);
    this.#apply(request);
  }

  get outstanding(): number {
    return this.#outstanding.size;
  }

  /**
   * Compares the volume's whole content and returns what is wrong with it, in sentences. Afterwards what was
   * found of the outstanding requests is what is expected.
   */
  settle(content: Uint8Array): string[] {
    const problems: string[] = [];
    const mayHold = new Map<number, OutstandingRequest>();
    const seen = new Map<OutstandingRequest, { done: number; undone: number }>();
    for (const request of this.#outstanding) {
      seen.set(request, { done: 0, undone: 0 });
      for (let index = 0; index < request.sectors; index++) mayHold.set(request.firstSector + index, request);
    }
    for (let sector = 0; sector < this.sizeSectors; sector++) {
      const found = requestOf(content, sector * SECTOR_BYTES, sector);
      const before = this.#acknowledged[sector]!;
      const outstanding = mayHold.get(sector);
      if (outstanding === undefined) {
        if (found !== before) problems.push(wrong(sector, found, `${before}, acknowledged`));
      } else if (found === outstanding.request && found === before) {
        // Zeros over zeros tell nothing.
      } else if (found === outstanding.request) seen.get(outstanding)!.done++;
      else if (found === before) seen.get(outstanding)!.undone++;
      else
        problems.push(
          wrong(sector, found, `${before}, acknowledged, or ${outstanding.request}, outstanding`),
        );
    }
    for (const [request, { done, undone }] of seen) {
      if (done > 0 && undone > 0) {
        problems.push(
          `request ${request.request} at sector ${request.firstSector} is torn: ${done} sectors of it are there, ${undone} are not`,
        );
      }
      if (done > 0) this.#apply(request);
    }
    this.#outstanding.clear();
    this.#reserved.clear();
    return problems.slice(0, PROBLEMS_MAX);
  }

  /** What is wrong with bytes read from a range that no outstanding request touches. */
  compare(firstSector: number, bytes: Uint8Array): string[] {
    const problems: string[] = [];
    for (let index = 0; index * SECTOR_BYTES < bytes.length; index++) {
      const sector = firstSector + index;
      const found = requestOf(bytes, index * SECTOR_BYTES, sector);
      const before = this.#acknowledged[sector]!;
      if (found !== before) problems.push(wrong(sector, found, `${before}, acknowledged`));
    }
    return problems.slice(0, PROBLEMS_MAX);
  }

  #apply({ request, firstSector, sectors }: OutstandingRequest): void {
    this.#acknowledged.fill(request, firstSector, firstSector + sectors);
  }
}

function overlapsAny(range: SectorRange, others: Iterable<SectorRange>): boolean {
  for (const other of others) {
    if (
      range.firstSector < other.firstSector + other.sectors &&
      other.firstSector < range.firstSector + range.sectors
    )
      return true;
  }
  return false;
}

function wrong(sector: number, found: number | undefined, wanted: string): string {
  return `sector ${sector} holds ${found === undefined ? "foreign bytes" : `request ${found}`}, expected request ${wanted}`;
}
