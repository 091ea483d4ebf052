import { fromHex, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { NO_MARK, type TokenCounter as ObjectCounter } from '@keystead/pkcs11';
import type { StateCounter } from '../state/index.ts';

/** Of the 16 bytes of a mark: the trust bundle's version, then what tells this step from any other. */
const VERSION_BYTES = 4;
const OWN_BYTES = 12;

/**
 * The counter of a device's state on its PKCS#11 token: data objects, since the tokens of today keep no
 * CKH_MONOTONIC_COUNTER. It notices an older image of the disk where the token's memory is not on that disk; whoever has
 * the PIN can put objects back, and then nothing is noticed (docs/decisions/0053).
 */
export class TokenCounter implements StateCounter {
  readonly #counter: ObjectCounter;
  /** A step whose answer was lost: asked for again as the same one, it is taken once. */
  #begun: { readonly from: number; readonly mark: string } | undefined;

  private constructor(counter: ObjectCounter) {
    this.#counter = counter;
  }

  /** Opens the counter, or makes it where there is none. @throws KeysteadError `keystore.*`. */
  static async open(counter: ObjectCounter): Promise<TokenCounter> {
    try {
      await counter.read();
    } catch (error) {
      if (!is(error, 'counter.missing')) throw error;
      await counter.create().catch((created: unknown) => {
        // One whose answer was lost, and which the pool has asked for again.
        if (!is(created, 'counter.exists')) throw created;
      });
    }
    return new TokenCounter(counter);
  }

  async read(): Promise<{ value: number; bundleVersion: number | undefined }> {
    const { value, mark } = await this.#counter.read();
    return { value, bundleVersion: mark === NO_MARK ? undefined : Buffer.from(fromHex(mark)).readUInt32BE() };
  }

  async step(from: number, bundleVersion: number): Promise<void> {
    const mark = this.#begun?.from === from ? this.#begun.mark : markOf(bundleVersion);
    this.#begun = { from, mark };
    await this.#counter.raise(from, mark);
    this.#begun = undefined;
  }
}

const is = (error: unknown, code: string): boolean => error instanceof KeysteadError && error.code === code;

function markOf(bundleVersion: number): string {
  const version = Buffer.alloc(VERSION_BYTES);
  version.writeUInt32BE(bundleVersion);
  return toHex(Buffer.concat([version, randomBytes(OWN_BYTES)]));
}
