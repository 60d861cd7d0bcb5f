/** `ropewalk filesync receive DIR`: the target's end of ssh://, on standard input and output; run by sshd, not by people. */
import type { Command } from "commander";
import type { CliWorld } from "./cli-world.ts";

export function addReceiveCommand(
  filesync: Command,
  { world, ended }: { world: CliWorld; ended: (exitCode: number) => void },
): void {
  filesync
    .command("receive <dir>", { hidden: true })
    .description("write what a synchronization elsewhere sends on standard input to a directory here")
    .addHelpText(
      "after",
      "\nA synchronization with --to ssh://USER@HOST/PATH runs it on HOST, without a daemon. It answers on standard" +
        "\noutput, and ends when standard input does. The directory is made when absent.",
    )
    .action(async (directory: string) => ended(await world.receive(directory)));
}
