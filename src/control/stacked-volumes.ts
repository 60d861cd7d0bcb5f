/**
 * Volumes that are stacks: a tree of layers over other volumes, files and NBD exports, kept as a description and served
 * like any volume.
 *
 * Always holds: a stack is one tree that all its clients share, put together when it is made and at every start, and
 * taken apart after the last client, of its frozen views too; no stack stands on itself; what a stack stands on is not
 * deleted before it.
 * A stack whose members are not there at a start is listed, and is put together when it is next asked for.
 * Errors: VOLUME_NOT_FOUND, ALREADY_EXISTS, IN_USE, INVALID_CONFIG (description), TOO_MANY, and those of its members.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import { checkName, parseMapName, quoted } from "../base/object-name.ts";
import { type BlockDevice, SharedDevice } from "../device/mod.ts";
import type { VolumeInfo } from "../pool/mod.ts";
import type { Clock, Random } from "../ports/mod.ts";
import { formatStackFile, parseStackFile, type StackFile } from "./stack-file.ts";

const STACKS_MAX = 1024;
/** Above all ids of a pool; with 44 bits of the UUID two stacks do not meet. */
const STACK_ID_MIN = 2 ** 48;
const UUID_DIGITS_IN_ID = 11;

/** Where descriptions are kept: small texts by name, durable when a call resolves. */
export interface KeptTexts {
  list(): Promise<string[]>;
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Checks and builds device trees. */
export interface StackBuilder {
  /** Names of the volumes that the description stands on, `VOLUME` or `VOLUME@SNAPSHOT`. INVALID_CONFIG */
  members(description: unknown): readonly string[];
  /** Paths of the files that it stands on. INVALID_CONFIG */
  files(description: unknown): readonly string[];
  /** Opens all members; none stays open when it fails. INVALID_CONFIG and what opening throws */
  build(name: string, description: unknown): Promise<BuiltStack>;
}

export interface BuiltStack {
  readonly device: BlockDevice;
  /** What its layers keep frozen, by name: read-only, and gone with the device. */
  readonly views: ReadonlyMap<string, BlockDevice>;
}

/** A frozen view, served as `STACK@VIEW`. */
export interface StackView {
  readonly volume: string;
  readonly name: string;
  readonly sizeBytes: number;
}

export interface StackedVolumeInfo extends VolumeInfo {
  /** The tree, as it was described. */
  readonly stack: unknown;
}

interface Stack {
  readonly name: string;
  readonly file: StackFile;
  /** What it stands on: `VOLUME` or `VOLUME@SNAPSHOT`. */
  readonly members: readonly string[];
  readonly files: readonly string[];
  /** The size when it was last put together. */
  sizeBytes: number;
  shared: SharedDevice | undefined;
  /** Its frozen views while it is put together. */
  views: ReadonlyMap<string, OpenView>;
  /** Keeps the tree together between clients. */
  holding: BlockDevice | undefined;
  assembling: Promise<void> | undefined;
}

interface OpenView {
  readonly shared: SharedDevice;
  /** Keeps the view between clients. */
  readonly holding: BlockDevice;
}

export class StackedVolumes {
  readonly #texts: KeptTexts;
  readonly #builder: StackBuilder;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Whether the pool has a volume of that name. */
  readonly #poolHas: (volume: string) => boolean;
  readonly #report: (stack: string, error: RopewalkError) => void;
  readonly #stacks = new Map<string, Stack>();
  /** Names that something is being made of. */
  readonly #claims = new Set<string>();
  #isClosing = false;

  constructor(options: {
    texts: KeptTexts;
    builder: StackBuilder;
    clock: Clock;
    random: Random;
    poolHas: (volume: string) => boolean;
    /** Told of stacks that cannot be put together. */
    report: (stack: string, error: RopewalkError) => void;
  }) {
    this.#texts = options.texts;
    this.#builder = options.builder;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#poolHas = options.poolHas;
    this.#report = options.report;
  }

