/** What idle threads wait for: something changed, look again. Always holds: a wait that began is ended by the next wake. */
import { Deferred } from "../../base/deferred.ts";

export class WakeUp {
  #next: Deferred | undefined;

  wait(): Promise<void> {
    this.#next ??= new Deferred();
    return this.#next.promise;
  }

  wake(): void {
    this.#next?.resolve();
    this.#next = undefined;
  }
}
