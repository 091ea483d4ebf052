import { readFileSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { stdin, stdout } from 'node:process';
import type { Clock } from '@keystead/core/clock';
import { constantTimeEqual, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Command, InvalidArgumentError } from 'commander';
import { readKeystoreFile, readPassphrase } from '../keystore/index.ts';
import { SHORTEST_PASSPHRASE } from './conditions.ts';
import type { CeremonyOptions, CeremonyResult } from './options.ts';
import type { CeremonyIo } from './session.ts';
import { Terminal, unattended } from './terminal.ts';

/** The options that every kind of ceremony has. */
export interface CommonFlags {
  out: string;
  offline: string;
  rootKeystore?: string;
  script?: string;
  printScript?: true;
  passphraseFd?: number;
  discardPassphrase?: true;
  administrator?: string;
  witness: string[];
  custodian: string[];
  unattended?: true;
  rehearsal?: true;
  acceptNetwork?: true;
  resultFd?: number;
  withParent?: true;
}

/** Adds them to a command. There is none that holds a passphrase: every user of a machine can read those. */
export function withCommonFlags(command: Command): Command {
  return command
    .option('--out <dir>', 'where certificates, CRLs, bundle and transcript go', 'ceremony-out')
    .option('--offline <dir>', "where the roots' sealed files are: the medium for the safe", 'ceremony-offline')
    .option('--root-keystore <file>', 'a keystore.json of the token that holds the roots, instead of sealed files')
    .option('--script <file>', 'the reviewed script; refused if this ceremony would take other steps')
    .option('--print-script', 'print the script for review and end')
    .option(
      '--passphrase-fd <number>',
      'read the passphrase, or PIN, of the roots from this file descriptor',
      descriptor,
    )
    .option('--discard-passphrase', 'seal the roots under a random passphrase that nobody learns (demonstrations)')
    .option('--administrator <name>', 'who leads the ceremony and confirms every step')
    .option(
      '--witness <name>',
      'name of a witness, who confirms every critical step; may stand several times',
      collect,
      [],
    )
    .option(
      '--custodian <name>',
      'name of a keeper of passphrase, token or medium; may stand several times',
      collect,
      [],
    )
    .option('--rehearsal', 'all as in earnest, but nothing of it can be used, and its keys are destroyed')
    .option('--unattended', 'ask nobody (demonstration policies and rehearsals only)')
    .option('--accept-network', 'go on where a network is present; the transcript will say NOT OFFLINE')
    .option('--result-fd <number>', 'write the fingerprints as JSON to this file descriptor', descriptor)
    .option('--with-parent', 'end when standard input closes');
}

const collect = (value: string, all: string[]): string[] => [...all, value];

export function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}

/** @throws KeysteadError `ceremony.file-unreadable` */
export function readInput(field: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('ceremony.file-unreadable', { field, seen: path, cause });
  }
}

/** A kind of ceremony as a command: how its script is made, and how it is held. */
export interface Held {
  script(options: CeremonyOptions): string;
  hold(options: CeremonyOptions, io: CeremonyIo): Promise<CeremonyResult>;
}

/** Prints the script, or holds the ceremony and tells whoever asked for it how it ended. */
export async function act(flags: CommonFlags, clock: Clock, held: Held): Promise<void> {
  if (flags.withParent) endWithParent();
  try {
    const options = optionsOf(flags, clock);
    if (flags.printScript) {
      stdout.write(held.script({ ...options, passphrase: 'discard' }));
      return;
    }
    const passphrase = await passphraseOf(flags);
    tell(flags, await attended(flags, (io) => held.hold({ ...options, passphrase }, io)));
  } catch (error) {
    if (error instanceof KeysteadError) tell(flags, { error: error.toJSON() });
    throw error;
  }
}

async function attended(
  flags: CommonFlags,
  hold: (io: CeremonyIo) => Promise<CeremonyResult>,
): Promise<CeremonyResult> {
  if (flags.unattended) return hold(unattended);
  const terminal = new Terminal();
  try {
    return await hold(terminal);
  } finally {
    terminal.close();
  }
}

function optionsOf(flags: CommonFlags, clock: Clock): Omit<CeremonyOptions, 'passphrase'> {
  const { rootKeystore, script } = flags;
  return {
    script: script === undefined ? undefined : readInput('--script', script),
    out: resolve(flags.out),
    offline: resolve(flags.offline),
    rootKeystore:
      rootKeystore === undefined ? undefined : readKeystoreFile(rootKeystore, dirname(resolve(rootKeystore))),
    administrator: flags.administrator,
    witnesses: flags.witness,
    custodians: flags.custodian,
    acceptNetwork: flags.acceptNetwork === true,
    unattended: flags.unattended === true,
    rehearsal: flags.rehearsal === true,
    clock,
    software: software(),
  };
}

function tell(flags: CommonFlags, answer: object): void {
  if (flags.resultFd !== undefined) writeSync(flags.resultFd, `${JSON.stringify(answer)}\n`);
}

/** @throws KeysteadError `ceremony.passphrase-source` when none, or more than one, source is given. */
async function passphraseOf(flags: CommonFlags): Promise<SecretBytes | 'discard'> {
  if (flags.discardPassphrase) {
    if (flags.passphraseFd === undefined) return 'discard';
    throw new KeysteadError('ceremony.passphrase-source', { field: '--discard-passphrase', seen: 'two sources' });
  }
  if (flags.passphraseFd !== undefined) return readPassphrase({ fd: flags.passphraseFd });
  if (!stdin.isTTY) throw new KeysteadError('ceremony.passphrase-source', { field: '--passphrase-fd', seen: 'none' });
  if (flags.rootKeystore !== undefined) {
    stdout.write('User PIN of the token that holds the roots. It is not shown.\n');
    return readPassphrase({ prompt: true });
  }
  stdout.write(`Passphrase of the sealed roots, at least ${SHORTEST_PASSPHRASE} characters. It is not shown.\n`);
  const first = await readPassphrase({ prompt: true });
  stdout.write('The same passphrase again.\n');
  const second = await readPassphrase({ prompt: true });
  const same = first.use((a) => second.use((b) => constantTimeEqual(a, b)));
  second.wipe();
  if (same) return first;
  first.wipe();
  throw new KeysteadError('ceremony.passphrase-source', { field: 'passphrase', seen: 'two different passphrases' });
}

/** A ceremony whose parent was killed must not finish behind the back of the next one. */
function endWithParent(): void {
  stdin.on('end', () => process.exit(1));
  stdin.on('error', () => process.exit(1));
  stdin.resume();
  stdin.unref?.();
}

function software(): string {
  const manifest: { version?: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as { version?: string };
  return `keystead ${manifest.version ?? 'of unknown version'}`;
}
