import { execFileSync } from 'node:child_process';
import { constants, sign } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DerCertificate, DerSpki } from '../../bytes/index.ts';
import { DIGEST_OF, isPss, type KeyAlgorithm, SIGNATURE_OF, type SignatureScheme } from '../../crypto/index.ts';
import { readCertificate } from '../../x509/index.ts';
import type { FirmwareFormat, MadeSignature, SigningTerms } from '../index.ts';

/** What every signature of the tests is made at. */
export const SIGNED_AT = new Date('2026-11-28T12:00:00Z');

const GENPKEY = {
  'P-256': ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  Ed25519: ['ED25519'],
  'RSA-2048': ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'RSA-3072': ['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  'RSA-4096': ['RSA', '-pkeyopt', 'rsa_keygen_bits:4096'],
} as const satisfies Partial<Record<KeyAlgorithm, readonly string[]>>;
export type SigningKeyAlgorithm = keyof typeof GENPKEY;

/** A key with a certificate of itself, made by openssl in a directory of its own, as `dev.key`, `dev.crt`, `dev.pub`. */
export class SigningKey {
  readonly algorithm: SigningKeyAlgorithm;
  readonly directory: string;
  readonly certificate: DerCertificate;
  readonly spki: DerSpki;
  readonly scheme: SignatureScheme;

  /**
   * @param scheme what it signs by, where that is not the one signature of its kind.
   * @param directory of a key that is there.
   */
  constructor(algorithm: SigningKeyAlgorithm, scheme: SignatureScheme = SIGNATURE_OF[algorithm], directory?: string) {
    this.algorithm = algorithm;
    this.scheme = scheme;
    this.directory = directory ?? mkdtempSync(join(tmpdir(), 'keystead-signing-key-'));
    if (directory === undefined) {
      this.#openssl('genpkey', '-algorithm', ...GENPKEY[algorithm], '-out', 'dev.key');
      this.#openssl('req', '-new', '-x509', '-key', 'dev.key', '-subj', '/CN=dev', '-days', '30', '-out', 'dev.crt');
      this.#openssl('pkey', '-in', 'dev.key', '-pubout', '-out', 'dev.pub');
    }
    this.#openssl('x509', '-in', 'dev.crt', '-outform', 'DER', '-out', 'dev.der');
    this.certificate = new Uint8Array(readFileSync(this.file('dev.der'))) as DerCertificate;
    this.spki = readCertificate(this.certificate).spki;
  }

  /** The same key, which signs by another scheme: to make one of RSA takes seconds. */
  by(scheme: SignatureScheme): SigningKey {
    return new SigningKey(this.algorithm, scheme, this.directory);
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  get terms(): SigningTerms {
    return { signer: this.certificate, chain: [], time: SIGNED_AT, scheme: this.scheme };
  }

  /** As keyd signs what a format composes. */
  made(format: FirmwareFormat, subject: Uint8Array): MadeSignature {
    const key = readFileSync(this.file('dev.key'));
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: this.#salt };
    const composed = format.compose(subject, this.terms);
    const signature = sign(DIGEST_OF[this.scheme], composed, isPss(this.scheme) ? pss : key);
    return { ...this.terms, signature: new Uint8Array(signature) };
  }

  /** What `openssl dgst -verify` is told besides the key. */
  get opensslOptions(): string[] {
    const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${this.#salt}`];
    return [`-${DIGEST_OF[this.scheme]}`, ...(isPss(this.scheme) ? pss : [])];
  }

  get #salt(): number {
    const hash = DIGEST_OF[this.scheme] === 'sha384' ? 48 : 32;
    return this.scheme.endsWith('-longest') ? Number(this.algorithm.slice(4)) / 8 - hash - 2 : hash;
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** The pieces that a format assembles, as one. */
export async function wholeOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return new Uint8Array(Buffer.concat(all));
}
