import { randomBytes } from './random.ts';

/**
 * Secret bytes that do not print and that are wiped when they are no longer needed: `using key = …`, or `wipe()`.
 * What the runtime copies by itself cannot be wiped; docs/memory.md says what that is.
 */
export class SecretBytes {
  #bytes: Uint8Array | undefined;

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * Takes over `bytes` itself, not a copy: from here on it belongs to the secret, which wipes it. Best what came from
   * node:crypto or has an ArrayBuffer of its own; see `offHeap`.
   */
  static take(bytes: Uint8Array): SecretBytes {
    return new SecretBytes(bytes);
  }

  /** A copy of `bytes`, which stay with the caller. */
  static copy(bytes: Uint8Array): SecretBytes {
    const own = offHeap(bytes.length);
    own.set(bytes);
    return new SecretBytes(own);
  }

  /** `length` random bytes. @throws KeysteadError `rng.unhealthy`. */
  static random(length: number): SecretBytes {
    return new SecretBytes(randomBytes(length));
  }

  /**
   * Lends the bytes to `f`, which must neither keep nor change them; its result is passed on. When `f` is
   * asynchronous, the secret must not be wiped before the promise settles.
   * @throws TypeError after `wipe()`.
   */
  use<T>(f: (bytes: Uint8Array) => T): T {
    if (this.#bytes === undefined) throw new TypeError('the secret was wiped');
    return f(this.#bytes);
  }

  /** Number of bytes. @throws TypeError after `wipe()`. */
  get length(): number {
    return this.use((bytes) => bytes.length);
  }

  get wiped(): boolean {
    return this.#bytes === undefined;
  }

  /** Overwrites the bytes with zeros and forgets them. May be called again. */
  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  // What console.log, util.inspect and assertion messages print.
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/**
 * For what will hold a secret: `new Uint8Array(n)` of up to 64 bytes lies on V8's heap, where the garbage collector
 * moves it and leaves the old place as it was. An ArrayBuffer's bytes stay where they are.
 */
export function offHeap(length: number): Uint8Array {
  return new Uint8Array(new ArrayBuffer(length));
}
