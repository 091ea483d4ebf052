import { join } from 'node:path';
import { type DerCertificate, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { SecretBytes, SIGNATURE_OF, type Signer, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  activateCredential,
  attestationTemplate,
  type Channel,
  type Credential,
  certify,
  clearOwner,
  create,
  type EccPublic,
  ENDORSEMENT_KINDS,
  type EndorsementCertificate,
  type EndorsementKind,
  encodePublic,
  endorsementCertificates,
  flushing,
  formatSealedSecret,
  formatTpmKey,
  type KeyPublic,
  type Loaded,
  load,
  type OwnerAuth,
  type PcrSelection,
  parseSealedSecret,
  parseTpmKey,
  type SealedSecret,
  type SignedStatement,
  sealSecret,
  sign,
  signingTemplate,
  spkiOf,
  type Tpm,
  type TpmKeyFile,
  TpmRandom,
  unsealSecret,
  withEndorsementKey,
  withStorageRoot,
} from '@keystead/tpm2';
import { type Disk, nodeDisk, replaceFile, UNFINISHED } from '../state/disk.ts';
import { eraseFile } from '../state/erase.ts';

/** What the device shows of its TPM when it asks for a challenge; nothing of it is secret. */
export interface ShownTpm {
  /** Undefined for a TPM whose maker left none in it: the server must then know the key itself. */
  readonly ekCertificate?: DerCertificate;
  /** TPMT_PUBLIC of the endorsement key, the attestation key, and the device's key. */
  readonly ekPublic: Uint8Array;
  readonly akPublic: Uint8Array;
  readonly keyPublic: Uint8Array;
  /** TPM2_Certify of the device's key by the attestation key. */
  readonly statement: SignedStatement;
}

export interface TpmWipe {
  /** Names of the files that were overwritten and removed. */
  readonly files: readonly string[];
  /** Whether the owner was cleared: then copies of the files open nowhere, either. */
  readonly ownerCleared: boolean;
}

const FILES = { attestation: 'attestation.tpm2', idevid: 'idevid.tpm2', secret: 'secret.tpm2' } as const;
const NO_NONCE = new Uint8Array(0);
const PROBE = Buffer.from('keystead pairwise consistency', 'latin1');

interface TpmFiles {
  readonly attestation: TpmKeyFile;
  readonly idevid: TpmKeyFile;
  readonly secret: SealedSecret;
}

/**
 * What a device has in its TPM, as wrapped files in a directory: the key of its IDevID (fixedTPM, fixedParent,
 * sensitiveDataOrigin), the restricted key that attests it, and the device secret, sealed to PCRs, under which
 * `DeviceState` seals everything else. docs/tpm2.md says what that means for the keys of LDevIDs.
 * REQ-KEY-GEN-03, REQ-KEY-STO-01
 */
export class TpmDevice {
  readonly #tpm: Tpm;
  readonly #files: TpmFiles;
  readonly #owner: OwnerAuth;

  private constructor(tpm: Tpm, files: TpmFiles, owner: OwnerAuth) {
    this.#tpm = tpm;
    this.#files = files;
    this.#owner = owner;
  }

  /**
   * Makes both keys and the secret. The TPM's random generator is tested first. The secret's file is the last to be
   * written; a directory without it is made anew.
   * @param options.ownerAuth where the TPM's owner has a value and no storage root is persistent: the caller's, who keeps
   *   it as long as the device is used, and wipes it.
   * @throws KeysteadError `state.exists`, `rng.unhealthy`, `tpm2.*`.
   */
  static async create(
    directory: string,
    tpm: Tpm,
    options: { clock: Clock; selection?: PcrSelection<SealedSecret['bank']>; disk?: Disk } & OwnerAuth,
  ): Promise<TpmDevice> {
    const disk = options.disk ?? nodeDisk;
    disk.makeDirectory(directory);
    if (disk.mode(join(directory, FILES.secret)) !== undefined)
      throw new KeysteadError('state.exists', { field: directory });
    await new TpmRandom(tpm).check();
    const owner = { ownerAuth: options.ownerAuth };
    const files = await tpm.use(async (channel) => {
      const keys = await withStorageRoot(
        channel,
        async (srk) => {
          const storageRoot = toHex(srk.name);
          const attestation = { storageRoot, blob: await create(channel, srk, attestationTemplate()) };
          const idevid = { storageRoot, blob: await create(channel, srk, signingTemplate('P-256')) };
          await flushing(channel, await load(channel, srk, idevid.blob), (key) => requireConsistent(channel, key));
          return { attestation, idevid };
        },
        owner,
      );
      using secret = SecretBytes.random(32);
      const sealing = { selection: options.selection, now: options.clock.now(), ...owner };
      return { ...keys, secret: await sealSecret(channel, secret, sealing) };
    });
    replaceFile(disk, join(directory, FILES.attestation), formatTpmKey(files.attestation));
    replaceFile(disk, join(directory, FILES.idevid), formatTpmKey(files.idevid));
    replaceFile(disk, join(directory, FILES.secret), formatSealedSecret(files.secret));
    return new TpmDevice(tpm, files, owner);
  }

  /** @throws KeysteadError `state.missing`, `tpm2.file-damaged`. The TPM is first asked when something is used. */
  static open(directory: string, tpm: Tpm, options: { disk?: Disk } & OwnerAuth = {}): TpmDevice {
    const disk = options.disk ?? nodeDisk;
    const read = (name: string): Uint8Array => {
      const bytes = disk.read(join(directory, name));
      if (bytes === undefined) throw new KeysteadError('state.missing', { field: join(directory, name) });
      return bytes;
    };
    const files = {
      secret: parseSealedSecret(read(FILES.secret)),
      idevid: parseTpmKey(read(FILES.idevid)),
      attestation: parseTpmKey(read(FILES.attestation)),
    };
    return new TpmDevice(tpm, files, { ownerAuth: options.ownerAuth });
  }

  /**
   * The device secret for `DeviceState`, while the PCRs are as they were sealed to.
   * @throws KeysteadError `tpm2.pcr-mismatch` naming the PCRs, `tpm2.other-tpm`, `tpm2.*`.
   */
  secret(): Promise<SecretBytes> {
    return this.#tpm.use((channel) => unsealSecret(channel, this.#files.secret, this.#owner));
  }

  /** Name of the storage root that the files are wrapped under, hex: it tells this TPM from any other. */
  get storageRoot(): string {
    return this.#files.idevid.storageRoot;
  }

  /** The IDevID's key: signs in the TPM. @throws KeysteadError `tpm2.*` when it signs. */
  signer(): Signer {
    const { area } = this.#files.idevid.blob;
    const spki = spkiOf(area);
    const signatureAlgorithm = SIGNATURE_OF['P-256'];
    const inTpm = (data: Uint8Array): Promise<Uint8Array> =>
      this.#tpm.use((channel) =>
        this.#withRoot(channel, async (srk) =>
          flushing(channel, await load(channel, srk, this.#files.idevid.blob), async (key) => {
            const { bytes } = await sign(channel, key, data);
            if (verifySignature(signatureAlgorithm, spki, data, bytes)) return bytes;
            throw new KeysteadError('key.inconsistent', {
              field: 'IDevID key',
              seen: 'a signature that does not verify',
            });
          }),
        ),
      );
    return { keyAlgorithm: 'P-256', signatureAlgorithm, spki, sign: inTpm };
  }

  /**
   * What a server is shown to make a challenge of.
   * @throws KeysteadError `tpm2.*`.
   */
  shown(): Promise<ShownTpm> {
    return this.#tpm.use((channel) =>
      this.#withRoot(channel, async (srk) => {
        const { attestation, idevid } = this.#files;
        const { kind, certificate } = await endorsement(channel);
        const ekPublic = await withEndorsementKey(channel, kind, async (ek) => encodePublic(ek.area));
        const statement = await flushing(channel, await load(channel, srk, attestation.blob), async (ak) =>
          // What it says of a key that is fixed to its TPM stays true: no nonce is needed, the credential is fresh.
          flushing(channel, await load(channel, srk, idevid.blob), (key) => certify(channel, key, ak, NO_NONCE)),
        );
        return {
          ...(certificate === undefined ? {} : { ekCertificate: certificate }),
          ekPublic,
          akPublic: encodePublic(attestation.blob.area),
          keyPublic: encodePublic(idevid.blob.area),
          statement,
        };
      }),
    );
  }

  /**
   * What is in the server's credential, which this TPM alone opens. The caller wipes it.
   * @throws KeysteadError `tpm2.refused` when the credential is not meant for this TPM and this device, `tpm2.*`.
   */
  activate(credential: Credential): Promise<SecretBytes> {
    return this.#tpm.use((channel) =>
      this.#withRoot(channel, async (srk) =>
        flushing(channel, await load(channel, srk, this.#files.attestation.blob), async (ak) => {
          const { kind } = await endorsement(channel);
          return withEndorsementKey(channel, kind, (ek) => activateCredential(channel, { srk, ek, ak }, credential));
        }),
      ),
    );
  }

  /**
   * Destroys what a device has in its TPM: the files with the wrapped keys, and with `clearOwner` the seed that they
   * are wrapped under, so that no copy opens. Without it a copy made before opens in this very TPM. Safe to repeat
   * after a power cut at any step. REQ-KEY-WIPE-01
   * @param options.lockoutAuth where a lockout authorization was set; stays with the caller.
   * @throws KeysteadError `tpm2.*`: the files are gone then, the owner is not cleared.
   */
  static async wipe(
    directory: string,
    tpm: Tpm,
    options: { clearOwner: boolean; lockoutAuth?: SecretBytes; disk?: Disk },
  ): Promise<TpmWipe> {
    const disk = options.disk ?? nodeDisk;
    const files = TpmDevice.filesLeft(directory, disk);
    for (const name of files) eraseFile(disk, join(directory, name));
    if (options.clearOwner) await tpm.use((channel) => clearOwner(channel, options.lockoutAuth));
    return { files, ownerCleared: options.clearOwner };
  }

  /** Names of the files that {@link wipe} would destroy, the secret's first. */
  static filesLeft(directory: string, disk: Disk = nodeDisk): string[] {
    return [FILES.secret, FILES.idevid, FILES.attestation]
      .flatMap((name) => [name, `${name}${UNFINISHED}`])
      .filter((name) => disk.mode(join(directory, name)) !== undefined);
  }

  #withRoot<T>(channel: Channel, work: (srk: Loaded<EccPublic>) => Promise<T>): Promise<T> {
    return withStorageRoot(
      channel,
      async (srk) => {
        const seen = toHex(srk.name);
        if (seen !== this.#files.idevid.storageRoot)
          throw new KeysteadError('tpm2.other-tpm', { field: 'storageRoot', seen });
        return work(srk);
      },
      this.#owner,
    );
  }
}

/** The endorsement key with a certificate that is preferred; without any, the one that every TPM can make. */
async function endorsement(channel: Channel): Promise<Partial<EndorsementCertificate> & { kind: EndorsementKind }> {
  const [first] = await endorsementCertificates(channel);
  if (first !== undefined) return first;
  const [kind] = ENDORSEMENT_KINDS;
  if (kind === undefined) throw new KeysteadError('tpm2.unsupported', { field: 'EK', seen: 'no template' });
  return { kind };
}

/** FIPS 140-3 IG 10.3.A, as with keys made in software. */
async function requireConsistent(channel: Channel, key: Loaded<KeyPublic>): Promise<void> {
  const { bytes } = await sign(channel, key, PROBE);
  if (!verifySignature('ecdsa-with-SHA256', spkiOf(key.area), PROBE, bytes)) {
    throw new KeysteadError('key.inconsistent', { field: 'new key', seen: 'P-256' });
  }
}
