/**
 * SIGHUP from the first moment on: node ends at it until somebody listens, and a reload may come while a daemon still waits
 * for its TPM or token. What comes before there is anybody to tell is kept, and told once.
 */
export class Hangup {
  #came = false;
  #look: (() => void) | undefined;
  readonly #onSignal = (): void => {
    if (this.#look === undefined) this.#came = true;
    else this.#look();
  };

  constructor() {
    process.on('SIGHUP', this.#onSignal);
  }

  /** Calls `look` at each signal from now on, and now where one has come. */
  tell(look: () => void): void {
    this.#look = look;
    if (this.#came) look();
    this.#came = false;
  }

  /** SIGHUP ends this process again, as that of a command whose terminal is gone. */
  release(): void {
    process.off('SIGHUP', this.#onSignal);
  }
}
