/**
 * The mode pages of the unit (SPC-4, 7.5; SBC-3, 6.5) and what MODE SELECT may change in them.
 *
 * Always holds: a current page differs from its default only in changeable bits; a reset brings the defaults back,
 * since nothing is saved. One set of pages for all nexuses.
 */

import {
  CheckCondition,
  invalidCdbField,
  invalidParameter,
  type SelectedPage,
  SenseKey,
} from "../../../wire/iscsi/scsi/mod.ts";

interface ModePage {
  readonly code: number;
  readonly subpage: number;
  readonly initial: Uint8Array;
  readonly changeable: Uint8Array;
  current: Uint8Array;
}

export type PageControl = "current" | "changeable" | "default" | "saved";
export const PAGE_CONTROLS: readonly PageControl[] = ["current", "changeable", "default", "saved"];

export const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;

const PageCode = {
  recovery: 0x01,
  disconnect: 0x02,
  caching: 0x08,
  control: 0x0a,
  power: 0x1a,
  exceptions: 0x1c,
} as const;

/** Bits of the control and caching pages. */
const D_SENSE = 0x04;
const SWP = 0x08;
const WCE = 0x04;

export class ModePages {
  readonly #pages: readonly ModePage[];
  readonly #caching: ModePage;
  readonly #control: ModePage;

  constructor() {
    this.#caching = page(PageCode.caching, 20, { 2: WCE }, { 2: WCE });
    // GLTSD; commands may be reordered; no limit of the time that the unit may be busy.
    const control = { 2: 0x02, 3: 0x10, 8: 0xff, 9: 0xff };
    this.#control = page(PageCode.control, 12, control, { 2: D_SENSE, 4: SWP });
    this.#pages = [
      page(PageCode.recovery, 12, { 2: 0x80 }, {}),
      page(PageCode.disconnect, 16, {}, {}),
      this.#caching,
      this.#control,
      subpage(PageCode.control, 0x01, 32),
      page(PageCode.power, 40, {}, {}),
      page(PageCode.exceptions, 12, {}, {}),
    ];
  }

  /** Sense in the descriptor format. */
  get descriptorSense(): boolean {
    return (this.#control.current[2]! & D_SENSE) !== 0;
  }

  get softwareWriteProtect(): boolean {
    return (this.#control.current[4]! & SWP) !== 0;
  }

  /** Off: each write is durable before it is answered. */
  get writeCache(): boolean {
    return (this.#caching.current[2]! & WCE) !== 0;
  }

  /** The pages that MODE SENSE asks for. */
  select(code: number, subpageCode: number, control: PageControl): Uint8Array[] {
    const found = this.#pages.filter(
      (candidate) =>
        (code === ALL_PAGES || candidate.code === code) &&
        (subpageCode === ALL_SUBPAGES || candidate.subpage === subpageCode),
    );
    if (found.length === 0) throw invalidCdbField(code === ALL_PAGES || this.#knows(code) ? 3 : 2);
    // SAVING PARAMETERS NOT SUPPORTED.
    if (control === "saved") throw new CheckCondition(SenseKey.illegalRequest, 0x39, 0x00);
    return found.map((candidate) => contentOf(candidate, control));
  }

  /** Takes all pages of a MODE SELECT or none; whether anything changed. */
  change(selected: readonly SelectedPage[]): boolean {
    const changes = selected.map((wanted) => ({ page: this.#check(wanted), bytes: wanted.bytes }));
    let isChanged = false;
    for (const { page: target, bytes } of changes) {
      const next = target.initial.map(
        (byte, at) => (byte & ~target.changeable[at]!) | (bytes[at]! & target.changeable[at]!),
      );
      isChanged ||= next.some((byte, at) => byte !== target.current[at]);
      target.current = next;
    }
    return isChanged;
  }

  reset(): void {
    for (const each of this.#pages) each.current = each.initial;
  }

  #knows(code: number): boolean {
    return this.#pages.some((candidate) => candidate.code === code);
  }

  #check({ code, subpage: subpageCode, bytes, at }: SelectedPage): ModePage {
    const target = this.#pages.find(
      (candidate) => candidate.code === code && candidate.subpage === subpageCode,
    );
    if (target === undefined) throw invalidParameter(at);
    if (bytes.length !== target.initial.length) throw invalidParameter(at + 1);
    const headerBytes = subpageCode === 0 ? 2 : 4;
    for (let index = headerBytes; index < bytes.length; index++) {
      const wrong = (bytes[index]! ^ target.current[index]!) & ~target.changeable[index]!;
      if (wrong !== 0) throw invalidParameter(at + index, 31 - Math.clz32(wrong));
    }
    return target;
  }
}

function contentOf(target: ModePage, control: PageControl): Uint8Array {
  if (control === "current") return target.current;
  if (control === "default") return target.initial;
  const headerBytes = target.subpage === 0 ? 2 : 4;
  return target.changeable.map((byte, at) => (at < headerBytes ? target.initial[at]! : byte));
}

type BytesAt = Readonly<Record<number, number>>;

function page(code: number, lengthBytes: number, values: BytesAt, changeable: BytesAt): ModePage {
  const initial = bytesWith(lengthBytes, { 0: code, 1: lengthBytes - 2, ...values });
  return { code, subpage: 0, initial, changeable: bytesWith(lengthBytes, changeable), current: initial };
}

function subpage(code: number, subpageCode: number, lengthBytes: number): ModePage {
  const initial = bytesWith(lengthBytes, { 0: 0x40 | code, 1: subpageCode, 3: lengthBytes - 4 });
  return { code, subpage: subpageCode, initial, changeable: new Uint8Array(lengthBytes), current: initial };
}

function bytesWith(lengthBytes: number, values: BytesAt): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (const [at, value] of Object.entries(values)) bytes[Number(at)] = value;
  return bytes;
}
