/** What the front end has done since it began; all numbers but `connections` only grow. */
export class NbdCounters {
  /** Connections at this moment. */
  connections = 0;
  connectionsAccepted = 0;
  connectionsRefused = 0;
  requests = 0;
  failedRequests = 0;
  bytesRead = 0;
  bytesWritten = 0;
}
