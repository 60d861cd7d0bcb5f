/**
 * Requests that a layer holds back: what it must have finished before it closes what lies below.
 * Always holds: after `settled` resolves nothing that was tracked is under way.
 */
export class Outstanding {
  readonly #requests = new Set<Promise<unknown>>();

  /** The request itself, remembered until it ends. */
  track<Value>(request: Promise<Value>): Promise<Value> {
    this.#requests.add(request);
    const forget = () => void this.#requests.delete(request);
    request.then(forget, forget);
    return request;
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#requests);
  }
}
