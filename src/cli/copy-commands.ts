/** `ropewalk copy`, `ropewalk zero` */
import type { Command } from "commander";
import { checkName, parseMapName } from "../base/object-name.ts";
import { formatSize } from "../base/size-text.ts";
import { bytesOption } from "./byte-count.ts";
import type { AddCommand } from "./command-line.ts";
import { formatBar } from "./progress.ts";

export function addCopyCommands(program: Command, add: AddCommand): void {
  add(
    program,
    "copy <source> <destination>",
    "copy a volume or snapshot, or a range of it, into a volume",
    async (session, given, options) => {
      const [source, destination] = given as [string, string];
      parseMapName(source);
      checkName("volume", destination);
      const ropewalk = await session.connect();
      const copied = await session.follow(({ signal, progress }) =>
        ropewalk.copy({
          source,
          destination,
          ...bytesOption("offsetBytes", options["offset"]),
          ...bytesOption("toOffsetBytes", options["toOffset"]),
          ...bytesOption("lengthBytes", options["length"]),
          signal,
          onProgress: ({ bytes, bytesExpected }, elapsedMs) =>
            progress.show(
              `copy: ${formatBar(bytes / bytesExpected)}, ${formatSize(bytes)} of ${formatSize(bytesExpected)}`,
              elapsedMs,
            ),
        }),
      );
      await session.print(
        copied,
        ({ bytes, bytesMoved }) =>
          `Copied ${formatSize(bytes)} of ${source} to ${destination}; ${formatSize(bytesMoved)} of data moved.\n`,
      );
    },
  )
    .option("--offset <bytes>", "where in the source to begin (0)")
    .option("--to-offset <bytes>", "where in the destination to begin (0)")
    .option("--length <bytes>", "how much to copy (to the source's end)")
    .addHelpText(
      "after",
      "\n<source> is VOLUME or VOLUME@SNAPSHOT; <destination> a volume, made when there is none and grown when it is" +
        "\ntoo small. On the pool no data moves. Ctrl-C cancels; what was copied stays.",
    );

  add(
    program,
    "zero <volume>",
    "make a volume, or a range of it, read as zeros",
    async (session, given, options) => {
      const volume = checkName("volume", given[0]!);
      const ropewalk = await session.connect();
      const zeroed = await session.follow(({ signal }) =>
        ropewalk.zero(volume, {
          ...bytesOption("offsetBytes", options["offset"]),
          ...bytesOption("lengthBytes", options["length"]),
          signal,
        }),
      );
      await session.print(zeroed, ({ bytes }) => `Zeroed ${formatSize(bytes)} of ${volume}.\n`);
    },
  )
    .option("--offset <bytes>", "where to begin (0)")
    .option("--length <bytes>", "how much (to the end)");
}
