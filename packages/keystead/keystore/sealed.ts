import { closeSync, constants, existsSync, fstatSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import {
  defaultPasswordKdf,
  fipsMode,
  type GeneratedKeyAlgorithm,
  generateSoftwareKey,
  kbkdf,
  SecretBytes,
  type Signer,
  sha256,
  signBy,
  signPieces,
  softwareSigner,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite, removeUnfinished, syncDirectory } from '../files/durable.ts';
import type { DerivingKeyInfo, DerivingKeystore, KeyDeriver, KeyInfo, Keystore } from './keystore.ts';
import { isKeyId, parseSealedFile, type SealedHeader, type SealedKey } from './sealed-format.ts';
import { Sealing } from './sealing.ts';

/** Only its owner reads and writes the file. */
const MODE = 0o600;

export interface SealedKeystoreOptions {
  /** Use only FIPS-approved functions (PBKDF2 instead of Argon2id); as OpenSSL is set up when not given. */
  readonly fips?: boolean;
}

/**
 * Makes an empty sealed keystore; its directory must exist. When the promise resolves, the file is durable (mode 0600).
 * @param passphrase stays with the caller, who may wipe it once the promise has settled.
 * @throws KeysteadError `keystore.exists`, `kdf.passphrase-empty`, `rng.unhealthy`. @throws Error of node:fs.
 */
export async function createSealedKeystore(
  path: string,
  passphrase: SecretBytes,
  clock: Clock,
  options: SealedKeystoreOptions = {},
): Promise<Keystore> {
  if (existsSync(path)) throw new KeysteadError('keystore.exists', { field: 'path', seen: path });
  const header: SealedHeader = {
    createdAt: clock.now().toISOString(),
    fips140: fipsMode() ? 'OpenSSL FIPS provider' : 'none',
    kdf: defaultPasswordKdf(options.fips ?? fipsMode()),
  };
  const sealing = await Sealing.fromPassphrase(header, passphrase);
  const file = sealing.format([]);
  durableWrite(path, file, MODE);
  return new SealedKeystore(path, clock, sealing, [], file);
}

/**
 * Opens a sealed keystore. Every key in it is opened and tried, so that damage is found now and not at the first use.
 * What a killed write left beside the file is removed.
 * @param passphrase stays with the caller, who may wipe it once the promise has settled.
 * @throws KeysteadError `keystore.missing`, `keystore.wrong-passphrase`, `keystore.damaged`, `kdf.not-approved`.
 * @throws Error of node:fs.
 */
export async function openSealedKeystore(path: string, passphrase: SecretBytes, clock: Clock): Promise<Keystore> {
  const bytes = readKeystoreFile(path);
  const file = parseSealedFile(bytes);
  const sealing = await fromFile(file.header, passphrase);
  try {
    const keys = sealing.authenticate(file);
    const opened = new SealedKeystore(path, clock, sealing, keys, bytes);
    removeUnfinished(path);
    return opened;
  } catch (error) {
    sealing.wipe();
    throw error;
  }
}

async function fromFile(header: SealedHeader, passphrase: SecretBytes): Promise<Sealing> {
  try {
    return await Sealing.fromPassphrase(header, passphrase);
  } catch (error) {
    // An empty passphrase and FIPS mode are the caller's; parameters out of bounds can only be the file's.
    const own = ['kdf.passphrase-empty', 'kdf.not-approved'];
    if (!(error instanceof KeysteadError) || own.includes(error.code)) throw error;
    throw new KeysteadError('keystore.damaged', { field: 'kdf', seen: error.message, cause: error });
  }
}

function readKeystoreFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new KeysteadError('keystore.missing', { field: 'path', seen: path, cause });
    }
    throw cause;
  }
}

/** A key in memory: OpenSSL holds its private half, and drops it when the signer is let go. */
interface LiveKey {
  readonly sealed: SealedKey;
  readonly info: KeyInfo;
  signer: Signer | undefined;
}

