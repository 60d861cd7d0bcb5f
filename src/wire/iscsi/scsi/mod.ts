/** SCSI commands and their data (SPC-4, SBC-3) as bytes and typed values: no state of a unit, no input or output. */
export * from "./block-cdb.ts";
export * from "./capacity-data.ts";
export * from "./check-condition.ts";
export * from "./command-report.ts";
export * from "./inquiry-data.ts";
export * from "./mode-data.ts";
export * from "./operation.ts";
export * from "./reservation-data.ts";
export * from "./sense.ts";
export * from "./supported-command.ts";
export * from "./unmap-list.ts";
