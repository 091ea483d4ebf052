import { hkdf, type SecretBytes } from '@keystead/core/crypto';
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
  undefineCounter,
} from '@keystead/tpm2';
import type { StateCounter } from '../state/index.ts';

/** The mark of a step says who took it and which trust bundle the device went by. */
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

  private constructor(tpm: Tpm, counter: NvCounter, owner: OwnerAuth) {
    this.#tpm = tpm;
    this.#counter = counter;
    this.#owner = owner;
  }

  /**
   * Opens the counter, or defines it where there is none.
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
      if (!(error instanceof KeysteadError && error.code === 'tpm2.counter-missing')) throw error;
      await tpm.use((channel) => defineCounter(channel, { index, auth }, { ownerAuth }));
    });
    return counter;
  }

  async read(): Promise<{ value: number; bundleVersion: number | undefined }> {
    const { value, mark } = await this.#tpm.use((channel) => readCounter(channel, this.#counter, this.#owner));
    return { value, bundleVersion: versionIn(mark) };
  }

  step(bundleVersion: number): Promise<number> {
    const mark = Buffer.alloc(MARK_BYTES);
    MAGIC.copy(mark);
    mark.writeUInt32BE(bundleVersion, MAGIC.length);
    return this.#tpm.use((channel) => stepCounter(channel, this.#counter, mark, this.#owner));
  }

  /** Takes a counter out of the TPM; one that is not there is no error: a wipe may be repeated. @throws KeysteadError `tpm2.*`. */
  static async undefine(tpm: Tpm, index = AGENT_COUNTER_INDEX, owner: OwnerAuth = {}): Promise<void> {
    try {
      await tpm.use((channel) => undefineCounter(channel, index, owner));
    } catch (error) {
      if (!(error instanceof KeysteadError && error.code === 'tpm2.counter-missing')) throw error;
    }
  }

  /** Forgets what authorizes it. */
  close(): void {
    this.#counter.auth.wipe();
  }
}

function versionIn(mark: NvCount['mark']): number | undefined {
  if (mark.every((byte) => byte === 0)) return undefined;
  return Buffer.from(mark).readUInt32BE(MAGIC.length);
}
