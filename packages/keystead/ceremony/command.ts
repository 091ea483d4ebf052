import { readFileSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline/promises';
import type { Clock } from '@keystead/core/clock';
import { constantTimeEqual, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Command, InvalidArgumentError } from 'commander';
import { readPassphrase } from '../keystore/index.ts';
import { SHORTEST_PASSPHRASE } from './conditions.ts';
import { readInputs } from './inputs.ts';
import type { CeremonyResult } from './options.ts';
import { runCeremony } from './run.ts';
import { scriptMarkdown } from './script.ts';
import type { CeremonyIo } from './session.ts';

interface CeremonyFlags {
  request: string;
  policy: string;
  out: string;
  offline: string;
  script?: string;
  printScript?: true;
  passphraseFd?: number;
  discardPassphrase?: true;
  witness: string[];
  unattended?: true;
  acceptNetwork?: true;
  resultFd?: number;
  withParent?: true;
}

/**
 * `keystead ceremony`: the command of the offline machine. The passphrase of the roots comes from a terminal or a
 * file descriptor; there is no option and no variable that holds it, since every user of a machine can read those.
 */
export function ceremonyCommand(clock: Clock): Command {
  return new Command('ceremony')
    .description('Generate the roots and certify the CAs of a keyd, on a machine without network')
    .requiredOption('--request <file>', "keyd's ceremony/request.json")
    .requiredOption('--policy <file>', 'the policy that is to be in force')
    .option('--out <dir>', 'where certificates, CRLs, bundle and transcript go', 'ceremony-out')
    .option('--offline <dir>', "where the roots' sealed files go: the medium for the safe", 'ceremony-offline')
    .option('--script <file>', 'the reviewed script; refused if this ceremony would take other steps')
    .option('--print-script', 'print the script for review and end')
    .option('--passphrase-fd <number>', 'read the passphrase of the roots from this file descriptor', descriptor)
    .option('--discard-passphrase', 'seal the roots under a random passphrase that nobody learns (demonstrations)')
    .option('--witness <name>', 'name of a witness, for the transcript; may stand several times', collect, [])
    .option('--unattended', 'do not ask the witnesses before each step')
    .option('--accept-network', 'go on where a network is present; the transcript will say NOT OFFLINE')
    .option('--result-fd <number>', 'write the fingerprints as JSON to this file descriptor', descriptor)
    .option('--with-parent', 'end when standard input closes')
    .action(async (flags: CeremonyFlags) => {
      if (flags.withParent) endWithParent();
      try {
        await act(flags, clock);
      } catch (error) {
        if (error instanceof KeysteadError) tell(flags, { error: error.toJSON() });
        throw error;
      }
    });
}

async function act(flags: CeremonyFlags, clock: Clock): Promise<void> {
  const request = readInput('--request', flags.request);
  const policy = readInput('--policy', flags.policy);
  if (flags.printScript) stdout.write(scriptMarkdown(readInputs(policy, request)));
  else tell(flags, await perform(flags, { request, policy }, clock));
}

async function perform(
  flags: CeremonyFlags,
  inputs: { request: Uint8Array; policy: Uint8Array },
  clock: Clock,
): Promise<CeremonyResult> {
  return runCeremony(
    {
      ...inputs,
      script: flags.script === undefined ? undefined : readInput('--script', flags.script),
      out: resolve(flags.out),
      offline: resolve(flags.offline),
      passphrase: await passphraseOf(flags),
      witnesses: flags.witness,
      acceptNetwork: flags.acceptNetwork === true,
      unattended: flags.unattended === true,
      clock,
      software: software(),
    },
    flags.unattended ? { print: printLine, confirm: async () => true } : terminalIo(),
  );
}

/** Tells the process that asked for it how the ceremony ended. */
function tell(flags: CeremonyFlags, answer: object): void {
  if (flags.resultFd !== undefined) writeSync(flags.resultFd, `${JSON.stringify(answer)}\n`);
}

const collect = (value: string, all: string[]): string[] => [...all, value];

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}

function readInput(field: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('ceremony.file-unreadable', { field, seen: path, cause });
  }
}

/** @throws KeysteadError `ceremony.passphrase-source` when none, or more than one, source is given. */
async function passphraseOf(flags: CeremonyFlags): Promise<SecretBytes | 'discard'> {
  if (flags.discardPassphrase) {
    if (flags.passphraseFd === undefined) return 'discard';
    throw new KeysteadError('ceremony.passphrase-source', { field: '--discard-passphrase', seen: 'two sources' });
  }
  if (flags.passphraseFd !== undefined) return readPassphrase({ fd: flags.passphraseFd });
  if (!stdin.isTTY) throw new KeysteadError('ceremony.passphrase-source', { field: '--passphrase-fd', seen: 'none' });
  printLine(`Passphrase for the sealed roots, at least ${SHORTEST_PASSPHRASE} characters.`);
  const first = await readPassphrase({ prompt: true });
  printLine('The same passphrase again.');
  const second = await readPassphrase({ prompt: true });
  const same = first.use((a) => second.use((b) => constantTimeEqual(a, b)));
  second.wipe();
  if (same) return first;
  first.wipe();
  throw new KeysteadError('ceremony.passphrase-source', { field: 'passphrase', seen: 'two different passphrases' });
}

function terminalIo(): CeremonyIo {
  return {
    print: printLine,
    async confirm(question) {
      const terminal = createInterface({ input: stdin, output: stdout });
      try {
        return /^y(es)?$/i.test((await terminal.question(`   ${question} [yes/no] `)).trim());
      } finally {
        terminal.close();
      }
    },
  };
}

function printLine(text: string): void {
  stdout.write(`${text}\n`);
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
