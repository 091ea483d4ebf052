import { existsSync, readFileSync } from 'node:fs';
import { type DerSpki, sameBytes, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  type GeneratedKeyAlgorithm,
  isPostQuantum,
  type SecretBytes,
  SIGNATURE_OF,
  type Signer,
  sha256,
  verifySignature,
} from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  agree,
  agreementTemplate,
  attestationTemplate,
  type Channel,
  create,
  type EccPublic,
  flushing,
  isBoundToTpm,
  type KeyPublic,
  type Loaded,
  load,
  readPublic,
  sign,
  signingTemplate,
  spkiOf,
  Tpm,
  type TpmInfo,
  TpmRandom,
  TpmRefusal,
  withStorageRoot,
} from '@keystead/tpm2';
import { durableWrite, removeUnfinished } from '../../files/durable.ts';
import type { AgreementKeystore, KeyAgreement, KeyInfo } from '../keystore.ts';
import { isKeyId } from '../sealed-format.ts';
import type { Tpm2KeystoreConfig } from './configuration.ts';
import { fips140Of, tpmEvidence } from './evidence.ts';
import {
  formatTpmKeystore,
  parseTpmKeystore,
  type TpmAlgorithm,
  type TpmKeystoreFile,
  type WrappedKey,
} from './file.ts';

const MODE = 0o600;
const PROBE = Buffer.from('keystead pairwise consistency', 'latin1');

/**
 * Makes an empty keystore in a TPM, with the attestation key that will certify its keys. The TPM's random generator is
 * tested first. When the promise resolves, the file is durable (mode 0600).
 * @throws KeysteadError `keystore.exists`, `rng.unhealthy`, `tpm2.*`. @throws Error of node:fs. REQ-KEY-STO-01
 */
export async function createTpm2Keystore(config: Tpm2KeystoreConfig, clock: Clock): Promise<AgreementKeystore> {
  if (existsSync(config.path)) throw new KeysteadError('keystore.exists', { field: 'path', seen: config.path });
  return withTpm(config, async (tpm, random) => {
    const [storageRoot, attestationKey] = await tpm.use((channel) =>
      withStorageRoot(
        channel,
        async (srk) => [toHex(srk.name), await create(channel, srk, attestationTemplate())] as const,
      ),
    );
    const file: TpmKeystoreFile = { createdAt: clock.now().toISOString(), storageRoot, attestationKey, keys: [] };
    const bytes = formatTpmKeystore(file);
    durableWrite(config.path, bytes, MODE);
    return new Tpm2Keystore(config.path, clock, { tpm, random, info: await tpm.info() }, file, bytes);
  });
}

/**
 * Opens a keystore in a TPM. Every key is loaded once, so that a file of another TPM is found now and not at the first
 * use; the TPM's random generator is tested.
 * @throws KeysteadError `keystore.missing`, `keystore.damaged`, `rng.unhealthy`, `tpm2.other-tpm`, `tpm2.*`.
 */
export async function openTpm2Keystore(config: Tpm2KeystoreConfig, clock: Clock): Promise<AgreementKeystore> {
  const bytes = readKeystore(config.path);
  const file = parseTpmKeystore(bytes);
  return withTpm(config, async (tpm, random) => {
    await tpm.use((channel) =>
      withRoot(channel, file, async (srk) => {
        for (const { blob } of [{ blob: file.attestationKey }, ...file.keys]) {
          await flushing(channel, await load(channel, srk, blob), async () => undefined);
        }
      }),
    );
    removeUnfinished(config.path);
    return new Tpm2Keystore(config.path, clock, { tpm, random, info: await tpm.info() }, file, bytes);
  });
}

async function withTpm<T>(config: Tpm2KeystoreConfig, open: (tpm: Tpm, random: TpmRandom) => Promise<T>): Promise<T> {
  const tpm = await Tpm.open(config.tpm);
  try {
    const random = new TpmRandom(tpm);
    await random.check();
    return await open(tpm, random);
  } catch (error) {
    await tpm.close();
    throw error;
  }
}

function readKeystore(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new KeysteadError('keystore.missing', { field: 'path', seen: path, cause });
    }
    throw cause;
  }
}

/** The storage root, when it is the one that wrapped the file's keys. */
function withRoot<T>(
  channel: Channel,
  file: Pick<TpmKeystoreFile, 'storageRoot'>,
  work: (srk: Loaded<EccPublic>) => Promise<T>,
): Promise<T> {
  return withStorageRoot(channel, async (srk) => {
    const seen = toHex(srk.name);
    if (seen !== file.storageRoot) throw new KeysteadError('tpm2.other-tpm', { field: 'storageRoot', seen });
    return work(srk);
  });
}

/** The TPM that a keystore has open, and what it said about itself. */
interface OpenTpm {
  readonly tpm: Tpm;
  readonly random: TpmRandom;
  readonly info: TpmInfo;
}

