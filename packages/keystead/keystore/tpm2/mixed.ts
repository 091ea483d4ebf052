import { existsSync } from 'node:fs';
import type { Clock } from '@keystead/core/clock';
import { type GeneratedKeyAlgorithm, isPostQuantum, type SecretBytes, type Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { AgreementKeystore, CompanionKeystore, KeyAgreement, KeyInfo, Keystore } from '../keystore.ts';
import { createSealedKeystore, openSealedKeystore } from '../sealed.ts';
import type { Tpm2KeystoreConfig } from './configuration.ts';
import { createTpm2Keystore, openTpm2Keystore } from './keystore.ts';

/**
 * Opens the keystore of a configuration: the TPM's, and when it names a sealed file, that one for keys of algorithms
 * that no TPM has (Ed25519: the keys of the log).
 * @param secret passphrase of the sealed file; not used without one. It stays with the caller.
 */
export async function openTpm2(
  config: Tpm2KeystoreConfig,
  secret: SecretBytes,
  clock: Clock,
): Promise<AgreementKeystore> {
  const tpm = await openTpm2Keystore(config, clock);
  return withSealed(tpm, config, (path) => openSealedKeystore(path, secret, clock));
}

/** Makes both. The sealed file comes first: the TPM's says that both are there, and what a kill left is gone on with. */
export async function createTpm2(
  config: Tpm2KeystoreConfig,
  secret: SecretBytes,
  clock: Clock,
): Promise<AgreementKeystore> {
  if (existsSync(config.path)) throw new KeysteadError('keystore.exists', { field: 'path', seen: config.path });
  const { sealed } = config;
  const other =
    sealed === undefined
      ? undefined
      : existsSync(sealed)
        ? await openSealedKeystore(sealed, secret, clock)
        : await createSealedKeystore(sealed, secret, clock);
  try {
    const tpm = await createTpm2Keystore(config, clock);
    return other === undefined ? tpm : new MixedKeystore(tpm, other);
  } catch (error) {
    other?.close();
    throw error;
  }
}

async function withSealed(
  tpm: AgreementKeystore,
  { sealed }: Tpm2KeystoreConfig,
  open: (path: string) => Promise<Keystore>,
): Promise<AgreementKeystore> {
  if (sealed === undefined) return tpm;
  try {
    return new MixedKeystore(tpm, await open(sealed));
  } catch (error) {
    tpm.close();
    throw error;
  }
}

/** Keys in a TPM, and beside them those that it cannot have. Each key says by its custody where it is. */
class MixedKeystore implements CompanionKeystore {
  readonly #tpm: AgreementKeystore;
  readonly companion: Keystore;

  constructor(tpm: AgreementKeystore, sealed: Keystore) {
    this.#tpm = tpm;
    this.companion = sealed;
  }

  /** In the order in which they were made. */
  list(): KeyInfo[] {
    const all = [...this.#tpm.list(), ...this.companion.list()];
    return all.sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
  }

  async generate(id: string, algorithm: GeneratedKeyAlgorithm, purpose: string): Promise<KeyInfo> {
    this.#requireFree(id);
    const foreign = algorithm === 'Ed25519' || isPostQuantum(algorithm);
    return (foreign ? this.companion : this.#tpm).generate(id, algorithm, purpose);
  }

  async generateAgreement(id: string, algorithm: 'P-256' | 'P-384', purpose: string): Promise<KeyInfo> {
    this.#requireFree(id);
    return this.#tpm.generateAgreement(id, algorithm, purpose);
  }

  signer(id: string): Signer {
    return this.#holder(id).signer(id);
  }

  agreement(id: string): KeyAgreement {
    return this.#tpm.agreement(id);
  }

  destroy(id: string): Promise<void> {
    return this.#holder(id).destroy(id);
  }

  close(): void {
    this.#tpm.close();
    this.companion.close();
  }

  #holder(id: string): Keystore {
    return this.companion.list().some((key) => key.id === id) ? this.companion : this.#tpm;
  }

  #requireFree(id: string): void {
    if (this.list().some((key) => key.id === id))
      throw new KeysteadError('keystore.key-exists', { field: 'id', seen: id });
  }
}
