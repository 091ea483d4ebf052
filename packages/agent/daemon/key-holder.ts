import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { SecretBytes, type Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { DEFAULT_ADDRESS, Tpm } from '@keystead/tpm2';
import type { StateCounter } from '../state/index.ts';
import { TpmCounter, TpmDevice } from '../tpm/index.ts';
import type { KeyConfig } from './config.ts';

/** What holds the device's own key and the secret that everything else is sealed under. */
export interface KeyHolder {
  /** For `DeviceState`; the caller wipes it. @throws KeysteadError of the store. */
  secret(): Promise<SecretBytes>;
  /** The IDevID's key where it never leaves a TPM; undefined where the state makes it. */
  readonly signer?: Signer;
  /** Notices an older image of the state; undefined where nothing can. */
  counter?(): Promise<StateCounter>;
  /** Destroys what it holds; a secret that others gave is theirs to destroy. Returns what was destroyed, by name. REQ-KEY-WIPE-01 */
  destroy(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/**
 * Opens the store that the configuration names.
 * @param make whether a device that has nothing there yet gets its key and secret made.
 * @throws KeysteadError `agent.secret`, `tpm2.*`, `state.missing`.
 */
export async function openKeyHolder(config: KeyConfig, clock: Clock, make: boolean): Promise<KeyHolder> {
  switch (config.store) {
    case 'sealed':
      return sealedHolder(config.secretFile);
    case 'tpm':
      return tpmHolder(config, clock, make);
  }
}

/** The secret comes from a file that whoever starts the daemon has put there: a systemd credential, a secure element. */
function sealedHolder(file: string): KeyHolder {
  return {
    secret: async () => readSecret(file),
    destroy: async () => [],
    close: async () => undefined,
  };
}

/** Reads it into a buffer that is wiped. @throws KeysteadError `agent.secret`. */
function readSecret(file: string): SecretBytes {
  const refuse = (seen: string, cause?: unknown) => new KeysteadError('agent.secret', { field: file, seen, cause });
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw refuse('no file that can be read', cause);
  }
  const bytes = new Uint8Array(33);
  try {
    const { mode } = fstatSync(descriptor);
    // A credential of systemd is its user's by an ACL, which shows as a group that may read.
    const open = dirname(file) === process.env.CREDENTIALS_DIRECTORY ? 0o037 : 0o077;
    if ((mode & open) !== 0) throw refuse(`mode ${(mode & 0o777).toString(8)}`);
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    if (length !== 32) throw refuse(length > 32 ? 'more than 32 bytes' : `${length} bytes`);
    return SecretBytes.take(bytes.slice(0, 32));
  } finally {
    bytes.fill(0);
    closeSync(descriptor);
  }
}

async function tpmHolder(
  { directory, address = DEFAULT_ADDRESS, counter }: Extract<KeyConfig, { store: 'tpm' }>,
  clock: Clock,
  make: boolean,
): Promise<KeyHolder> {
  const tpm = await Tpm.open(address);
  try {
    const device = await openOrMake(directory, tpm, clock, make);
    const { storageRoot } = device;
    const count = async (): Promise<TpmCounter> => {
      using secret = await device.secret();
      return TpmCounter.open(tpm, { secret, storageRoot });
    };
    return {
      secret: () => device.secret(),
      signer: device.signer(),
      ...(counter ? { counter: count } : {}),
      async destroy() {
        const gone: string[] = [];
        if (counter) {
          await TpmCounter.undefine(tpm);
          gone.push('TPM NV counter of the state');
        }
        const { files } = await TpmDevice.wipe(directory, tpm, { clearOwner: false });
        return [...gone, ...files.map((name) => `TPM object ${name}`)];
      },
      close: () => tpm.close(),
    };
  } catch (error) {
    await tpm.close();
    throw error;
  }
}

async function openOrMake(directory: string, tpm: Tpm, clock: Clock, make: boolean): Promise<TpmDevice> {
  try {
    return TpmDevice.open(directory, tpm);
  } catch (error) {
    if (!make || !(error instanceof KeysteadError && error.code === 'state.missing')) throw error;
    return TpmDevice.create(directory, tpm, { clock });
  }
}
