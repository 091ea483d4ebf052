import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type DerSpki, sameBytes, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type GeneratedKeyAlgorithm, type SecretBytes, type Signer, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import {
  createSealedKeystore,
  type KeyInfo,
  type Keystore,
  type KeystoreConfig,
  openKeystore,
  openSealedKeystore,
} from '../keystore/index.ts';

export type OfflineCa = 'root' | 'signing-root';

/** A root's key while the ceremony lasts. The private half stays where it is; here is its signer. */
export interface RootKey {
  readonly info: KeyInfo;
  readonly signer: Signer;
}

/**
 * Where the keys of the roots live. What a ceremony makes becomes lasting with `keep`, as the last thing but the
 * transcript's signature; until then a crash leaves it marked as unfinished, and the next ceremony removes it.
 */
export interface RootKeys {
  readonly custody: 'sealed-file' | 'pkcs11';
  /** @throws KeysteadError `ceremony.already-held` when a key is there that `generate` would make. */
  requireFree(role: OfflineCa, generation: number): void;
  /** @throws KeysteadError `ceremony.already-held`, and what the keystore throws. */
  generate(role: OfflineCa, generation: number, algorithm: GeneratedKeyAlgorithm): Promise<RootKey>;
  /** The existing key of a root. @throws KeysteadError `ceremony.root-missing`, `keystore.*`. */
  open(role: OfflineCa, generation: number, spki: DerSpki): Promise<RootKey>;
  /** Nothing is signed after it. */
  close(): void;
  /** SHA-256 (hex) of each new sealed file by name; of a token there is none. */
  sealed(): Record<string, string>;
  keep(): void;
  /** Destroys what was made and not kept, and closes. May be called again. */
  discard(): Promise<void>;
}

/** The id of a root's key, and the name of its sealed file: the first key has no number. */
export const rootKeyId = (role: OfflineCa, generation: number): string =>
  generation === 1 ? role : `${role}-${generation}`;

/** Keys of a rehearsal have ids of their own, so that they never stand in the way of those in earnest. */
const idOf = (rehearsal: boolean, role: OfflineCa, generation: number): string =>
  `${rehearsal ? 'rehearsal-' : ''}${rootKeyId(role, generation)}`;

const purposeOf = (role: OfflineCa): string => `certificate authority: ${role}`;

/** Where a ceremony puts what is not lasting yet. */
const workIn = (offline: string): string => join(offline, 'in-progress');

function found(keystore: Keystore, role: OfflineCa, spki: DerSpki, field: string): RootKey {
  const info = keystore.list().find((key) => sameBytes(key.spki, spki));
  if (info === undefined) throw new KeysteadError('ceremony.root-missing', { field, seen: `no key of the ${role}` });
  return { info, signer: keystore.signer(info.id) };
}

/** Each root in a sealed file of its own: `root.sealed`, after a rollover `root-2.sealed`. REQ-KEY-SOD-01 */
export class SealedRoots implements RootKeys {
  readonly custody = 'sealed-file';
  readonly #offline: string;
  readonly #passphrase: SecretBytes;
  readonly #clock: Clock;
  readonly #rehearsal: boolean;
  readonly #open: Keystore[] = [];
  readonly #made: string[] = [];

  /** @param passphrase stays with the caller, who wipes it at the end. */
  constructor(offline: string, passphrase: SecretBytes, clock: Clock, rehearsal = false) {
    this.#rehearsal = rehearsal;
    this.#offline = offline;
    this.#passphrase = passphrase;
    this.#clock = clock;
  }

