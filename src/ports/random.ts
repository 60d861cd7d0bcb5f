/** Chance as a port: the daemon's is cryptographic, the simulator's comes from a seed. */
export interface Random {
  /** Fresh random bytes, `length` of them. */
  bytes(length: number): Uint8Array;
}
