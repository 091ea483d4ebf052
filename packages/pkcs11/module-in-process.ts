import { hmacSha256, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/**
 * A PKCS#11 module as this process has it. C_Initialize, C_Finalize and login belong to the process, not to a session:
 * when one keystore connects again from the ground up, the sessions of all others end too. So calls pass a gate that
 * closes for that, and each keystore sees by `generation` that its sessions are of before: their numbers, and those of
 * their keys, may mean something else by now.
 */
export class ModuleInProcess {
  static readonly #all = new Map<string, ModuleInProcess>();
  /** Counts what ended every session. */
  generation = 0;
  readonly #pinKey = SecretBytes.random(32);
  readonly #pins = new Map<string, Uint8Array>();
  #users = 0;
  #inside = 0;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();
  #waiting: (() => void)[] = [];
  #empty: (() => void) | undefined;

  /** @param path of the module's library. */
  static at(path: string): ModuleInProcess {
    const known = ModuleInProcess.#all.get(path);
    if (known !== undefined) return known;
    const module = new ModuleInProcess();
    ModuleInProcess.#all.set(path, module);
    return module;
  }

  join(): void {
    this.#users += 1;
  }

  /** Whether the last keystore has left, so that the module is to be finalized. */
  leave(): boolean {
    this.#users -= 1;
    if (this.#users > 0) return false;
    this.generation += 1;
    this.#pins.clear();
    return true;
  }

  /** Goes through the gate, unless it is closed. Who is in calls {@link left}, once. */
  enter(): boolean {
    if (this.#closed) return false;
    this.#inside += 1;
    return true;
  }

  /** As {@link enter}, for whoever is {@link alone}: a call of theirs may last longer than they wait for it. */
  stay(): void {
    this.#inside += 1;
  }

  /** Whether no call is under way: nothing may be finalized under one. */
  get isEmpty(): boolean {
    return this.#inside === 0;
  }

  left(): void {
    this.#inside -= 1;
    if (this.#inside === 0) this.#empty?.();
  }

  /** Calls back once when the gate is open again. */
  whenOpen(act: () => void): void {
    this.#waiting.push(act);
  }

  /**
   * Closes the gate, waits until nobody is inside, and does `work`; one after another.
   * @param patienceMs how long calls under way are waited for.
   * @throws KeysteadError `keystore.token-slow`: a call hangs, and nothing may be finalized under it.
   */
  alone<T>(patienceMs: number, work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      this.#closed = true;
      try {
        await this.#emptied(patienceMs);
        return await work();
      } finally {
        this.#closed = false;
        for (const act of this.#waiting.splice(0)) act();
      }
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /**
   * Login is the process's: the second keystore on a token gets in whatever its PIN. It must be the one of the first, and
   * finding out costs no attempt. Who is let in by somebody that is not known here has shown nothing.
   * @throws KeysteadError `keystore.pin-incorrect`.
   */
  requireSamePin(serial: string, pin: SecretBytes, loggedInBefore: boolean): void {
    const mac = pin.use((bytes) => hmacSha256(this.#pinKey, bytes));
    const known = this.#pins.get(serial);
    if (loggedInBefore && known === undefined) {
      throw new KeysteadError('keystore.pin-incorrect', {
        field: 'PIN',
        seen: 'a token that this process is logged in to by another way; the token was not asked',
        remedy: 'start the process again: a call that hung, or another library in it, has left it logged in',
      });
    }
    if (loggedInBefore && known !== undefined && Buffer.compare(known, mac) !== 0) {
      throw new KeysteadError('keystore.pin-incorrect', {
        field: 'PIN',
        seen: 'another one than this process is logged in with; the token was not asked',
      });
    }
    this.#pins.set(serial, mac);
  }

  #emptied(patienceMs: number): Promise<void> {
    if (this.#inside === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#empty = undefined;
        reject(new KeysteadError('keystore.token-slow', { field: 'token', seen: 'a call that does not end' }));
      }, patienceMs);
      this.#empty = () => {
        clearTimeout(deadline);
        this.#empty = undefined;
        resolve();
      };
    });
  }
}
