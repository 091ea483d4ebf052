import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Tpm, TpmRandom, withStorageRoot } from '@keystead/tpm2';
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import {
  canWrap,
  type Keystore,
  type KeystoreConfig,
  keystoreConfigPath,
  openKeystore,
  parseKeystoreConfig,
  readKeystoreConfig,
  readPassphrase,
  writeKeystoreConfig,
} from '../keystore/index.ts';
import { counterCommand } from './keystore-counter.ts';

interface KeystoreFlags {
  data: string;
  passphraseFd?: number;
  passphraseFile?: string;
  json?: boolean;
}

interface InitFlags extends KeystoreFlags {
  module?: string;
  tpm2?: string;
  tokenLabel?: string;
  tokenSerial?: string;
  tokenSlot?: number;
  sessions?: number;
  fips140?: string;
  adopt?: boolean;
}

/** `keystead keystore`: where keyd's keys live, and what is known of them. REQ-KEY-STO-01, REQ-KEY-BAK-01 */
export function keystoreCommand(): Command {
  const keystore = new Command('keystore').description(
    "keyd's keys: where they live, and what their module says of them",
  );

  common(keystore.command('init'))
    .description(
      "keep keyd's keys on a PKCS#11 token or in a TPM: try it, and write keyd/keystore.json (before keyd makes its keys)",
    )
    .option('--module <path>', "the token's PKCS#11 library, absolute")
    .option('--tpm2 <address>', 'this TPM: device:/dev/tpmrm0, unix:/path or tcp:host:port')
    .option('--token-label <text>', 'the token, by its label')
    .option('--token-serial <text>', 'the token, by its serial number')
    .option('--token-slot <n>', 'the token, by its slot', whole)
    .option('--sessions <n>', 'calls of the token under way at once', whole)
    .option('--fips140 <text>', 'the validated module that the token is, as its certificate names it')
    .option('--adopt', 'go on with the keys that Keystead has on this token already')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead keystore init --data DIR --module /usr/lib/softhsm/libsofthsm2.so --token-label keyd',
    )
    .action(init);

  common(keystore.command('list'))
    .description('list the keys with custody, FIPS 140-3 module and evidence; changes nothing')
    .action(async (flags: KeystoreFlags) => {
      await withKeystore(flags, (opened) => {
        const keys = keysOf(opened);
        process.stdout.write(flags.json === true ? `${JSON.stringify({ keys }, null, 2)}\n` : formatKeys(keys));
      });
    });

  common(keystore.command('check'))
    .description('open the keystore as keyd does: PIN, random source, every key with its attributes; changes nothing')
    .action(async (flags: KeystoreFlags) => {
      await withKeystore(flags, (opened, make) => {
        const count = keysOf(opened).length;
        const report = { make, keys: count, outcome: 'whole' };
        const text = `${make} keystore: opened, ${count} ${count === 1 ? 'key' : 'keys'}, each as it must be\n`;
        process.stdout.write(flags.json === true ? `${JSON.stringify(report)}\n` : text);
      });
    });

  common(keystore.command('export <id>'))
    .description('refused: a signing key has no form outside of its keystore')
    .action((id: string) => {
      throw new KeysteadError('keystore.export-forbidden', { field: 'id', seen: id });
    });
  keystore.addCommand(counterCommand(common, secretOf));
  return keystore;
}

function common(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--passphrase-fd <n>', 'file descriptor with the passphrase or PIN', whole)
    .option('--passphrase-file <file>', 'private file with it; the unlock file of the data directory when it is there')
    .option('--json', 'as one JSON document');
}

async function init(flags: InitFlags): Promise<void> {
  const { keyd } = new Layout(flags.data);
  const made = [keystoreConfigPath(keyd), join(keyd, 'keystore.sealed')].find((path) => existsSync(path));
  if (made !== undefined) {
    throw new KeysteadError('keystore.exists', { field: 'keyd', seen: made, remedy: 'take another data directory' });
  }
  if ((flags.module === undefined) === (flags.tpm2 === undefined)) {
    const seen = flags.module === undefined ? 'neither --module nor --tpm2' : 'both --module and --tpm2';
    throw new KeysteadError('config.malformed', { field: 'make', seen });
  }
  const tried = flags.tpm2 === undefined ? await tryToken(flags) : await tryTpm(flags.tpm2);
  mkdirSync(keyd, { recursive: true, mode: 0o700 });
  writeKeystoreConfig(keyd, tried.config);
  const path = keystoreConfigPath(keyd);
  const text = `${tried.said} (${path})\n`;
  process.stdout.write(flags.json === true ? `${JSON.stringify({ path, config: tried.config })}\n` : text);
}

