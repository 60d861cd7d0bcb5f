/** NBD as bytes and typed values: no state of a connection, no input or output. */
export * from "./constants.ts";
export * from "./option-parser.ts";
export * from "./option-replies.ts";
export * from "./reply-encoder.ts";
export * from "./request-parser.ts";
