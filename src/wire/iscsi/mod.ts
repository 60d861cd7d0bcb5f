/** iSCSI as bytes and typed values: no state of a connection, no input or output. */
export * from "./additional-headers.ts";
export * from "./constants.ts";
export * from "./initiator-pdus.ts";
export * from "./logical-unit-number.ts";
export { type PduFields, PduLayout, type PduOf, paddedBytes } from "./pdu-layout.ts";
export * from "./scsi/mod.ts";
export * from "./serial-number.ts";
export * from "./target-pdus.ts";
export * from "./text-list.ts";
export * from "./text-value.ts";
