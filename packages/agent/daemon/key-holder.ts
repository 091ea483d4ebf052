import type { Clock } from '@keystead/core/clock';
import type { SecretBytes, Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { DEFAULT_ADDRESS, Tpm } from '@keystead/tpm2';
import type { StateCounter } from '../state/index.ts';
import { type DeviceToken, openDeviceToken, TokenDevice } from '../token/index.ts';
import { TpmCounter, TpmDevice } from '../tpm/index.ts';
import type { AgentConfig, KeyConfig } from './config.ts';
import { readPin, readSecret } from './credential-file.ts';

/** What holds the device's own key and the secret that everything else is sealed under. */
export interface KeyHolder {
  /** For `DeviceState`; the caller wipes it. @throws KeysteadError of the store. */
  secret(): Promise<SecretBytes>;
  /** The IDevID's key where it never leaves a TPM or token; undefined where the state makes it. */
  readonly signer?: Signer;
  /** Notices an older image of the state; undefined where nothing can. */
  counter?(): Promise<StateCounter>;
  /** What {@link destroy} destroys, by name, for the evidence that is signed before. */
  holds(): Promise<readonly string[]>;
  /** Destroys what it holds; a secret that others gave is theirs to destroy. Returns what was destroyed, by name. REQ-KEY-WIPE-01 */
  destroy(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/**
 * What a holder is opened for: `make` makes key and secret of a device that has nothing there yet; `destroy` is content
 * with what is left of one, for a wipe may have been cut short anywhere, or a file be lost.
 */
export type Purpose = 'open' | 'make' | 'destroy';

/**
 * Opens the store that the configuration names.
 * @throws KeysteadError `agent.secret`, `agent.pin`, `tpm2.*`, `keystore.*`, `state.missing`.
 */
export async function openKeyHolder(
  { key, deviceId }: Pick<AgentConfig, 'key' | 'deviceId'>,
  clock: Clock,
  purpose: Purpose,
): Promise<KeyHolder> {
  switch (key.store) {
    case 'sealed':
      return sealedHolder(key.secretFile);
    case 'tpm':
      return tpmHolder(key, clock, purpose);
    case 'pkcs11':
      return tokenHolder(key, deviceId, clock, purpose);
  }
}

/** Whoever starts the daemon has put the secret there, and keeps it. */
function sealedHolder(file: string): KeyHolder {
  return {
    secret: async () => readSecret(file),
    holds: async () => [],
    destroy: async () => [],
    close: async () => undefined,
  };
}

async function tpmHolder(
  { directory, address = DEFAULT_ADDRESS, counter }: Extract<KeyConfig, { store: 'tpm' }>,
  clock: Clock,
  purpose: Purpose,
): Promise<KeyHolder> {
  const tpm = await Tpm.open(address);
  try {
    const ending = {
      async destroy(): Promise<readonly string[]> {
        const isGone = counter && (await TpmCounter.undefine(tpm));
        const { files } = await TpmDevice.wipe(directory, tpm, { clearOwner: false });
        return [...(isGone ? [TPM_COUNTER] : []), ...files.map((name) => `TPM object ${name}`)];
      },
      close: () => tpm.close(),
    };
    const device = await openOrMake(directory, tpm, clock, purpose);
    if (device instanceof KeysteadError) {
      const left = TpmDevice.filesLeft(directory).map((name) => `TPM object ${name}`);
      return { secret: () => Promise.reject(device), holds: async () => left, ...ending };
    }
    const { storageRoot } = device;
    const count = async (): Promise<TpmCounter> => {
      using secret = await device.secret();
      return TpmCounter.open(tpm, { secret, storageRoot });
    };
    return {
      secret: () => device.secret(),
      signer: device.signer(),
      ...(counter ? { counter: count } : {}),
      holds: async () => ['IDevID key and device secret: objects of the TPM', ...(counter ? [TPM_COUNTER] : [])],
      ...ending,
    };
  } catch (error) {
    await tpm.close();
    throw error;
  }
}

const TPM_COUNTER = 'TPM NV counter of the state';

/** Files that are lost, or are none any more: whom they were of is known all the same. */
const isLost = (error: unknown): error is KeysteadError =>
  error instanceof KeysteadError && ['state.missing', 'state.damaged', 'tpm2.file-damaged'].includes(error.code);

/** What opens; why it does not, where it is to be destroyed. */
async function openOrMake(
  directory: string,
  tpm: Tpm,
  clock: Clock,
  purpose: Purpose,
): Promise<TpmDevice | KeysteadError> {
  try {
    return TpmDevice.open(directory, tpm);
  } catch (error) {
    if (!isLost(error) || purpose === 'open') throw error;
    if (purpose === 'destroy') return error;
    if (error.code !== 'state.missing') throw error;
    return TpmDevice.create(directory, tpm, { clock });
  }
}

/** One session: a device has one key that signs, and a token in a gateway has few sessions to give. */
const SESSIONS = 1;

async function tokenHolder(
  config: Extract<KeyConfig, { store: 'pkcs11' }>,
  deviceId: string,
  clock: Clock,
  purpose: Purpose,
): Promise<KeyHolder> {
  const { directory, counter } = config;
  const token = await openNamedToken(config, clock);
  try {
    const ending = {
      holds: () => TokenDevice.objects(token, deviceId),
      destroy: () => TokenDevice.wipe(directory, token, { deviceId }),
      close: () => token.end(),
    };
    const device = await openOrMakeOn(token, directory, deviceId, purpose);
    if (device instanceof KeysteadError) return { secret: () => Promise.reject(device), ...ending };
    return {
      secret: () => device.secret(),
      signer: device.signer(),
      ...(counter ? { counter: () => device.counter() } : {}),
      ...ending,
    };
  } catch (error) {
    await token.end();
    throw error;
  }
}

/** By its serial number where that is given: a label can be given to any token, but stands for what was meant. */
async function openNamedToken(
  { module, token: wanted, pin: source, callSeconds, quirks }: Extract<KeyConfig, { store: 'pkcs11' }>,
  clock: Clock,
): Promise<DeviceToken> {
  const { label, serial } = wanted;
  const by = serial === undefined ? { label } : { serial };
  using pin = readPin(source);
  const shared = { version: 1, make: 'pkcs11', sessions: SESSIONS, fips140: 'none' } as const;
  const token = await openDeviceToken({ ...shared, module, token: by, callSeconds, quirks }, pin, clock);
  const seen = token.facts.token.label;
  if (seen === label) return token;
  await token.end();
  throw new KeysteadError('agent.other-token', { field: 'key.token.label', seen });
}

async function openOrMakeOn(
  token: DeviceToken,
  directory: string,
  deviceId: string,
  purpose: Purpose,
): Promise<TokenDevice | KeysteadError> {
  try {
    return TokenDevice.open(directory, token, { deviceId });
  } catch (error) {
    if (!isLost(error) || purpose === 'open') throw error;
    if (purpose === 'destroy') return error;
    if (error.code !== 'state.missing') throw error;
    return TokenDevice.create(directory, token, { deviceId });
  }
}
