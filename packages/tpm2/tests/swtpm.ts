import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';

/** A TPM 2.0 of its own for a test: swtpm, in a directory of its own, until `stop`. */
export class Swtpm {
  readonly directory: string;
  #child: ChildProcess | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** With `certificates` swtpm_setup manufactures it: endorsement keys, and their certificates from a CA of its own. */
  static async start(options: { certificates?: boolean; startedUp?: boolean } = {}): Promise<Swtpm> {
    const swtpm = new Swtpm(mkdtempSync(join(tmpdir(), 'keystead-swtpm-')));
    mkdirSync(join(swtpm.directory, 'state'));
    if (options.certificates === true) swtpm.#manufacture();
    await swtpm.boot(options.startedUp ?? true);
    return swtpm;
  }

  /** Where `Tpm.open` finds it. */
  get address(): string {
    return `unix:${this.socket}`;
  }

  get socket(): string {
    return join(this.directory, 'tpm');
  }

  #manufacture(): void {
    const ca = join(this.directory, 'ca');
    mkdirSync(ca);
    const file = (name: string, lines: string[]): string => {
      writeFileSync(join(ca, name), `${lines.join('\n')}\n`);
      return join(ca, name);
    };
    const config = file('localca.conf', [
      `statedir = ${ca}`,
      `signingkey = ${join(ca, 'signkey.pem')}`,
      `issuercert = ${join(ca, 'issuercert.pem')}`,
      `certserial = ${join(ca, 'certserial')}`,
    ]);
    const options = file('localca.options', [
      '--platform-manufacturer Keystead',
      '--platform-version 1',
      '--platform-model test',
    ]);
    const setup = file('setup.conf', [
      'create_certs_tool = /usr/bin/swtpm_localca',
      `create_certs_tool_config = ${config}`,
      `create_certs_tool_options = ${options}`,
      'active_pcr_banks = sha256',
    ]);
    const wanted = ['--createek', '--create-ek-cert', '--create-platform-cert', '--lock-nvram'];
    run('swtpm_setup', ['--tpm2', '--tpmstate', join(this.directory, 'state'), '--config', setup, ...wanted]);
  }

  /** The CA that signed the endorsement certificates, and the root above it: DER. */
  authorities(): { issuer: DerCertificate; root: DerCertificate } {
    const read = (name: string): DerCertificate => {
      const [der] = fromPem('CERTIFICATE', readFileSync(join(this.directory, 'ca', name), 'latin1'));
      return (der ?? new Uint8Array(0)) as DerCertificate;
    };
    return { issuer: read('issuercert.pem'), root: read('swtpm-localca-rootca-cert.pem') };
  }

  /** Starts the machine; after `end` that is a reboot, with fresh PCRs. */
  async boot(startedUp = true): Promise<void> {
    const flags = startedUp ? 'not-need-init,startup-clear' : 'not-need-init';
    const socket = (path: string): string => `type=unixio,path=${path}`;
    // Where tpm2-tools look for the control channel of a Unix socket.
    const channels = ['--server', socket(this.socket), '--ctrl', socket(`${this.socket}.ctrl`)];
    const state = ['--tpmstate', `dir=${join(this.directory, 'state')}`];
    const child = spawn('swtpm', ['socket', '--tpm2', ...state, ...channels, '--flags', flags], { stdio: 'ignore' });
    this.#child = child;
    for (let tries = 0; !(await listens(this.socket)) || !(await listens(`${this.socket}.ctrl`)); tries += 1) {
      if (child.exitCode !== null || tries > 1000) throw new Error(`swtpm did not start: ${child.exitCode}`);
      await wait(10);
    }
  }

  /** Ends the process, as a power cut does. */
  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    for (const path of [this.socket, `${this.socket}.ctrl`]) rmSync(path, { force: true });
  }

  async stop(): Promise<void> {
    await this.end();
    rmSync(this.directory, { recursive: true });
  }

  /** Runs a program of tpm2-tools against it; a failure of it is a failure of the test. */
  tool(command: string, ...args: string[]): string {
    const env = { TPM2TOOLS_TCTI: `swtpm:path=${this.socket}` };
    try {
      return run(command, args, env);
    } finally {
      // Without a resource manager what a tool loaded stays, and fills the three places there are.
      run('tpm2_flushcontext', ['-t'], env);
    }
  }

  /** A path in the directory that goes with the TPM. */
  path(name: string): string {
    return join(this.directory, name);
  }
}

/** Whether somebody listens there: the file of a socket is there a moment before. */
function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** Runs a foreign tool; a failure of it is a failure of the test. */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { env: { ...process.env, ...env } });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout.toString();
}
