import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { custodianKeyPath } from 'keystead/start/operators.ts';
import type { Rig } from '../faults/rig.ts';
import { keystead, type Outcome } from '../interop/foreign.ts';

/** The program itself, not its launcher: what is killed here is what does the work. */
const MAIN = fileURLToPath(new URL('../../packages/keystead/cli/main.ts', import.meta.url));
export const PROGRAM: readonly string[] = ['--disable-warning=ExperimentalWarning', MAIN];

/** What people of the demonstration do around a restore, each with their own key. */
export class Custodians {
  readonly #rig: Rig;
  readonly #root: string;

  /** @param root the anchor that they name themselves, a file. */
  constructor(rig: Rig, root: string) {
    this.#rig = rig;
    this.#root = root;
  }

  /** What a custodian does on a machine of their own. */
  openShare(file: string, who: string, ...more: string[]): Promise<Outcome> {
    const key = custodianKeyPath(this.#rig.layout, who);
    const args = ['open-share', file, '--as', who, '--key', key, '--root', this.#root, '--passphrase-fd', '0'];
    return this.#typed([...args, ...more]);
  }

  /** Signs that keyd opens after a restore. */
  signRestore(order: string, who: string, out: string, ...more: string[]): Promise<Outcome> {
    const args = ['sign-restore', order, '--data', this.#rig.layout.data, '--as', who, '--passphrase-fd', '0'];
    return this.#typed([...args, '--out', out, ...more]);
  }

  /** A restore, or a drill, that waits for them. */
  session(args: readonly string[], shares: string, waitSeconds = 30): Session {
    const how = ['--shares', shares, '--root', this.#root, '--wait', String(waitSeconds)];
    return new Session(this, [...args, ...how], shares);
  }

  #typed(args: readonly string[]): Promise<Outcome> {
    return keystead(['backup', ...args], { input: readFileSync(this.#rig.layout.passphrase('operators')) });
  }
}

/** A command that shows a session and waits for responses. */
export class Session {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[] = [];
  readonly ended: Promise<number | null>;
  readonly #people: Custodians;
  readonly #shares: string;
  #tell: () => void = () => {};

  constructor(people: Custodians, args: readonly string[], shares: string) {
    this.#people = people;
    this.#shares = shares;
    const all = [...PROGRAM, 'backup', ...args, '--json'];
    this.child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.ended = new Promise((resolve) => this.child.on('exit', (code) => resolve(code)));
    if (this.child.stdout !== null) {
      createInterface({ input: this.child.stdout }).on('line', (line) => {
        this.lines.push(JSON.parse(line));
        this.#tell();
      });
    }
    void this.ended.then(() => this.#tell());
  }

  async recipient(): Promise<string> {
    while (this.lines.length === 0 && this.child.exitCode === null) {
      await new Promise<void>((resolve) => {
        this.#tell = resolve;
      });
    }
    const [{ session } = {}] = this.lines as { session?: { recipient: string } }[];
    return session?.recipient ?? '';
  }

  async answer(file: string, ...custodians: string[]): Promise<void> {
    const to = await this.recipient();
    for (const who of custodians) {
      const out = join(this.#shares, `${who}.response`);
      const answered = await this.#people.openShare(file, who, '--to', to, '--out', out);
      assert.equal(answered.status, 0, answered.stderr);
    }
  }
}
