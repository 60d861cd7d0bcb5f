/** What a command queue says of itself. */
export interface QueueFigures {
  /** How far the target is behind the source's live changes, on the source's clock. */
  readonly lag: { readonly entries: number; readonly bytes: number; readonly seconds: number };
  /** Entries of a bulk that are not done. */
  readonly bulkEntries: number;
  /** Bytes of copied files a second, lately, with what a file costs besides its bytes. */
  readonly copyBytesPerSecond: number;
  /** Directories that had to be compared again for want of room, so far. */
  readonly rescans: number;
  readonly rescansWaiting: number;
}
