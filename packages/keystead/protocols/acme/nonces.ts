import { openBytes, SecretBytes, sealBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/**
 * How many nonces after one another may be out at once. An older one is forgotten, so that whoever takes a million of
 * them makes others ask again, and nothing else.
 */
export const NONCE_WINDOW = 1 << 20;
/** AES-GCM with random IVs seals 2^32 times under one key (SP 800-38D section 8.3); a new one comes long before. */
const SEALED_UNDER_ONE_KEY = 2 ** 30;
const AAD = Buffer.from('keystead acme nonce v1', 'ascii');

/**
 * Nonces (RFC 8555 section 6.5): each a number, sealed so that nobody else makes or foresees one, and a bit for each of
 * the last million that says whether it was used. The memory is 128 KiB, however many are asked for; a restart makes
 * all of before invalid, and clients try again with the one that the refusal brings.
 */
export class Nonces {
  readonly #window: number;
  readonly #used: Uint8Array;
  #key = SecretBytes.random(32);
  /** The number of the next one. */
  #next = 0;

  /** @param window how many may be out: a multiple of 8. */
  constructor(window = NONCE_WINDOW) {
    this.#window = window;
    this.#used = new Uint8Array(window / 8);
  }

  /** A new nonce, base64url. */
  issue(): string {
    if (this.#next >= SEALED_UNDER_ONE_KEY) this.#begin();
    const number = this.#next;
    this.#next += 1;
    this.#mark(number, false);
    const plain = Buffer.alloc(8);
    plain.writeBigUInt64BE(BigInt(number));
    return Buffer.from(sealBytes(this.#key, plain, AAD)).toString('base64url');
  }

  /** Uses a nonce up. @throws KeysteadError `acme.bad-nonce` for one that is not ours, too old, or was used. */
  use(nonce: string | undefined): void {
    const number = nonce === undefined ? undefined : this.#open(nonce);
    const seen = nonce === undefined ? 'none' : 'one that is unknown, too old or used';
    if (number === undefined || number < this.#next - this.#window || number >= this.#next || this.#isUsed(number)) {
      throw new KeysteadError('acme.bad-nonce', { field: 'nonce', seen });
    }
    this.#mark(number, true);
  }

  close(): void {
    this.#key.wipe();
  }

  #open(nonce: string): number | undefined {
    try {
      using plain = openBytes(this.#key, Buffer.from(nonce, 'base64url'), AAD);
      return plain.use((bytes) => Number(Buffer.from(bytes).readBigUInt64BE()));
    } catch (error) {
      if (error instanceof KeysteadError) return undefined;
      throw error;
    }
  }

  #begin(): void {
    this.#key.wipe();
    this.#key = SecretBytes.random(32);
    this.#used.fill(0);
    this.#next = 0;
  }

  #isUsed(number: number): boolean {
    const at = number % this.#window;
    return ((this.#used[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }

  #mark(number: number, used: boolean): void {
    const at = number % this.#window;
    const bit = 1 << (at & 7);
    const byte = this.#used[at >> 3] ?? 0;
    this.#used[at >> 3] = used ? byte | bit : byte & ~bit;
  }
}
