/**
 * The command line: which commands there are, and how they end.
 *
 * Always holds: exit code 0 when done, 1 when failed with one line `ropewalk: CODE: sentence` on standard
 * error, 2 when used wrongly; with --json nothing but one JSON value goes to standard output.
 */
import { Command, CommanderError } from "commander";
import { asRopewalkError } from "../base/errors.ts";
import type { CliWorld } from "./cli-world.ts";
import { addCopyCommands } from "./copy-commands.ts";
import { addFilesyncCommands } from "./filesync-commands.ts";
import { addPoolCommands } from "./pool-commands.ts";
import { addReceiveCommand } from "./receive-command.ts";
import { addServeCommand } from "./serve-command.ts";
import { type Action, Session, type SessionOptions, withSessionOptions } from "./session.ts";
import { addSnapshotCommands } from "./snapshot-commands.ts";
import { addTokenCommands } from "./token-commands.ts";
import { addVolumeCommands } from "./volume-commands.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Adds a command that talks to a daemon; returns it for its own options. */
export type AddCommand = (parent: Command, usage: string, description: string, action: Action) => Command;

const EXAMPLES = `
Examples:
  ropewalk serve
  ropewalk volume create disk --size 10GiB
  ropewalk snapshot create disk@monday
  ropewalk volume clone disk@monday copy
  ropewalk snapshot diff disk@monday disk
  ropewalk copy disk@monday other
  ropewalk token create disk@monday --out monday.token
  ropewalk filesync add home --source /home --to /srv/copy
  ropewalk status --json

The daemon is found by --url or ROPEWALK_URL (with the key in ROPEWALK_KEY), or by --data or ROPEWALK_DATA.`;

/** Runs one command to its end; the exit code. Never rejects. */
export async function runCommandLine(world: CliWorld): Promise<number> {
  let exitCode = EXIT_DONE;
  const program = makeProgram(world, (code) => (exitCode = code));
  try {
    await program.parseAsync([...world.parameters], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
    const { code, message } = asRopewalkError(error);
    world.printError(`ropewalk: ${code}: ${oneLine(message)}\n`);
    return EXIT_FAILED;
  }
}

function makeProgram(world: CliWorld, ended: (exitCode: number) => void): Command {
  const program = new Command("ropewalk")
    .description(
      "Volumes, snapshots, clones and token copies on one log; directory trees replicated in real time.",
    )
    .version(world.version, "--version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .addHelpText("after", EXAMPLES)
    .showHelpAfterError("(add --help for what is possible)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void world.print(text),
      writeErr: (text) => world.printError(text),
      outputError: (text, write) => write(text.replace(/^error: /, "ropewalk: ")),
    });
  const add: AddCommand = (parent, usage, description, action) =>
    withSessionOptions(parent.command(usage).description(description)).action(async (...given: unknown[]) => {
      // Commander hands the positional parameters, then the options, then the command.
      const options = given.at(-2) as SessionOptions & Record<string, string>;
      const session = new Session(world, options);
      await action(session, given.slice(0, -2) as string[], options);
      ended(session.exitCode);
    });
  addServeCommand(program, { world, ended });
  addVolumeCommands(program.command("volume").description("make, list, resize, clone, delete volumes"), add);
  addSnapshotCommands(
    program.command("snapshot").description("take, list, compare, roll back to snapshots"),
    add,
  );
  addTokenCommands(
    program.command("token").description("make, show, read, write, revoke tokens that stand for data"),
    add,
  );
  addCopyCommands(program, add);
  const filesync = program.command("filesync").description("replicate directory trees in real time");
  addFilesyncCommands(filesync, add);
  addReceiveCommand(filesync, { world, ended });
  addPoolCommands(program, add);
  return program;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ");
}
