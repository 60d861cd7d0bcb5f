/**
 * The pool as the token room has it in the simulator: the same calls, and the model learns which map each pin froze and
 * which token write each graft belongs to.
 *
 * Always holds: one pin's record is awaited at a time, so that a record of a pin is that of the call under way. A pin
 * or a graft that nobody asked for fails `foreign-record`.
 */
import { assert } from "../src/base/assert.ts";
import type { TokenPool } from "../src/offload/mod.ts";
import type { MapRef, Pool } from "../src/pool/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import type { Life } from "./machine.ts";
import type { MapKey, PoolModel } from "./pool-model.ts";
import type { RequestShape } from "./requests.ts";
import type { TokenWrite } from "./token-write.ts";

type Call = { readonly map: MapRef; readonly persistent: boolean; appended: () => void };
type GraftOptions = Parameters<Pool["graft"]>[0];

export class ObservedTokenPool implements TokenPool {
  /** Token writes under way. */
  readonly writes = new Set<TokenWrite>();
  readonly #life: Life;
  #pinning: Call | undefined;
  #turn: Promise<void> = Promise.resolve();

  /** Before the pool is opened, so that no record is missed. */
  constructor(life: Life) {
    this.#life = life;
    this.#expect("pin", (event) => {
      const call = this.#pinning;
      if (call === undefined) throw new CheckFailed("foreign-record", `nobody asked for pin ${event.object}`);
      call.appended();
      const source = keyOfRef(life.machine.history.current, call.map);
      return { kind: "pin", pin: event.object!, source, persistent: call.persistent };
    });
    this.#expect("unpin", (event) => ({ kind: "unpin", pin: event.object! }));
  }

  /** Every record of that kind is one that the model applies, whenever it comes. */
  #expect(kind: "pin" | "unpin", change: RequestShape["change"]): void {
    const { requests } = this.#life;
    const request = requests.begin({
      kind,
      volume: 0,
      change: (event) => {
        requests.end(request);
        this.#expect(kind, change);
        return change(event);
      },
    });
  }

  get #pool(): Pool {
    return this.#life.pool;
  }

  pin(map: MapRef, options: { persistent?: boolean; label?: string } = {}): Promise<number> {
    if (this.#pinning === undefined) return this.#pinNow(map, options);
    return this.#pinLater(map, options);
  }

  async #pinLater(map: MapRef, options: { persistent?: boolean; label?: string }): Promise<number> {
    while (this.#pinning !== undefined) await this.#turn;
    return this.#pinNow(map, options);
  }

  async #pinNow(map: MapRef, options: { persistent?: boolean; label?: string }): Promise<number> {
    let free: () => void = () => {};
    this.#turn = new Promise((resolve) => {
      free = resolve;
    });
    const call: Call = {
      map,
      persistent: options.persistent ?? false,
      appended: () => {
        if (this.#pinning === call) this.#pinning = undefined;
        free();
      },
    };
    this.#pinning = call;
    try {
      return await this.#pool.pin(map, options);
    } finally {
      call.appended();
    }
  }

  graft(options: GraftOptions): Promise<void> {
    const { volume: name, offset, source } = options;
    const volume = this.#life.machine.history.current.volumeNamed(name)?.id;
    const writes = [...this.writes].filter((write) => write.volume === volume);
    // One that misses its ranges is the only one's, or nobody's.
    const write = writes.find((each) => each.touches(offset, 1)) ?? writes[0];
    assert("pin" in source, "the room grafts from pins");
    if (write !== undefined)
      return write.graft({ ...options, pin: source.pin }, () => this.#pool.graft(options));
    this.#life.machine.clock.fail(
      new CheckFailed("foreign-record", `nobody asked for a graft to ${name} at ${offset}`),
    );
    return new Promise(() => {});
  }

  pins: TokenPool["pins"] = () => this.#pool.pins();
  unpin: TokenPool["unpin"] = (pin) => this.#pool.unpin(pin);
  openPin: TokenPool["openPin"] = (pin) => this.#pool.openPin(pin);
  difference: TokenPool["difference"] = (options) => this.#pool.difference(options);
  volume: TokenPool["volume"] = (name) => this.#pool.volume(name);
  snapshot: TokenPool["snapshot"] = (volume, name) => this.#pool.snapshot(volume, name);
  volumes: TokenPool["volumes"] = () => this.#pool.volumes();
  snapshots: TokenPool["snapshots"] = (volume) => this.#pool.snapshots(volume);
  status: TokenPool["status"] = () => this.#pool.status();
  checkpoint: TokenPool["checkpoint"] = () => this.#pool.checkpoint();
}

function keyOfRef(model: PoolModel, map: MapRef): MapKey {
  if ("pin" in map) return map;
  const volume = model.volumeNamed(map.volume);
  if (volume === undefined)
    throw new CheckFailed("foreign-record", `a pin of ${map.volume}, which is not there`);
  return map.snapshot === undefined ? { volume: volume.id } : { volume: volume.id, snapshot: map.snapshot };
}