  /** Reads all descriptions and puts the stacks together; what cannot be is reported. INVALID_CONFIG when a file is damaged */
  async load(): Promise<void> {
    for (const name of await this.#texts.list()) {
      const text = await this.#texts.read(name);
      if (text !== undefined) this.#add(checkName("volume", name), parseStackFile(name, text));
    }
    for (const name of this.#stacks.keys())
      await this.assemble(name).catch((error: unknown) => this.#report(name, asRopewalkError(error)));
  }

  list(): StackedVolumeInfo[] {
    return [...this.#stacks.values()].map((stack) => infoOf(stack));
  }

  has(name: string): boolean {
    return this.#stacks.has(name);
  }

  /** VOLUME_NOT_FOUND */
  show(name: string): StackedVolumeInfo {
    return infoOf(this.#stack(name));
  }

  /** Frozen views of the stacks that are put together. */
  listViews(): StackView[] {
    return [...this.#stacks.values()].flatMap(({ name: volume, views }) =>
      [...views].map(([name, { holding }]) => ({ volume, name, sizeBytes: holding.sizeBytes })),
    );
  }

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, IO_ERROR as `open` */
  showView(volume: string, name: string): StackView {
    return { volume, name, sizeBytes: this.#view(volume, name).holding.sizeBytes };
  }

  /** Does work that makes a volume of that name, while no stack can take it. ALREADY_EXISTS */
  async claim<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#stacks.has(name) || this.#claims.has(name))
      throw new RopewalkError("ALREADY_EXISTS", `There is a volume ${quoted(name)} already.`);
    this.#claims.add(name);
    try {
      return await work();
    } finally {
      this.#claims.delete(name);
    }
  }

  /** Makes a stack; it is durable and put together when this resolves. ALREADY_EXISTS, TOO_MANY, INVALID_CONFIG */
  async create(name: string, description: unknown): Promise<StackedVolumeInfo> {
    checkName("volume", name);
    return this.claim(name, async () => {
      if (this.#poolHas(name))
        throw new RopewalkError("ALREADY_EXISTS", `There is a volume ${quoted(name)} already.`);
      if (this.#stacks.size >= STACKS_MAX)
        throw new RopewalkError("TOO_MANY", `There are ${STACKS_MAX} stacks already; delete one first.`);
      const file = { uuid: this.#uuid(), createdAtMs: this.#clock.wallMs(), sizeBytes: 0, description };
      const stack = this.#add(name, file);
      try {
        await this.assemble(name);
        await this.#texts.write(name, formatStackFile({ ...file, sizeBytes: stack.sizeBytes }));
      } catch (error) {
        this.#stacks.delete(name);
        await this.#takeApart(stack);
        throw error;
      }
      return infoOf(stack);
    });
  }

  /** Forgets the stack; its members stay as they are. VOLUME_NOT_FOUND, IN_USE */
  async delete(name: string): Promise<void> {
    const stack = this.#stack(name);
    this.checkUnused(name);
    const { clients } = infoOf(stack);
    if (clients > 0 || stack.assembling)
      throw new RopewalkError(
        "IN_USE",
        `${clients} client(s) are connected to volume ${quoted(name)}; disconnect them first.`,
      );
    // Away before the file is, so that nobody opens it any more; its members stay open, so nobody deletes them.
    this.#stacks.delete(name);
    await this.claim(name, async () => {
      try {
        await this.#texts.remove(name);
      } catch (error) {
        this.#stacks.set(name, stack);
        throw error;
      }
      await this.#takeApart(stack);
    });
  }

  /** IN_USE when a stack stands on it: a snapshot, or a volume with its snapshots. */
  checkUnused(name: string): void {
    const user = [...this.#stacks.values()].find((stack) => standsOn(stack, name));
    if (user === undefined) return;
    throw new RopewalkError(
      "IN_USE",
      `The stack ${quoted(user.name)} stands on ${quoted(name)}; delete the stack first.`,
    );
  }

  /** An opening of the stack, which counts as a client until it is closed. VOLUME_NOT_FOUND, SHUTTING_DOWN, IO_ERROR while it is not put together */
  open(name: string): BlockDevice {
    const stack = this.#stack(name);
    if (stack.shared) return stack.shared.open();
    throw this.#notTogether(name);
  }

  /** An opening of a frozen view, which counts as a client of the stack. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, IO_ERROR as `open` */
  openView(volume: string, name: string): BlockDevice {
    return this.#view(volume, name).shared.open();
  }

  /** It is tried again when somebody asks for it. */
  #notTogether(name: string): RopewalkError {
    void this.assemble(name).catch((error: unknown) => this.#report(name, asRopewalkError(error)));
    return new RopewalkError(
      "IO_ERROR",
      `Not all that the stack ${quoted(name)} stands on is there; it is tried again now.`,
    );
  }

  /** Puts a stack together that is not; the others below it first. What opening the members throws */
  async assemble(name: string, above: readonly string[] = []): Promise<void> {
    const stack = this.#stacks.get(name);
    if (!stack || stack.shared) return;
    if (above.includes(name))
      throw new RopewalkError(
        "INVALID_CONFIG",
        `A stack cannot stand on itself: ${[...above, name].map((each) => quoted(each)).join(" on ")}.`,
      );
    for (const { volume } of stack.members.map(parseMapName))
      if (this.#stacks.has(volume)) await this.assemble(volume, [...above, name]);
    stack.assembling ??= this.#build(stack).finally(() => (stack.assembling = undefined));
    await stack.assembling;
  }

  /** Takes all stacks apart, those that others stand on last. Their clients must have gone. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.allSettled([...this.#stacks.values()].map(({ assembling }) => assembling));
    const left = new Set(this.#stacks.values());
    while (left.size > 0) {
      const isStoodOn = ({ name }: Stack) => [...left].some((other) => standsOn(other, name));
      const outer = [...left].filter((stack) => !isStoodOn(stack));
      // A circle was never put together, so it has nothing to take apart.
      for (const stack of outer.length > 0 ? outer : [...left]) {
        left.delete(stack);
        await this.#takeApart(stack);
      }
    }
  }

  async #build(stack: Stack): Promise<void> {
    if (this.#isClosing) throw new RopewalkError("SHUTTING_DOWN", "The daemon is stopping.");
    const { device, views } = await this.#builder.build(stack.name, stack.file.description);
    const shared = new SharedDevice(device);
    const holding = shared.open();
    stack.views = new Map([...views].map(([name, view]) => [name, heldView(view)]));
    stack.holding = holding;
    stack.sizeBytes = holding.sizeBytes;
    stack.shared = shared;
  }

  async #takeApart(stack: Stack): Promise<void> {
    const { holding, views } = stack;
    stack.shared = undefined;
    stack.holding = undefined;
    stack.views = new Map();
    for (const view of views.values()) await view.holding.close();
    await holding?.close();
  }

  #add(name: string, file: StackFile): Stack {
    const members = this.#builder.members(file.description);
    if (standsOn({ members }, name))
      throw new RopewalkError("INVALID_CONFIG", `The stack ${quoted(name)} cannot stand on itself.`);
    const files = this.#builder.files(file.description);
    for (const other of this.#stacks.values()) {
      const taken = files.find((path) => other.files.includes(path));
      if (taken !== undefined)
        throw new RopewalkError(
          "IN_USE",
          `The stack ${quoted(other.name)} stands on the file ${quoted(taken)}.`,
        );
    }
    const stack: Stack = {
      name,
      file,
      members,
      files,
      sizeBytes: file.sizeBytes,
      shared: undefined,
      views: new Map(),
      holding: undefined,
      assembling: undefined,
    };
    this.#stacks.set(name, stack);
    return stack;
  }

  #stack(name: string): Stack {
    const stack = this.#stacks.get(name);
    if (stack) return stack;
    throw new RopewalkError("VOLUME_NOT_FOUND", `There is no volume ${quoted(name)}.`);
  }

  #view(volume: string, name: string): OpenView {
    const { shared, views } = this.#stack(volume);
    if (shared === undefined) throw this.#notTogether(volume);
    const view = views.get(name);
    if (view) return view;
    throw new RopewalkError(
      "SNAPSHOT_NOT_FOUND",
      `The stack ${quoted(volume)} keeps no frozen view ${quoted(name)}.`,
    );
  }

  /** RFC 9562, version 4. */
  #uuid(): string {
    const bytes = Buffer.from(this.#random.bytes(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }
}

function heldView(view: BlockDevice): OpenView {
  const shared = new SharedDevice(view);
  return { shared, holding: shared.open() };
}

/** Whether it has the snapshot as a member, or the volume or any snapshot of it. */
function standsOn({ members }: Pick<Stack, "members">, name: string): boolean {
  return members.some((member) => member === name || member.startsWith(`${name}@`));
}

function infoOf({ name, file, sizeBytes, shared, views, holding }: Stack): StackedVolumeInfo {
  const openings = [...views.values()].map((view) => view.shared.openings - 1);
  const digits = file.uuid.replaceAll("-", "").slice(0, UUID_DIGITS_IN_ID);
  return {
    id: STACK_ID_MIN + Number.parseInt(digits, 16),
    name,
    uuid: file.uuid,
    sizeBytes: holding?.sizeBytes ?? sizeBytes,
    usedBytes: 0,
    snapshots: 0,
    createdAtMs: file.createdAtMs,
    origin: undefined,
    clients: shared ? openings.reduce((sum, each) => sum + each, shared.openings - 1) : 0,
    stack: file.description,
  };
}
