/**
 * Sizes as people write and read them: `512`, `4KiB`, `1.5GiB`, `1TB`.
 * Always holds: what was parsed is a whole number of bytes that a number carries exactly; nothing is rounded.
 */
import { RopewalkError } from "./errors.ts";
import { quoted } from "./object-name.ts";

const BINARY_PREFIXES = ["K", "M", "G", "T", "P", "E"];
const TEXT = /^(\d{1,30})(?:\.(\d{1,30}))? ?([a-z]{0,3})$/i;

/** Bytes of a unit: `""`, `B`, `KiB`, `kB`, or a single letter, which is binary as in qemu-img and zfs. */
function unitBytes(unit: string): bigint | undefined {
  const upper = unit.toUpperCase();
  if (upper === "" || upper === "B") return 1n;
  const power = BINARY_PREFIXES.indexOf(upper[0]!) + 1;
  if (power === 0) return undefined;
  const rest = upper.slice(1);
  if (rest === "IB" || rest === "") return 1024n ** BigInt(power);
  return rest === "B" ? 1000n ** BigInt(power) : undefined;
}

/** Bytes that the text says. INVALID_SIZE when it is no size, is negative, no whole number of bytes, or above 2^53 - 1. */
export function parseSize(text: string): number {
  const match = TEXT.exec(text.trim());
  const unit = match ? unitBytes(match[3]!) : undefined;
  if (!match || unit === undefined) {
    const reason = /^\s*-/.test(text) ? "it is negative" : "write it as 512, 4KiB, 10GiB or 1TB";
    throw new RopewalkError("INVALID_SIZE", `${quoted(text)} is not a size: ${reason}.`);
  }
  const fraction = match[2] ?? "";
  const scaled = BigInt(match[1]! + fraction) * unit;
  const scale = 10n ** BigInt(fraction.length);
  if (scaled % scale !== 0n)
    throw new RopewalkError("INVALID_SIZE", `${quoted(text)} is not a whole number of bytes.`);
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new RopewalkError("INVALID_SIZE", `${quoted(text)} is larger than any size can be.`);
  return Number(bytes);
}

/** For people: `0 B`, `512 B`, `1.5 GiB`; at most three digits behind the point. */
export function formatSize(bytes: number): string {
  let power = 0;
  while (power < BINARY_PREFIXES.length && bytes >= 1024 ** (power + 1)) power++;
  if (power === 0) return `${bytes} B`;
  const amount = bytes / 1024 ** power;
  const digits = amount >= 100 ? 0 : amount >= 10 ? 1 : 2;
  return `${Number(amount.toFixed(digits))} ${BINARY_PREFIXES[power - 1]}iB`;
}
