/** The client's public door. */
export { RopewalkError } from "../base/errors.ts";
export type {
  AddFilesyncJson,
  AddFilesyncTargetJson,
  ChangePoolJson,
  CollectionJson,
  CopyJson,
  CreateTokenJson,
  CreateVolumeJson,
  DifferenceJson,
  FilesyncJson,
  FilesyncSyncJson,
  FilesyncTargetJson,
  FilesyncVerificationJson,
  MadeFilesyncTargetJson,
  PoolJson,
  ScrubJson,
  ShownTokensJson,
  SnapshotJson,
  StatusJson,
  SyncFilesyncJson,
  TokenJson,
  TokenWrittenJson,
  VolumeJson,
  ZeroedJson,
} from "../frontend/http/mod.ts";
export type { CopyOptions, CopyProgressJson } from "./copy-call.ts";
export type { ConnectOptions, ReadText } from "./daemon-address.ts";
export { FilesyncCalls, FilesyncTargetCalls } from "./filesync-calls.ts";
export type { LongCallOptions } from "./long-call.ts";
export { connectThrough, type NowMs, Ropewalk, SnapshotCalls, VolumeCalls } from "./ropewalk.ts";
export type {
  GivenToken,
  MadeToken,
  ReadTokenOptions,
  TokenId,
  TokenPart,
  WriteTokenOptions,
  WriteTokenPiece,
} from "./token-calls.ts";
