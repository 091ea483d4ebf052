import { sameBytes } from '@keystead/core/bytes';
import { hkdf, randomBytes, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  defineCounter,
  MARK_BYTES,
  type NvCount,
  type NvCounter,
  OWNER_NV,
  type OwnerAuth,
  readCounter,
  stepCounter,
  type Tpm,
  TpmRefusal,
  undefineCounter,
} from '@keystead/tpm2';
import type { StateCounter } from '../state/index.ts';

/** The mark of a step says who took it, which trust bundle the device went by, and what tells it from any other step. */
const MAGIC = Buffer.from('KSAGENT1', 'latin1');

/** Where in the TPM an agent counts when nobody says so. */
export const AGENT_COUNTER_INDEX = 0x01a5_0010;

/**
 * The counter of a device's state in its TPM (NV index of type counter, and the mark after it). Its value that authorizes
 * it comes from the device secret: whoever cannot open the state cannot count.
 */
export class TpmCounter implements StateCounter {
  readonly #tpm: Tpm;
  readonly #counter: NvCounter;
  readonly #owner: OwnerAuth;
  /** A step that was asked for, until it is answered. */
  #begun: { readonly from: number; readonly mark: Uint8Array } | undefined;

  private constructor(tpm: Tpm, counter: NvCounter, owner: OwnerAuth) {
    this.#tpm = tpm;
    this.#counter = counter;
    this.#owner = owner;
  }

  /**
   * Opens the counter, or defines it where there is none. One that a power cut left half made never had a value: it is made
   * again, and has then more than any counter of this TPM had.
   * @param at.secret the device secret; stays with the caller.
   * @param at.storageRoot name of the storage root of the TPM that the device was made with, hex.
   * @throws KeysteadError `tpm2.*`, `tpm2.other-tpm`.
   */
  static async open(
    tpm: Tpm,
    at: { readonly secret: SecretBytes; readonly storageRoot: string; readonly index?: number } & OwnerAuth,
  ): Promise<TpmCounter> {
    const { secret, storageRoot, index = AGENT_COUNTER_INDEX, ownerAuth } = at;
    if (index < OWNER_NV.first || index >= OWNER_NV.last)
      throw new KeysteadError('tpm2.address', { field: 'counter', seen: `0x${index.toString(16)}` });
    const auth = hkdf('sha256', secret, new Uint8Array(0), 'keystead agent/1 counter', 32);
    const counter = new TpmCounter(tpm, { index, auth, storageRoot }, { ownerAuth });
    await counter.read().catch(async (error: unknown) => {
      if (!isMissing(error) && !isHalfMade(error)) throw error;
      await TpmCounter.undefine(tpm, index, { ownerAuth });
      await tpm.use((channel) => defineCounter(channel, { index, auth }, { ownerAuth }));
    });
    return counter;
  }

  async read(): Promise<{ value: number; bundleVersion: number | undefined }> {
    const { value, mark } = await this.#tpm.use((channel) => readCounter(channel, this.#counter, this.#owner));
    return { value, bundleVersion: versionIn(mark) };
  }

  step(from: number, bundleVersion: number): Promise<void> {
    const begun = this.#begun?.from === from ? this.#begun : undefined;
    const mark = begun?.mark ?? markOf(bundleVersion);
    return this.#tpm.use(async (channel) => {
      const now = await readCounter(channel, this.#counter, this.#owner);
      // TPM2_NV_Increment cannot be taken back, nor asked whether it came: the mark before it says whose the step was.
      const isTaken = begun !== undefined && now.value === from + 1 && sameBytes(now.mark, mark);
      if (!isTaken && now.value !== from) throw moved(from, now.value);
      this.#begun = { from, mark };
      const value = isTaken ? now.value : await stepCounter(channel, this.#counter, mark, this.#owner);
      this.#begun = undefined;
      if (value !== from + 1) throw moved(from, value);
    });
  }

  /**
   * Takes a counter out of the TPM; one that is not there is no error: a wipe may be repeated.
   * @returns whether there was anything of one. @throws KeysteadError `tpm2.*`.
   */
  static async undefine(tpm: Tpm, index = AGENT_COUNTER_INDEX, owner: OwnerAuth = {}): Promise<boolean> {
    try {
      await tpm.use((channel) => undefineCounter(channel, index, owner));
      return true;
    } catch (error) {
      if (!isMissing(error)) throw error;
      return false;
    }
  }

  /** Forgets what authorizes it. */
  close(): void {
    this.#counter.auth.wipe();
  }
}

function markOf(bundleVersion: number): Uint8Array {
  const version = Buffer.alloc(4);
  version.writeUInt32BE(bundleVersion);
  return Buffer.concat([MAGIC, version, randomBytes(MARK_BYTES - MAGIC.length - version.length)]);
}

const isMissing = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'tpm2.counter-missing';

/** Defined, and without its first step. */
const isHalfMade = (error: unknown): boolean => error instanceof TpmRefusal && error.reason === 'NV_UNINITIALIZED';

const moved = (from: number, value: number): KeysteadError =>
  new KeysteadError('counter.moved', { field: 'counter', seen: `${value}, where ${from + 1} was expected` });

function versionIn(mark: NvCount['mark']): number | undefined {
  if (mark.every((byte) => byte === 0)) return undefined;
  return Buffer.from(mark).readUInt32BE(MAGIC.length);
}
