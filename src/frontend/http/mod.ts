/** The HTTP front end's public door: the server, its document, and the types of the API's JSON. */

export { HTTP_LIMITS_DEFAULT, type HttpLimits, type HttpLog } from "./application.ts";
export { BearerKey } from "./bearer-key.ts";
export type { CopyJson, CopyWorkJson, StartCopyJson, ZeroedJson, ZeroJson } from "./copy-json.ts";
export type { ErrorJson } from "./error-json.ts";
export type {
  AddFilesyncJson,
  AddFilesyncTargetJson,
  FilesyncJson,
  FilesyncSyncJson,
  FilesyncSyncWorkJson,
  FilesyncTargetJson,
  FilesyncVerificationJson,
  FilesyncVerificationWorkJson,
  MadeFilesyncTargetJson,
  SyncFilesyncJson,
} from "./filesync-json.ts";
export { HttpServer } from "./http-server.ts";
export { openApiDocument } from "./open-api-document.ts";
export type { CreateSnapshotJson, DifferenceJson, SnapshotJson } from "./snapshot-json.ts";
export type { ChangePoolJson, PoolJson, StatusJson } from "./status-json.ts";
export type {
  CreateTokenJson,
  MadeTokenJson,
  ReadTokenJson,
  RevokeTokenJson,
  ShownTokensJson,
  TokenJson,
  TokenWrittenJson,
  WriteTokenJson,
} from "./token-json.ts";
export type { CloneVolumeJson, CreateVolumeJson, ResizeVolumeJson, VolumeJson } from "./volume-json.ts";
export type {
  CollectBodyJson,
  CollectionJson,
  CollectionWorkJson,
  ScrubJson,
  ScrubWorkJson,
} from "./work-json.ts";
