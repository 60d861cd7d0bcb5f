/**
 * The roots that sources may write to, and who writes to them now.
 *
 * Always holds: a root has one synchronization at a time, and none lies inside another that has one; a connection with the
 * number of an older one ends that first, so that nothing of the old one is carried out behind the new one's HELLO. A root
 * with a key lets in who proves that he knows it, and proves it himself. Errors: NOT_FOUND, UNAUTHORIZED, TARGET_IN_USE and
 * those of opening the tree.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Random, TargetTree } from "../../ports/mod.ts";
import {
  type DeletesPolicy,
  type Hello,
  helloMac,
  isSameMac,
  NO_MAC,
  NONCE_BYTES,
  PROTOCOL_VERSION,
  type Welcome,
  welcomeMac,
} from "../../wire/filesync/mod.ts";
import type { TargetAbilities } from "../threads/connection.ts";
import { isWithin } from "../tree-path.ts";
import type { Admission, AdmittedRoot } from "./target-session.ts";

export interface OpenedTarget {
  readonly tree: TargetTree;
  readonly abilities: Omit<TargetAbilities, "freeBytes">;
}

export interface TargetRootsParts {
  /** `path`: canonical. TARGET_IN_USE when another process has it. */
  readonly open: (path: string, options: { readonly deletes: DeletesPolicy }) => Promise<OpenedTarget>;
  /** The canonical path of a root, whatever way it was named. NOT_FOUND */
  readonly canonical: (path: string) => Promise<string>;
  readonly random: Random;
}

/** What a connection may come to. */
export interface RootToEnter {
  readonly path: string;
  /** Undefined: whoever comes this way may. */
  readonly key: Uint8Array | undefined;
}

export interface AdmissionOptions {
  /** By the name of its HELLO. NOT_FOUND, UNAUTHORIZED */
  readonly find: (name: string) => RootToEnter | Promise<RootToEnter>;
  /** A newer connection takes this one's place: it is to end. Resolves when nothing of it is under way. */
  readonly end: () => Promise<void>;
}

interface OpenRoot {
  readonly path: string;
  readonly synchronization: string;
  readonly deletes: DeletesPolicy;
  readonly opened: Promise<OpenedTarget>;
  readonly connections: Map<number, () => Promise<void>>;
}

export class TargetRoots {
  readonly #parts: TargetRootsParts;
  readonly #roots = new Set<OpenRoot>();
  /** Trees that are being closed, by their root's path. */
  readonly #closing = new Map<string, Promise<void>>();

  constructor(parts: TargetRootsParts) {
    this.#parts = parts;
  }

  /** Canonical paths of the roots that are written to now. */
  get inUse(): string[] {
    return [...this.#roots].map(({ path }) => path);
  }

  /** One for each connection. */
  admission(options: AdmissionOptions): Admission {
    let challenge: Uint8Array | undefined;
    let entered: { root: OpenRoot; number: number } | undefined;
    let hasLeft = false;
    return {
      hello: async (hello) => {
        const { path, key } = await options.find(hello.target);
        if (key !== undefined && challenge === undefined) {
          challenge = this.#parts.random.bytes(NONCE_BYTES);
          return { reply: { stage: "challenge", nonce: challenge }, root: undefined };
        }
        if (key !== undefined && !isSameMac(hello.mac, helloMac(key, hello, challenge!)))
          throw new RopewalkError(
            "UNAUTHORIZED",
            "The key is not the one of this target; compare both ends.",
          );
        const root = await this.#enter(path, hello, options.end);
        entered = { root, number: hello.connection };
        if (hasLeft) this.#leave(root, hello.connection, options.end);
        const { tree, abilities } = await root.opened;
        const welcome: Welcome = {
          version: PROTOCOL_VERSION,
          abilities: { ...abilities, freeBytes: await tree.freeBytes() },
          mac: NO_MAC,
        };
        const mac = key === undefined ? NO_MAC : welcomeMac(key, { hello, targetNonce: challenge!, welcome });
        const admitted: AdmittedRoot = { tree, role: hello.role };
        return { reply: { stage: "welcome", welcome: { ...welcome, mac } }, root: admitted };
      },
      left: () => {
        hasLeft = true;
        if (entered !== undefined) this.#leave(entered.root, entered.number, options.end);
      },
    };
  }

  async #enter(path: string, hello: Hello, end: () => Promise<void>): Promise<OpenRoot> {
    const canonical = await this.#parts.canonical(path);
    const synchronization = Buffer.from(hello.synchronization).toString("hex");
    const opened = () => [...this.#roots].find((each) => each.path === canonical);
    let root = opened();
    while (root !== undefined && root.synchronization === synchronization && root.deletes !== hello.deletes) {
      // Its policy was changed: connections of before end. Another one of the new policy may come first.
      await Promise.all([...root.connections.values()].map((endOld) => endOld()));
      this.#roots.delete(root);
      root = opened();
    }
    const other = [...this.#roots].find(
      (each) =>
        isNested(each.path, canonical) &&
        (each.path !== canonical || each.synchronization !== synchronization),
    );
    if (other !== undefined)
      throw new RopewalkError(
        "TARGET_IN_USE",
        `Another synchronization writes to ${other.path}; two cannot share a root, nor may one lie in the other.`,
      );
    if (root === undefined) {
      const opened = this.#open(canonical, hello.deletes);
      root = { path: canonical, synchronization, deletes: hello.deletes, opened, connections: new Map() };
      this.#roots.add(root);
    }
    const old = root.connections.get(hello.connection);
    root.connections.set(hello.connection, end);
    await old?.();
    try {
      await root.opened;
    } catch (error) {
      this.#leave(root, hello.connection, end);
      throw error;
    }
    return root;
  }

  /** After the tree of the one before is closed. */
  async #open(path: string, deletes: DeletesPolicy): Promise<OpenedTarget> {
    await this.#closing.get(path);
    return this.#parts.open(path, { deletes });
  }

  #leave(root: OpenRoot, number: number, end: () => Promise<void>): void {
    if (root.connections.get(number) !== end) return;
    root.connections.delete(number);
    if (root.connections.size > 0) return;
    this.#roots.delete(root);
    const closed = root.opened
      .then(({ tree }) => tree.close())
      .catch(() => undefined)
      .then(() => {
        if (this.#closing.get(root.path) === closed) this.#closing.delete(root.path);
      });
    this.#closing.set(root.path, closed);
  }
}

/** Whether one is the other, or lies in it. */
export function isNested(one: string, other: string): boolean {
  const [first, second] = [one, other].map((path) => (path === "/" ? "" : path));
  return isWithin(first!, second!) || isWithin(second!, first!);
}
