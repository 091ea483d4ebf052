import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretBytes } from '../index.ts';

export interface WycheproofTest {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly [field: string]: unknown;
}
interface WycheproofGroup {
  readonly publicKeyDer?: string;
  readonly tests: readonly WycheproofTest[];
}

/** The groups of one file under vectors/wycheproof. */
export function wycheproof(file: string): readonly WycheproofGroup[] {
  const url = new URL(`../../../../vectors/wycheproof/${file}`, import.meta.url);
  const json: { testGroups: WycheproofGroup[] } = JSON.parse(readFileSync(url, 'utf8'));
  return json.testGroups;
}

export const hex = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), 'hex'));
export const secret = (text: unknown): SecretBytes => SecretBytes.take(hex(text));
export const phrase = (text: string): SecretBytes => SecretBytes.copy(Buffer.from(text));
export const shown = (bytes: SecretBytes): string => bytes.use((b) => Buffer.from(b).toString('hex'));

/** Runs openssl; a failure of it is a failure of the test. */
export function openssl(args: string[], input?: Uint8Array): Buffer {
  const { status, stdout, stderr, error } = spawnSync('openssl', args, { input });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** What `openssl kdf` gives, lower-case hex. */
export function opensslKdf(name: string, length: number, options: Record<string, string>): string {
  const settings = Object.entries(options).flatMap(([key, value]) => ['-kdfopt', `${key}:${value}`]);
  return openssl(['kdf', '-keylen', String(length), ...settings, name])
    .toString()
    .replace(/[:\s]/g, '')
    .toLowerCase();
}

/** A directory that lasts as long as `f`. */
export async function inTemporaryDirectory<T>(f: (dir: string) => T | Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-crypto-'));
  try {
    return await f(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
