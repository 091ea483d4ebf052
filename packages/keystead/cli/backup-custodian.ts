import { existsSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { Command, Option } from 'commander';
import {
  type AgeIdentity,
  CUSTODIAN_KEY_TYPES,
  type CustodianKeyType,
  fingerprintOf,
  makeCustodianKey,
  needsPassphrase,
  openBackup,
  readCustodianKey,
  respond,
} from '../backup/index.ts';
import { durableWrite } from '../files/durable.ts';
import { readPassphrase } from '../keystore/index.ts';
import { trustOf } from './backup-trust.ts';

interface OpenShareFlags {
  as: string;
  key: string;
  passphraseFd?: string;
  to?: string;
  check?: boolean;
  out?: string;
  root: string;
  json?: boolean;
}

const passphraseFrom = (fd: string | undefined) =>
  readPassphrase(fd === undefined ? { prompt: true } : { fd: Number(fd) });

/** What custodians do on machines of their own. */
export function custodianCommands(): Command[] {
  return [custodianKey(), openShare()];
}

function custodianKey(): Command {
  return new Command('custodian-key')
    .description("make a custodian's key under a passphrase, and print the recipient for the policy")
    .requiredOption('--out <file>', 'the file to write; it must not be there')
    .addOption(
      new Option('--type <type>', 'p256: encrypted PKCS#8, as openssl reads it; x25519: as the age command reads it')
        .choices(CUSTODIAN_KEY_TYPES)
        .default('p256'),
    )
    .option('--passphrase-fd <n>', 'read the passphrase from this file descriptor instead of the terminal')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExample:\n  $ keystead backup custodian-key --type x25519 --out alice.key')
    .action(async (flags: { out: string; type: CustodianKeyType; passphraseFd?: string; json?: boolean }) => {
      using passphrase = await passphraseFrom(flags.passphraseFd);
      const recipient = await makeCustodianKey(flags.out, flags.type, passphrase);
      const text = `${recipient}\n`;
      process.stdout.write(flags.json === true ? `${JSON.stringify({ recipient, key: flags.out })}\n` : text);
    });
}

function openShare(): Command {
  return new Command('open-share')
    .argument('<file>', 'the backup, or its slip')
    .description(
      'open your share and encrypt it to the session that asks for it; it is never shown or written in the clear',
    )
    .requiredOption('--as <custodian>', 'your name in the policy')
    .requiredOption('--key <file>', 'your key: of custodian-key, or an identity file of age')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of the terminal")
    .option('--to <recipient>', 'what the restoring session shows: age1…')
    .option('--check', 'only try whether your share opens')
    .option('--out <file>', 'write the response to a file instead of standard output')
    .option('--root <file>', 'the root to trust', './keystead-data/trust/root.pem')
    .option('--json', 'machine-readable output')
    .addHelpText(
      'after',
      `
Before you answer, compare the recipient's fingerprint with the person who restores, by voice.

Examples:
  $ keystead backup open-share b.ksb --as alice --key alice.key --check
  $ keystead backup open-share b.ksb --as alice --key alice.key --to age1... --out alice.response`,
    )
    .action(async (file: string, flags: OpenShareFlags) => {
      const { to, out, json } = flags;
      if ((to === undefined) === (flags.check !== true)) {
        throw new KeysteadError('request.malformed', { field: '--to', seen: 'either --to or --check is needed' });
      }
      if (out !== undefined && existsSync(out)) throw new KeysteadError('backup.exists', { field: 'out', seen: out });
      const backup = await openBackup(file, trustOf(flags.root));
      const response = await respond(backup, flags.as, await identitiesOf(flags), to);
      if (response !== undefined && out !== undefined) durableWrite(out, response, 0o600);
      if (to !== undefined) process.stderr.write(`fingerprint of the recipient: ${fingerprintOf(to)}\n`);
      const { backupId } = backup.manifest;
      if (json === true) {
        process.stdout.write(`${JSON.stringify({ backupId, custodian: flags.as, opened: true, response, out })}\n`);
      } else if (response !== undefined && out === undefined) process.stdout.write(response);
      else process.stdout.write(`${flags.as}: the share of backup ${backupId} opens\n`);
    });
}

async function identitiesOf({ key, passphraseFd }: OpenShareFlags): Promise<AgeIdentity[]> {
  if (!needsPassphrase(key)) return readCustodianKey(key, undefined);
  using passphrase = await passphraseFrom(passphraseFd);
  return await readCustodianKey(key, passphrase);
}
