import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import type { KnownGroup } from '@keystead/core/x509';
import { z } from 'zod';
import { durableWrite } from '../files/durable.ts';
import { numberOf, type RsaKey } from './rsa-keys.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const StateSchema = z.strictObject({
  v: z.literal(1),
  /** The number of the log's entry where the next look begins. */
  cursor: z.int().min(0),
  groups: z.array(z.strictObject({ keys: z.int().min(1), moduli: hash, product: hash })),
});

const STATE = 'state.json';
const SPKI_OCTETS = 32;

/** A group with the keys that it holds. */
export interface KeyGroup extends KnownGroup {
  readonly keys: number;
  /** SHA-256 of the SubjectPublicKeyInfo of each, hex, in the order of the moduli. */
  spkis(): SpkiSha256[];
}

/**
 * What was looked at: RSA moduli in groups, each with its product, in files. It is a copy of what the records hold, and is
 * made anew where it is missing or damaged. A file is never changed: the state names those that count, and is replaced
 * as a whole, so that a kill leaves the groups of before or of after. One process has it at a time.
 */
export class KnownGroups {
  readonly #dir: string;
  readonly #size: number;
  #state: z.output<typeof StateSchema>;

  /** @param size keys of a group at most. */
  constructor(dir: string, size: number) {
    this.#dir = dir;
    this.#size = size;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#state = readState(dir) ?? { v: 1, cursor: 0, groups: [] };
    this.#clean();
  }

  get cursor(): number {
    return this.#state.cursor;
  }

  get keys(): number {
    return this.#state.groups.reduce((sum, { keys }) => sum + keys, 0);
  }

  /** How many more the last group takes; a whole group's where it is full. */
  get room(): number {
    const last = this.#state.groups.at(-1);
    return last === undefined || last.keys >= this.#size ? this.#size : this.#size - last.keys;
  }

  groups(): KeyGroup[] {
    return this.#state.groups.map(({ keys, moduli, product }) => ({
      keys,
      product: () => numberOf(this.#read(product)),
      moduli: () => decode(this.#read(moduli)).map((one) => numberOf(one.modulus)),
      spkis: () => decode(this.#read(moduli)).map((one) => one.spkiSha256),
    }));
  }

  /**
   * Takes new keys into the last group, or begins one, and moves the cursor. Durable when it returns.
   * @param keys at most `room`. @param product of their moduli.
   */
  add(keys: readonly RsaKey[], product: bigint, cursor: number): void {
    const groups = [...this.#state.groups];
    if (keys.length > 0) {
      const last = groups.at(-1);
      const open = last !== undefined && last.keys < this.#size ? groups.pop() : undefined;
      const before = open === undefined ? new Uint8Array() : this.#read(open.moduli);
      const whole = open === undefined ? product : numberOf(this.#read(open.product)) * product;
      groups.push({
        keys: (open?.keys ?? 0) + keys.length,
        moduli: this.#write(Buffer.concat([before, encode(keys)])),
        product: this.#write(octetsOf(whole)),
      });
    }
    this.#state = { v: 1, cursor, groups };
    durableWrite(join(this.#dir, STATE), JSON.stringify(this.#state), 0o600);
    this.#clean();
  }

  /** Whether every file is there and is what the state says; where not, everything is looked at anew. */
  repair(): boolean {
    try {
      for (const { moduli, product } of this.#state.groups) for (const name of [moduli, product]) this.#read(name);
      return true;
    } catch {
      this.#state = { v: 1, cursor: 0, groups: [] };
      this.#clean();
      return false;
    }
  }

  #write(bytes: Uint8Array): string {
    const name = toHex(sha256(bytes));
    durableWrite(join(this.#dir, name), bytes, 0o600);
    return name;
  }

  /** @throws Error when it is missing or another than it was. */
  #read(name: string): Uint8Array {
    const bytes = readFileSync(join(this.#dir, name));
    if (toHex(sha256(bytes)) !== name) throw new Error(`${join(this.#dir, name)} was changed`);
    return bytes;
  }

  #clean(): void {
    const kept = new Set([STATE, ...this.#state.groups.flatMap(({ moduli, product }) => [moduli, product])]);
    for (const name of readdirSync(this.#dir)) if (!kept.has(name)) rmSync(join(this.#dir, name), { force: true });
  }
}

/** What the last look left, for who only wants to know; undefined where none was made. */
export function coveredBy(dir: string): { readonly cursor: number; readonly keys: number } | undefined {
  const state = readState(dir);
  if (state === undefined) return undefined;
  return { cursor: state.cursor, keys: state.groups.reduce((sum, { keys }) => sum + keys, 0) };
}

function readState(dir: string): z.output<typeof StateSchema> | undefined {
  const path = join(dir, STATE);
  if (!existsSync(path)) return undefined;
  try {
    return StateSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}

/** Each key: its SPKI's SHA-256, the length of its modulus (uint16, big-endian), the modulus. */
function encode(keys: readonly RsaKey[]): Buffer {
  return Buffer.concat(
    keys.flatMap(({ spkiSha256, modulus }) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(modulus.length);
      return [fromHex(spkiSha256), length, modulus];
    }),
  );
}

function decode(bytes: Uint8Array): RsaKey[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const keys: RsaKey[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + SPKI_OCTETS + 2 + view.getUint16(at + SPKI_OCTETS);
    keys.push({
      spkiSha256: toHex(bytes.subarray(at, at + SPKI_OCTETS)) as SpkiSha256,
      modulus: bytes.subarray(at + SPKI_OCTETS + 2, end),
    });
    at = end;
  }
  return keys;
}

function octetsOf(number: bigint): Uint8Array {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
