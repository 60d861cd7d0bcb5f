/**
 * Commands about content and attributes: both are read from the source as it is now, and sent.
 *
 * Always holds: what was changed by a name that is gone, or another file's by now, is sent under one of the file's other
 * names; names of a file follow the one that was sent.
 */
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { sourcePathOf } from "../capture/change.ts";
import type { Entry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { RunBudget } from "../threads/entry-work.ts";
import { type CommandResults, commandFailed } from "./command-results.ts";
import { isOfOtherContent } from "./failure-kinds.ts";
import type { OtherNames } from "./hard-links.ts";
import { LargeCopy } from "./large-copies.ts";
import { sendPaths } from "./send-paths.ts";
import { entryAt, namesFollow, sourcePath, type WorkParts } from "./work-parts.ts";

/** An entry whose name was read: nothing is there, or another file than before may be. */
interface LeftName {
  readonly entry: Entry;
  readonly now?: FileAttributes;
}

const NEVER: RunBudget = { mustEnd: () => false };

export class ContentCommands {
  readonly #parts: WorkParts;

  constructor(parts: WorkParts) {
    this.#parts = parts;
  }

  async send(
    entries: readonly Entry[],
    what: "content" | "attributes",
    connection: TargetConnection,
    results: CommandResults,
    names: "linked" | "alone" = "linked",
  ): Promise<void> {
    const { source, counters, dirty, sent } = this.#parts;
    const items: { entry: Entry; path: string }[] = [];
    const left: LeftName[] = [];
    for (const entry of entries) {
      const path = sourcePath(entry);
      if (path !== undefined) items.push({ entry, path });
      else left.push({ entry });
    }
    const result = await sendPaths({
      source,
      connection,
      items,
      pathOf: ({ entry, path }) => ({ source: path, target: entry.path }),
      what,
      order: "kept",
    });
    counters.torn += result.torn;
    for (const { item, attributes } of result.sent) {
      left.push({ ...item, now: attributes });
      if (what === "attributes") {
        this.#followAttributes(item.entry, attributes);
        continue;
      }
      sent.sent(item.entry.path, attributes, results.beganMs);
      dirty.touchedIn(item.entry.path);
      if (attributes.kind === "directory") dirty.add(item.entry.path);
      else counters.copiedFiles += 1;
      if (names === "linked") namesFollow(this.#parts, item.entry.place, attributes);
    }
    const other: Entry[] = [];
    for (const { item, failure, side } of result.failed)
      if (what === "attributes" && side === "target" && isOfOtherContent(failure)) other.push(item.entry);
      else commandFailed(this.#parts, item.entry, { failure, side, results });
    if (other.length > 0) await this.send(other, "content", connection, results, names);
    for (const { entry } of result.absent) left.push({ entry });
    await this.#underOtherNames(left, results);
    for (const { item } of result.large) await this.#large({ ...item, names }, connection, results);
  }

  /**
   * Something was changed, and the name by which it was is gone, or `now` another file's: what was changed is to be found under
   * one of the file's other names. Those that are known may be other files' by now, too.
   */
  async #underOtherNames(left: readonly LeftName[], results: CommandResults): Promise<void> {
    const { links, counters, sent, source, unread } = this.#parts;
    const asked: {
      readonly entry: Entry;
      readonly others: OtherNames;
      readonly paths: readonly TreePath[];
    }[] = [];
    for (const { entry, now } of left) {
      if (entry.place === undefined) continue;
      const others = links.othersAt(entry.place, { sent: sent.fileAt(entry.path), now });
      if (others === undefined) {
        if (now === undefined) unread.want();
        continue;
      }
      asked.push({ entry, others, paths: others.places.map((place) => sourcePathOf(place) ?? "") });
    }
    if (asked.length === 0) return;
    const found = await source.stat(asked.flatMap(({ paths }) => paths));
    let at = 0;
    for (const { entry, others } of asked) {
      const own = found.slice(at, (at += others.places.length));
      const other = others.places.find((_, index) => own[index] !== undefined && others.has(own[index]));
      if (other === undefined) continue;
      links.left(entry.place!);
      const kind = entry.kind === "attribute" ? "attribute" : "write";
      const entries = entryAt(other, { kind, isDirectory: false });
      counters.followUps += entries.length;
      results.append.push(...entries);
    }
  }

  /** There is a name more, or less, than is known. */
  #followAttributes(entry: Entry, attributes: FileAttributes): void {
    const { links } = this.#parts;
    if (links.namesOf(attributes).length !== attributes.links)
      namesFollow(this.#parts, entry.place, attributes);
  }

  async #large(
    { entry, path, names }: { entry: Entry; path: string; names: "linked" | "alone" },
    connection: TargetConnection,
    results: CommandResults,
  ): Promise<void> {
    const { source, dirty, sent, counters } = this.#parts;
    let copy: LargeCopy | undefined;
    try {
      const begun = await LargeCopy.begin({
        source,
        connection,
        sourcePath: path,
        path: entry.path,
        mode: "incremental",
      });
      if (begun instanceof LargeCopy) copy = begun;
      const outcome = begun instanceof LargeCopy ? await begun.goOn(entry.path, NEVER) : begun;
      if (outcome.what === "failed")
        commandFailed(this.#parts, entry, { failure: outcome.failure, side: outcome.side, results });
      if (outcome.what !== "done") return;
      if (outcome.isTorn) counters.torn += 1;
      counters.copiedFiles += 1;
      await this.#underOtherNames([{ entry, now: outcome.attributes }], results);
      sent.sent(entry.path, outcome.attributes, results.beganMs);
      dirty.touchedIn(entry.path);
      if (names === "linked") namesFollow(this.#parts, entry.place, outcome.attributes);
    } catch (error) {
      void copy?.drop();
      throw error;
    }
  }
}
