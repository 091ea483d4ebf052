import type { CertSha256, SpkiSha256 } from '@keystead/core/bytes';

/** A key that was shown to be in one TPM that is believed, and never to leave it. Names in the TPM's form, hex. */
export interface AttestedKey {
  readonly origin: 'tpm2-attested';
  /** By what the endorsement key is believed: a maker's certificate, or the policy that names it. */
  readonly endorsedBy: 'certificate' | 'policy';
  readonly ekSpkiSha256: SpkiSha256;
  /** Undefined where the policy names the endorsement key. */
  readonly ekCertificateSha256?: CertSha256;
  /** Who signed the endorsement certificate, as a name; undefined without one. */
  readonly ekIssuer?: string;
  readonly attestationKeyName: string;
  readonly keyName: string;
}

/** How it is known where a device's private key is: that it signed the request is always known. */
export type KeyOrigin = AttestedKey | { readonly origin: 'proof-of-possession' };

/** Its form in documents. */
export const originFields = (key: KeyOrigin): Record<string, string> =>
  key.origin === 'proof-of-possession'
    ? { origin: key.origin }
    : {
        origin: key.origin,
        endorsed_by: key.endorsedBy,
        ...(key.ekCertificateSha256 === undefined ? {} : { ek_certificate_sha256: key.ekCertificateSha256 }),
        ...(key.ekIssuer === undefined ? {} : { ek_issuer: key.ekIssuer }),
        ek_spki_sha256: key.ekSpkiSha256,
        attestation_key_name: key.attestationKeyName,
        key_name: key.keyName,
      };
