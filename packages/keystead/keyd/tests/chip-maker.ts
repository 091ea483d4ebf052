import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DerCertificate, type DerSpki, fromPem, toBase64 } from '@keystead/core/bytes';
import { SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import type { SecureElementPolicy } from '@keystead/core/lifecycle';
import type { TestKey } from './bed.ts';

/** A chip as it leaves its maker: a key that stays inside, and its certificate. Here a file stands for the chip. */
export interface TestChip extends TestKey {
  readonly chain: DerCertificate[];
  /** PEM, PKCS#8. */
  readonly keyFile: string;
  readonly certificateFile: string;
}

/** A maker of secure elements, by openssl: a root, a CA for the chips, chips with serial numbers. */
export class ChipMaker {
  readonly dir = mkdtempSync(join(tmpdir(), 'keystead-chips-'));
  readonly #name: string;
  #chips = 0;

  constructor(name: string) {
    this.#name = name;
    const ca =
      '[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n';
    writeFileSync(join(this.dir, 'ca.cnf'), `[req]\ndistinguished_name=dn\n[dn]\n${ca}`);
    const root = ['-x509', '-days', '9000', '-config', 'ca.cnf', '-extensions', 'v3'];
    this.run('req', ...root, ...NEW_KEY, '-keyout', 'root.key', '-out', 'root.pem', '-subj', `/O=${name}/CN=Root`);
    this.#certify('signer', `/O=${name}/CN=Chips 01`, 'root', 'ca.cnf');
  }

  run(...args: string[]): string {
    return execFileSync('openssl', args, { cwd: this.dir, encoding: 'utf8', stdio: 'pipe' });
  }

  /** What a policy says to believe this maker. */
  policy(more: Partial<SecureElementPolicy> = {}): SecureElementPolicy {
    return { anchors: [toBase64(this.#der('root'))], ...more };
  }

  /** @param usage keyUsage of the certificate. @param extensions more lines of its section. */
  chip(serial: string, usage = 'digitalSignature,keyAgreement', extensions = ''): TestChip {
    this.#chips += 1;
    const name = `chip-${this.#chips}`;
    const section = `[v3]\nbasicConstraints=CA:FALSE\nkeyUsage=critical,${usage}\n${extensions}\n`;
    writeFileSync(join(this.dir, `${name}.cnf`), `[req]\ndistinguished_name=dn\n[dn]\n${section}`);
    const subject = serial === '' ? `/O=${this.#name}/CN=${name}` : `/O=${this.#name}/CN=chip/serialNumber=${serial}`;
    this.#certify(name, subject, 'signer', `${name}.cnf`);
    const keyFile = join(this.dir, `${name}.key`);
    const [pkcs8] = fromPem('PRIVATE KEY', readFileSync(keyFile, 'latin1'));
    if (pkcs8 === undefined) throw new Error('openssl made no key');
    const signer: Signer = softwareSigner('P-256', SecretBytes.take(pkcs8));
    const chain = [this.#der(name), this.#der('signer')];
    return { signer, spki: signer.spki as DerSpki, chain, keyFile, certificateFile: join(this.dir, `${name}.pem`) };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  #certify(name: string, subject: string, by: string, config: string): void {
    this.run(
      'req',
      '-new',
      '-config',
      config,
      ...NEW_KEY,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      subject,
    );
    const issuer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-days', '8000'];
    this.run(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...issuer,
      '-extfile',
      config,
      '-extensions',
      'v3',
      '-out',
      `${name}.pem`,
    );
  }

  #der(name: string): DerCertificate {
    const [der] = fromPem('CERTIFICATE', readFileSync(join(this.dir, `${name}.pem`), 'latin1'));
    if (der === undefined) throw new Error(`no ${name}.pem`);
    return der as DerCertificate;
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
