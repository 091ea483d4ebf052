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

/** A chip that a maker of the policy certified. */
export interface ChipFacts {
  readonly chipCertificateSha256: CertSha256;
  readonly chipSpkiSha256: SpkiSha256;
  /** Who signed the chip's certificate, as a name. */
  readonly chipIssuer: string;
  /** `serialNumber` of the certificate's subject; where the maker gave none, the serial number of the certificate, hex. */
  readonly chipSerial: string;
}

/** A key in a secure element whose maker is believed. */
export interface ElementKey extends ChipFacts {
  readonly origin: 'secure-element';
  /** `certified`: it is the very key that the maker certified. `attested`: that key says that the chip has this one. */
  readonly form: 'certified' | 'attested';
}

/** A key that keyd made, in memory, and gave out wrapped to one unit. */
export interface InjectedKey {
  readonly origin: 'injected';
  /** Of the public key that it was wrapped to. */
  readonly wrappedTo: SpkiSha256;
  /** SHA-256 of the package, DER, hex: what was given out, and could be given out again. */
  readonly packageSha256: string;
  /** Where the key that it was wrapped to is: in a chip that a maker certified, or wherever the unit says. */
  readonly chip?: ChipFacts;
}

/** A symmetric key that the device can have by derivation: of which master, and its check value. */
export interface DiversifiedFacts {
  readonly purpose: string;
  readonly version: number;
  /** 6 hex digits, upper case: see `keyCheckValue`. */
  readonly kcv: string;
}

/**
 * How a device came to its key, in order of preference: each says more of where it is than the one after it. That the
 * key signed its request is always known. REQ-KEY-GEN-03
 */
export type KeyOrigin = (AttestedKey | ElementKey | { readonly origin: 'proof-of-possession' } | InjectedKey) & {
  /** Symmetric keys beside it, where the policy has purposes. */
  readonly symmetric?: readonly DiversifiedFacts[];
};

/** Its form in documents. */
export const originFields = (key: KeyOrigin): Record<string, string> => ({
  origin: key.origin,
  ...ownFields(key),
  ...(key.symmetric === undefined
    ? {}
    : { symmetric: key.symmetric.map(({ purpose, version, kcv }) => `${purpose}.${version} kcv ${kcv}`).join(', ') }),
});

function ownFields(key: KeyOrigin): Record<string, string> {
  switch (key.origin) {
    case 'proof-of-possession':
      return {};
    case 'tpm2-attested':
      return {
        endorsed_by: key.endorsedBy,
        ...(key.ekCertificateSha256 === undefined ? {} : { ek_certificate_sha256: key.ekCertificateSha256 }),
        ...(key.ekIssuer === undefined ? {} : { ek_issuer: key.ekIssuer }),
        ek_spki_sha256: key.ekSpkiSha256,
        attestation_key_name: key.attestationKeyName,
        key_name: key.keyName,
      };
    case 'secure-element':
      return { form: key.form, ...chipFields(key) };
    case 'injected':
      return {
        // A token's own generator is of no use here: the key has to leave it to be wrapped to the unit.
        generated_by: 'keyd, in memory',
        wrapped_to_spki_sha256: key.wrappedTo,
        wrapped_to: key.chip === undefined ? 'a key that the unit showed' : 'a key that a chip holds',
        package_sha256: key.packageSha256,
        ...(key.chip === undefined ? {} : chipFields(key.chip)),
      };
  }
}

const chipFields = (chip: ChipFacts): Record<string, string> => ({
  chip_serial: chip.chipSerial,
  chip_issuer: chip.chipIssuer,
  chip_certificate_sha256: chip.chipCertificateSha256,
  chip_spki_sha256: chip.chipSpkiSha256,
});
