import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, fromPem } from '../../bytes/index.ts';
import { type KeyAlgorithm, SecretBytes, type Signer, softwareSigner } from '../../crypto/index.ts';

/** What OpenSSL is told to make. */
export interface ForeignCertificate {
  /** File name without ending; also the common name unless `subject` says otherwise. */
  readonly name: string;
  /** As `-subj` takes it. */
  readonly subject?: string;
  /** Name of an earlier certificate; itself when left out. */
  readonly issuer?: string;
  readonly algorithm?: 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096';
  /** Lines of an extension section of OpenSSL. */
  readonly extensions: readonly string[];
  /** Hex, without 0x. */
  readonly serial?: string;
  readonly days?: number;
  readonly digest?: 'sha1' | 'sha256' | 'sha384';
  /** Reuse the key of an earlier certificate. */
  readonly keyOf?: string;
}

export const CA_EXTENSIONS = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
];

const GENERATE: Readonly<Record<NonNullable<ForeignCertificate['algorithm']>, string[]>> = {
  'P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  Ed25519: ['-algorithm', 'ED25519'],
  'RSA-2048': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'RSA-3072': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  'RSA-4096': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
};

/** A small PKI whose certificates and keys are made by OpenSSL, in a directory that `remove` deletes. */
export class OpensslPki {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-pki-'));
  readonly #algorithms = new Map<string, KeyAlgorithm>();

  path(file: string): string {
    return join(this.dir, file);
  }

  /** Runs a command in the directory; its standard output. @throws when it fails. */
  run(command: string, ...args: string[]): string {
    return execFileSync(command, args, { cwd: this.dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Runs a command that may fail; both outputs together with the exit code. */
  try(command: string, ...args: string[]): { code: number; output: string } {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: this.dir, encoding: 'utf8' });
    return { code: status ?? -1, output: `${stdout}${stderr}` };
  }

  write(file: string, bytes: Uint8Array | string): string {
    writeFileSync(this.path(file), bytes);
    return this.path(file);
  }

  read(file: string): Uint8Array {
    return new Uint8Array(readFileSync(this.path(file)));
  }

  /** Makes key and certificate: `<name>.key`, `<name>.pem`. */
  issue(v: ForeignCertificate): DerCertificate {
    const algorithm = v.algorithm ?? 'P-256';
    const subject = v.subject ?? `/CN=${v.name}`;
    if (v.keyOf === undefined) this.run('openssl', 'genpkey', ...GENERATE[algorithm], '-out', `${v.name}.key`);
    else writeFileSync(this.path(`${v.name}.key`), readFileSync(this.path(`${v.keyOf}.key`)));
    this.#algorithms.set(v.name, v.keyOf === undefined ? algorithm : (this.#algorithms.get(v.keyOf) ?? algorithm));
    this.run('openssl', 'req', '-new', '-key', `${v.name}.key`, '-subj', subject, '-out', `${v.name}.csr`);
    this.write(`${v.name}.ext`, v.extensions.join('\n'));
    const by =
      v.issuer === undefined ? ['-signkey', `${v.name}.key`] : ['-CA', `${v.issuer}.pem`, '-CAkey', `${v.issuer}.key`];
    const serial = v.serial === undefined ? [] : ['-set_serial', `0x${v.serial}`];
    if (v.serial === undefined && v.issuer !== undefined) serial.push('-CAcreateserial');
    const digest = v.digest === undefined ? [] : [`-${v.digest}`];
    this.run(
      'openssl',
      'x509',
      '-req',
      '-in',
      `${v.name}.csr`,
      ...by,
      ...serial,
      ...digest,
      '-days',
      String(v.days ?? 30),
      '-extfile',
      `${v.name}.ext`,
      '-out',
      `${v.name}.pem`,
    );
    return this.certificate(v.name);
  }

  certificate(name: string): DerCertificate {
    return fromPem('CERTIFICATE', readFileSync(this.path(`${name}.pem`), 'utf8'))[0] as DerCertificate;
  }

  /** A Keystead signer over a key that OpenSSL made. */
  signer(name: string): Signer {
    const key = createPrivateKey(readFileSync(this.path(`${name}.key`)));
    const pkcs8 = SecretBytes.take(new Uint8Array(key.export({ format: 'der', type: 'pkcs8' })));
    return softwareSigner(this.#algorithms.get(name) ?? 'P-256', pkcs8);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
