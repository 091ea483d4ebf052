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
 * Opens the store that the configuration names.
 * @param make whether a device that has nothing there yet gets its key and secret made.
 * @throws KeysteadError `agent.secret`, `agent.pin`, `tpm2.*`, `keystore.*`, `state.missing`.
 */
export async function openKeyHolder(
  { key, deviceId }: Pick<AgentConfig, 'key' | 'deviceId'>,
  clock: Clock,
  make: boolean,
): Promise<KeyHolder> {
  switch (key.store) {
    case 'sealed':
      return sealedHolder(key.secretFile);
    case 'tpm':
      return tpmHolder(key, clock, make);
    case 'pkcs11':
      return tokenHolder(key, deviceId, clock, make);
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
      holds: async () => [
        'IDevID key and device secret: objects of the TPM',
        ...(counter ? ['TPM NV counter of the state'] : []),
      ],
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

/** One session: a device has one key that signs, and a token in a gateway has few sessions to give. */
const SESSIONS = 1;

async function tokenHolder(
  config: Extract<KeyConfig, { store: 'pkcs11' }>,
  deviceId: string,
  clock: Clock,
  make: boolean,
): Promise<KeyHolder> {
  const { directory, counter } = config;
  const token = await openNamedToken(config, clock);
  try {
    const device = await openOrMakeOn(token, directory, deviceId, make);
    return {
      secret: () => device.secret(),
      signer: device.signer(),
      ...(counter ? { counter: () => device.counter() } : {}),
      holds: () => TokenDevice.objects(token, deviceId),
      destroy: () => TokenDevice.wipe(directory, token, { deviceId }),
      close: () => token.end(),
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
  make: boolean,
): Promise<TokenDevice> {
  try {
    return TokenDevice.open(directory, token, { deviceId });
  } catch (error) {
    if (!make || !(error instanceof KeysteadError && error.code === 'state.missing')) throw error;
    return TokenDevice.create(directory, token, { deviceId });
  }
}