  requireFree(role: OfflineCa, generation: number): void {
    const lasting = join(this.#offline, `${idOf(this.#rehearsal, role, generation)}.sealed`);
    if (existsSync(lasting)) throw new KeysteadError('ceremony.already-held', { field: 'offline', seen: lasting });
  }

  async generate(role: OfflineCa, generation: number, algorithm: GeneratedKeyAlgorithm): Promise<RootKey> {
    const id = idOf(this.#rehearsal, role, generation);
    const name = `${id}.sealed`;
    this.requireFree(role, generation);
    const work = workIn(this.#offline);
    // What a ceremony that was killed left there: a key that certified nothing.
    if (this.#made.length === 0) rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true, mode: 0o700 });
    const keystore = await createSealedKeystore(join(work, name), this.#passphrase, this.#clock);
    this.#made.push(name);
    this.#open.push(keystore);
    const info = await keystore.generate(id, algorithm, purposeOf(role));
    return { info, signer: keystore.signer(id) };
  }

  async open(role: OfflineCa, generation: number, spki: DerSpki): Promise<RootKey> {
    const path = join(this.#offline, `${rootKeyId(role, generation)}.sealed`);
    if (!existsSync(path)) throw new KeysteadError('ceremony.root-missing', { field: 'offline', seen: `no ${path}` });
    const keystore = await openSealedKeystore(path, this.#passphrase, this.#clock);
    this.#open.push(keystore);
    return found(keystore, role, spki, path);
  }

  close(): void {
    for (const keystore of this.#open) keystore.close();
  }

  sealed(): Record<string, string> {
    const hash = (name: string) => toHex(sha256(readFileSync(join(workIn(this.#offline), name))));
    return Object.fromEntries(this.#made.map((name) => [name, hash(name)]));
  }

  keep(): void {
    for (const name of this.#made.splice(0)) renameSync(join(workIn(this.#offline), name), join(this.#offline, name));
    if (existsSync(this.#offline)) syncDirectory(this.#offline);
    rmSync(workIn(this.#offline), { recursive: true, force: true });
  }

  async discard(): Promise<void> {
    this.close();
    if (this.#made.splice(0).length > 0) rmSync(workIn(this.#offline), { recursive: true, force: true });
  }
}

/** The name of the note in `in-progress` that says which keys on the token are not lasting yet. */
const MADE = 'token-keys.json';

/** All roots on one token, which never gives a key away. REQ-KEY-GEN-02, REQ-KEY-STO-01 */
export class TokenRoots implements RootKeys {
  readonly custody = 'pkcs11';
  readonly #offline: string;
  readonly #keystore: Keystore;
  readonly #rehearsal: boolean;
  readonly #made: string[] = [];

  private constructor(offline: string, keystore: Keystore, rehearsal: boolean) {
    this.#offline = offline;
    this.#rehearsal = rehearsal;
    this.#keystore = keystore;
  }

  /**
   * Logs in. Keys that a ceremony with the same `offline` made and did not finish are destroyed: they certify nothing.
   * @param pin stays with the caller, who wipes it at the end.
   * @throws KeysteadError `keystore.*`.
   */
  static async open(
    config: KeystoreConfig,
    offline: string,
    pin: SecretBytes,
    clock: Clock,
    rehearsal = false,
  ): Promise<TokenRoots> {
    const keystore = await openKeystore(config, pin, clock);
    const roots = new TokenRoots(offline, keystore, rehearsal);
    try {
      await roots.#destroyUnfinished();
      return roots;
    } catch (error) {
      keystore.close();
      throw error;
    }
  }

  requireFree(role: OfflineCa, generation: number): void {
    const id = idOf(this.#rehearsal, role, generation);
    if (this.#keystore.list().every((key) => key.id !== id)) return;
    throw new KeysteadError('ceremony.already-held', { field: 'root-keystore', seen: `the key '${id}' on the token` });
  }

  async generate(role: OfflineCa, generation: number, algorithm: GeneratedKeyAlgorithm): Promise<RootKey> {
    const id = idOf(this.#rehearsal, role, generation);
    this.requireFree(role, generation);
    // Noted before it exists: whatever moment the power goes, the next ceremony knows what to destroy.
    this.#made.push(id);
    mkdirSync(workIn(this.#offline), { recursive: true, mode: 0o700 });
    durableWrite(join(workIn(this.#offline), MADE), `${JSON.stringify(this.#made)}\n`, 0o600);
    syncDirectory(this.#offline);
    const info = await this.#keystore.generate(id, algorithm, purposeOf(role));
    return { info, signer: this.#keystore.signer(id) };
  }

  async open(role: OfflineCa, _generation: number, spki: DerSpki): Promise<RootKey> {
    return found(this.#keystore, role, spki, 'root-keystore');
  }

  /** As long as something made here may have to be destroyed, the token stays logged in. */
  close(): void {
    if (this.#made.length === 0) this.#keystore.close();
  }

  sealed(): Record<string, string> {
    return {};
  }

  keep(): void {
    this.#made.splice(0);
    rmSync(workIn(this.#offline), { recursive: true, force: true });
    if (existsSync(this.#offline)) syncDirectory(this.#offline);
    this.close();
  }

  async discard(): Promise<void> {
    try {
      await this.#destroy(this.#made.splice(0));
    } finally {
      this.#keystore.close();
    }
  }

  async #destroyUnfinished(): Promise<void> {
    const path = join(workIn(this.#offline), MADE);
    if (existsSync(path)) await this.#destroy(JSON.parse(readFileSync(path, 'utf8')) as string[]);
  }

  async #destroy(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const there = new Set(this.#keystore.list().map((key) => key.id));
    for (const id of ids) if (there.has(id)) await this.#keystore.destroy(id);
    rmSync(workIn(this.#offline), { recursive: true, force: true });
  }
}
