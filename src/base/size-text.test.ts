import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatSize, parseSize } from "./size-text.ts";

test("sizes are read with binary, decimal and single-letter units", () => {
  const sizes: Record<string, number> = {
    "0": 0,
    "512": 512,
    "512B": 512,
    "4KiB": 4096,
    "4k": 4096,
    "4kB": 4000,
    "10GiB": 10 * 2 ** 30,
    "10 GiB": 10 * 2 ** 30,
    "1TB": 1e12,
    "1.5GiB": 1.5 * 2 ** 30,
    "0.5KiB": 512,
    "4PiB": 2 ** 52,
  };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
});

test("what is no size, negative, no whole number of bytes or too large is INVALID_SIZE", () => {
  for (const text of [
    "",
    "GiB",
    "-1",
    "-5GiB",
    "1.3",
    "0.3KiB",
    "1e3",
    "0x10",
    "1,5GiB",
    "4 KiB B",
    "1XiB",
    "4KKB",
    "9223372036854775808",
    "8EiB",
    "9".repeat(40),
    "٣",
  ])
    assert.throws(() => parseSize(text), { code: "INVALID_SIZE" }, text);
});

test("any number of bytes is read back exactly", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => parseSize(String(bytes)) === bytes));
});

test("any text is a size or INVALID_SIZE", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        return Number.isSafeInteger(parseSize(text));
      } catch (error) {
        return (error as { code?: string }).code === "INVALID_SIZE";
      }
    }),
  );
});

test("sizes are written in the largest binary unit that keeps them at one or more", () => {
  const texts: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [10 * 2 ** 30, "10 GiB"],
    [123.4 * 2 ** 40, "123 TiB"],
  ];
  for (const [bytes, text] of texts) assert.equal(formatSize(bytes), text);
});
