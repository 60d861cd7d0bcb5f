// What a check is: a name and a function from the repository's folder to the list of what is wrong.
// A check never changes a file. An empty list means that all is well.

export interface Check {
  name: string;
  /** Each problem says where ("src/pool/log.ts:12") and what, in one line or a few. */
  run: (root: string) => Promise<string[]> | string[];
}
