import { fromHex } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { ALG, type Curve, type TpmHash } from '../wire/constants.ts';
import {
  attributeBits,
  type EccPublic,
  type KeyPublic,
  NOTHING,
  type RsaPublic,
  type SealedPublic,
} from '../wire/public.ts';

const zeros = (length: number): Uint8Array => new Uint8Array(length);

const MADE_HERE = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin'] as const;

/**
 * The storage root key of the owner hierarchy: ECC P-256, AES-128 in CFB mode (TCG TPM v2.0 Provisioning Guidance 1.0
 * section 7.5.1, with the unique field that tpm2-tools and go-tpm give it: zeros).
 */
export const SRK_TEMPLATE: EccPublic = {
  type: 'ecc',
  nameAlg: 'sha256',
  attributes: attributeBits(...MADE_HERE, 'userWithAuth', 'noDA', 'restricted', 'decrypt'),
  authPolicy: NOTHING,
  symmetric: 128,
  scheme: undefined,
  curve: 'P-256',
  x: zeros(32),
  y: zeros(32),
};

/** TPM2_PolicySecret(TPM_RH_ENDORSEMENT), SHA-256: PolicyA of the EK Credential Profile (2.5, section B.3.1). */
const POLICY_A = fromHex('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa');
/** PolicyB with SHA-384: PolicyA or PolicyC (section B.6.4). */
const POLICY_B_SHA384 = fromHex(
  'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
);

/** An endorsement key: where its certificate and where the key itself may stand, and from which template it is made. */
export interface EndorsementKind {
  readonly label: 'L-1 RSA 2048' | 'L-2 ECC P-256' | 'H-3 ECC P-384';
  /** NV index of the certificate (section 2.2.1.4). */
  readonly certificateIndex: number;
  /** Handle under which a manufacturer may have made it persistent (TCG registry of reserved handles). */
  readonly persistent: number;
  readonly template: KeyPublic;
}

const RSA_EK: RsaPublic = {
  type: 'rsa',
  nameAlg: 'sha256',
  attributes: attributeBits(...MADE_HERE, 'adminWithPolicy', 'restricted', 'decrypt'),
  authPolicy: POLICY_A,
  symmetric: 128,
  scheme: undefined,
  bits: 2048,
  exponent: 0,
  modulus: zeros(256),
};

const P256_EK: EccPublic = {
  ...SRK_TEMPLATE,
  attributes: RSA_EK.attributes,
  authPolicy: POLICY_A,
};

const P384_EK: EccPublic = {
  type: 'ecc',
  nameAlg: 'sha384',
  attributes: attributeBits(...MADE_HERE, 'userWithAuth', 'adminWithPolicy', 'restricted', 'decrypt'),
  authPolicy: POLICY_B_SHA384,
  symmetric: 256,
  scheme: undefined,
  curve: 'P-384',
  x: NOTHING,
  y: NOTHING,
};

/** The templates of the TCG EK Credential Profile (2.5, sections B.3.3, B.3.4, B.4.5), the one to be preferred first. */
export const ENDORSEMENT_KINDS: readonly EndorsementKind[] = [
  { label: 'L-2 ECC P-256', certificateIndex: 0x01c0000a, persistent: 0x81010002, template: P256_EK },
  { label: 'H-3 ECC P-384', certificateIndex: 0x01c00016, persistent: 0x81010016, template: P384_EK },
  { label: 'L-1 RSA 2048', certificateIndex: 0x01c00002, persistent: 0x81010001, template: RSA_EK },
];

export type TpmKeyAlgorithm = 'P-256' | 'P-384' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096';

/** A key that has no value to be guessed need not count guesses: a lockout must not stop it. */
const PLAIN = [...MADE_HERE, 'userWithAuth', 'noDA'] as const;

const HASH_OF: Readonly<Record<TpmKeyAlgorithm, TpmHash>> = {
  'P-256': 'sha256',
  'P-384': 'sha384',
  'RSA-2048': 'sha256',
  'RSA-3072': 'sha256',
  'RSA-4096': 'sha384',
};

/** A key that signs digests of anything, by ECDSA or RSASSA-PKCS1-v1_5 with the hash of its algorithm. */
export function signingTemplate(algorithm: TpmKeyAlgorithm, options: { countsFailures?: boolean } = {}): KeyPublic {
  const attributes = attributeBits(
    ...PLAIN.filter((name) => name !== 'noDA' || options.countsFailures !== true),
    'sign',
  );
  if (algorithm === 'P-256' || algorithm === 'P-384') {
    return ecc(algorithm, attributes, { alg: ALG.ECDSA, hash: HASH_OF[algorithm] });
  }
  const scheme = { alg: ALG.RSASSA, hash: HASH_OF[algorithm] };
  const bits = Number(algorithm.slice(4));
  return { type: 'rsa', ...common(attributes), symmetric: undefined, scheme, bits, exponent: 0, modulus: NOTHING };
}

/** A key that agrees on secrets (ECDH) and does nothing else. */
export function agreementTemplate(curve: Curve): KeyPublic {
  return ecc(curve, attributeBits(...PLAIN, 'decrypt'), { alg: ALG.ECDH, hash: HASH_OF[curve] });
}

/** A restricted key, which signs only what the TPM itself says: attestation (Part 1 section 25). */
export function attestationTemplate(): KeyPublic {
  return ecc('P-256', attributeBits(...PLAIN, 'restricted', 'sign'), { alg: ALG.ECDSA, hash: 'sha256' });
}

/** A secret that opens under its policy only, never by a value. */
export function sealedTemplate(authPolicy: Uint8Array): SealedPublic {
  const attributes = attributeBits('fixedTPM', 'fixedParent', 'noDA');
  return { type: 'sealed', nameAlg: 'sha256', attributes, authPolicy, unique: NOTHING };
}

const common = (attributes: number): Pick<EccPublic, 'nameAlg' | 'attributes' | 'authPolicy'> => ({
  nameAlg: 'sha256',
  attributes,
  authPolicy: NOTHING,
});

const ecc = (curve: Curve, attributes: number, scheme: EccPublic['scheme']): EccPublic => ({
  type: 'ecc',
  ...common(attributes),
  symmetric: undefined,
  scheme,
  curve,
  x: NOTHING,
  y: NOTHING,
});

/** The kind of key that a public area is, for messages and records. @throws KeysteadError `tpm2.unsupported`. */
export function algorithmOf(area: KeyPublic): TpmKeyAlgorithm {
  if (area.type === 'ecc') return area.curve;
  const name = `RSA-${area.bits}`;
  if (name === 'RSA-2048' || name === 'RSA-3072' || name === 'RSA-4096') return name;
  throw new KeysteadError('tpm2.unsupported', { field: 'key', seen: name });
}