/** A master in memory, which is wiped when the keystore is closed. */
interface LiveMaster {
  readonly sealed: SealedKey;
  readonly info: DerivingKeyInfo;
  readonly secret: SecretBytes;
}

const MASTER_BYTES = 32;

/** Private keys and masters in one sealed file. REQ-KEY-STO-02: on disk a private key exists only under AES-256-GCM. */
class SealedKeystore implements DerivingKeystore {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #sealing: Sealing;
  readonly #keys = new Map<string, LiveKey>();
  readonly #masters = new Map<string, LiveMaster>();
  /** Every key as the file has it, in its order. */
  #inFile: readonly SealedKey[];
  #file: Uint8Array;
  #closed = false;

  constructor(path: string, clock: Clock, sealing: Sealing, keys: readonly SealedKey[], file: Uint8Array) {
    this.#path = path;
    this.#clock = clock;
    this.#sealing = sealing;
    this.#file = file;
    this.#inFile = keys;
    for (const key of keys) this.#open(key);
  }

  list(): KeyInfo[] {
    return [...this.#keys.values()].map((key) => key.info);
  }

  async generate(id: string, algorithm: GeneratedKeyAlgorithm, purpose: string): Promise<KeyInfo> {
    this.#requireNew(id, purpose);
    const createdAt = this.#clock.now().toISOString();
    const fresh = generateSoftwareKey(algorithm);
    using pkcs8 = fresh.pkcs8;
    const sealed = this.#sealing.seal({ id, algorithm, purpose, createdAt }, pkcs8);
    const live = this.#live(sealed, softwareSigner(algorithm, pkcs8));
    this.#write([...this.#inFile, sealed]);
    this.#keys.set(id, live);
    return live.info;
  }

  derivingKeys(): DerivingKeyInfo[] {
    return [...this.#masters.values()].map((master) => master.info);
  }

  async generateDeriving(id: string, purpose: string): Promise<DerivingKeyInfo> {
    this.#requireNew(id, purpose);
    const createdAt = this.#clock.now().toISOString();
    const secret = SecretBytes.random(MASTER_BYTES);
    const sealed = this.#sealing.seal({ id, algorithm: 'HMAC-SHA256', purpose, createdAt }, secret);
    try {
      this.#write([...this.#inFile, sealed]);
    } catch (error) {
      secret.wipe();
      throw error;
    }
    const live = this.#liveMaster(sealed, secret);
    this.#masters.set(id, live);
    return live.info;
  }

  deriver(id: string): KeyDeriver {
    const master = this.#master(id);
    return {
      derive: async (label, context, length) => {
        if (this.#master(id) !== master) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: id });
        if (length > MASTER_BYTES) throw new KeysteadError('kdf.length', { field: 'length', seen: String(length) });
        return kbkdf('sha256', master.secret, label, context, length);
      },
    };
  }

  signer(id: string): Signer {
    const key = this.#key(id);
    const { algorithm: keyAlgorithm, spki } = key.info;
    const signatureAlgorithm = this.#signerOf(key).signatureAlgorithm;
    // Through the keystore at each use, so that a signer given out dies with its key.
    return {
      keyAlgorithm,
      signatureAlgorithm,
      spki,
      sign: async (data) => this.#signerOf(key).sign(data),
      signBy: async (scheme, data) => signBy(this.#signerOf(key), scheme, data),
      signPieces: async (pieces) => signPieces(this.#signerOf(key), pieces),
    };
  }

  async destroy(id: string): Promise<void> {
    this.#requireOpen();
    const master = this.#masters.get(id);
    const key = master === undefined ? this.#key(id) : undefined;
    // The old file still holds the key under the same passphrase; its blocks outlive its name.
    const old = openSync(this.#path, constants.O_RDWR);
    try {
      this.#write(this.#inFile.filter((sealed) => sealed.id !== id));
      this.#keys.delete(id);
      this.#masters.delete(id);
      if (key !== undefined) key.signer = undefined;
      master?.secret.wipe();
      overwrite(old);
    } finally {
      closeSync(old);
    }
    syncDirectory(dirname(this.#path));
  }

  close(): void {
    this.#closed = true;
    for (const key of this.#keys.values()) key.signer = undefined;
    for (const { secret } of this.#masters.values()) secret.wipe();
    this.#sealing.wipe();
  }

  #requireOpen(): void {
    if (this.#closed) throw new KeysteadError('keystore.closed', { field: 'keystore', seen: this.#path });
  }

  #requireNew(id: string, purpose: string): void {
    this.#requireOpen();
    if (!isKeyId(id)) throw new KeysteadError('keystore.key-malformed', { field: 'id', seen: id });
    if (purpose.length > 200) throw new KeysteadError('keystore.key-malformed', { field: 'purpose', seen: purpose });
    if (this.#keys.has(id) || this.#masters.has(id))
      throw new KeysteadError('keystore.key-exists', { field: 'id', seen: id });
  }

  #master(id: string): LiveMaster {
    this.#requireOpen();
    const master = this.#masters.get(id);
    if (master === undefined) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: id });
    return master;
  }

  #key(id: string): LiveKey {
    this.#requireOpen();
    const key = this.#keys.get(id);
    if (key === undefined) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: id });
    return key;
  }

  #signerOf(key: LiveKey): Signer {
    this.#requireOpen();
    if (key.signer === undefined) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: key.info.id });
    return key.signer;
  }

  #open(sealed: SealedKey): void {
    const { id, algorithm } = sealed;
    if (algorithm === 'HMAC-SHA256') {
      const secret = this.#sealing.open(sealed);
      if (secret.length === MASTER_BYTES) this.#masters.set(id, this.#liveMaster(sealed, secret));
      else throw new KeysteadError('keystore.damaged', { field: `key ${id}`, seen: 'a master of another length' });
      return;
    }
    using pkcs8 = this.#sealing.open(sealed);
    try {
      this.#keys.set(id, this.#live(sealed, softwareSigner(algorithm, pkcs8)));
    } catch (cause) {
      const field = `key ${sealed.id}`;
      throw new KeysteadError('keystore.damaged', { field, seen: 'another key than the file says', cause });
    }
  }