/** Where keys are to live that was tried, and what there is to say of it. */
interface Tried {
  readonly config: KeystoreConfig;
  readonly said: string;
}

async function tryTpm(address: string): Promise<Tried> {
  const value = { version: 1, make: 'tpm2', path: 'keystore.tpm2', tpm: address, sealed: 'keystore.sealed' };
  const config = parseKeystoreConfig(value, 'option');
  await using tpm = await Tpm.open(address);
  await new TpmRandom(tpm).check();
  await tpm.use((channel) => withStorageRoot(channel, async () => undefined));
  const said =
    'the TPM answered; keyd will make its keys in it, and those of the log, which no TPM has, in keystore.sealed';
  return { config, said };
}

async function tryToken(flags: InitFlags): Promise<Tried> {
  const config = parseKeystoreConfig(
    {
      version: 1,
      make: 'pkcs11',
      module: flags.module,
      token: tokenOf(flags),
      ...(flags.sessions === undefined ? {} : { sessions: flags.sessions }),
      ...(flags.fips140 === undefined ? {} : { fips140: flags.fips140 }),
    },
    'option',
  );
  using secret = await secretOf(flags);
  const opened = await openKeystore(config, secret, systemClock);
  const held = keysOf(opened).map(({ id }) => id);
  opened.close();
  if (held.length > 0 && flags.adopt !== true) {
    throw new KeysteadError('keystore.exists', {
      field: 'token',
      seen: `keys ${held.slice(0, 8).join(', ')}`,
      remedy: 'take an empty token; --adopt goes on with these keys, which another keyd must then not use',
    });
  }
  return { config, said: 'the token was opened; keyd will make its keys on it' };
}

function tokenOf({ tokenLabel, tokenSerial, tokenSlot }: InitFlags): unknown {
  if (tokenLabel !== undefined) return { label: tokenLabel };
  if (tokenSerial !== undefined) return { serial: tokenSerial };
  if (tokenSlot !== undefined) return { slot: tokenSlot };
  throw new KeysteadError('config.malformed', { field: 'token', seen: 'none of --token-label, -serial, -slot' });
}

async function withKeystore(flags: KeystoreFlags, look: (opened: Keystore, make: string) => void): Promise<void> {
  const { keyd } = new Layout(flags.data);
  const config = readKeystoreConfig(keyd);
  // Before anybody is asked for a passphrase that opens nothing.
  if (config.make === 'sealed' && !existsSync(config.path)) {
    throw new KeysteadError('keystore.missing', { field: 'path', seen: config.path });
  }
  using secret = await secretOf(flags);
  const opened = await openKeystore(config, secret, systemClock);
  try {
    look(opened, config.make);
  } finally {
    opened.close();
  }
}

function secretOf({ data, passphraseFd, passphraseFile }: KeystoreFlags): Promise<SecretBytes> {
  if (passphraseFd !== undefined) return readPassphrase({ fd: passphraseFd });
  if (passphraseFile !== undefined) return readPassphrase({ file: passphraseFile });
  const unlock = new Layout(data).passphrase('keyd');
  return readPassphrase(existsSync(unlock) ? { file: unlock } : { prompt: true });
}

interface ShownKey {
  readonly id: string;
  readonly algorithm: string;
  readonly purpose: string;
  readonly createdAt: string;
  readonly custody: string;
  readonly fips140: string;
  readonly spkiSha256?: string;
  readonly evidence?: Readonly<Record<string, string | number | boolean>>;
}

function keysOf(keystore: Keystore): ShownKey[] {
  const pairs = keystore.list().map(({ spki, ...key }): ShownKey => ({ ...key, spkiSha256: spkiSha256(spki) }));
  return canWrap(keystore) ? [...pairs, ...keystore.wrappingKeys()] : pairs;
}

function formatKeys(keys: readonly ShownKey[]): string {
  return keys
    .map(({ id, algorithm, purpose, createdAt, custody, fips140, spkiSha256: spki, evidence }) => {
      const lines = [
        `${id}  ${algorithm}  ${custody}  (FIPS 140-3: ${fips140})`,
        `  for     ${purpose}`,
        `  made    ${createdAt}`,
        ...(spki === undefined ? [] : [`  sha256  ${spki}`]),
        ...Object.entries(evidence ?? {}).map(([name, value]) => `  ${name} = ${value}`),
      ];
      return `${lines.join('\n')}\n`;
    })
    .join('');
}

function whole(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('A whole number.');
  return Number(text);
}
