// What a benchmark needs of a server: that it can be started on an empty volume of some size, reached by an
// NBD address, and ended.

export interface Server {
  /** Who it is, with what matters of its options. */
  readonly name: string;
  start(): Promise<void>;
  /** Where clients find the volume. */
  uri(): string;
  stop(): Promise<void>;
}

/** Runs `use` with all servers started, and stops every one of them whatever happens. */
export async function withServers<T>(servers: readonly Server[], use: () => Promise<T>): Promise<T> {
  try {
    for (const server of servers) await server.start();
    return await use();
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** The servers in an order that begins one further each round, so that none always runs first. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  return items.map((_, index) => items[(index + round) % items.length]!);
}
