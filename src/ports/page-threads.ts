/**
 * Threads beside the loop that checksum pages of 4 KiB, in memory that they share with it. Where there are some, files
 * have them read and write too (`DiskFile.readPages` and `writeAside`).
 *
 * Always holds: what is handed over stays untouched until its promise resolves; nothing here rejects. Whatever is
 * not taken, or not done, the caller does itself.
 */
export interface PageThreads {
  /** Jobs that were taken and are not done. */
  readonly inWork: number;

  /** Memory that the threads see, for as long as the process lives; undefined when there is no more. */
  allocate(lengthBytes: number): Uint8Array | undefined;

  /**
   * Checksums of the whole pages of `bytes`; undefined, now or later, when the threads cannot see them, there
   * are too few to be worth it, or too much is in work.
   */
  checksums(bytes: Uint8Array): Promise<Uint32Array | undefined> | undefined;
}
