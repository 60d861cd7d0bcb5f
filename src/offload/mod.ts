/** The token room's public door. */
export { ChecksumFiles } from "./checksum-files.ts";
export { TOKEN_KEY_BYTES } from "./token-bytes.ts";
export { CANCEL_REASONS, type CancelReason, type TokenCounters } from "./token-counters.ts";
export {
  type GivenTokenNotes,
  type NotedReadRequest,
  PLACEMENT_BYTES_MAX,
  PLACEMENT_PATTERN,
  TOKEN_USAGES,
  type TokenNotes,
  type TokenUsage,
} from "./token-notes.ts";
export type { TokenPool } from "./token-pool.ts";
export { TokenRoom, type TokenRoomOptions } from "./token-room.ts";
export { routesTo } from "./token-routes.ts";
export * from "./token-service.ts";
export {
  completeTokenSettings,
  DEFAULT_TOKEN_SETTINGS,
  type GivenTokenSettings,
  type TokenSettings,
} from "./token-settings.ts";
