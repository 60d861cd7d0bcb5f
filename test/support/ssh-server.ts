// A real sshd on a loopback port of its own, with keys made for it in a folder, and a configuration for `ssh` that
// knows both. Ended by its pid with the test, or with this process.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { userInfo } from "node:os";
import { findProgram } from "../../tools/find-program.ts";
import { killAtExit, undoAtExit } from "./leftovers.ts";
import { runProgram } from "./run-program.ts";
import type { TemporaryFolder } from "./temporary-folder.ts";

/** Compiled into Debian's sshd, which as root insists on it; its service makes it when it starts. */
const SEPARATION_FOLDER = "/run/sshd";
const START_MS_MAX = 10_000;

export interface SshServer extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly user: string;
  /** For `ssh -F`: the key that opens the server, and the server's own. */
  readonly configFile: string;
  /** Kills the processes that serve connections; the server itself goes on. How many. */
  killConnections(): number;
}

/** `environment`: of what is run by it. */
export async function startSshServer(
  folder: TemporaryFolder,
  { environment = {} }: { readonly environment?: Record<string, string> } = {},
): Promise<SshServer> {
  const port = await freePort();
  const user = userInfo().username;
  for (const name of ["host-key", "user-key"])
    await runProgram("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", folder.file(name)]);
  const removeFolder = separationFolder();
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${folder.file("host-key")}`,
    `AuthorizedKeysFile ${folder.file("user-key.pub")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    "MaxStartups 100",
    ...Object.entries(environment).map(([name, value]) => `SetEnv "${name}=${value}"`),
  ];
  writeFileSync(folder.file("sshd_config"), settings.join("\n") + "\n");
  const client = [
    `IdentityFile ${folder.file("user-key")}`,
    "IdentitiesOnly yes",
    `UserKnownHostsFile ${folder.file("known_hosts")}`,
    "StrictHostKeyChecking accept-new",
    "LogLevel ERROR",
  ];
  writeFileSync(folder.file("ssh_config"), client.join("\n") + "\n");
  const program = findProgram("sshd") ?? "sshd";
  const child = spawn(program, ["-D", "-e", "-f", folder.file("sshd_config")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
  let said = "";
  child.stderr.on("data", (text: Buffer) => (said += text.toString()));
  const over = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const endMs = performance.now() + START_MS_MAX;
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() > endMs) {
      child.kill();
      throw new Error(`sshd did not start: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    host: "127.0.0.1",
    port,
    user,
    configFile: folder.file("ssh_config"),
    killConnections: () => {
      const pids = child.pid === undefined ? [] : childrenOf(child.pid);
      for (const pid of pids) process.kill(pid, "SIGKILL");
      return pids.length;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await over;
      forget();
      removeFolder();
    },
  };
}

/** Made if it is not there; the result removes it again. */
function separationFolder(): () => void {
  if (process.getuid?.() !== 0 || existsSync(SEPARATION_FOLDER)) return () => {};
  mkdirSync(SEPARATION_FOLDER, { mode: 0o755 });
  const remove = () => rmdirSync(SEPARATION_FOLDER);
  const forget = undoAtExit(remove);
  return () => {
    forget();
    remove();
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => parentOf(pid) === parent);
}

function parentOf(pid: number): number | undefined {
  try {
    // Behind the name, which may hold anything: the state, then the parent.
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    // It has ended.
    return undefined;
  }
}
