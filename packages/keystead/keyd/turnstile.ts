/**
 * Lets work through side by side, and one piece of work through alone: it waits until all before it is done, and holds
 * up what comes after. So a change of what all the others go by falls between two of them and never into one.
 */
export class Turnstile {
  #inside = 0;
  #alone: Promise<void> | undefined;
  #emptied: () => void = () => {};

  /** Work that may run beside others. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== undefined) await this.#alone;
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      if (this.#inside === 0) this.#emptied();
    }
  }

  /** Work that runs by itself. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== undefined) await this.#alone;
    let open: () => void = () => {};
    this.#alone = new Promise<void>((resolve) => {
      open = resolve;
    });
    try {
      if (this.#inside > 0) {
        await new Promise<void>((resolve) => {
          this.#emptied = resolve;
        });
      }
      return await work();
    } finally {
      this.#emptied = () => {};
      this.#alone = undefined;
      open();
    }
  }
}
