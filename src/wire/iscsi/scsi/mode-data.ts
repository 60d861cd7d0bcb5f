/**
 * Mode parameter lists (SPC-4, 7.5): header, block descriptor and pages, for MODE SENSE and MODE SELECT.
 *
 * Always holds: a parsed page has as many bytes as its header says, all inside the list; a list that ends inside of
 * something is a check condition.
 */

import { uint16, uint32 } from "./block-cdb.ts";
import { invalidParameter, parameterListLength } from "./check-condition.ts";

export type ModeForm = 6 | 10;

/** Device-specific parameter of disks (SBC-3, 6.5.1). */
export const ModeParameter = { writeProtected: 0x80, dpoFua: 0x10 } as const;

export interface ModeData {
  readonly deviceParameter: number;
  readonly blockDescriptor: Uint8Array;
  readonly isLongDescriptor: boolean;
  readonly pages: readonly Uint8Array[];
}

export function encodeModeData(form: ModeForm, data: ModeData): Uint8Array {
  const headerBytes = form === 6 ? 4 : 8;
  const pageBytes = data.pages.reduce((sum, page) => sum + page.length, 0);
  const bytes = new Uint8Array(headerBytes + data.blockDescriptor.length + pageBytes);
  if (form === 6) bytes.set([bytes.length - 1, 0, data.deviceParameter, data.blockDescriptor.length]);
  else {
    const view = new DataView(bytes.buffer);
    view.setUint16(0, bytes.length - 2);
    bytes[3] = data.deviceParameter;
    bytes[4] = data.isLongDescriptor ? 1 : 0;
    view.setUint16(6, data.blockDescriptor.length);
  }
  bytes.set(data.blockDescriptor, headerBytes);
  let at = headerBytes + data.blockDescriptor.length;
  for (const page of data.pages) {
    bytes.set(page, at);
    at += page.length;
  }
  return bytes;
}

/** The short descriptor of eight bytes, or the long one of sixteen; too many blocks for the short one are all ones. */
export function blockDescriptor(blocks: number, blockBytes: number, form: "short" | "long"): Uint8Array {
  const bytes = new Uint8Array(form === "short" ? 8 : 16);
  const view = new DataView(bytes.buffer);
  if (form === "short") {
    view.setUint32(0, Math.min(blocks, 0xffffffff));
    view.setUint32(4, blockBytes);
  } else {
    view.setBigUint64(0, BigInt(blocks));
    view.setUint32(12, blockBytes);
  }
  return bytes;
}

/** A page of a MODE SELECT list; `at` is where it begins, for the field pointer. */
export interface SelectedPage {
  readonly code: number;
  readonly subpage: number;
  readonly bytes: Uint8Array;
  readonly at: number;
}

export interface SelectedModes {
  /** The block length of the block descriptor, if there was one. */
  readonly blockBytes: number | undefined;
  readonly pages: readonly SelectedPage[];
}

export function parseModeList(form: ModeForm, list: Uint8Array): SelectedModes {
  const headerBytes = form === 6 ? 4 : 8;
  if (list.length < headerBytes) throw parameterListLength();
  const isLong = form === 10 && (list[4]! & 1) !== 0;
  const descriptorBytes = form === 6 ? list[3]! : uint16(list, 6);
  if (headerBytes + descriptorBytes > list.length) throw parameterListLength();
  if (descriptorBytes !== 0 && descriptorBytes !== (isLong ? 16 : 8))
    throw invalidParameter(form === 6 ? 3 : 6);
  let blockBytes: number | undefined;
  if (descriptorBytes !== 0) {
    const lengthAt = headerBytes + descriptorBytes - 4;
    blockBytes = isLong ? uint32(list, lengthAt) : uint32(list, lengthAt) % 0x100_0000;
  }
  return { blockBytes, pages: parsePages(list, headerBytes + descriptorBytes) };
}

function parsePages(list: Uint8Array, start: number): SelectedPage[] {
  const pages: SelectedPage[] = [];
  for (let at = start; at < list.length; ) {
    const hasSubpage = (list[at]! & 0x40) !== 0;
    const headerBytes = hasSubpage ? 4 : 2;
    if (at + headerBytes > list.length) throw parameterListLength();
    const lengthBytes = headerBytes + (hasSubpage ? uint16(list, at + 2) : list[at + 1]!);
    if (at + lengthBytes > list.length) throw parameterListLength();
    pages.push({
      code: list[at]! & 0x3f,
      subpage: hasSubpage ? list[at + 1]! : 0,
      bytes: list.subarray(at, at + lengthBytes),
      at,
    });
    at += lengthBytes;
  }
  return pages;
}
