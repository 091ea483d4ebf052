import type { DerCertificate, SpkiSha256 } from '@keystead/core/bytes';
import { sha256, sha384, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type CertificateInfo, checkPath, deviceIdOf, permanentIdentifiersOf } from '@keystead/core/x509';
import { decodePublic, hasAttributes, isBoundToTpm, type KeyPublic, spkiOf, verifyCertifyByKey } from '@keystead/tpm2';
import type { AttestationObject } from './attestation-object.ts';

type TpmStatement = Extract<AttestationObject, { fmt: 'tpm' }>['attStmt'];

/** tcg-kp-AIKCertificate (TCG Infrastructure WG, WebAuthn level 3 section 8.3.1). */
const AIK_PURPOSE = '2.23.133.8.3';

/** IANA COSE Algorithms. RS1, which old TPMs use, is SHA-1. */
const HASHES: Readonly<Record<number, 'sha256' | 'sha384'>> = { [-7]: 'sha256', [-257]: 'sha256', [-35]: 'sha384' };

const refused = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('acme.attestation-refused', { field, seen, cause });

/**
 * WebAuthn level 3 section 8.3 with the key authorization in the place of authenticatorData and clientDataHash
 * (draft-ietf-acme-device-attest-10 section 5): the attestation key, whose certificate names the device, says that its
 * TPM holds the key, which was made there and never leaves it.
 * @returns the one key that may be certified.
 * @throws KeysteadError `acme.attestation-refused`, `attestation.*`.
 */
export function verifyTpmStatement(
  statement: TpmStatement,
  v: {
    readonly deviceId: string;
    readonly keyAuthorization: string;
    readonly roots: readonly DerCertificate[];
    readonly now: Date;
  },
): SpkiSha256 {
  const hash = HASHES[statement.alg];
  if (hash === undefined) throw refused('alg', `${statement.alg}; ES256, ES384 and RS256 are known`);
  const aik = verifiedAik(statement.x5c, v.roots, v.now);
  const named = [deviceIdOf(aik.san), ...permanentIdentifiersOf(aik.san).map(({ value }) => value)];
  if (!named.includes(v.deviceId)) throw refused('x5c', `an attestation key that is not one of ${v.deviceId}`);
  const key = readKey(statement.pubArea);
  // A restricted key signs what its TPM made, and so never a request.
  const signs = hasAttributes(key, 'sign') && !hasAttributes(key, 'decrypt') && !hasAttributes(key, 'restricted');
  if (!isBoundToTpm(key) || !signs) {
    throw refused('pubArea', `a key with the attributes 0x${key.attributes.toString(16)}`);
  }
  const authorization = Buffer.from(v.keyAuthorization, 'ascii');
  const nonce = hash === 'sha384' ? sha384(authorization) : sha256(authorization);
  const signed = { attest: statement.certInfo, signature: statement.sig };
  verifyCertifyByKey(signed, { spki: aik.spki, hash }, nonce, key);
  return spkiSha256(spkiOf(key));
}

function verifiedAik(x5c: readonly Uint8Array[], roots: readonly DerCertificate[], now: Date): CertificateInfo {
  if (roots.length === 0) throw refused('x5c', 'no CA of attestation keys is configured (acme.attestationRoots)');
  const [leaf, ...intermediates] = x5c as DerCertificate[];
  const path = leaf === undefined ? undefined : checkPath(leaf, intermediates, roots, { now });
  if (path?.ok !== true) throw refused('x5c', path === undefined ? 'empty' : `${path.rule}: ${path.detail}`);
  const [aik] = path.chain;
  if (aik === undefined || aik.ca || !aik.extKeyUsage.includes(AIK_PURPOSE)) {
    throw refused('x5c', 'a certificate that is not one of an attestation key');
  }
  return aik;
}

function readKey(pubArea: Uint8Array): KeyPublic {
  try {
    const area = decodePublic(pubArea);
    if (area.type !== 'sealed') return area;
  } catch (cause) {
    throw refused('pubArea', cause instanceof Error ? cause.message : 'an error', cause);
  }
  throw refused('pubArea', 'a sealed secret');
}
