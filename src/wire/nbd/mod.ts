/** NBD as bytes and typed values, for servers and clients: no state of a connection, no input or output. */
export * from "./client-handshake.ts";
export * from "./constants.ts";
export * from "./option-parser.ts";
export * from "./option-replies.ts";
export * from "./reply-encoder.ts";
export * from "./reply-parser.ts";
export * from "./request-encoder.ts";
export * from "./request-parser.ts";
export * from "./uri.ts";
