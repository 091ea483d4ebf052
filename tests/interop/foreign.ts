import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Deployment } from '../system/deployment.ts';

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a foreign program. One that is not installed fails the test. */
export function run(
  command: string,
  args: readonly string[],
  options: { input?: string | Uint8Array; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { cwd: options.cwd, env: options.env, timeout: 120_000, maxBuffer: 16 << 20 },
      (error, stdout, stderr) => {
        if (error === null) resolve({ status: 0, stdout, stderr });
        else if (typeof error.code === 'number') resolve({ status: error.code, stdout, stderr });
        else reject(new Error(`${command} ${args.join(' ')}: ${error.message}`));
      },
    );
    // A program that needs no input may be gone before it is written.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs a foreign program that must succeed; gives what it printed. */
export async function ok(
  command: string,
  args: readonly string[],
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, options);
  assert.equal(status, 0, `${command} ${args.join(' ')} ended with ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

export const openssl = (...args: string[]): Promise<string> => ok('openssl', args);

const BIN = fileURLToPath(new URL('../../packages/keystead/bin/keystead.mjs', import.meta.url));

/** Runs the `keystead` command line. */
export const keystead = (args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<Outcome> =>
  run(process.execPath, [BIN, ...args], options);

/** The files and addresses that a foreign client of one deployment needs, and the requests that it makes. */
export class Bench {
  readonly deployment: Deployment;
  readonly #folder: string;

  constructor(deployment: Deployment) {
    this.deployment = deployment;
    this.#folder = join(deployment.folder, 'bench');
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /** A file of the test's own. */
  path(name: string): string {
    return join(this.#folder, name);
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  /** The certificate of a CA, PEM. */
  ca(role: 'root' | 'manufacturing' | 'operational' | 'server' | 'operator'): string {
    return join(this.deployment.layout.trust, `${role}.pem`);
  }

  get root(): string {
    return this.ca('root');
  }

  get est(): string {
    return `${this.deployment.world.httpsUrl}/.well-known/est`;
  }

  get api(): string {
    return `${this.deployment.world.httpsUrl}/api/v1`;
  }

  url(path: string): string {
    return this.deployment.world.httpUrl + path;
  }

  /** curl over TLS; the answer's status, header lines and body. */
  async curl(
    url: string,
    args: readonly string[] = [],
    input = '',
  ): Promise<{ status: number; head: string; body: string }> {
    const printed = await ok('curl', ['--silent', '--show-error', '--include', '--cacert', this.root, ...args, url], {
      input,
    });
    const [head = '', ...rest] = printed.split('\r\n\r\n');
    return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') };
  }

  /** curl with the key and certificate of one of the people; the passphrase goes in by standard input. */
  curlAs(
    name: string,
    url: string,
    args: readonly string[] = [],
  ): Promise<{ status: number; head: string; body: string }> {
    const { layout } = this.deployment;
    const files = ['--cert', join(layout.operators, `${name}.pem`), '--key', join(layout.operators, `${name}.key.pem`)];
    const passphrase = readFileSync(layout.passphrase('operators'), 'utf8').trim();
    return this.curl(url, ['--config', '-', ...files, ...args], `pass = "${passphrase}"\n`);
  }

  /** Makes a key with openssl; gives its file, unencrypted, as foreign tools of the field have it. */
  async key(name: string, algorithm: 'P-256' | 'P-384' | 'Ed25519' | 'RSA-3072' = 'P-256'): Promise<string> {
    const out = this.path(`${name}.key`);
    const options = {
      'P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      'P-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
      Ed25519: ['-algorithm', 'ED25519'],
      'RSA-3072': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
    }[algorithm];
    await openssl('genpkey', ...options, '-out', out);
    return out;
  }

  /** A request of a device in PEM, made by openssl. */
  async csr(name: string, deviceId: string, key: string): Promise<string> {
    const out = this.path(`${name}.csr`);
    const subject = `/O=Keystead/CN=${deviceId}/serialNumber=${deviceId}`;
    await openssl('req', '-new', '-key', key, '-subj', subject, '-out', out);
    return out;
  }

  /** Provisions a device at the station, by curl: writes `<deviceId>.key` and its IDevID to `<deviceId>.pem`. */
  async provision(deviceId: string, algorithm?: Parameters<Bench['key']>[1]): Promise<ForeignDevice> {
    const key = await this.key(deviceId, algorithm);
    const csr = readFileSync(await this.csr(deviceId, deviceId, key), 'utf8');
    return {
      id: deviceId,
      key,
      certificate: this.write(`${deviceId}.pem`, (await this.#unit(deviceId, csr)).certificate),
    };
  }

  /** Asks for an IDevID as the station at line 1. */
  async #unit(deviceId: string, csr: string): Promise<{ certificate: string }> {
    const { ticketId } = this.deployment.world.config.tryBatch;
    const unit = this.write(`${deviceId}.json`, JSON.stringify({ ticketId, deviceId, csr, line: 'line-1' }));
    const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${unit}`];
    const { status, body } = await this.curlAs('line-1', `${this.api}/units`, json);
    assert.equal(status, 200, body);
    return JSON.parse(body) as { certificate: string };
  }

  /** Gives a device an IDevID for a request that another tool made. */
  async provisionRequest(deviceId: string, csrPem: string, key: string): Promise<ForeignDevice> {
    return {
      id: deviceId,
      key,
      certificate: this.write(`${deviceId}.pem`, (await this.#unit(deviceId, csrPem)).certificate),
    };
  }

  /** Posts a body to EST with curl as this device. */
  estPost(device: ForeignDevice | undefined, operation: string, bodyFile: string): ReturnType<Bench['curl']> {
    const identity = device === undefined ? [] : ['--cert', device.certificate, '--key', device.key];
    const type = ['--header', 'Content-Type: application/pkcs10', '--data-binary', `@${bodyFile}`];
    return this.curl(`${this.est}/${operation}`, [...identity, ...type]);
  }

  /** Enrols with a new key, by openssl and curl; the device then holds what it got. */
  async enrol(
    device: ForeignDevice,
    operation: 'simpleenroll' | 'simplereenroll',
    name: string,
  ): Promise<ForeignDevice> {
    const key = await this.key(name);
    const { status, body } = await this.estPost(device, operation, await this.csr(name, device.id, key));
    assert.equal(status, 200, body);
    return { id: device.id, key, certificate: await this.certificateIn(name, body) };
  }

  /** The certificate in a certs-only answer, taken out by `openssl pkcs7`; gives the PEM file. */
  async certificateIn(name: string, body: string): Promise<string> {
    const der = this.path(`${name}.p7`);
    await ok('openssl', ['base64', '-d', '-A', '-out', der], { input: body });
    const out = this.path(`${name}.pem`);
    await openssl('pkcs7', '-inform', 'DER', '-in', der, '-print_certs', '-out', out);
    assert.equal(readFileSync(out, 'utf8').match(/BEGIN CERTIFICATE/g)?.length, 1);
    return out;
  }

  /** `openssl verify -x509_strict` up to the offline root. */
  async verify(certificate: string, issuer: Parameters<Bench['ca']>[0], ...more: string[]): Promise<void> {
    const chain = ['-x509_strict', '-CAfile', this.root, '-untrusted', this.ca(issuer)];
    await openssl('verify', ...chain, '-purpose', 'sslclient', ...more, certificate);
  }

  /** The serial number as openssl prints it, in lower case. */
  async serial(certificate: string): Promise<string> {
    const printed = await openssl('x509', '-in', certificate, '-noout', '-serial');
    return printed.trim().replace('serial=', '').toLowerCase();
  }
}

/** A device that foreign tools drive: its certificate (PEM) and its key, as files. */
export interface ForeignDevice {
  readonly id: string;
  readonly key: string;
  readonly certificate: string;
}
