import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SecretBytes } from '@keystead/core/crypto';
import { type Pkcs11Configuration, Pkcs11Schema } from '../configuration.ts';

/** Debian's softhsm2. */
export const SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so';
export const PIN = '73914';
const SO_PIN = '5678901';
const INCLUDES = fileURLToPath(import.meta.resolve('pkcs11js/package.json')).replace('package.json', 'includes');
const FAULTY_SOURCE = fileURLToPath(new URL('./faulty-module.c', import.meta.url));

export const pin = (text = PIN): SecretBytes => SecretBytes.take(new TextEncoder().encode(text));

/**
 * A SoftHSM of a test's own, with tokens made by its own tool. The module reads SOFTHSM2_CONF when it is initialised,
 * so that one test process has one of these at a time.
 */
export class SoftHsmTokens {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-softhsm-'));
  readonly #tokens = join(this.dir, 'tokens');
  readonly #faults = join(this.dir, 'faults');

  constructor(...labels: string[]) {
    mkdirSync(this.#tokens);
    mkdirSync(this.#faults);
    const conf = join(this.dir, 'softhsm2.conf');
    writeFileSync(conf, `directories.tokendir = ${this.#tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
    process.env.SOFTHSM2_CONF = conf;
    for (const label of labels) this.addToken(label);
  }

  addToken(label: string, userPin = PIN): void {
    execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, '--pin', userPin, '--so-pin', SO_PIN]);
  }

  config(more: Partial<Record<keyof Pkcs11Configuration, unknown>> = {}): Pkcs11Configuration {
    return Pkcs11Schema.parse({ version: 1, make: 'pkcs11', module: SOFTHSM, token: { label: 'one' }, ...more });
  }

  /** What pkcs11-tool, another program, sees and may do with the user's PIN. @returns output and exit status. */
  tool(label: string, ...args: string[]): { status: number; text: string } {
    const all = ['--module', SOFTHSM, '--token-label', label, '--login', '--pin', PIN, ...args];
    const { status, stdout, stderr } = spawnSync('pkcs11-tool', all, { encoding: 'utf8' });
    return { status: status ?? -1, text: `${stdout}${stderr}` };
  }

  /** The token is pulled out: everything that the module had of it is gone. */
  unplug(): void {
    renameSync(this.#tokens, `${this.#tokens}.away`);
  }

  plug(): void {
    if (existsSync(`${this.#tokens}.away`)) renameSync(`${this.#tokens}.away`, this.#tokens);
  }

  /** Compiles the module that stands before SoftHSM and misbehaves when it is told to; see faulty-module.c. */
  faulty(): string {
    const library = join(this.dir, 'libfaulty.so');
    if (!existsSync(library)) {
      const defines = [`-DREAL_MODULE="${SOFTHSM}"`, `-DFAULTS="${this.#faults}"`];
      execFileSync('cc', [
        '-shared',
        '-fPIC',
        '-O1',
        `-I${INCLUDES}`,
        ...defines,
        '-o',
        library,
        FAULTY_SOURCE,
        '-ldl',
      ]);
    }
    return library;
  }

  /** From now on `what` goes wrong as `how` says; without `how` it is well again. */
  fault(what: string, how?: string): void {
    const path = join(this.#faults, what);
    if (how === undefined) rmSync(path, { force: true });
    else {
      // In one step: the module reads it from another thread.
      writeFileSync(`${path}.new`, how);
      renameSync(`${path}.new`, path);
    }
  }

  /** Nothing goes wrong any more, and no call was made yet. */
  well(): void {
    rmSync(this.#faults, { recursive: true });
    mkdirSync(this.#faults);
  }

  /** How often the faulty module was asked for this call. */
  calls(name: string): number {
    const path = join(this.#faults, 'calls');
    if (!existsSync(path)) return 0;
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((one) => one === name).length;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
