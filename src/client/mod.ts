/** The client's public door. */
export { RopewalkError } from "../base/errors.ts";
export type {
  ChangePoolJson,
  CollectionJson,
  CreateVolumeJson,
  DifferenceJson,
  PoolJson,
  ScrubJson,
  SnapshotJson,
  StatusJson,
  VolumeJson,
} from "../frontend/http/mod.ts";
export type { ConnectOptions, ReadText } from "./daemon-address.ts";
export type { LongCallOptions } from "./long-call.ts";
export { connectThrough, Ropewalk, SnapshotCalls, VolumeCalls } from "./ropewalk.ts";