/**
 * Private keys that a TPM made and wraps (fixedTPM, fixedParent, sensitiveDataOrigin under the owner hierarchy's
 * storage root). Each use loads the key and flushes it. REQ-KEY-STO-01, REQ-KEY-GEN-03
 */
class Tpm2Keystore implements AgreementKeystore {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #module: OpenTpm;
  #file: TpmKeystoreFile;
  #bytes: Uint8Array;
  #closed = false;

  constructor(path: string, clock: Clock, module: OpenTpm, file: TpmKeystoreFile, bytes: Uint8Array) {
    this.#path = path;
    this.#clock = clock;
    this.#module = module;
    this.#file = file;
    this.#bytes = bytes;
  }

  list(): KeyInfo[] {
    return this.#file.keys.map((key) => this.#info(key));
  }

  makes(algorithm: GeneratedKeyAlgorithm): boolean {
    return algorithm !== 'Ed25519' && !isPostQuantum(algorithm);
  }

  async generate(id: string, algorithm: GeneratedKeyAlgorithm, purpose: string): Promise<KeyInfo> {
    if (algorithm === 'Ed25519' || isPostQuantum(algorithm)) throw this.#unsupported(algorithm);
    return this.#make(id, algorithm, 'sign', purpose);
  }

  async generateAgreement(id: string, algorithm: 'P-256' | 'P-384', purpose: string): Promise<KeyInfo> {
    return this.#make(id, algorithm, 'agree', purpose);
  }

  signer(id: string): Signer {
    const { algorithm, blob } = this.#key(id, 'sign');
    const signatureAlgorithm = SIGNATURE_OF[algorithm];
    const spki = spkiOf(blob.area);
    return { keyAlgorithm: algorithm, signatureAlgorithm, spki, sign: (data) => this.#sign(id, spki, data) };
  }

  agreement(id: string): KeyAgreement {
    const { blob } = this.#key(id, 'agree');
    const { area } = blob;
    if (area.type !== 'ecc') throw new KeysteadError('keystore.damaged', { field: `key ${id}`, seen: area.type });
    return { keyAlgorithm: area.curve, spki: spkiOf(area), agree: (peer) => this.#agree(id, peer) };
  }

  /** The TPM keeps nothing of a key between its uses: with the wrapped key, the key is gone. REQ-KEY-WIPE-01 */
  async destroy(id: string): Promise<void> {
    this.#any(id);
    this.#write(this.#file.keys.filter((key) => key.id !== id));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.#module.tpm.close();
  }

  async #make(id: string, algorithm: TpmAlgorithm, use: WrappedKey['use'], purpose: string): Promise<KeyInfo> {
    this.#requireOpen();
    if (!isKeyId(id)) throw new KeysteadError('keystore.key-malformed', { field: 'id', seen: id });
    if (purpose.length > 200) throw new KeysteadError('keystore.key-malformed', { field: 'purpose', seen: purpose });
    const { tpm, random, info } = this.#module;
    await random.check();
    const made = await tpm.use(async (channel) => {
      this.#requireFree(id);
      return withRoot(channel, this.#file, async (srk) => {
        const template =
          use === 'agree' && (algorithm === 'P-256' || algorithm === 'P-384')
            ? agreementTemplate(algorithm)
            : signingTemplate(algorithm);
        const blob = await this.#created(algorithm, () => create(channel, srk, template));
        const evidence = await flushing(channel, await load(channel, srk, blob), async ({ handle }) => {
          const key = await this.#readBack(channel, handle, blob.area);
          if (use === 'sign') await requireConsistent(channel, key, algorithm);
          const ak = await load(channel, srk, this.#file.attestationKey);
          return flushing(channel, ak, () => tpmEvidence(channel, info, key, ak));
        });
        const createdAt = this.#clock.now().toISOString();
        const key: WrappedKey = { id, algorithm, use, purpose, createdAt, blob, evidence };
        this.#requireFree(id);
        this.#write([...this.#file.keys, key]);
        return key;
      });
    });
    return this.#info(made);
  }

  #requireFree(id: string): void {
    this.#requireOpen();
    if (this.#file.keys.some((key) => key.id === id)) {
      throw new KeysteadError('keystore.key-exists', { field: 'id', seen: id });
    }
  }

  async #created<T>(algorithm: TpmAlgorithm, make: () => Promise<T>): Promise<T> {
    const elliptic = algorithm === 'P-256' || algorithm === 'P-384';
    if (elliptic && !this.#module.info.curves.includes(algorithm)) throw this.#unsupported(algorithm);
    try {
      return await make();
    } catch (cause) {
      const sizes = ['VALUE', 'KEY_SIZE', 'ASYMMETRIC', 'CURVE', 'SCHEME', 'HASH'];
      if (cause instanceof TpmRefusal && sizes.includes(cause.reason ?? '')) throw this.#unsupported(algorithm, cause);
      throw cause;
    }
  }

