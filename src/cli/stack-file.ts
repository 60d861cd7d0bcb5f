/** Reads a file that describes a stack: YAML 1.2, so JSON too. What it says the daemon checks. */
import { RopewalkError } from "../base/errors.ts";

/** What a request to the daemon may carry. */
export const STACK_FILE_BYTES_MAX = 64 * 1024;
const ALIASES_MAX = 100;

/** INVALID_CONFIG with the file and the line */
export async function parseStackFile(path: string, bytes: Uint8Array): Promise<object> {
  const text = new TextDecoder().decode(bytes);
  const { LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const error = document.errors[0] ?? document.warnings[0];
  if (error) throw invalid(`${path}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (cause) {
    throw invalid(`${path}: ${(cause as Error).message}`, cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw invalid(`${path}: a stack is described by keys and values, such as layer and members.`);
}

function invalid(sentence: string, cause?: unknown): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", sentence, { cause });
}
