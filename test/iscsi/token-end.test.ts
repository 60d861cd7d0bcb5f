// How tokens end, as initiators see it: time, pressure, use, the source's end, and the end of a session.
import assert from "node:assert/strict";
import { test } from "node:test";
import { populateTokenList, tokenCdb } from "../support/copy-commands.ts";
import { outcome, patternBytes } from "../support/copy-session.ts";
import { CopyTarget } from "../support/copy-target.ts";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";

const LIST = 5;
const ranges = [{ lba: 0, blocks: 8 }];
const elsewhere = [{ lba: 64, blocks: 8 }];

test(
  "a token that was not used for its inactivity timeout has expired, 23h/07h",
  needsLibiscsi(),
  async () => {
    await using target = await CopyTarget.start();
    const session = await target.connect("small");
    const token = await session.token(ranges, { inactivitySeconds: 1 });
    assert.equal(await session.writeUsing({ token, ranges: elsewhere }, LIST), "good");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    assert.equal(await session.writeUsing({ token, ranges: elsewhere }, LIST), "5/23/07");
  },
);

test("a token that was given up for another is cancelled, 23h/08h", needsLibiscsi(), async () => {
  await using target = await CopyTarget.start({ settings: { countMax: 1 } });
  const session = await target.connect("small");
  const token = await session.token(ranges);
  await session.token(ranges);
  assert.equal(await session.writeUsing({ token, ranges: elsewhere }, LIST), "5/23/08");
});

test("where no token gives way there is no room for another, 55h/0Dh", needsLibiscsi(), async () => {
  await using target = await CopyTarget.start({ settings: { countMax: 1 } });
  const session = await target.connect("small");
  const token = await session.token(ranges);
  assert.equal(await session.writeUsing({ token, ranges: elsewhere }, LIST), "good");
  assert.equal(await session.populate({ ranges }, LIST), "5/55/0d");
  assert.equal((await session.information(LIST)).status, 2);
});

test("tokens outlive their session unless they are set to end with it", needsLibiscsi(), async () => {
  for (const endWithSession of [false, true]) {
    await using target = await CopyTarget.start({ settings: { endWithSession } });
    const first = await target.connect("small");
    const second = await target.connect("small");
    const token = await first.token(ranges);
    await first.initiator.logout();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const result = await second.writeUsing({ token, ranges: elsewhere }, LIST);
    if (endWithSession) assert.match(result, /^5\/23\//);
    else assert.equal(result, "good");
  }
});

test("a persistent token is good after a restart of the token room", needsLibiscsi(), async () => {
  await using target = await CopyTarget.start();
  const session = await target.connect("small");
  const data = patternBytes(8 * 512, 1);
  await session.write(0, data);
  const token = await session.token(ranges, { rodType: 0x00800002 });
  await session.write(0, patternBytes(8 * 512, 2));
  await target.restart();
  const again = await target.connect("small");
  assert.equal(await again.writeUsing({ token, ranges: elsewhere }, LIST), "good");
  assert.ok((await again.read(elsewhere[0]!)).equals(data));
});

test("a command that was aborted leaves its unit as usable as before", needsLibiscsi(), async () => {
  await using target = await CopyTarget.start();
  const direct = await target.connectDirectly("small", { isProtected: true });
  const list = populateTokenList({ ranges });
  const task = new AbortController();
  const reply = direct.command({ cdb: tokenCdb(0x10, LIST, list.length), dataOut: list }, task.signal);
  task.abort();
  await reply;
  assert.equal(
    outcome(await direct.command({ cdb: tokenCdb(0x10, LIST, list.length), dataOut: list })),
    "good",
  );
});
