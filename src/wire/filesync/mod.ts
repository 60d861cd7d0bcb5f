/** File replication as bytes and typed values: no state of a connection, no input or output. */
export { isSameContent, isSameTime, type WireAttributes } from "./attributes.ts";
export * from "./bundle-reader.ts";
export * from "./bundle-writer.ts";
export * from "./constants.ts";
export * from "./extended-attributes.ts";
export * from "./frame-reader.ts";
export {
  type ConnectionRole,
  type DeletesPolicy,
  type Hello,
  type HelloReply,
  helloMac,
  isSameMac,
  NO_MAC,
  type SendMode,
  type TargetAbilities,
  type Welcome,
  welcomeMac,
} from "./hello.ts";
export * from "./listing.ts";
export { type ContentExtent, type Operation, packOperation } from "./operation.ts";
export * from "./reply.ts";
export * from "./request.ts";
export * from "./wire-path.ts";
