import { existsSync, readFileSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { certSha256, type SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { certificateOf, ONLINE_CAS, type OnlineCa } from '@keystead/core/lifecycle';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { fingerprintRows, readFingerprint } from '../files/fingerprint.ts';
import { Layout } from '../files/layout.ts';
import { destroyFirmwareKey } from '../keyd/destroy-firmware-key.ts';
import { requestFirmware } from '../keyd/firmware-request.ts';
import { importBundle, isImported } from '../keyd/import.ts';
import { importLater } from '../keyd/later-import.ts';
import { requestRenewal } from '../keyd/renewal-request.ts';
import { readPassphrase } from '../keystore/index.ts';

interface HierarchyFlags {
  data: string;
  passphraseFd?: number;
  passphraseFile?: string;
}

/** `keystead hierarchy`: what keyd asks of ceremonies, and takes over from them. REQ-KEY-GEN-02 */
export function hierarchyCommand(): Command {
  const hierarchy = new Command('hierarchy').description('the bundles of ceremonies, and requests for them');
  common(hierarchy.command('import'))
    .description('take over what a ceremony made; keyd must not run')
    .argument('<dir>', "the ceremony's outputs")
    .option('--root <fingerprint>', 'SHA-256 of the root as a witness vouches for it, in hex or in words')
    .addHelpText('after', '\nExample:\n  $ keystead hierarchy import /media/out --data DIR --root "$FINGERPRINT"')
    .action(async (from: string, flags: HierarchyFlags & { root?: string }) => {
      const layout = new Layout(flags.data);
      const options = { from, rootSha256: flags.root };
      const pins = isImported(layout)
        ? await importLater(layout, systemClock, { ...options, passphrase: () => passphraseOf(flags) })
        : await unlocked(flags, (secret) => importBundle(layout, secret, systemClock, options));
      const number = 1 + pins.later.length;
      process.stdout.write(`ceremony ${number} is taken over. SHA-256 of the root's certificate:\n`);
      process.stdout.write(`${fingerprintRows(pins.certificates.root, '  ')}\n`);
      for (const { issuer } of pins.former) process.stdout.write(`${issuer} has a successor and issues nothing more\n`);
      if (pins.revoked.length > 0)
        process.stdout.write(`REVOKED, and issuing nothing more: ${pins.revoked.join(', ')}\n`);
    });
  common(hierarchy.command('request'))
    .description('ask for a new certificate of a CA: the input of a later ceremony')
    .addArgument(new Argument('<ca>', 'the CA').choices(ONLINE_CAS))
    .option('--new-key', 'for a new key of the CA, which is made now; without it for the key that it has')
    .requiredOption('--out <file>', 'where the request goes')
    .addHelpText('after', '\nExample:\n  $ keystead hierarchy request operational --data DIR --out request.json')
    .action(async (ca: OnlineCa, flags: HierarchyFlags & { out: string; newKey?: true }) => {
      const layout = new Layout(flags.data);
      const wanted = { ca, key: flags.newKey ? ('successor' as const) : ('same' as const) };
      const file = Buffer.from(await unlocked(flags, (secret) => requestRenewal(layout, secret, systemClock, wanted)));
      durableWrite(flags.out, file, 0o644);
      process.stdout.write(`${flags.out}, SHA-256, for comparison at the ceremony:\n`);
      process.stdout.write(`${fingerprintRows(toHex(sha256(file)), '  ')}\n`);
    });
  common(hierarchy.command('request-firmware'))
    .description('ask for certificates of keys that sign firmware of production: the input of a later ceremony')
    .argument('[key...]', 'keys of the policy in force; without them, all that no ceremony has certified')
    .requiredOption('--out <file>', 'where the request goes')
    .addHelpText(
      'after',
      `
A key that keyd has not made yet is made now, and keyd must not run then. The policy in force goes to the ceremony too.

Example:
  $ keystead hierarchy request-firmware pump-2 --data DIR --out request.json`,
    )
    .action(async (keys: string[], flags: HierarchyFlags & { out: string }) => {
      const layout = new Layout(flags.data);
      const file = await unlocked(flags, (secret) => requestFirmware(layout, secret, systemClock, keys));
      durableWrite(flags.out, file, 0o644);
      process.stdout.write(`${flags.out}, SHA-256, for comparison at the ceremony:\n`);
      process.stdout.write(`${fingerprintRows(toHex(sha256(Buffer.from(file))), '  ')}\n`);
    });
  common(hierarchy.command('destroy-firmware'))
    .description(
      'destroy a firmware key for ever, which the policy has retired or a quorum has killed; keyd must not run',
    )
    .argument('<key>', 'its id in the policy')
    .addHelpText('after', '\nExample:\n  $ keystead hierarchy destroy-firmware pump-1 --data DIR')
    .action(async (key: string, flags: HierarchyFlags) => {
      const layout = new Layout(flags.data);
      const spki = await unlocked(flags, (secret) => destroyFirmwareKey(layout, secret, systemClock, key));
      process.stdout.write(`${key} is destroyed: no key with SHA-256 ${spki} is in the keystore any more\n`);
    });
  return hierarchy;
}

/** `keystead fingerprint`: a file's SHA-256 for reading aloud; of a certificate in PEM, that of the certificate. */
export function fingerprintCommand(): Command {
  return new Command('fingerprint')
    .description('SHA-256 of a file, in hex and in words; of a PEM certificate, that of its DER, as openssl shows it')
    .argument('<file>', 'the file')
    .option(
      '--is <fingerprint>',
      'what was read out, in hex or in words; exit code 3 when it is another',
      readFingerprint,
    )
    .addHelpText('after', '\nExample:\n  $ keystead fingerprint root.pem')
    .action((path: string, { is }: { is?: string }) => {
      const seen = fingerprintOf(path);
      process.stdout.write(`${fingerprintRows(seen)}\n`);
      if (is !== undefined && is !== seen) throw new KeysteadError('fingerprint.differs', { field: path, seen });
    });
}

function fingerprintOf(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('ceremony.file-unreadable', { field: 'file', seen: path, cause });
  }
  const text = bytes.toString('latin1');
  if (!text.startsWith('-----BEGIN CERTIFICATE-----')) return toHex(sha256(bytes));
  return certSha256(certificateOf(text, path));
}

function common(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--passphrase-fd <n>', 'file descriptor with the passphrase or PIN of keyd', descriptor)
    .option('--passphrase-file <file>', 'private file with it; the unlock file of the data directory when it is there');
}

async function unlocked<T>(flags: HierarchyFlags, use: (secret: SecretBytes) => Promise<T>): Promise<T> {
  using secret = await passphraseOf(flags);
  return await use(secret);
}

function passphraseOf({ data, passphraseFd, passphraseFile }: HierarchyFlags): Promise<SecretBytes> {
  const unlock = new Layout(data).passphrase('keyd');
  const file = passphraseFile ?? (existsSync(unlock) ? unlock : undefined);
  return readPassphrase(
    passphraseFd !== undefined ? { fd: passphraseFd } : file !== undefined ? { file } : { prompt: true },
  );
}

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}
