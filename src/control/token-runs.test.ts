import assert from "node:assert/strict";
import { test } from "node:test";
import { RopewalkError } from "../base/errors.ts";
import type { DeviceOffload, OffloadWriteRequest } from "../device/mod.ts";
import {
  dataLengthFrom,
  type PlacedToken,
  runsAt,
  type TokenWriting,
  writeThroughTokens,
} from "./token-runs.ts";

const token = (value: number) => new Uint8Array(512).fill(value);
function placed(
  value: number,
  at: number,
  lengthBytes: number,
  role: PlacedToken["role"] = "primary",
): PlacedToken {
  return { token: token(value), dataOffsetBytes: at, lengthBytes, role };
}
const named = (tokens: readonly Uint8Array[]) => tokens.map(([value]) => value);

/** A device that notes what is written to it and does as `answer` says. */
function recorder(answer: (request: OffloadWriteRequest) => number) {
  const requests: OffloadWriteRequest[] = [];
  const device: DeviceOffload = {
    providers: [],
    read: () => Promise.reject(new Error("not read from")),
    write: async (request) => {
      requests.push(request);
      return { lengthBytes: answer(request), movedBytes: 5 };
    },
  };
  return { device, requests };
}
const whole = ({ ranges }: OffloadWriteRequest) => ranges[0]!.lengthBytes;

function writing(tokens: readonly PlacedToken[], fields: Partial<TokenWriting> = {}): TokenWriting {
  return {
    tokens,
    fromBytes: 0,
    toBytes: 0,
    lengthBytes: 100,
    isProtected: true,
    steps: "whole",
    signal: undefined,
    onWritten: () => {},
    ...fields,
  };
}

test("alternatives that begin together serve together, companions beside them, others after them", () => {
  const tokens = [placed(1, 0, 100), placed(2, 0, 60), placed(3, 0, 100, "companion"), placed(4, 20, 200)];
  const runs = runsAt(tokens, 30);
  assert.deepEqual(
    runs.map(({ alternatives, companions, tokenOffsetBytes, lengthBytes }) => {
      return [named(alternatives), named(companions), tokenOffsetBytes, lengthBytes];
    }),
    [
      [[1, 2], [3], 30, 30],
      [[4], [], 10, 190],
    ],
  );
  assert.deepEqual(runsAt(tokens, 220), []);
});

test("data ends at the first gap, and a companion is no data", () => {
  const tokens = [placed(1, 0, 10), placed(2, 10, 10), placed(9, 20, 10, "companion"), placed(3, 30, 10)];
  assert.equal(dataLengthFrom(tokens, 0), 20);
  assert.equal(dataLengthFrom(tokens, 5), 15);
  assert.equal(dataLengthFrom(tokens, 20), 0);
});

test("a device that writes less than asked is asked to go on from there", async () => {
  const { device, requests } = recorder((request) => Math.min(30, whole(request)));
  let [bytes, moved] = [0, 0];
  await writeThroughTokens(
    device,
    writing([placed(1, 0, 500)], {
      fromBytes: 7,
      toBytes: 1000,
      onWritten: (length, movedBytes) => {
        bytes += length;
        moved += movedBytes;
      },
    }),
  );
  assert.deepEqual([bytes, moved], [100, 20]);
  assert.deepEqual(
    requests.map(({ tokenOffsetBytes, ranges }) => [
      tokenOffsetBytes,
      ranges[0]!.offsetBytes,
      whole({ ranges } as never),
    ]),
    [
      [7, 1000, 100],
      [37, 1030, 70],
      [67, 1060, 40],
      [97, 1090, 10],
    ],
  );
});

test("where one token fails another that covers the data is turned to", async () => {
  const { device, requests } = recorder((request) => {
    if (request.tokens[0]![0] === 1) throw new RopewalkError("TOKEN_REVOKED", "It was revoked.");
    return whole(request);
  });
  await writeThroughTokens(device, writing([placed(1, 50, 200), placed(2, 0, 200)], { fromBytes: 60 }));
  assert.deepEqual(
    requests.map(({ tokens, tokenOffsetBytes }) => [tokens[0]![0], tokenOffsetBytes]),
    [
      [1, 10],
      [2, 60],
    ],
  );
});

test("a gap in the tokens is TOKEN_CUT, a device that does nothing UNSUPPORTED, a full one NO_SPACE", async () => {
  const gap = writeThroughTokens(recorder(whole).device, writing([placed(1, 0, 10)]));
  await assert.rejects(gap, { code: "TOKEN_CUT" });
  const idle = writeThroughTokens(recorder(() => 0).device, writing([placed(1, 0, 100)]));
  await assert.rejects(idle, { code: "UNSUPPORTED" });
  const { device, requests } = recorder(() => {
    throw new RopewalkError("NO_SPACE", "The pool is full.");
  });
  const full = writeThroughTokens(device, writing([placed(1, 0, 100), placed(2, 0, 100)]));
  await assert.rejects(full, { code: "NO_SPACE" });
  assert.equal(requests.length, 1);
});
