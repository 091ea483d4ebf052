import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Identity } from './https.ts';

/** Requests and certificates that OpenSSL made, in a directory that {@link remove} deletes. */
export class Openssl {
  readonly #dir = mkdtempSync(join(tmpdir(), 'keystead-openssl-'));
  #count = 0;

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #run(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#dir, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #path(ending: string): string {
    this.#count += 1;
    return join(this.#dir, `${this.#count}.${ending}`);
  }

  /** A new private key, PEM. `kind` is what `openssl genpkey` takes, for example `RSA rsa_keygen_bits:1024`. */
  key(kind = 'EC ec_paramgen_curve:P-256'): string {
    const [algorithm = 'EC', option] = kind.split(' ');
    const path = this.#path('key');
    this.#run('genpkey', '-algorithm', algorithm, ...(option === undefined ? [] : ['-pkeyopt', option]), '-out', path);
    return readFileSync(path, 'utf8');
  }

  /** A request, DER. */
  csr(commonName: string, more: { key?: string; extensions?: readonly string[] } = {}): Uint8Array {
    const key = this.#path('key');
    const csr = this.#path('csr');
    writeFileSync(key, more.key ?? this.key());
    const extensions = (more.extensions ?? []).flatMap((line) => ['-addext', line]);
    this.#run('req', '-new', '-key', key, '-subj', `/CN=${commonName}`, ...extensions, '-outform', 'DER', '-out', csr);
    return new Uint8Array(readFileSync(csr));
  }

  /** A client certificate of a CA that has the name of ours and another key. */
  client(commonName: string, caSubject: string): Identity {
    const [caKey, ca, key, csr, certificate] = ['key', 'pem', 'key', 'csr', 'pem'].map((ending) => this.#path(ending));
    const paths = [caKey, ca, key, csr, certificate].map(String);
    const [caKeyPath = '', caPath = '', keyPath = '', csrPath = '', certificatePath = ''] = paths;
    writeFileSync(caKeyPath, this.key());
    writeFileSync(keyPath, this.key());
    this.#run('req', '-x509', '-key', caKeyPath, '-subj', caSubject, '-days', '2', '-out', caPath);
    const use = ['-addext', 'extendedKeyUsage=clientAuth'];
    this.#run('req', '-new', '-key', keyPath, '-subj', `/CN=${commonName}`, ...use, '-out', csrPath);
    const sign = ['x509', '-req', '-in', csrPath, '-CA', caPath, '-CAkey', caKeyPath, '-days', '1'];
    this.#run(...sign, '-copy_extensions', 'copy', '-out', certificatePath);
    return { cert: readFileSync(certificatePath, 'utf8'), key: readFileSync(keyPath, 'utf8') };
  }
}
