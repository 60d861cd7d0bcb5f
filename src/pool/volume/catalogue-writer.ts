/**
 * Catalogue changes as requests: the record is appended and applied in one turn, and the reply comes when it is
 * durable.
 * Always holds: names are checked against the catalogue in the turn of the append, so two callers cannot both
 * make one name.
 */
import { type Engine, persist } from "../engine.ts";
import { RecordKind } from "../format/record.ts";
import { applyCatalogue, type CatalogueOperation, encodeCatalogueOperation } from "./catalogue-operation.ts";

export class CatalogueWriter {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Appends and applies what `prepare` says in the turn of the append; `prepare` may throw. Resolves to it, not yet durable. */
  async append(
    prepare: () => { operation: CatalogueOperation; volume: number },
  ): Promise<CatalogueOperation> {
    let appended: CatalogueOperation | undefined;
    const attempt = () => {
      const { operation, volume } = prepare();
      const payload = encodeCatalogueOperation(operation);
      const wait = this.#engine.admit(0, payload.length, { privileged: true });
      if (wait !== undefined) return wait;
      this.#appendNow(operation, volume, payload);
      appended = operation;
      return undefined;
    };
    const wait = attempt();
    if (wait !== undefined) await persist(wait, attempt);
    return appended!;
  }

  /** The same, resolving when the record is durable. */
  async commit(
    prepare: () => { operation: CatalogueOperation; volume: number },
  ): Promise<CatalogueOperation> {
    const operation = await this.append(prepare);
    await this.#engine.log.flush();
    return operation;
  }

  #appendNow(operation: CatalogueOperation, volume: number, payload: Uint8Array): void {
    const { log, catalogue, tree } = this.#engine;
    log.append({
      kind: RecordKind.catalogue,
      flags: 0,
      volume,
      offset: 0,
      length: 0,
      data: [],
      payload,
      catalogue: { operation: operation.op, object: "id" in operation ? operation.id : volume },
    });
    applyCatalogue(catalogue, tree, operation, {
      sequence: log.sequence,
      atMs: log.atMs,
      segment: log.segment.number,
      position: log.position,
    });
  }

  /** An object id for a record that is appended in this turn. */
  nextId(ahead = 0): number {
    return this.#engine.catalogue.nextObject + ahead;
  }
}
