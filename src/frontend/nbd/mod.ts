/** The NBD front end's public door: a server, and what it is handed. */

export type { StatusExtent } from "../../wire/nbd/mod.ts";
export { NbdCounters } from "./counters.ts";
export type { ExportEntry, NbdContext, NbdExports, OpenedExport } from "./exports.ts";
export type { TlsMode } from "./handshake.ts";
export { DEFAULT_NBD_LIMITS, type NbdLimits } from "./limits.ts";
export { NbdServer, type NbdServerOptions } from "./server.ts";
