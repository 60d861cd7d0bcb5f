/** `ropewalk serve`: hands the flags on, by the keys of the configuration file; what they mean is not known here. */
import type { Command } from "commander";
import type { CliWorld } from "./cli-world.ts";

interface ServeFlags {
  readonly config?: string;
  readonly data?: string;
  readonly nbd?: string[];
  readonly iscsi?: string[];
  readonly http?: string;
  readonly peer?: string;
  readonly poolSize?: string;
  readonly insecure?: true;
  readonly logLevel?: string;
  readonly firstVolume?: string;
}

const EXAMPLES = `
Examples:
  ropewalk serve                                       with the defaults, on loopback
  ropewalk serve --data /srv/pool --pool-size 500GiB
  ropewalk serve --nbd 127.0.0.1:0 --iscsi 127.0.0.1:0 --http 127.0.0.1:0 --peer 127.0.0.1:0
                                                       on free ports; endpoints.json says which

Flags go over the environment (ROPEWALK_…), that over the configuration file.`;

export function addServeCommand(
  program: Command,
  { world, ended }: { world: CliWorld; ended: (exitCode: number) => void },
): void {
  program
    .command("serve")
    .description("run the daemon: make or open the pool in the data directory and serve its volumes")
    .option("--data <dir>", "data directory, made when absent (./ropewalk-data)")
    .option("--config <file>", "configuration file, YAML")
    .option(
      "--nbd <address>",
      "HOST:PORT for NBD, repeatable (127.0.0.1:10809); nbd.sock in the data directory always",
      (address: string, before: string[] = []) => [...before, address],
    )
    .option(
      "--iscsi <address>",
      "HOST:PORT for iSCSI, with ,TAG for another portal group than 1; repeatable (127.0.0.1:3260)",
      (address: string, before: string[] = []) => [...before, address],
    )
    .option("--http <address>", "HOST:PORT for the API (127.0.0.1:7430)")
    .option("--peer <address>", "HOST:PORT that other daemons' synchronizations come to (127.0.0.1:7431)")
    .option("--pool-size <size>", "limit of the pool's size; for a new pool 80 % of what is free on its disk")
    .option("--insecure", "allow addresses that are not loopback without TLS")
    .option("--log-level <level>", "debug, info, warn, error, silent (info)")
    .option("--first-volume <name:size>", "make this volume if the pool is made by this start")
    .addHelpText("after", EXAMPLES)
    .action(async (given: ServeFlags) => {
      const exitCode = await world.serve({
        configFile: given.config,
        firstVolume: given.firstVolume,
        flags: {
          data: given.data,
          "nbd.addresses": given.nbd,
          "iscsi.addresses": given.iscsi,
          "http.address": given.http,
          "peer.address": given.peer,
          "pool.size": given.poolSize,
          insecure: given.insecure,
          logLevel: given.logLevel,
        },
      });
      ended(exitCode);
    });
}
