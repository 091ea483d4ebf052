import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { SecretBytes } from '@keystead/core/crypto';
import { ERRORS, KeysteadError } from '@keystead/core/errors';
import { isOffline, type NetworkReader, readNetwork } from '../host/network.ts';
import type { CeremonyResult } from './options.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** How the process of the ceremony is kept from the network. */
export type Isolation =
  /** An empty network namespace, made as root. */
  | 'network-namespace'
  /** An empty network namespace inside a user namespace of an ordinary user. */
  | 'user-namespace'
  /** The machine itself has no network. */
  | 'offline-machine'
  /** None: a network is present and was accepted. */
  | 'none';

export interface SpawnCeremonyOptions {
  /** Paths of the inputs and of the two directories, as in {@link CeremonyOptions}. */
  readonly request: string;
  readonly policy: string;
  readonly out: string;
  readonly offline: string;
  readonly witnesses: readonly string[];
  /** Handed over by a file descriptor; the caller keeps and wipes its own. */
  readonly passphrase: SecretBytes | 'discard';
  /** The caller's word that the ceremony may run with a network where no namespace can be made. */
  readonly acceptNetwork: boolean;
  /** Each line that the ceremony prints for people. */
  readonly onLine: (line: string) => void;
  /** The ways to make a namespace, tried in order; a test gives others. */
  readonly unshare?: readonly (readonly string[])[];
  /** Reads the network of this machine; a test gives another. */
  readonly network?: NetworkReader;
}

const WAYS: readonly (readonly string[])[] = [
  ['unshare', '--net', '--'],
  ['unshare', '--net', '--map-root-user', '--'],
];

/**
 * Runs an unattended ceremony in a process of its own, in an empty network namespace where the machine can make
 * one. Says how it was isolated. REQ-KEY-GEN-02.
 * @throws KeysteadError `ceremony.no-isolation` when none can be made, a network is present and `acceptNetwork` is
 *   false; the code that the ceremony itself ended with; else `ceremony.failed`.
 */
export async function spawnCeremony(
  options: SpawnCeremonyOptions,
): Promise<CeremonyResult & { readonly isolation: Isolation }> {
  const { isolation, prefix } = chooseIsolation(options);
  const args = [
    '--disable-warning=ExperimentalWarning',
    MAIN,
    ...['--request', options.request, '--policy', options.policy],
    ...['--out', options.out, '--offline', options.offline],
    ...['--unattended', '--with-parent', '--result-fd', '4'],
    ...options.witnesses.flatMap((name) => ['--witness', name]),
    ...(options.passphrase === 'discard' ? ['--discard-passphrase'] : ['--passphrase-fd', '3']),
    ...(isolation === 'none' ? ['--accept-network'] : []),
  ];
  const [command = process.execPath, ...rest] = [...prefix, process.execPath, ...args];
  const child = spawn(command, rest, {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    // Nothing of the caller's environment is needed, and NODE_OPTIONS could load foreign code beside the root key.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
  });
  child.stdin.on('error', () => {});
  const [, , , secret, result] = child.stdio;
  givePassphrase(secret as Writable, options.passphrase);
  const printed = (async () => {
    for await (const line of createInterface({ input: child.stdout })) options.onLine(line);
  })();
  const [status, errors, answer] = await Promise.all([
    new Promise<string>((resolve, reject) => {
      child.once('error', (cause) => reject(new KeysteadError('ceremony.failed', { field: command, cause })));
      child.once('close', (code, signal) => resolve(signal ?? String(code)));
    }),
    textOf(child.stderr),
    textOf(result as Readable),
    printed,
  ]);
  if (status !== '0') throw failure(status, answer, errors);
  return { ...(JSON.parse(answer) as CeremonyResult), isolation };
}

function chooseIsolation(options: SpawnCeremonyOptions): { isolation: Isolation; prefix: readonly string[] } {
  for (const way of options.unshare ?? WAYS) {
    const [command = '', ...args] = way;
    // The probe runs this very runtime: an `unshare` that works for `true` alone would prove less.
    if (spawnSync(command, [...args, process.execPath, '--version'], { stdio: 'ignore' }).status !== 0) continue;
    return { isolation: way.includes('--map-root-user') ? 'user-namespace' : 'network-namespace', prefix: way };
  }
  if (isOffline((options.network ?? readNetwork)())) return { isolation: 'offline-machine', prefix: [] };
  if (options.acceptNetwork) return { isolation: 'none', prefix: [] };
  throw new KeysteadError('ceremony.no-isolation', { field: 'unshare' });
}

/** Writes the passphrase to the child and wipes the copy that the pipe needed. */
function givePassphrase(pipe: Writable, passphrase: SecretBytes | 'discard'): void {
  pipe.on('error', () => {});
  if (passphrase === 'discard') {
    pipe.end();
    return;
  }
  const copy = passphrase.use((bytes) => Buffer.from(bytes));
  pipe.end(copy, () => copy.fill(0));
}

async function textOf(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

/** The error of the child as an error of its parent. */
function failure(status: string, answer: string, errors: string): KeysteadError {
  const told =
    answer === '' ? undefined : (JSON.parse(answer) as { error?: ReturnType<KeysteadError['toJSON']> }).error;
  if (told !== undefined && told.code in ERRORS) return new KeysteadError(told.code, told);
  return new KeysteadError('ceremony.failed', { field: `exit ${status}`, seen: errors.trim().split('\n')[0] });
}
