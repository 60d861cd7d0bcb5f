/**
 * The command line: one command of it serves, the others ask a daemon.
 *
 * Always holds: a command that only asks loads nothing of the daemon.
 */
import { resolve } from "node:path";
import { RopewalkError } from "./base/errors.ts";
import { runCommandLine, type ServeOptions } from "./cli/mod.ts";
import type { Settings } from "./control/mod.ts";
import {
  handOn,
  hostClock,
  hostRandom,
  onInterrupt,
  openProcessLog,
  readConfiguredFile,
  readSmallFile,
  readUserFile,
  SocketNetwork,
  shareReceiver,
  stdioStream,
  stopSignal,
  targetMachine,
  writeUserFile,
} from "./host/mod.ts";
import { connect } from "./library.ts";

/** Of which clients have the first three seconds. */
const STOP_TIMEOUT_MS = 9_500;

/** `ropewalk serve`: runs until a signal says stop; the exit code. */
async function serve(options: ServeOptions): Promise<number> {
  const { parseFirstVolume } = await import("./control/mod.ts");
  const { Daemon } = await import("./daemon.ts");
  const firstVolume = options.firstVolume === undefined ? undefined : parseFirstVolume(options.firstVolume);
  const settings = await readSettings(options);
  const log = openProcessLog(settings.logLevel);
  const endNow = (): never => {
    log.flushNow();
    process.exit(1);
  };
  process.on("uncaughtException", (err) => {
    log.error({ err }, "the daemon has a defect and ends; what was acknowledged is kept");
    endNow();
  });
  const stopped = stopSignal(endNow);
  const daemon = new Daemon({ settings, log, version: await readVersion() });
  try {
    await daemon.start(firstVolume);
  } catch (error) {
    await daemon.stop();
    log.flushNow();
    throw error;
  }
  await print(daemon.describe());

  const signal = await stopped;
  log.info({ signal }, "stopping");
  const timer = hostClock.after(STOP_TIMEOUT_MS, () => {
    log.error({}, "stopping took too long; the next start recovers");
    endNow();
  });
  await daemon.stop();
  timer.cancel();
  log.info({}, "stopped");
  log.flushNow();
  process.exit(0);
}

/** `ropewalk filesync receive`: until the other end closes standard input; also for processes that come for the same root. */
async function receive(directory: string): Promise<number> {
  const root = resolve(directory);
  const { kind } = await targetMachine.lookAt(root);
  if (kind === "absent") await targetMachine.makeDirectory(root);
  const share = await shareReceiver(root);
  if (share.role === "hands-on") {
    await handOn(share.socket);
    return 0;
  }
  const { receiveAlone } = await import("./control/mod.ts");
  const receiver = receiveAlone({ root, machine: targetMachine, clock: hostClock, random: hostRandom });
  const listener = await new SocketNetwork().listen({ kind: "unix", path: share.socketPath }, (peer) =>
    receiver.accept(peer),
  );
  const own = receiver.accept({ description: "standard input" })!;
  let failure: Error | undefined;
  stdioStream({
    ...own,
    closed(error) {
      failure = error;
      own.closed(error);
    },
  });
  await receiver.idle();
  await listener.close();
  await share.lock.close();
  if (failure) throw failure;
  return 0;
}

async function readSettings({ configFile, flags }: ServeOptions): Promise<Settings> {
  const {
    CONFIG_FILE_ENVIRONMENT,
    parseConfigFile,
    resolveSettings,
    settingsOfEnvironment,
    settingsOfFlags,
  } = await import("./control/mod.ts");
  const sources = [settingsOfFlags(flags), settingsOfEnvironment(process.env)];
  const path = configFile ?? process.env[CONFIG_FILE_ENVIRONMENT];
  if (path)
    sources.push(parseConfigFile({ path, text: await readConfiguredFile("configuration file", path) }));
  return resolveSettings(sources);
}

/** Resolves when the text is with the system. */
function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => void process.stdout.write(text, () => resolve()));
}

/** The package's own, whether it runs from src or from dist. */
async function readVersion(): Promise<string> {
  const { version } = JSON.parse(
    await readSmallFile(new URL("../package.json", import.meta.url).pathname),
  ) as {
    version?: string;
  };
  if (version === undefined) throw new RopewalkError("INTERNAL", "package.json names no version.");
  return version;
}

if (import.meta.main) {
  // Whoever reads the output may go away early (`… | head -1`), which is no failure of ours.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  process.exitCode = await runCommandLine({
    parameters: process.argv.slice(2),
    environment: process.env,
    version: await readVersion(),
    print,
    printBytes: print,
    readFile: readUserFile,
    writeFile: writeUserFile,
    printError: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
    onInterrupt,
    connect,
    serve,
    receive,
  });
}
