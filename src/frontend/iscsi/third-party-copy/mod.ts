/** Third-party copy on the iSCSI target: token copies and EXTENDED COPY between the units of a daemon. */
export { isSameDesignator } from "./copy-designator.ts";
export { COPY_LIMITS, type CopyLimits } from "./copy-limits.ts";
export { CopyManager, type CopyManagerOptions } from "./copy-manager.ts";
export type { CopyTokens } from "./copy-tokens.ts";
export type { FindUnit } from "./extended-copy.ts";
