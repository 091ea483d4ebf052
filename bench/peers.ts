import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, freePort } from './bench.ts';

/** Whether a peer is there; otherwise says that its row is left out. */
export function installed(bench: Bench, command: string, row: string): boolean {
  if (spawnSync(command, ['version'], { stdio: 'ignore' }).error === undefined) return true;
  bench.note(`${row} is left out: ${command} is not installed`);
  return false;
}

const openssl = (args: readonly string[]): void => {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** A CA for a peer in files: a P-256 key and its certificate, PEM. */
function peerCa(folder: string): { key: string; cert: string } {
  mkdirSync(folder, { recursive: true });
  const key = join(folder, 'ca.key');
  const cert = join(folder, 'ca.pem');
  openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key]);
  openssl(['req', '-x509', '-new', '-key', key, '-subj', '/CN=peer', '-days', '30', '-out', cert]);
  return { key, cert };
}

/** Starts `cfssl serve` with a P-256 CA that signs by one profile for clients. @returns its port. */
export async function cfsslServe(bench: Bench): Promise<number> {
  const folder = join(bench.folder, 'cfssl');
  const { key, cert } = peerCa(folder);
  const config = join(folder, 'config.json');
  const profile = { usages: ['digital signature', 'client auth'], expiry: '24h' };
  writeFileSync(config, JSON.stringify({ signing: { default: profile } }));
  const port = await freePort();
  const files = ['-ca', cert, '-ca-key', key, '-config', config];
  await bench.serve('cfssl', ['serve', '-address=127.0.0.1', `-port=${port}`, ...files, '-loglevel=5'], port);
  return port;
}

/** Starts `cfssl ocspserve` with these answers, DER, signed beforehand. @returns its port. */
export async function cfsslOcspServe(bench: Bench, answers: readonly Uint8Array[]): Promise<number> {
  const file = join(bench.folder, 'ocsp-answers');
  writeFileSync(file, answers.map((der) => `${Buffer.from(der).toString('base64')}\n`).join(''));
  const port = await freePort();
  const args = ['ocspserve', '-address=127.0.0.1', `-port=${port}`, '-responses', file, '-loglevel=5'];
  await bench.serve('cfssl', args, port);
  return port;
}

/** Seconds that `openssl ca -gencrl` takes to make a CRL (PEM) of these serials (hex), from its index file. */
export function opensslCrl(folder: string, serials: readonly string[]): { make(): number } {
  const { key, cert } = peerCa(folder);
  const index = join(folder, 'index.txt');
  const revoked = (serial: string): string =>
    `R\t360101000000Z\t260101000000Z,superseded\t${serial.toUpperCase()}\tunknown\t/CN=device\n`;
  writeFileSync(index, serials.map(revoked).join(''));
  writeFileSync(join(folder, 'crlnumber'), '01\n');
  const config = join(folder, 'ca.cnf');
  writeFileSync(
    config,
    `[ca]\ndefault_ca = bench\n[bench]\ndatabase = ${index}\ncrlnumber = ${join(folder, 'crlnumber')}\n` +
      `certificate = ${cert}\nprivate_key = ${key}\ndefault_md = sha256\ndefault_crl_days = 1\n`,
  );
  return {
    make() {
      const started = performance.now();
      openssl(['ca', '-config', config, '-gencrl', '-out', join(folder, 'peer.crl')]);
      return (performance.now() - started) / 1000;
    },
  };
}
