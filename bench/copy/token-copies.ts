// Copies by token as an initiator does them: POPULATE TOKEN for each piece of a volume, WRITE USING TOKEN into another,
// aligned to 2 MiB and off by 4 KiB; and the token of zeros over a volume that holds data.
import { CopySession } from "../../test/support/copy-session.ts";
import { IscsiInitiator } from "../../test/support/iscsi-initiator.ts";
import { withServers } from "../nbd/server.ts";
import { limitRow, type Row, rateRow } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { CopiedVolume, fillAtRandom } from "./copied-volume.ts";
import { copySizes, sizeText } from "./copy-sizes.ts";

const ALIGNMENTS = [
  { name: "aligned to 2 MiB", offsetBytes: 0 },
  { name: "off by 4 KiB", offsetBytes: 4096 },
] as const;
const COMMANDS = ["POPULATE TOKEN", "WRITE USING TOKEN"] as const;
const RATE_GOAL = 20;
const ZERO_MS_MAX = 20;
const GIB = 2 ** 30;
const BLOCK_BYTES = 512;
const LIST = 0x1001;
/** The well-known token (SPC-4, ROD type FFFF0001h): type, and 01F8h as the length of what follows. */
const ZERO_TOKEN = (() => {
  const token = Buffer.alloc(512);
  token.writeUInt32BE(0xffff_0001, 0);
  token.writeUInt16BE(0x01f8, 6);
  return token;
})();

const rateName = (command: string, alignment: string, context: SuiteContext) => {
  const { volumeBytes, pieceBytes } = copySizes(context);
  return `${command}, ${sizeText(volumeBytes)} in pieces of ${sizeText(pieceBytes)}, ${alignment}`;
};
const zeroNames = ({ volumeBytes }: { volumeBytes: number }) => [
  `zero token over ${sizeText(volumeBytes)} of data, WRITE USING TOKEN`,
  `zero token over ${sizeText(volumeBytes)} of data, ropewalk zero`,
];

export function tokenCopies(context: SuiteContext): Group {
  const rates = ALIGNMENTS.flatMap(({ name }) => COMMANDS.map((command) => rateName(command, name, context)));
  return { rows: [...rates, ...zeroNames(copySizes(context))], measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { folder, rounds, say } = context;
  const { volumeBytes, pieceBytes } = copySizes(context);
  const server = new CopiedVolume(context, {
    name: "token-copies",
    sizeBytes: volumeBytes,
    dataBytes: volumeBytes,
  });
  const results = new Map<string, number[]>();
  const add = (name: string, value: number, unit: string) => {
    results.set(name, [...(results.get(name) ?? []), value]);
    say(`  ${name}: ${value.toFixed(2)} ${unit}`);
  };

  await withServers([server], async () => {
    await fillAtRandom(server.uri(), volumeBytes, folder);
    for (let round = 0; round < rounds; round++) {
      for (const { name, offsetBytes } of ALIGNMENTS) {
        const target = `target-${round}-${offsetBytes}`;
        await server.createVolume(target, volumeBytes + pieceBytes);
        await server.rest();
        const { populateMs, writeMs } = await copyByTokens(server, {
          target,
          volumeBytes,
          pieceBytes,
          offsetBytes,
        });
        const rate = (ms: number) => volumeBytes / GIB / (ms / 1000);
        add(rateName("POPULATE TOKEN", name, context), rate(populateMs), "GiB/s");
        add(rateName("WRITE USING TOKEN", name, context), rate(writeMs), "GiB/s");
        await server.remove(target);
      }
      const [overIscsi, byCommand] = zeroNames({ volumeBytes }) as [string, string];
      await server.copy("zeroed");
      await server.rest();
      add(overIscsi, await zeroByToken(server, volumeBytes), "ms");
      await server.remove("zeroed");
      await server.copy("zeroed");
      await server.rest();
      add(byCommand, ((await server.daemon.json("zero", "zeroed")) as { elapsedMs: number }).elapsedMs, "ms");
      await server.remove("zeroed");
    }
  });

  const rates = ALIGNMENTS.flatMap(({ name }) =>
    COMMANDS.map((command) => {
      const row = rateName(command, name, context);
      const measured = { name: row, unit: "GiB/s", ours: results.get(row) ?? [], peer: [RATE_GOAL] };
      return rateRow({ ...measured, peerName: "limit", goal: 1 });
    }),
  );
  const zeros = zeroNames({ volumeBytes }).map((name) =>
    limitRow({ name, unit: "ms", ours: results.get(name) ?? [], limit: ZERO_MS_MAX }),
  );
  return [...rates, ...zeros];
}

function connect(server: CopiedVolume, volume: string): Promise<IscsiInitiator> {
  return IscsiInitiator.connect({
    portal: server.daemon.endpoints.iscsi[0]!,
    target: `iqn.2026-11.io.ropewalk:${volume}`,
  });
}

/** Asking for each token includes asking for what POPULATE TOKEN made. */
async function copyByTokens(
  server: CopiedVolume,
  options: { target: string; volumeBytes: number; pieceBytes: number; offsetBytes: number },
): Promise<{ populateMs: number; writeMs: number }> {
  const { target, volumeBytes, pieceBytes, offsetBytes } = options;
  await using from = await connect(server, "source");
  await using to = await connect(server, target);
  const [source, destination] = [new CopySession(from, BLOCK_BYTES), new CopySession(to, BLOCK_BYTES)];
  const blocks = pieceBytes / BLOCK_BYTES;
  const pieces = volumeBytes / pieceBytes;
  const tokens: Buffer[] = [];
  const startedMs = performance.now();
  for (let piece = 0; piece < pieces; piece++)
    tokens.push(await source.token([{ lba: piece * blocks, blocks }]));
  const populatedMs = performance.now();
  for (const [piece, token] of tokens.entries()) {
    const ranges = [{ lba: piece * blocks + offsetBytes / BLOCK_BYTES, blocks }];
    good(await destination.writeUsing({ token, ranges }, LIST));
  }
  return { populateMs: populatedMs - startedMs, writeMs: performance.now() - populatedMs };
}

async function zeroByToken(server: CopiedVolume, volumeBytes: number): Promise<number> {
  await using initiator = await connect(server, "zeroed");
  const session = new CopySession(initiator, BLOCK_BYTES);
  const ranges = [{ lba: 0, blocks: volumeBytes / BLOCK_BYTES }];
  const startedMs = performance.now();
  good(await session.writeUsing({ token: ZERO_TOKEN, ranges }, LIST));
  return performance.now() - startedMs;
}

function good(outcome: string): void {
  if (outcome !== "good") throw new Error(`the target answered ${outcome}`);
}