  #unsupported(algorithm: string, cause?: unknown): KeysteadError {
    const { info } = this.#module;
    const able = [...info.curves, 'RSA as large as it allows'].join(', ');
    return new KeysteadError('tpm2.unsupported', {
      field: 'algorithm',
      seen: `${algorithm}; the TPM ${info.manufacturer} ${info.model} makes ${able}`,
      remedy: 'keep this key in a sealed file whose passphrase the TPM seals (docs/tpm2.md)',
      cause,
    });
  }

  /** The public area as the TPM gives it for the loaded key, which must be fixed to this TPM. */
  async #readBack(channel: Channel, handle: number, made: KeyPublic): Promise<Loaded<KeyPublic>> {
    const key = await readPublic(channel, handle);
    if (key === undefined || key.area.type === 'sealed' || !sameBytes(spkiOf(key.area), spkiOf(made))) {
      throw new KeysteadError('key.inconsistent', { field: 'new key', seen: 'another public area' });
    }
    if (!isBoundToTpm(key.area))
      throw new KeysteadError('attestation.key-refused', { field: 'new key', seen: 'its attributes' });
    return { ...key, area: key.area };
  }

  async #sign(id: string, spki: DerSpki, data: Uint8Array): Promise<Uint8Array> {
    const key = this.#key(id, 'sign');
    const signature = await this.#withKey(key, (channel, loaded) => sign(channel, loaded, data));
    // A fault while signing can give a key away, and a broken TPM must not make certificates that do not verify.
    if (!verifySignature(SIGNATURE_OF[key.algorithm], spki, data, signature.bytes)) {
      throw new KeysteadError('key.inconsistent', { field: `key ${id}`, seen: 'a signature that does not verify' });
    }
    return signature.bytes;
  }

  async #agree(id: string, peer: DerSpki): Promise<SecretBytes> {
    return this.#withKey(this.#key(id, 'agree'), (channel, { area, ...entity }, srk) => {
      if (area.type !== 'ecc') throw new KeysteadError('keystore.damaged', { field: `key ${id}`, seen: area.type });
      return agree(channel, srk, { ...entity, area }, peer);
    });
  }

  #withKey<T>(
    key: WrappedKey,
    work: (channel: Channel, loaded: Loaded<KeyPublic>, srk: Loaded<EccPublic>) => Promise<T>,
  ): Promise<T> {
    return this.#module.tpm.use((channel) => {
      // It may have been destroyed, or the keystore closed, while this waited for its turn.
      this.#any(key.id);
      return withRoot(channel, this.#file, async (srk) =>
        flushing(channel, await load(channel, srk, key.blob), (loaded) => work(channel, loaded, srk)),
      );
    });
  }

  #info({ id, algorithm, purpose, createdAt, blob, evidence }: WrappedKey): KeyInfo {
    const fips140 = fips140Of(this.#module.info);
    return { id, algorithm, purpose, spki: spkiOf(blob.area), createdAt, custody: 'tpm2', fips140, evidence };
  }

  #requireOpen(): void {
    if (this.#closed) throw new KeysteadError('keystore.closed', { field: 'keystore', seen: this.#path });
  }

  #any(id: string): WrappedKey {
    this.#requireOpen();
    const key = this.#file.keys.find((one) => one.id === id);
    if (key === undefined) throw new KeysteadError('keystore.key-missing', { field: 'id', seen: id });
    return key;
  }

  #key(id: string, use: WrappedKey['use']): WrappedKey {
    const key = this.#any(id);
    if (key.use === use) return key;
    throw new KeysteadError('keystore.key-missing', { field: 'id', seen: `${id}, which does not ${use}` });
  }

  /** The old file is whole until the new one is durable; what another process wrote is never lost. */
  #write(keys: readonly WrappedKey[]): void {
    if (!sameBytes(sha256(readKeystore(this.#path)), sha256(this.#bytes))) {
      throw new KeysteadError('keystore.changed', { field: 'keystore file', seen: this.#path });
    }
    const file = { ...this.#file, keys };
    const bytes = formatTpmKeystore(file);
    durableWrite(this.#path, bytes, MODE);
    this.#file = file;
    this.#bytes = bytes;
  }
}

/** FIPS 140-3 IG 10.3.A, as with keys made in software. */
async function requireConsistent(channel: Channel, key: Loaded<KeyPublic>, algorithm: TpmAlgorithm): Promise<void> {
  const { bytes } = await sign(channel, key, PROBE);
  if (!verifySignature(SIGNATURE_OF[algorithm], spkiOf(key.area), PROBE, bytes)) {
    throw new KeysteadError('key.inconsistent', { field: 'new key', seen: algorithm });
  }
}
