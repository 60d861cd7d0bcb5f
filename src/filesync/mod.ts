/** The file replication room's public door. */
export type { BulkResult, PlannedChange } from "./compare/bulk.ts";
export type { SyncMode } from "./compare/tree-comparison.ts";
export { compileExcludes, excludeTest, NO_EXCLUDES } from "./exclude-rules.ts";
export { type ConnectorParts, localConnector, streamConnector } from "./link/connectors.ts";
export type { Exchange } from "./link/exchange.ts";
export { FrameExchange } from "./link/frame-exchange.ts";
export { TargetLink, type TargetLinkParts } from "./link/target-link.ts";
export { CommandQueue, type QueueObserver } from "./queue/command-queue.ts";
export * from "./queue/entry.ts";
export { DEFAULT_QUEUE_SETTINGS } from "./queue/queue-settings.ts";
export { MAIN_THREAD, Schedule } from "./queue/schedule.ts";
export {
  Synchronization,
  type SynchronizationParts,
  type SyncResult,
  type VerifyResult,
} from "./synchronization.ts";
export * from "./synchronization-figures.ts";
export * from "./synchronization-settings.ts";
export { TargetConnectionServer } from "./target/target-connection-server.ts";
export {
  type AdmissionOptions,
  isNested,
  type OpenedTarget,
  type RootToEnter,
  TargetRoots,
} from "./target/target-roots.ts";
export { type Admission, TargetSession } from "./target/target-session.ts";
export type { SynchronizationTarget } from "./target-lane.ts";
export * from "./threads/connection.ts";
export * from "./threads/entry-work.ts";
export type { ThreadEvent } from "./threads/target-thread.ts";
export { TargetThreads } from "./threads/target-threads.ts";
export { DEFAULT_THREAD_SETTINGS } from "./threads/thread-settings.ts";
export * from "./tree-path.ts";
