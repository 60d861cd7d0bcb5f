// Brings node_modules in line with package-lock.json, and does nothing when it already is.
// Plain JavaScript without imports beyond Node's own, because it runs under the machine's Node (20 or newer)
// before anything is installed. Fails with npm's own message and exit code.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const reason = reasonToInstall();
if (reason) {
  console.error(`installing packages (${reason})`);
  // npm deletes node_modules as it works, so it must not run on the Node that lives in there.
  const path = (process.env.PATH ?? "").split(":").filter((entry) => !entry.endsWith("node_modules/.bin"));
  const npm = spawnSync("npm", ["ci", "--loglevel=error"], {
    cwd: root,
    env: { ...process.env, PATH: path.join(":") },
    stdio: ["ignore", 2, 2],
  });
  if (npm.error) console.error(`npm could not be started: ${npm.error.message}`);
  if (npm.status !== 0) process.exit(npm.status ?? 1);
  if (!existsSync(join(root, "node_modules/.bin/node"))) {
    console.error("npm installed no Node 24 for this machine; Ropewalk runs on Linux, x64 or arm64");
    process.exit(1);
  }
}

/** Why the installed packages differ from the lockfile, or "" when they agree. */
function reasonToInstall() {
  const wanted = packagesOf("package-lock.json");
  const installed = packagesOf("node_modules/.package-lock.json");
  if (!installed) return "none installed yet";
  for (const [place, { version, optional }] of Object.entries(wanted ?? {})) {
    if (place === "") continue;
    const found = installed[place];
    if (!found && optional) continue;
    if (found?.version !== version) return `${place} is not at ${version}`;
    if (!existsSync(join(root, place, "package.json"))) return `${place} is gone`;
  }
  return existsSync(join(root, "node_modules/.bin/node")) ? "" : "the pinned Node is missing";
}

function packagesOf(lockfile) {
  const path = join(root, lockfile);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : undefined;
}
