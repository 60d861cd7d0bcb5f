/**
 * What is done for commands: what happened at the source happens at the target, many at a time, in their order (F4, F13).
 *
 * Always holds: content and attributes are read from the source when the command is processed.
 */
import type { Entry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { WorkResult } from "../threads/entry-work.ts";
import type { CommandResults } from "./command-results.ts";
import { ContentCommands } from "./content-commands.ts";
import { NameCommands } from "./name-commands.ts";
import { placesOf, type WorkParts } from "./work-parts.ts";

export class CommandWork {
  readonly #parts: WorkParts;
  readonly #content: ContentCommands;
  readonly #names: NameCommands;

  constructor(parts: WorkParts) {
    this.#parts = parts;
    this.#content = new ContentCommands(parts);
    this.#names = new NameCommands(parts, this.#content);
  }

  async run(entries: readonly Entry[], connection: TargetConnection): Promise<WorkResult> {
    const { clock, reads } = this.#parts;
    const results: CommandResults = { append: [], failures: [], beganMs: clock.wallMs() };
    const since = reads.begin();
    for (let at = 0; at < entries.length; ) {
      const subject = subjectOf(entries[at]!);
      let end = at + 1;
      while (end < entries.length && subjectOf(entries[end]!) === subject) end += 1;
      const part = entries.slice(at, end);
      if (subject === "names") await this.#names.carryOut(part, connection, results);
      else await this.#content.send(part, subject, connection, results);
      at = end;
    }
    reads.ended(since, placesOf(entries));
    const { append, failures } = results;
    return { done: entries, untouched: [], append, failures };
  }
}

function subjectOf({ kind }: Entry): "content" | "attributes" | "names" {
  if (kind === "attribute") return "attributes";
  return kind === "create" || kind === "write" ? "content" : "names";
}
