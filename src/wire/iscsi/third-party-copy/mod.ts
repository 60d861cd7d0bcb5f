/** Third-party copy as bytes and typed values: no state, no input or output. */
export * from "./block-ranges.ts";
export * from "./constants.ts";
export * from "./copy-command.ts";
export * from "./copy-features.ts";
export * from "./copy-status.ts";
export * from "./extended-copy-parameters.ts";
export * from "./rod-management-tokens.ts";
export * from "./token-parameters.ts";
