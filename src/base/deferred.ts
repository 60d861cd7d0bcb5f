/** A promise with its settling functions at hand: one promise that stands for a group of requests. */
export class Deferred<T = void> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Whoever waits hears of a rejection; when nobody does, the error is kept elsewhere (the pool's state).
    this.promise.catch(() => undefined);
  }
}
