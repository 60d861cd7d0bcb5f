/** What the front end has done since it began; all numbers but `connections` and `sessions` only grow. */
export class IscsiCounters {
  /** Connections at this moment. */
  connections = 0;
  /** Sessions in the full feature phase at this moment. */
  sessions = 0;
  connectionsAccepted = 0;
  connectionsRefused = 0;
  loginsFailed = 0;
  commands = 0;
  /** Data that initiators were sent, and that commands took from them. */
  bytesRead = 0;
  bytesWritten = 0;
}
