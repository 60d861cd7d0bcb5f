// Token copies over SCSI: both commands in both forms, what they answer, and every condition with its sense.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  abortCdb,
  type Blocks,
  populateTokenList,
  readTokenInformation,
  receiveCdb,
  tokenCdb,
  writeUsingTokenList,
} from "../support/copy-commands.ts";
import { type CopySession, outcome, patternBytes } from "../support/copy-session.ts";
import { COPY_VOLUMES, CopyTarget, type CopyVolume } from "../support/copy-target.ts";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";

const LIST = 0x01020304;

describe("token copies over iSCSI", needsLibiscsi(), () => {
  let target: CopyTarget;
  const sessions = {} as Record<CopyVolume, CopySession>;

  before(async () => {
    target = await CopyTarget.start();
    for (const volume of COPY_VOLUMES) sessions[volume] = await target.connect(volume);
  });
  after(() => target[Symbol.asyncDispose]());

  for (const volume of COPY_VOLUMES) {
    const session = () => sessions[volume];
    const bytesOf = (blocks: number) => blocks * session().blockBytes;
    const capacity = () => (16 * 2 ** 20) / session().blockBytes;

    test(`${volume}: data is copied by token within the unit, and the token keeps what it was made of`, async () => {
      const data = patternBytes(bytesOf(64), 1);
      await session().write(0, data);
      const token = await session().token([{ lba: 0, blocks: 64 }]);
      await session().write(0, patternBytes(bytesOf(64), 2));
      assert.equal(await session().writeUsing({ token, ranges: [{ lba: 256, blocks: 64 }] }, LIST), "good");
      assert.ok((await session().read({ lba: 256, blocks: 64 })).equals(data));
      const { serviceAction, status, blocks, completionStatus, units, delayMs } =
        await session().information(LIST);
      assert.deepEqual([serviceAction, status, blocks, completionStatus], [0x11, 1, 64, 0]);
      assert.deepEqual([units, delayMs], [0xf1, 0xfffffffe]);
    });

    test(`${volume}: the answer of POPULATE TOKEN is final and holds one token of 512 bytes`, async () => {
      assert.equal(await session().populate({ ranges: [{ lba: 0, blocks: 8 }] }, LIST), "good");
      const { token, sense, availableBytes, ...rest } = await session().information(LIST);
      assert.equal(availableBytes, 32 + 4 + 514 - 4);
      assert.equal(sense.length, 0);
      assert.deepEqual(rest, {
        serviceAction: 0x10,
        status: 1,
        counter: 1,
        delayMs: 0xfffffffe,
        completionStatus: 0,
        units: 0xf1,
        blocks: 8,
        segments: 0,
        descriptorBytes: 514,
      });
      assert.equal(token!.readUInt32BE(0), 0x00800000);
      assert.equal(token!.readUInt16BE(6), 0x01f8);
      assert.equal(token![16], 0xe4);
      assert.equal(Number(token!.readBigUInt64BE(56)), bytesOf(8));
    });

    test(`${volume}: the token names its creator as page 83h names the unit`, async () => {
      const token = await session().token([{ lba: 0, blocks: 8 }]);
      const page83 = await session().initiator.command({
        cdb: Uint8Array.of(0x12, 1, 0x83, 1, 0, 0),
        dataInBytes: 256,
      });
      assert.ok(Buffer.from(page83.dataIn).includes(token.subarray(24, 32)));
    });

    test(`${volume}: ranges are taken one behind the other on both sides`, async () => {
      const data = patternBytes(bytesOf(24), 3);
      await session().write(100, data.subarray(0, bytesOf(8)));
      await session().write(40, data.subarray(bytesOf(8)));
      const token = await session().token([
        { lba: 100, blocks: 8 },
        { lba: 0, blocks: 0 },
        { lba: 40, blocks: 16 },
      ]);
      const ranges = [
        { lba: 310, blocks: 20 },
        { lba: 300, blocks: 4 },
      ];
      assert.equal(await session().writeUsing({ token, ranges }, LIST), "good");
      const found = [await session().read(ranges[0]!), await session().read(ranges[1]!)];
      assert.ok(Buffer.concat(found).equals(data));
    });

    test(`${volume}: 64 ranges and more are taken, more than page 8Fh says are not`, async () => {
      const many = (count: number) =>
        Array.from({ length: count }, (_, index) => ({ lba: index * 2, blocks: 1 }));
      const token = await session().token(many(64));
      const ranges = many(64).map(({ lba }) => ({ lba: lba + 1, blocks: 1 }));
      assert.equal(await session().writeUsing({ token, ranges }, LIST), "good");
      const rangesMax = (await session().page(0x8f)).readUInt16BE(4 + 10);
      assert.ok(rangesMax >= 64);
      assert.equal(await session().populate({ ranges: many(rangesMax) }, LIST), "good");
      assert.equal(await session().populate({ ranges: many(rangesMax + 1) }, LIST), "5/26/08");
    });

    test(`${volume}: the token of zeros writes zeros, and only in full`, async () => {
      const zeros = target.tokens.zeroToken;
      await session().write(512, patternBytes(bytesOf(32), 4));
      const ranges = [{ lba: 512, blocks: 32 }];
      assert.equal(await session().writeUsing({ token: zeros, ranges, offsetBlocks: 77 }, LIST), "good");
      assert.ok((await session().read(ranges[0]!)).equals(Buffer.alloc(bytesOf(32))));
      assert.equal((await session().information(LIST)).status, 1);
      const almost = Uint8Array.from(zeros);
      almost[300] = 1;
      assert.equal(await session().writeUsing({ token: almost, ranges }, LIST), "5/23/04");
    });

    test(`${volume}: IMMED is answered at once, and its end can be asked for`, async () => {
      const data = patternBytes(bytesOf(16), 5);
      await session().write(0, data);
      assert.equal(
        await session().populate({ ranges: [{ lba: 0, blocks: 16 }], immediate: true }, LIST),
        "good",
      );
      const { token } = await finalInformation(session(), LIST);
      const ranges = [{ lba: 700, blocks: 16 }];
      assert.equal(await session().writeUsing({ token: token!, ranges, immediate: true }, LIST), "good");
      const { status, blocks } = await finalInformation(session(), LIST);
      assert.deepEqual([status, blocks], [1, 16]);
      assert.ok((await session().read(ranges[0]!)).equals(data));
    });

    const refused: readonly (readonly [what: string, sense: string, ranges: () => readonly Blocks[]])[] = [
      [
        "ranges that overlap",
        "5/26/00",
        () => [
          { lba: 0, blocks: 9 },
          { lba: 8, blocks: 1 },
        ],
      ],
      ["no range", "5/26/00", () => []],
      ["a range past the end", "5/21/00", () => [{ lba: capacity() - 1, blocks: 2 }]],
      ["an address beyond all", "5/21/00", () => [{ lba: 0xffff_ffff_ffff_ffffn, blocks: 1 }]],
    ];
    for (const [what, sense, ranges] of refused) {
      test(`${volume}: ${what} is refused with ${sense} by both commands`, async () => {
        assert.equal(await session().populate({ ranges: ranges() }, LIST), sense);
        assert.equal(
          await session().writeUsing({ token: target.tokens.zeroToken, ranges: ranges() }, LIST),
          sense,
        );
      });
    }

    test(`${volume}: a list that is too short for what it says is refused with 26h/00h`, async () => {
      const lists = [
        [0x10, populateTokenList({ ranges: [{ lba: 0, blocks: 1 }] })],
        [0x11, writeUsingTokenList({ token: new Uint8Array(512), ranges: [{ lba: 0, blocks: 1 }] })],
      ] as const;
      for (const [action, list] of lists) {
        for (const length of [1, 2, 15, list.length - 17, list.length - 1]) {
          const dataOut = list.subarray(0, length);
          const reply = await session().initiator.command({ cdb: tokenCdb(action, LIST, length), dataOut });
          assert.equal(outcome(reply), "5/26/00", `${length} bytes`);
        }
      }
    });

    test(`${volume}: a list of length 0, and ranges of no blocks, are good and change nothing`, async () => {
      for (const action of [0x10, 0x11] as const)
        assert.equal(outcome(await session().initiator.command({ cdb: tokenCdb(action, LIST, 0) })), "good");
      const ranges = [{ lba: 5, blocks: 0 }];
      assert.equal(await session().populate({ ranges }, LIST), "good");
      assert.equal((await session().information(LIST)).blocks, 0);
      assert.equal(await session().writeUsing({ token: target.tokens.zeroToken, ranges }, LIST), "good");
    });

    test(`${volume}: a token that is too short is never filled up with zeros`, async () => {
      const old = patternBytes(bytesOf(16), 6);
      await session().write(600, old);
      await session().write(0, patternBytes(bytesOf(8), 7));
      const token = await session().token([{ lba: 0, blocks: 8 }]);
      const ranges = [{ lba: 600, blocks: 16 }];
      assert.equal(await session().writeUsing({ token, ranges }, LIST), "a/0d/04");
      const { status, blocks, completionStatus } = await session().information(LIST);
      assert.deepEqual([status, blocks, completionStatus], [2, 8, 2]);
      assert.ok((await session().read({ lba: 608, blocks: 8 })).equals(old.subarray(bytesOf(8))));
      assert.equal(await session().writeUsing({ token, ranges, offsetBlocks: 8 }, LIST), "5/23/0a");
      assert.equal((await session().information(LIST)).blocks, 0);
    });

    test(`${volume}: a part of a token's data is written from its offset, with status 03`, async () => {
      const data = patternBytes(bytesOf(16), 8);
      await session().write(0, data);
      const token = await session().token([{ lba: 0, blocks: 16 }]);
      const ranges = [{ lba: 900, blocks: 4 }];
      assert.equal(await session().writeUsing({ token, ranges, offsetBlocks: 5 }, LIST), "good");
      assert.ok((await session().read(ranges[0]!)).equals(data.subarray(bytesOf(5), bytesOf(9))));
      assert.equal((await session().information(LIST)).status, 3);
    });

    for (const [what, change] of [
      ["a changed bit", (token: Buffer) => (token[200]! ^= 1)],
      ["a changed length", (token: Buffer) => token.writeUInt32BE(0x7fffffff, 60)],
      ["a changed type", (token: Buffer) => token.writeUInt32BE(0x00010000, 0)],
      ["zeros", (token: Buffer) => token.fill(0)],
    ] as const) {
      test(`${volume}: a token with ${what} is unknown, 23h/04h`, async () => {
        const token = Buffer.from(await session().token([{ lba: 0, blocks: 8 }]));
        change(token);
        assert.equal(await session().writeUsing({ token, ranges: [{ lba: 9, blocks: 1 }] }, LIST), "5/23/04");
      });
    }

    test(`${volume}: a revoked token is told so, 23h/06h, and nothing is written`, async () => {
      const token = await session().token([{ lba: 0, blocks: 8 }]);
      await target.tokens.revoke(token, { strength: "mandatory" });
      assert.equal(await session().writeUsing({ token, ranges: [{ lba: 9, blocks: 1 }] }, LIST), "5/23/06");
      assert.equal((await session().information(LIST)).blocks, 0);
    });

    test(`${volume}: a token of a type that may change ends with the change, 23h/08h`, async () => {
      const token = await session().token([{ lba: 0, blocks: 8 }], { rodType: 0x00800001 });
      await session().write(7, patternBytes(bytesOf(1), 9));
      assert.equal(await session().writeUsing({ token, ranges: [{ lba: 9, blocks: 1 }] }, LIST), "5/23/08");
    });

    test(`${volume}: a token on reference follows its source`, async () => {
      const token = await session().token([{ lba: 0, blocks: 8 }], { rodType: 0x00010000 });
      const data = patternBytes(bytesOf(8), 10);
      await session().write(0, data);
      assert.equal(await session().writeUsing({ token, ranges: [{ lba: 800, blocks: 8 }] }, LIST), "good");
      assert.ok((await session().read({ lba: 800, blocks: 8 })).equals(data));
    });

    test(`${volume}: each ROD type makes a token of its type, others are refused where the type is valid`, async () => {
      const types = [
        [0, 0x00800000],
        [0x00010000, 0x00010000],
        [0x00800000, 0x00800000],
        [0x00800001, 0x00800001],
        [0x00800002, 0x00800002],
        [0x0080ffff, 0x00800000],
      ] as const;
      for (const [rodType, made] of types)
        assert.equal((await session().token([{ lba: 0, blocks: 1 }], { rodType })).readUInt32BE(0), made);
      for (const rodType of [1, 0x00800003, 0xffff0001])
        assert.equal(await session().populate({ ranges: [{ lba: 0, blocks: 1 }], rodType }, LIST), "5/26/00");
    });

    test(`${volume}: an inactivity timeout over the maximum of page 8Fh is refused`, async () => {
      const inactivitySecondsMax = (await session().page(0x8f)).readUInt32BE(4 + 12);
      const populate = (inactivitySeconds: number) =>
        session().populate({ ranges: [{ lba: 0, blocks: 1 }], inactivitySeconds }, LIST);
      assert.equal(await populate(inactivitySecondsMax), "good");
      assert.equal(await populate(inactivitySecondsMax + 1), "5/26/00");
    });

    test(`${volume}: results end when asked for with a length of 0, and with a new command of the identifier`, async () => {
      await session().populate({ ranges: [{ lba: 0, blocks: 1 }] }, LIST);
      assert.equal(outcome(await session().receive(0x07, LIST, 8)), "good");
      assert.equal(outcome(await session().initiator.command({ cdb: receiveCdb(0x07, LIST, 0) })), "good");
      assert.equal(outcome(await session().receive(0x07, LIST)), "5/24/00");
      await session().populate({ ranges: [{ lba: 0, blocks: 1 }] }, LIST);
      await session().writeUsing({ token: target.tokens.zeroToken, ranges: [{ lba: 0, blocks: 3 }] }, LIST);
      const { serviceAction, blocks, token } = await session().information(LIST);
      assert.deepEqual([serviceAction, blocks, token], [0x11, 3, undefined]);
    });

    test(`${volume}: COPY OPERATION ABORT of what nobody began is an invalid field`, async () => {
      assert.equal(outcome(await session().initiator.command({ cdb: abortCdb(0xabcdef) })), "5/24/00");
    });

    test(`${volume}: RECEIVE COPY STATUS (LID4) tells the same as the token information`, async () => {
      await session().populate({ ranges: [{ lba: 0, blocks: 7 }] }, LIST);
      const { dataIn } = await session().receive(0x05, LIST);
      const status = Buffer.from(dataIn);
      assert.deepEqual([status.length, status.readUInt32BE(0), status[4], status[5]], [32, 28, 0x10, 1]);
      assert.equal(Number(status.readBigUInt64BE(16)), 7);
    });

    test(`${volume}: REPORT ALL ROD TOKENS names a token by its id`, async () => {
      const token = await session().token([{ lba: 0, blocks: 2 }]);
      const bytes = 8 + 96 * 1024;
      const reply = await session().initiator.command({
        cdb: receiveCdb(0x08, 0, bytes),
        dataInBytes: bytes,
      });
      const report = Buffer.from(reply.dataIn);
      const ids = [];
      for (let at = 8; at < report.length; at += 96)
        ids.push(report.subarray(at + 8, at + 16).toString("hex"));
      assert.ok(ids.includes(token.subarray(8, 16).toString("hex")));
    });
  }

  test("a token of one unit is written to another, with the offset in blocks of the destination", async () => {
    const { small, large } = sessions;
    const data = patternBytes(64 * 512, 11);
    await small.write(32, data);
    const token = await small.token([{ lba: 32, blocks: 64 }]);
    assert.equal(
      await large.writeUsing({ token, ranges: [{ lba: 70, blocks: 6 }], offsetBlocks: 2 }, LIST),
      "good",
    );
    assert.ok((await large.read({ lba: 70, blocks: 6 })).equals(data.subarray(8192)));
    const back = await large.token([{ lba: 70, blocks: 6 }]);
    assert.equal(
      await small.writeUsing({ token: back, ranges: [{ lba: 1001, blocks: 3 }], offsetBlocks: 9 }, LIST),
      "good",
    );
    const from = 8192 + 9 * 512;
    assert.ok((await small.read({ lba: 1001, blocks: 3 })).equals(data.subarray(from, from + 3 * 512)));
  });

  test("a token that ends inside a block of the destination writes the whole blocks before", async () => {
    const { small, large } = sessions;
    const token = await small.token([{ lba: 0, blocks: 12 }]);
    assert.equal(await large.writeUsing({ token, ranges: [{ lba: 90, blocks: 2 }] }, LIST), "a/0d/04");
    assert.equal((await large.information(LIST)).blocks, 1);
  });

  test("list identifiers belong to their session", async () => {
    const other = await target.connect("small");
    await sessions.small.populate({ ranges: [{ lba: 0, blocks: 1 }] }, LIST);
    assert.equal(outcome(await other.receive(0x07, LIST)), "5/24/00");
    assert.equal(await other.populate({ ranges: [{ lba: 0, blocks: 2 }] }, LIST), "good");
    assert.equal((await sessions.small.information(LIST)).blocks, 1);
  });

  test("a token of a protected session is not taken on one that is not, 23h/02h", async () => {
    const token = await sessions.small.token([{ lba: 0, blocks: 1 }]);
    const plain = await target.connectDirectly("small", { isProtected: false });
    const list = writeUsingTokenList({ token, ranges: [{ lba: 1, blocks: 1 }] });
    const reply = await plain.command({ cdb: tokenCdb(0x11, LIST, list.length), dataOut: list });
    assert.equal(outcome(reply), "5/23/02");
  });

  test("a token that was deleted by DEL_TKN is told so, 23h/09h", async () => {
    const token = await sessions.small.token([{ lba: 0, blocks: 4 }]);
    const ranges = [{ lba: 50, blocks: 4 }];
    assert.equal(await sessions.small.writeUsing({ token, ranges, deleteToken: true }, LIST), "good");
    assert.equal(await sessions.small.writeUsing({ token, ranges }, LIST), "5/23/09");
  });

  test("a list identifier in use is refused with 00h/16h", async () => {
    const direct = await target.connectDirectly("small", { isProtected: true });
    const list = populateTokenList({ ranges: [{ lba: 0, blocks: 1 }] });
    const send = () => direct.command({ cdb: tokenCdb(0x10, LIST, list.length), dataOut: list });
    const outcomes = (await Promise.all([send(), send()])).map(outcome);
    assert.deepEqual(outcomes, ["good", "5/00/16"]);
    const reply = await direct.command({ cdb: receiveCdb(0x07, LIST, 4096), dataInBytes: 4096 });
    assert.equal(readTokenInformation(reply.dataIn).status, 1);
  });
});

async function finalInformation(session: CopySession, listId: number) {
  for (let tries = 0; tries < 200; tries++) {
    const information = await session.information(listId);
    if (information.status < 0x10) return information;
    assert.ok(information.status === 0x12 && information.delayMs < 10_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("the copy did not end");
}
