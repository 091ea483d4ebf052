import type { DerCertificate } from '@keystead/core/bytes';
import { generateSoftwareKey, type SecretBytes, type Signer, softwareSigner } from '@keystead/core/crypto';
import { certify, profileOf, statusUrls } from '@keystead/core/lifecycle';
import type { Making, OfflineRoot } from './hierarchy.ts';

/**
 * The one-time key (P-384) that signs a transcript. Its private half exists in this process's memory only; after
 * `wipe` it signs nothing more.
 */
export class TranscriptKey {
  readonly certificate: DerCertificate;
  readonly #pkcs8: SecretBytes;
  #signer: Signer | undefined;

  private constructor(certificate: DerCertificate, pkcs8: SecretBytes, signer: Signer) {
    this.certificate = certificate;
    this.#pkcs8 = pkcs8;
    this.#signer = signer;
  }

  /** Generates the key and has the root certify it by the profile `transcript-signer`. */
  static async make(root: OfflineRoot, { policy, rehearsal, clock }: Making): Promise<TranscriptKey> {
    const { pkcs8, spki } = generateSoftwareKey('P-384');
    try {
      const certificate = await certify({
        profile: profileOf(policy, 'transcript-signer'),
        issuer: root.certificate,
        signer: root.signer,
        spki,
        urls: statusUrls(policy, 'root'),
        now: clock.now(),
        rehearsal,
      });
      return new TranscriptKey(certificate, pkcs8, softwareSigner('P-384', pkcs8));
    } catch (error) {
      pkcs8.wipe();
      throw error;
    }
  }

  /** ECDSA with SHA-384 over `transcript`, DER. */
  sign(transcript: Uint8Array): Promise<Uint8Array> {
    if (this.#signer === undefined) throw new TypeError('the transcript key was wiped');
    return this.#signer.sign(transcript);
  }

  /** Overwrites the private key and drops the signer. Idempotent. */
  wipe(): void {
    this.#pkcs8.wipe();
    this.#signer = undefined;
  }
}
