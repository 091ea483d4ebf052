import { existsSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { Command, Option } from 'commander';
import {
  type AgeIdentity,
  CUSTODIAN_KEY_ID,
  CUSTODIAN_KEY_TYPES,
  type CustodianKeyType,
  fingerprintOf,
  makeCustodianKey,
  makeTokenKey,
  needsPassphrase,
  openBackup,
  readCustodianKey,
  respond,
  tokenIdentity,
  withCustodianKeystore,
} from '../backup/index.ts';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { readPassphrase } from '../keystore/index.ts';
import { trustOf } from './backup-trust.ts';

interface OpenShareFlags {
  as: string;
  key?: string;
  keystore?: string;
  id: string;
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
    .option('--out <file>', 'the file to write; it must not be there')
    .addOption(
      new Option('--type <type>', 'p256: encrypted PKCS#8, as openssl reads it; x25519: as the age command reads it')
        .choices(CUSTODIAN_KEY_TYPES)
        .default('p256'),
    )
    .option(
      '--keystore <file>',
      'make the key in a token or a TPM instead, which this file describes (docs/keystore.md)',
    )
    .option('--id <id>', 'what the key is called there', CUSTODIAN_KEY_ID)
    .option('--passphrase-fd <n>', 'read the passphrase or the PIN from this file descriptor, not from the terminal')
    .option('--json', 'machine-readable output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead backup custodian-key --type x25519 --out alice.key\n  $ keystead backup custodian-key --keystore my-token.json',
    )
    .action(async (flags: CustodianKeyFlags) => {
      const { out, keystore, id, json } = flags;
      requireOne('--out', out, '--keystore', keystore);
      using secret = await passphraseFrom(flags.passphraseFd);
      const recipient =
        keystore === undefined
          ? await makeCustodianKey(out ?? '', flags.type, secret)
          : await withCustodianKeystore(keystore, secret, systemClock, (token) => makeTokenKey(token, id));
      process.stdout.write(json === true ? `${JSON.stringify({ recipient, key: out ?? id })}\n` : `${recipient}\n`);
    });
}

interface CustodianKeyFlags {
  out?: string;
  type: CustodianKeyType;
  keystore?: string;
  id: string;
  passphraseFd?: string;
  json?: boolean;
}

/** @throws KeysteadError `request.malformed` unless exactly one of two options is given. */
function requireOne(name: string, value: string | undefined, other: string, otherValue: string | undefined): void {
  if ((value === undefined) !== (otherValue === undefined)) return;
  throw new KeysteadError('request.malformed', { field: name, seen: `either ${name} or ${other} is needed` });
}

function openShare(): Command {
  return new Command('open-share')
    .argument('<file>', 'the backup, or its slip')
    .description(
      'open your share and encrypt it to the session that asks for it; it is never shown or written in the clear',
    )
    .requiredOption('--as <custodian>', 'your name in the policy')
    .option('--key <file>', 'your key: of custodian-key, or an identity file of age')
    .option('--keystore <file>', 'your token or TPM, which this file describes, instead of a key in a file')
    .option('--id <id>', 'what your key is called there', CUSTODIAN_KEY_ID)
    .option('--passphrase-fd <n>', 'read the passphrase or the PIN from this file descriptor, not from the terminal')
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
      requireOne('--to', to, '--check', flags.check === true ? 'check' : undefined);
      requireOne('--key', flags.key, '--keystore', flags.keystore);
      if (out !== undefined && existsSync(out)) throw new KeysteadError('backup.exists', { field: 'out', seen: out });
      const backup = await openBackup(file, trustOf(flags.root));
      const response = await withIdentities(flags, (identities) => respond(backup, flags.as, identities, to));
      if (response !== undefined && out !== undefined) durableWrite(out, response, 0o600);
      if (to !== undefined) process.stderr.write(`fingerprint of the recipient: ${fingerprintOf(to)}\n`);
      const { backupId } = backup.manifest;
      if (json === true) {
        process.stdout.write(`${JSON.stringify({ backupId, custodian: flags.as, opened: true, response, out })}\n`);
      } else if (response !== undefined && out === undefined) process.stdout.write(response);
      else process.stdout.write(`${flags.as}: the share of backup ${backupId} opens\n`);
    });
}

/** The custodian's keys, for as long as `work` takes. */
async function withIdentities<T>(
  { key, keystore, id, passphraseFd }: OpenShareFlags,
  work: (identities: AgeIdentity[]) => Promise<T>,
): Promise<T> {
  if (key !== undefined && !needsPassphrase(key)) return work(await readCustodianKey(key, undefined));
  using secret = await passphraseFrom(passphraseFd);
  if (keystore === undefined) return await work(await readCustodianKey(key ?? '', secret));
  return await withCustodianKeystore(keystore, secret, systemClock, (token) => work([tokenIdentity(token, id)]));
}
