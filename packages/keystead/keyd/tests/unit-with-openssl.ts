import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, type DerSpki, fromPem, toPem } from '@keystead/core/bytes';
import { contentInfo } from '@keystead/core/x509';
import { readDer } from '../../../core/x509/der/strict.ts';

/** What a unit without a random source does, by openssl alone: an ephemeral key, and the package opened with it. */
export class OpensslUnit {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-unit-'));
  readonly recipient: DerSpki;

  constructor(curve: 'P-256' | 'P-384' = 'P-256') {
    this.run('genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`, '-out', 'ephemeral.key');
    this.recipient = this.#der('PUBLIC KEY', this.run('pkey', '-in', 'ephemeral.key', '-pubout')) as DerSpki;
  }

  run(...args: string[]): string {
    return execFileSync('openssl', args, { cwd: this.dir, encoding: 'utf8', stdio: 'pipe' });
  }

  /** @throws Error of openssl where the key is not the one that it was wrapped to. */
  decrypt(envelope: Uint8Array): Uint8Array {
    writeFileSync(join(this.dir, 'envelope.der'), envelope);
    const from = ['-inform', 'DER', '-in', 'envelope.der', '-inkey', 'ephemeral.key'];
    this.run('cms', '-decrypt', '-binary', ...from, '-out', 'content.der');
    return new Uint8Array(readFileSync(join(this.dir, 'content.der')));
  }

  /**
   * What was signed inside, once openssl has verified the signature up to the root: `openssl cms -decrypt` gives the content
   * of the EnvelopedData, which is a SignedData without its ContentInfo (RFC 5652 section 6.1).
   */
  open(envelope: Uint8Array, root: DerCertificate, at: Date): Uint8Array {
    writeFileSync(join(this.dir, 'signed.der'), contentInfo('signedData', this.decrypt(envelope)));
    writeFileSync(join(this.dir, 'root.pem'), toPem('CERTIFICATE', root));
    const when = ['-purpose', 'any', '-attime', String(Math.floor(at.getTime() / 1000) + 1)];
    const from = ['-inform', 'DER', '-in', 'signed.der', '-CAfile', 'root.pem', ...when];
    this.run('cms', '-verify', '-binary', ...from, '-out', 'package.der');
    return new Uint8Array(readFileSync(join(this.dir, 'package.der')));
  }

  /** The one key of an AsymmetricKeyPackage: PKCS#8, DER. */
  privateKey(envelope: Uint8Array, root: DerCertificate, at: Date): Uint8Array {
    const content = this.open(envelope, root, at);
    return Uint8Array.from(readDer(content).child(0, 0x30, 'the key').bytes);
  }

  /** The public half of a private key, SubjectPublicKeyInfo, by openssl. */
  publicHalf(pkcs8: Uint8Array): Uint8Array {
    writeFileSync(join(this.dir, 'key.der'), pkcs8);
    return this.#der('PUBLIC KEY', this.run('pkey', '-inform', 'DER', '-in', 'key.der', '-pubout'));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  #der(label: 'PUBLIC KEY', pem: string): Uint8Array {
    const [der] = fromPem(label, pem);
    if (der === undefined) throw new Error(`openssl gave no ${label}`);
    return der;
  }
}
