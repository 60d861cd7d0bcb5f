/**
 * The target's end of one connection: requests become calls of the tree, replies say what came of them.
 *
 * Always holds: nothing but HELLO is answered before HELLO is done; requests of a main connection are carried out one
 * after another in their order, but for those that only look, write a file that nobody sees yet, or say of themselves that
 * they may run beside others; those of a sync connection beside each other. Files that were begun end with the connection.
 * Errors: as replies; PROTOCOL_ERROR ends it.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { TargetFile, TargetTree } from "../../ports/mod.ts";
import type { Hello, HelloReply, Reply, Request } from "../../wire/filesync/mod.ts";

/** Large files that one connection may have open. */
const FILES_MAX = 64;

/** Who may come in, and to what. One for each connection. */
export interface Admission {
  /** A challenge, or the welcome: then there is a root. UNAUTHORIZED, NOT_FOUND, TARGET_IN_USE */
  hello(hello: Hello): Promise<{ readonly reply: HelloReply; readonly root: AdmittedRoot | undefined }>;
  /** The connection has ended. */
  left(): void;
}

export interface AdmittedRoot {
  readonly tree: TargetTree;
  readonly role: Hello["role"];
}

export class TargetSession {
  readonly #admission: Admission;
  readonly #files = new Map<number, TargetFile>();
  #nextHandle = 1;
  #root: AdmittedRoot | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  get isAdmitted(): boolean {
    return this.#root !== undefined;
  }

  /** Rejects with what the reply is to say. */
  handle(request: Request): Promise<Reply> {
    const isBeside = isFree(request) || this.#root?.role === "sync";
    const done = isBeside ? this.#handle(request) : this.#turn.then(() => this.#handle(request));
    const ended = done.then(
      () => undefined,
      () => undefined,
    );
    if (!isBeside) this.#turn = ended;
    this.#underWay.add(ended);
    void ended.then(() => this.#underWay.delete(ended));
    return done;
  }

  /** The connection is gone: what was begun is dropped. Resolves when nothing of it is under way. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const files = [...this.#files.values()];
    this.#files.clear();
    await Promise.allSettled([...this.#underWay, ...files.map((file) => file.abort())]);
    this.#admission.left();
  }

  async #handle(request: Request): Promise<Reply> {
    const { type } = request;
    // Its turn came too late.
    if (this.#isClosed) throw new RopewalkError("SHUTTING_DOWN", "The connection has ended.");
    if (type === "hello") return this.#hello(request.hello);
    const { tree } = this.#admitted();
    switch (type) {
      case "keepAlive":
        return { type };
      case "apply":
        return { type, result: await tree.apply(request.bundle) };
      case "begin":
        return { type, handle: await this.#begin(tree, request.path) };
      case "write":
        await this.#file(request.handle).write(request.offset, request.bytes);
        return { type };
      case "keep":
        await this.#file(request.handle).keep(request.offset, request.length);
        return { type };
      case "commit": {
        const file = this.#file(request.handle);
        this.#files.delete(request.handle);
        return { type, failure: await file.commit(request.packed) };
      }
      case "abort": {
        const file = this.#files.get(request.handle);
        this.#files.delete(request.handle);
        await file?.abort();
        return { type };
      }
      case "hashes":
        return { type, hashes: await tree.hashes(request.path, request.request) };
      case "scan": {
        const { paths, withListings, excludes } = request;
        return { type, result: await tree.scan({ paths, withListings, excludes }) };
      }
      case "stat":
        return { type, attributes: await tree.stat(request.paths) };
      case "sync":
        await tree.sync();
        return { type };
      case "free":
        return { type, freeBytes: await tree.freeBytes() };
    }
  }

  async #hello(hello: Hello): Promise<Reply> {
    if (this.#root !== undefined)
      throw new RopewalkError("PROTOCOL_ERROR", "HELLO came again on a connection that had said it.");
    const { reply, root } = await this.#admission.hello(hello);
    this.#root = root;
    return { type: "hello", ...reply };
  }

  #admitted(): AdmittedRoot {
    if (this.#root === undefined)
      throw new RopewalkError("PROTOCOL_ERROR", "A request came before HELLO was done.");
    return this.#root;
  }

  async #begin(tree: TargetTree, path: string): Promise<number> {
    if (this.#files.size >= FILES_MAX)
      throw new RopewalkError("TOO_MANY", `A connection may have ${FILES_MAX} files open.`);
    const file = await tree.begin(path);
    if (this.#isClosed) {
      await file.abort();
      throw new RopewalkError("SHUTTING_DOWN", "The connection has ended.");
    }
    const handle = this.#nextHandle++;
    this.#files.set(handle, file);
    return handle;
  }

  #file(handle: number): TargetFile {
    const file = this.#files.get(handle);
    if (file === undefined)
      throw new RopewalkError("PROTOCOL_ERROR", `There is no open file ${handle} on this connection.`);
    return file;
  }
}

const FREE: ReadonlySet<Request["type"]> = new Set(["keepAlive", "scan", "hashes", "write", "keep"]);

/** Whether it may be carried out beside others: it only looks, is about a file that nobody sees yet, or says so. */
function isFree(request: Request): boolean {
  return FREE.has(request.type) || (request.type === "apply" && request.isUnordered === true);
}
