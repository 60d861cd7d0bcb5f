/**
 * A program on another machine as a ByteStream, run by the system's `ssh`.
 *
 * Always holds: no shell here sees anything; the command's words reach the other side's shell quoted, one by one; ssh
 * asks nobody anything (BatchMode), and its own configuration decides about keys and hosts. A program that ends with
 * a status other than 0, or ssh itself, closes the stream with UNREACHABLE and the last line of its standard error.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { isIP } from "node:net";
import { RopewalkError } from "../base/errors.ts";
import type { StreamReceiver } from "../ports/mod.ts";
import { ChildStream } from "./child-stream.ts";

export interface SshTarget {
  readonly user?: string | undefined;
  /** A name or numeric address. */
  readonly host: string;
  readonly port?: number | undefined;
  /** The program there and its arguments. */
  readonly command: readonly string[];
  /** In place of the user's and the system's ssh_config(5). */
  readonly configFile?: string | undefined;
}

const HOST = /^[A-Za-z0-9_]([A-Za-z0-9._-]{0,253}[A-Za-z0-9_.])?$/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
/** Of these a POSIX shell changes nothing, wherever they stand. */
const PLAIN_WORD = /^[A-Za-z0-9_./:@%+,-]+$/;
/** What is kept of standard error. */
const ERROR_TEXT_MAX = 4096;
const ERROR_LINE_MAX = 300;

const OPTIONS = [
  "BatchMode=yes",
  "ConnectTimeout=20",
  "ServerAliveInterval=15",
  "ServerAliveCountMax=4",
  "ClearAllForwardings=yes",
  "ForwardAgent=no",
  "ForwardX11=no",
  "RemoteCommand=none",
];

/**
 * Runs `command` on `host`; the receiver hears `opened` when ssh has been started, which then connects, else only
 * `closed`. INVALID_ARGUMENT; UNREACHABLE.
 */
export function openSshStream(target: SshTarget, receiver: StreamReceiver): void {
  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn("ssh", sshArguments(target), { stdio: ["pipe", "pipe", "pipe"] });
  } catch (error) {
    setImmediate(() => receiver.closed(error as Error));
    return;
  }
  const address = sshAddress(target);
  let stream: ChildStream | undefined;
  let errorText = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    errorText = (errorText + text).slice(-ERROR_TEXT_MAX);
  });
  // When ssh goes away its exit says why.
  child.stdin.on("error", () => {});
  child.once("spawn", () => {
    stream = new ChildStream(
      {
        peer: { kind: "process", loopback: false, description: address },
        input: child.stdout,
        output: child.stdin,
        cut: () => {
          child.stdin.destroy();
          child.stdout.destroy();
          child.kill();
        },
      },
      receiver,
    );
  });
  child.once("error", (cause) => {
    if (stream !== undefined) return;
    const sentence = `ssh cannot be started: ${cause.message}; is OpenSSH's client installed?`;
    receiver.closed(new RopewalkError("UNREACHABLE", sentence, { cause }));
  });
  child.once("close", (status, signal) => {
    if (stream === undefined) return;
    if (status === 0) return stream.over(undefined);
    const line = lastLine(errorText);
    const end = status === null ? `was ended by ${signal}` : `ended with status ${status}`;
    const sentence = `ssh to ${address} ${end}${line === "" ? "" : `: ${line}`}`;
    stream.over(new RopewalkError("UNREACHABLE", sentence));
  });
}

/** What `ssh` is run with. INVALID_ARGUMENT */
export function sshArguments({ user, host, port, command, configFile }: SshTarget): string[] {
  if (!HOST.test(host) && isIP(host) === 0) throw invalid(`${JSON.stringify(host)} is no name of a host`);
  if (user !== undefined && !USER.test(user)) throw invalid(`${JSON.stringify(user)} is no name of a user`);
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw invalid(`${port} is no port`);
  if (command.length === 0 || command[0] === "" || command.some((word) => word.includes("\0")))
    throw invalid("there is no command to run");
  return [
    "-T",
    ...(configFile === undefined ? [] : ["-F", configFile]),
    ...OPTIONS.flatMap((option) => ["-o", option]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(user === undefined ? [] : ["-l", user]),
    "--",
    host,
    command.map(quoted).join(" "),
  ];
}

function sshAddress({ user, host, port }: SshTarget): string {
  const place = host.includes(":") ? `[${host}]` : host;
  return `ssh://${user === undefined ? "" : `${user}@`}${place}${port === undefined ? "" : `:${port}`}`;
}

/** A word as the shell at the other end must read it. */
function quoted(word: string): string {
  return PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The last line that says something, fit for a log: without control characters. */
function lastLine(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "");
  return (lines.at(-1) ?? "")
    .replaceAll(/\p{Cc}/gu, "?")
    .trim()
    .slice(0, ERROR_LINE_MAX);
}

function invalid(sentence: string): RopewalkError {
  return new RopewalkError("INVALID_ARGUMENT", `ssh cannot be run: ${sentence}`);
}
