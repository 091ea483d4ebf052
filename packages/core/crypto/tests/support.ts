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

/** One case of a file under vectors/cavp: the headings in force and its fields. */
export interface CavpCase {
  readonly headings: ReadonlyMap<string, string>;
  readonly fields: ReadonlyMap<string, string>;
}

/**
 * The cases of one CAVP file: headings `[NAME=VALUE]`, or `[EC - SHA256]` for parameter set (SET) and hash (SHA), over cases
 * of `name = value` that begin with COUNT.
 */
export function cavp(file: string): readonly CavpCase[] {
  const url = new URL(`../../../../vectors/cavp/${file}`, import.meta.url);
  const headings = new Map<string, string>();
  const cases: { headings: Map<string, string>; fields: Map<string, string> }[] = [];
  for (const line of readFileSync(url, 'utf8').split(/\r?\n/)) {
    const [, heading, value = ''] = /^\[(\w+)=(\w+)\]$/.exec(line) ?? [];
    const [, set, hash = ''] = /^\[(\w+) - (\w+)\]$/.exec(line) ?? [];
    const [, name, content = ''] = /^(\w+) *= *(.*)$/.exec(line) ?? [];
    if (heading !== undefined) headings.set(heading, value);
    if (set !== undefined) headings.set('SET', set).set('SHA', hash);
    if (name === 'COUNT') cases.push({ headings: new Map(headings), fields: new Map() });
    if (name !== undefined) cases.at(-1)?.fields.set(name, content);
  }
  return cases;
}

/** A heading that is in force over a case. */
export function headingOf(one: CavpCase, name: string): string {
  const value = one.headings.get(name);
  if (value === undefined) throw new Error(`a case under no ${name}`);
  return value;
}

/** A field that every case of its file has. */
export function fieldOf(one: CavpCase, name: string): string {
  const value = one.fields.get(name);
  if (value === undefined) throw new Error(`a case without ${name}`);
  return value;
}

/** Text of ASCII, or bytes. */
export const ascii = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
