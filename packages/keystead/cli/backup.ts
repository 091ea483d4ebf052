import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { refuseKeys } from '@keystead/core/lifecycle';
import { Command } from 'commander';
import { createBackup, openBackup, type SignedBackup, slipOf, toArmor, verifyBackup } from '../backup/index.ts';
import { durableWrite } from '../files/durable.ts';
import { Layout } from '../files/layout.ts';
import { readPassphrase } from '../keystore/index.ts';
import { admitCommands } from './backup-admit.ts';
import { custodianCommands } from './backup-custodian.ts';
import { restoreCommands } from './backup-restore.ts';
import { trustOf } from './backup-trust.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { progressOf } from './progress.ts';

interface CreateFlags extends OperatorOptions {
  out?: string;
  master: boolean;
  masterFd?: string;
  includeKeys?: boolean;
}

/** `keystead backup`: state and the keystore's passphrase to custodians; signing keys never. REQ-KEY-BAK-01, REQ-KEY-BAK-02 */
export function backupCommand(): Command {
  const backup = new Command('backup').description(
    'back up state to custodians (M of N), verify, restore with a quorum, drill; signing keys are never in it',
  );

  operatorOptions(
    backup
      .command('create')
      .description('make a backup while everything runs: a consistent state, encrypted to the custodians of the policy')
      .option('--out <file>', 'the file to write; it must not be there')
      .option(
        '--master-fd <n>',
        "read the passphrase of keyd's keystore from this descriptor, not from its unlock file",
      )
      .option('--no-master', "leave the passphrase of keyd's keystore out")
      .option('--include-keys', 'refused: no signing key is ever backed up')
      .addHelpText(
        'after',
        '\nExamples:\n  $ keystead backup create --out /mnt/usb/2026-11-28.ksb\n  $ keystead backup create --out b.ksb --master-fd 4 4< <(systemd-creds cat keyd-passphrase)',
      ),
    'pki',
  ).action(async (flags: CreateFlags, command: Command) => {
    if (flags.includeKeys === true) throw refuseKeys('--include-keys');
    const { out } = flags;
    if (out === undefined) command.error("error: required option '--out <file>' not specified");
    const layout = new Layout(flags.data);
    const progress = progressOf('backup', flags.json);
    using master = await masterFrom(layout, flags);
    const made = await asOperator(flags, (client) =>
      createBackup({
        layout,
        out,
        master,
        trust: trustOf(join(layout.trust, 'root.pem')),
        sign: (draft) => client.post<{ manifest: string; signature: string }>('/api/v1/backups', draft),
        onProgress: (bytes, ofBytes) => progress.at(bytes, ofBytes),
      }),
    ).finally(() => progress.end());
    tell(made, flags.json, `${out}: backup ${made.manifest.backupId}, signed and read back`);
  });

  backup
    .command('verify <file>')
    .description('verify signature and every byte without decrypting anything; exit code 3 when something is wrong')
    .option('--root <file>', 'the root to trust', './keystead-data/trust/root.pem')
    .option('--json', 'the manifest as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead backup verify /mnt/usb/2026-11-28.ksb --root root-of-the-ceremony.pem',
    )
    .action(async (file: string, flags: { root: string; json?: boolean }) => {
      const progress = progressOf('verify', flags.json);
      const trust = trustOf(flags.root);
      const verified = await verifyBackup(file, trust, (bytes) => progress.at(bytes)).finally(() => progress.end());
      tell(verified, flags.json, `${file}: whole, and signed by keyd`);
    });

  backup
    .command('show <file>')
    .description('what a backup says of itself, once its signature is verified; or parts of it for a custodian')
    .option('--root <file>', 'the root to trust', './keystead-data/trust/root.pem')
    .option('--share <custodian>', "print this custodian's share, an age file for this person's key alone")
    .option('--slip <file>', 'write a slip: all that a custodian needs of a large backup')
    .option('--json', 'the manifest as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead backup show b.ksb\n  $ keystead backup show b.ksb --share alice | age --decrypt --identity alice.key\n  $ keystead backup show b.ksb --slip for-the-custodians.ksb-slip',
    )
    .action(async (file: string, flags: { root: string; share?: string; slip?: string; json?: boolean }) => {
      const signed = await openBackup(file, trustOf(flags.root));
      if (flags.slip !== undefined) writeSlip(signed, flags.slip);
      if (flags.share === undefined) tell(signed, flags.json, `${file}: signed by keyd; the content was not looked at`);
      else process.stdout.write(shareOf(signed, flags.share));
    });

  backup
    .command('keys')
    .description('refused, with the rule: no signing key is ever backed up or exported')
    .action(() => {
      throw refuseKeys('signing keys');
    });

  for (const command of [...custodianCommands(), ...restoreCommands(), ...admitCommands()]) backup.addCommand(command);
  return backup;
}

async function masterFrom(layout: Layout, flags: CreateFlags): Promise<SecretBytes | undefined> {
  if (!flags.master) return undefined;
  return readPassphrase(
    flags.masterFd === undefined ? { file: layout.passphrase('keyd') } : { fd: Number(flags.masterFd) },
  );
}

function writeSlip(signed: SignedBackup, path: string): void {
  if (existsSync(path)) throw new KeysteadError('backup.exists', { field: 'slip', seen: path });
  durableWrite(path, slipOf(signed), 0o600);
}

function shareOf({ manifest }: SignedBackup, name: string): string {
  const share = manifest.custodians.find((custodian) => custodian.name === name);
  if (share === undefined) throw new KeysteadError('backup.custodian-unknown', { field: 'share', seen: name });
  return toArmor(Buffer.from(share.share, 'base64'));
}

function tell({ manifest, manifestSha256, hasContent }: SignedBackup, json: boolean | undefined, first: string): void {
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ manifestSha256, hasContent, manifest }, null, 2)}\n`);
    return;
  }
  const names = manifest.custodians.map(({ name }) => name).join(', ');
  const lines = [
    first,
    `  made        ${manifest.createdAt} by ${manifest.createdBy}, ${manifest.software}`,
    `  log         ${manifest.logOrigin}${manifest.checkpoint === null ? ', empty' : `, ${manifest.checkpoint.split('\n')[1]} entries`}`,
    `  content     ${manifest.members.length} files, ${manifest.payload.bytes} bytes encrypted`,
    `  custodians  ${manifest.threshold} of ${manifest.custodians.length}: ${names}`,
    `  manifest    SHA-256 ${manifestSha256}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
