import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** P-256 signatures and verifications a second of the installed OpenSSL, one process, `openssl speed`. */
export function opensslP256(): { sign: number; verify: number } {
  const run = spawnSync('openssl', ['speed', '-seconds', '2', '-mr', 'ecdsap256'], { encoding: 'utf8' });
  // +F5:<index>:<bits>:<seconds a signature>:<seconds a verification>, in some versions operations a second.
  const fields = /^\+F\d:\d+:256:([\d.eE+-]+):([\d.eE+-]+)/m.exec(run.stdout ?? '');
  if (fields === null) throw new Error('openssl speed printed no figure for ecdsap256');
  const rate = (text: string | undefined): number => (Number(text) < 1 ? 1 / Number(text) : Number(text));
  return { sign: rate(fields[1]), verify: rate(fields[2]) };
}

/** fdatasync calls a second after an append of `bytes`, one at a time, in `directory`. */
export function rawFsync(bytes: number, seconds = 2, directory = tmpdir()): number {
  const folder = mkdtempSync(join(directory, 'keystead-fsync-'));
  const file = openSync(join(folder, 'log'), 'a');
  const block = Buffer.alloc(bytes, 0x5a);
  const end = performance.now() + seconds * 1000;
  const started = performance.now();
  let count = 0;
  while (performance.now() < end) {
    writeSync(file, block);
    fdatasyncSync(file);
    count += 1;
  }
  const rate = count / ((performance.now() - started) / 1000);
  closeSync(file);
  rmSync(folder, { recursive: true });
  return rate;
}
