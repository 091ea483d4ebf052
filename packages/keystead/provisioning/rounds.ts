/**
 * One round of the same work at a time. Who asks while one is under way has a part in the next, which all who wait share:
 * so each sees a round that began after it asked.
 */
export class Rounds {
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** Resolves when a round that began after this call is over. @throws what that round throws. */
  whole(round: () => Promise<void>): Promise<void> {
    if (this.#running === undefined) return this.#run(round);
    this.#next ??= this.#running.then(
      () => this.#run(round),
      () => this.#run(round),
    );
    return this.#next;
  }

  #run(round: () => Promise<void>): Promise<void> {
    this.#next = undefined;
    const running = round().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
