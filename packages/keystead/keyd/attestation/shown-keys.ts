import type { DerSpki } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import type { KeyAlgorithm } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkPublicKey, formatName } from '@keystead/core/x509';
import {
  decodePublic,
  hasAttributes,
  isBoundToTpm,
  type KeyPublic,
  nameOf,
  requireAttestationKey,
  requireStrongName,
  type SignedStatement,
  spkiOf,
  verifyCertify,
} from '@keystead/tpm2';
import { type EndorsementTrust, verifyEndorsement } from './endorsement.ts';
import type { AttestedKey } from './key-origin.ts';

/** What a device shows of its TPM. Nothing of it is secret, and nothing of it is believed. */
export interface ShownKeys {
  /** DER; undefined where the policy names the endorsement key. */
  readonly ekCertificate?: Uint8Array;
  /** TPMT_PUBLIC each (TPM 2.0 Part 2 section 12.2.4). */
  readonly ekPublic: Uint8Array;
  readonly akPublic: Uint8Array;
  readonly keyPublic: Uint8Array;
  /** TPM2_Certify of the key by the attestation key, over whatever nonce. */
  readonly statement: SignedStatement;
}

/** What is true of the keys if the TPM of the endorsement key holds the attestation key. */
export interface ClaimedKeys {
  readonly ek: KeyPublic;
  readonly ak: KeyPublic;
  readonly spki: DerSpki;
  readonly attested: AttestedKey;
}

/** What an attestation key may be: TPMs in the field have RSA-2048, and its statement is judged within minutes. */
const ATTESTATION_KEYS: readonly KeyAlgorithm[] = ['P-256', 'P-384', 'RSA-2048', 'RSA-3072', 'RSA-4096'];

/**
 * Verifies all that can be verified before the TPM answers: the endorsement key is believed; the attestation key is
 * restricted and fixed to its TPM; the device's key was made in the TPM, is fixed to it, cannot be duplicated, signs
 * and does nothing else; and the attestation key says that its TPM holds it (TCG "TPM 2.0 Keys for Device Identity and
 * Attestation" section 6.2). REQ-KEY-GEN-03
 * @param algorithms what the profile lets be certified.
 * @throws KeysteadError `attestation.ek-refused`, `attestation.key-refused`, `attestation.statement-refused`, `key.*`.
 */
export function verifyShown(
  shown: ShownKeys,
  trust: EndorsementTrust,
  algorithms: readonly KeyAlgorithm[],
  now: Date,
): ClaimedKeys {
  const ak = keyOf(shown.akPublic, 'attestation key');
  requireAttestationKey(ak);
  checkPublicKey(spkiOf(ak), ATTESTATION_KEYS);
  const key = keyOf(shown.keyPublic, 'key');
  requireDeviceKey(key);
  const spki = spkiOf(key);
  checkPublicKey(spki, algorithms);
  // The maker's certificate last: its path costs the most.
  verifyCertify(shown.statement, ak, undefined, key);
  const ek = verifyEndorsement(shown.ekCertificate, shown.ekPublic, trust, now);
  const attested: AttestedKey = {
    origin: 'tpm2-attested',
    ekSpkiSha256: ek.spkiSha256,
    ...(ek.certificate === undefined
      ? { endorsedBy: 'policy' }
      : {
          endorsedBy: 'certificate',
          ekCertificateSha256: ek.certificate.sha256,
          ekIssuer: formatName(ek.certificate.issuer),
        }),
    attestationKeyName: toHex(nameOf(ak)),
    keyName: toHex(nameOf(key)),
  };
  return { ek: ek.area, ak, spki, attested };
}

function keyOf(bytes: Uint8Array, field: string): KeyPublic {
  try {
    const area = decodePublic(bytes);
    if (area.type !== 'sealed') return area;
  } catch (cause) {
    // What a device sent is its fault, not that of a TPM of ours.
    const seen = cause instanceof Error ? cause.message : 'an error';
    throw new KeysteadError('attestation.key-refused', { field, seen, cause });
  }
  throw new KeysteadError('attestation.key-refused', { field, seen: 'a sealed secret' });
}

/** fixedTPM and fixedParent forbid duplication; a key that says that it may be duplicated all the same is none of a TPM. */
function requireDeviceKey(key: KeyPublic): void {
  requireStrongName(key, 'key');
  const duplicable = hasAttributes(key, 'encryptedDuplication');
  if (isBoundToTpm(key) && !duplicable && hasAttributes(key, 'sign') && !hasAttributes(key, 'decrypt')) return;
  throw new KeysteadError('attestation.key-refused', {
    field: 'key',
    seen: `attributes 0x${key.attributes.toString(16)}`,
  });
}
