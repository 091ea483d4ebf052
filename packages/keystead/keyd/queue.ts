/** Work that is done one piece after the other, in the order in which it came; one that fails holds up nothing. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  through<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
