import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SecretBytes } from '@keystead/core/crypto';
import { type DemoPolicyOptions, demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { runCeremony } from 'keystead/ceremony/index.ts';
import type { CeremonyIo } from 'keystead/ceremony/session.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { importBundle } from 'keystead/keyd/import.ts';
import { initKeyd } from 'keystead/keyd/init.ts';
import { makeCustodianKeys, makePeopleKeys } from 'keystead/start/operators.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { portsOfProcess } from './deployment.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const ROOTS = 'correct horse battery staple';
/** A ceremony of a test asks nobody. */
export const silent: CeremonyIo = { print() {}, confirm: async () => 'yes' };

/**
 * A folder with a deployment whose roots are kept, so that later ceremonies can be held: `keystead-data`, the roots' `safe`,
 * `roots.passphrase`, and the outputs of the founding in `usb/1-founding`. What a page types runs in it.
 */
export class KeptRoots {
  readonly folder: string;
  readonly layout: Layout;

  private constructor(folder: string) {
    this.folder = folder;
    this.layout = new Layout(join(folder, 'keystead-data'));
  }

  /** A founding as `npm start` holds one, but for the roots: they are kept. */
  static async found(
    folder: string,
    policy: Pick<DemoPolicyOptions, 'lifetimes' | 'roots' | 'trust' | 'firmware'>,
  ): Promise<KeptRoots> {
    const kept = new KeptRoots(folder);
    const { layout } = kept;
    mkdirSync(layout.data, { recursive: true, mode: 0o700 });
    const { ports } = await openConfig(layout, systemClock, 3600, portsOfProcess());
    const passphrases = { keyd: await unlock(layout, 'keyd'), operators: await unlock(layout, 'operators') };
    const base = `http://localhost:${ports.http}`;
    const keys = policy.firmware === undefined ? {} : { firmware: policy.firmware.keys };
    const { path } = await initKeyd(layout, passphrases.keyd, systemClock, { origin: 'campaign.example/log', ...keys });
    const made = demoPolicy({
      ...policy,
      ...{ operators: await makePeopleKeys(layout, passphrases.operators), issued: systemClock.now() },
      ...{ backup: await makeCustodianKeys(layout, passphrases.operators) },
      urls: { crl: `${base}/crl/{ca}.crl`, ocsp: `${base}/ocsp/{ca}`, caIssuers: `${base}/ca/{ca}.cer` },
    });
    const request = readFileSync(path);
    const file = Buffer.from(formatPolicy(made));
    await runCeremony({ ...kept.offline(), request, policy: file, out: layout.ceremony }, silent);
    await importBundle(layout, passphrases.keyd, systemClock);
    cpSync(layout.ceremony, join(folder, 'usb', '1-founding'), { recursive: true });
    writeFileSync(join(folder, 'roots.passphrase'), `${ROOTS}\n`, { mode: 0o600 });
    return kept;
  }

  /** Options of a ceremony that is held in this process. */
  offline() {
    return {
      ...{ offline: join(this.folder, 'safe'), passphrase: SecretBytes.take(new TextEncoder().encode(ROOTS)) },
      ...{ witnesses: ['Ada Lovelace', 'Grace Hopper'], acceptNetwork: false, unattended: true, clock: systemClock },
      ...{ software: 'keystead test', network: () => ({ interfaces: [], routes: [] }) },
    };
  }

  /** Runs a block of a page in the folder; what it printed. @param how `offline`: without a network, with people who say yes. */
  type(block: string, how: 'online' | 'offline' = 'online'): Promise<string> {
    const tools = join(this.folder, 'tools');
    mkdirSync(tools, { recursive: true });
    const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
    const npx = `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`;
    writeFileSync(join(tools, 'npx'), npx, { mode: 0o755 });
    // Root needs no namespace of users, in which the user of keyd would have no number.
    const spaces = process.getuid?.() === 0 ? ['--net'] : ['--net', '--map-root-user'];
    const shell = ['bash', '--norc', '-euo', 'pipefail', '-c', block];
    const [command = '', ...args] = how === 'offline' ? ['unshare', ...spaces, '--', ...shell] : shell;
    const env = { ...process.env, PATH: `${tools}:${process.env.PATH ?? ''}` };
    return new Promise((resolve, reject) => {
      const child = execFile(command, args, { cwd: this.folder, env, timeout: 120_000 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout + stderr);
        else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
      });
      child.stdin?.on('error', () => {});
      if (how === 'offline') child.stdin?.write('yes\n'.repeat(60));
    });
  }
}

/** The blocks between two marks of a page of docs/, in their order. */
export function blocksOf(page: string, mark: string): string[] {
  const text = readFileSync(join(PROJECT, 'docs', page), 'utf8');
  const [, typed = ''] = new RegExp(`<!-- ${mark}: begin -->([\\s\\S]*)<!-- ${mark}: end -->`).exec(text) ?? [];
  return [...typed.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
}
