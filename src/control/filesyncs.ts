/**
 * The synchronizations of directory trees: kept by name, started with the daemon, watched, stopped.
 *
 * Always holds: a definition is durable before its synchronization runs, and gone before its journal is; changes of the
 * table are made one after another; what is deleted or stopped touches nothing at the targets any more.
 * Errors: NOT_FOUND, ALREADY_EXISTS, TOO_MANY, INVALID_NAME, INVALID_ARGUMENT, SOURCE_MISSING, TARGET_IN_USE, and those
 * of the synchronization itself.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import { checkName, quoted } from "../base/object-name.ts";
import type { SynchronizationFigures } from "../filesync/mod.ts";
import { type FilesyncDefinition, formatDefinition, parseFilesyncDefinition } from "./filesync-definition.ts";
import { parseDestination } from "./filesync-destination.ts";
import { knownPath, type WrittenRoot } from "./filesync-roots.ts";
import { FilesyncRun } from "./filesync-run.ts";
import { checkedDefinition, type FilesyncWish } from "./filesync-wish.ts";
import type { FilesyncWorld } from "./filesync-world.ts";

const FILESYNCS_MAX = 256;

export interface FilesyncInfo extends Omit<FilesyncDefinition, "id" | "targets" | "isPaused"> {
  readonly name: string;
  readonly figures: SynchronizationFigures;
}

export class Filesyncs {
  readonly #world: FilesyncWorld;
  readonly #runs = new Map<string, FilesyncRun>();
  #turn: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(world: FilesyncWorld) {
    this.#world = world;
  }

  /** Reads all definitions and starts them; trouble of one is its state. INVALID_CONFIG when a file is damaged */
  async load(): Promise<void> {
    const { definitions } = this.#world;
    for (const name of await definitions.list()) {
      const text = await definitions.read(name);
      if (text === undefined) continue;
      const definition = parseFilesyncDefinition(name, text);
      this.#runs.set(checkName("synchronization", name), new FilesyncRun(name, definition, this.#world));
    }
    await Promise.all([...this.#runs.values()].map((run) => run.start()));
  }

  /** By name. */
  list(): FilesyncInfo[] {
    return [...this.#runs.keys()].sort().map((name) => this.show(name));
  }

  show(name: string): FilesyncInfo {
    const run = this.find(name);
    const { id: _id, targets: _targets, isPaused: _isPaused, ...shown } = run.definition;
    return { name, ...shown, figures: run.figures() };
  }

  /** To be synchronized, verified and waited for. */
  find(name: string): FilesyncRun {
    const run = this.#runs.get(name);
    if (run) return run;
    throw new RopewalkError("NOT_FOUND", `There is no synchronization ${quoted(name)}.`);
  }

  /** It is durable and has begun when this resolves. */
  add(wish: FilesyncWish): Promise<FilesyncInfo> {
    const name = checkName("synchronization", wish.name);
    return this.#inTurn(async () => {
      if (this.#runs.has(name))
        throw new RopewalkError("ALREADY_EXISTS", `There is a synchronization ${quoted(name)} already.`);
      if (this.#runs.size >= FILESYNCS_MAX)
        throw new RopewalkError(
          "TOO_MANY",
          `There are ${FILESYNCS_MAX} synchronizations already; delete one first.`,
        );
      const written = [...(await this.writtenRoots()), ...(await this.#world.receivingRoots())];
      const { definition, absent } = await checkedDefinition(wish, this.#world, {
        written,
        elsewhere: this.#elsewhere(),
      });
      for (const path of absent) await this.#world.machine.makeDirectory(path);
      // One of an earlier synchronization of the name, which died while it was deleted.
      await this.#world.machine.removeJournal(name);
      await this.#world.definitions.write(name, formatDefinition(definition));
      const run = new FilesyncRun(name, definition, this.#world);
      await run.start();
      if (run.failure) {
        await this.#world.definitions.remove(name);
        throw run.failure;
      }
      this.#runs.set(name, run);
      return this.show(name);
    });
  }

  /** Nothing is sent until it is resumed, also after a restart; what happens meanwhile is noted. */
  pause(name: string): Promise<FilesyncInfo> {
    return this.#change(name, { isPaused: true }, (run) => run.pause());
  }

  /** Also starts anew what could not be started. */
  resume(name: string): Promise<FilesyncInfo> {
    return this.#change(name, { isPaused: false }, (run) => run.resume());
  }

  /** Stops and forgets it; the targets stay as they are. */
  delete(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const run = this.find(name);
      await run.stop();
      await this.#world.definitions.remove(name);
      this.#runs.delete(name);
      await this.#world.machine.removeJournal(name);
    });
  }

  /** The directories of this machine that synchronizations write to. */
  async writtenRoots(): Promise<WrittenRoot[]> {
    const { lookAt } = this.#world.machine;
    const roots: WrittenRoot[] = [];
    for (const [name, { definition }] of this.#runs) {
      const owner = `the synchronization ${quoted(name)}`;
      const source = await knownPath(lookAt, definition.source);
      for (const { to } of definition.targets) {
        const destination = parseDestination(to);
        if (destination.kind !== "local") continue;
        roots.push({ owner, source, path: await knownPath(lookAt, destination.path) });
      }
    }
    return roots;
  }

  #elsewhere() {
    return [...this.#runs].flatMap(([name, { definition }]) =>
      definition.targets
        .map(({ to }) => ({
          owner: `the synchronization ${quoted(name)}`,
          destination: parseDestination(to),
        }))
        .filter(({ destination }) => destination.kind !== "local"),
    );
  }

  /** Does work after the changes that were asked for before. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#inTurn(work);
  }

  /** Stops all; the next start goes on where they stopped. */
  async stop(): Promise<void> {
    this.#isClosing = true;
    await this.#turn;
    await Promise.all([...this.#runs.values()].map((run) => run.stop()));
  }

  #change(
    name: string,
    change: Partial<FilesyncDefinition>,
    apply: (run: FilesyncRun) => Promise<void>,
  ): Promise<FilesyncInfo> {
    return this.#inTurn(async () => {
      const run = this.find(name);
      const definition = { ...run.definition, ...change };
      await this.#world.definitions.write(name, formatDefinition(definition));
      run.definition = definition;
      await apply(run);
      return this.show(name);
    });
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#turn.then(() => {
      if (this.#isClosing) throw new RopewalkError("SHUTTING_DOWN", "The daemon is stopping.");
      return work();
    });
    this.#turn = done.catch(asRopewalkError);
    return done;
  }
}