  #live(sealed: SealedKey, signer: Signer): LiveKey {
    const { id, algorithm, purpose, createdAt } = sealed;
    if (algorithm === 'HMAC-SHA256') throw new TypeError('a master signs nothing');
    const { fips140 } = this.#sealing.header;
    const info: KeyInfo = { id, algorithm, purpose, spki: signer.spki, createdAt, custody: 'sealed-file', fips140 };
    return { sealed, info, signer };
  }

  #liveMaster(sealed: SealedKey, secret: SecretBytes): LiveMaster {
    const { id, purpose, createdAt } = sealed;
    const { fips140 } = this.#sealing.header;
    const info = { id, algorithm: 'HMAC-SHA256', purpose, createdAt, custody: 'sealed-file', fips140 } as const;
    return { sealed, info, secret };
  }

  /** The old file is whole until the new one is durable; what another process wrote is never lost. */
  #write(keys: readonly SealedKey[]): void {
    if (Buffer.compare(sha256(readKeystoreFile(this.#path)), sha256(this.#file)) !== 0) {
      throw new KeysteadError('keystore.changed', { field: 'keystore file', seen: this.#path });
    }
    const file = this.#sealing.format(keys);
    durableWrite(this.#path, file, MODE);
    this.#file = file;
    this.#inFile = keys;
  }
}

/** Writes zeros over a file that has lost its name. On flash and copy-on-write disks old blocks may live on. */
function overwrite(file: number): void {
  // It has another name when somebody keeps a hard link as a backup: that is theirs, with the other keys in it.
  if (fstatSync(file).nlink !== 0) return;
  const zeros = new Uint8Array(fstatSync(file).size);
  for (let at = 0; at < zeros.length; ) at += writeSync(file, zeros, at, zeros.length - at, at);
  fsyncSync(file);
}
