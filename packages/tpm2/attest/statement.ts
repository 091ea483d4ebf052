import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type DerSpki, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type Channel, EMPTY_AUTH, type Entity } from '../channel.ts';
import { type CertifyAttest, decodeAttest, type QuoteAttest } from '../wire/attest.ts';
import { ALG, type TpmHash } from '../wire/constants.ts';
import { encodePcrSelection, type PcrSelection, type PcrValues, pcrDigest, pcrNumbers } from '../wire/pcr.ts';
import { hasAttributes, type KeyPublic, nameOf, publicKeyObject } from '../wire/public.ts';
import { decodeSignature } from '../wire/signature.ts';
import { join, sized, u16 } from '../wire/writer.ts';

/** What a TPM says (TPMS_ATTEST), and the signature of its attestation key (TPMT_SIGNATURE): as the TPM gave them. */
export interface SignedStatement {
  readonly attest: Uint8Array;
  readonly signature: Uint8Array;
}

const ATTEST_CEILING = 1024;
/** The attestation key's own scheme. */
const OWN_SCHEME = u16(ALG.NULL);

/** The TPM says which object it holds. `nonce`: up to 32 bytes from the verifier. @throws KeysteadError `tpm2.*`. */
export async function certify(
  channel: Channel,
  object: Entity,
  ak: Entity,
  nonce: Uint8Array,
): Promise<SignedStatement> {
  const { parameters } = await channel.run('Certify', {
    handles: [object, ak],
    auth: [EMPTY_AUTH, EMPTY_AUTH],
    parameters: join(sized(nonce), OWN_SCHEME),
  });
  return { attest: parameters.sized(ATTEST_CEILING, 'certifyInfo'), signature: parameters.rest() };
}

/** The TPM says which values its PCRs have. @throws KeysteadError `tpm2.*`. */
export async function quote(
  channel: Channel,
  ak: Entity,
  nonce: Uint8Array,
  { bank, pcrs }: PcrSelection,
): Promise<SignedStatement> {
  const { parameters } = await channel.run('Quote', {
    handles: [ak],
    auth: [EMPTY_AUTH],
    parameters: join(sized(nonce), OWN_SCHEME, encodePcrSelection({ bank, pcrs: pcrNumbers(pcrs) })),
  });
  return { attest: parameters.sized(ATTEST_CEILING, 'quoted'), signature: parameters.rest() };
}

const refused = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('attestation.statement-refused', { field, seen, cause });

/**
 * A statement's content, when the attestation key signed it and it answers this nonce. The key must be a restricted
 * signing key that is fixed to its TPM: only of such a key can no software have what it likes signed.
 * @throws KeysteadError `attestation.statement-refused`, `attestation.key-refused`.
 */
function verified(
  statement: SignedStatement,
  ak: KeyPublic,
  nonce: Uint8Array | undefined,
): CertifyAttest | QuoteAttest {
  requireAttestationKey(ak);
  return signedBy(statement, publicKeyObject(ak), ak.scheme?.hash, nonce);
}

function signedBy(
  statement: SignedStatement,
  key: KeyObject,
  hash: TpmHash | undefined,
  nonce: Uint8Array | undefined,
): CertifyAttest | QuoteAttest {
  const attest = read(() => decodeAttest(statement.attest), 'statement');
  const signature = read(() => decodeSignature(statement.signature), 'signature');
  if (signature.hash !== hash) throw refused('signature', `${signature.hash}, not the hash of the key`);
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
  const how = signature.scheme === 'rsapss' ? { key, ...pss } : key;
  if (!isSignedBy(signature.hash, statement.attest, how, signature.bytes)) {
    throw refused('signature', 'one of another key');
  }
  if (nonce !== undefined && !sameBytes(attest.extraData, nonce)) throw refused('nonce', 'another than was given');
  return attest;
}

/** A signature of another kind than the key makes none that OpenSSL can look at. */
function isSignedBy(hash: TpmHash, data: Uint8Array, key: Parameters<typeof verify>[2], bytes: Uint8Array): boolean {
  try {
    return verify(hash, data, key, bytes);
  } catch {
    return false;
  }
}

function read<T>(reading: () => T, field: string): T {
  try {
    return reading();
  } catch (cause) {
    throw refused(field, cause instanceof Error ? cause.message : 'an error', cause);
  }
}

/**
 * A Name or a statement by SHA-1 is one of two that somebody may have made to be the same (SP 800-131A r2 section 9):
 * one key that was imported, and another that claims to be fixed to its TPM.
 * @throws KeysteadError `attestation.key-refused`.
 */
export function requireStrongName(area: KeyPublic, field: string): void {
  if (area.nameAlg !== 'sha1' && area.scheme?.hash !== 'sha1') return;
  throw new KeysteadError('attestation.key-refused', { field, seen: 'SHA-1' });
}

/** @throws KeysteadError `attestation.key-refused` naming the attributes. */
export function requireAttestationKey(ak: KeyPublic): void {
  requireStrongName(ak, 'attestation key');
  const needed = ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'restricted', 'sign'] as const;
  const missing = needed.filter((name) => !hasAttributes(ak, name));
  if (hasAttributes(ak, 'decrypt')) missing.push('sign');
  if (missing.length === 0) return;
  throw new KeysteadError('attestation.key-refused', { field: 'attestation key', seen: `not ${missing.join(', ')}` });
}

/**
 * That the TPM of `ak` holds `object`, whose public area is thereby known in full: attributes and key.
 * @param nonce undefined where the statement may be of any moment: of a key that is fixed to its TPM it says what stays
 *   true. That the TPM is there now must then be shown by something else, such as a credential.
 * @throws KeysteadError `attestation.statement-refused`, `attestation.key-refused`.
 */
export function verifyCertify(
  statement: SignedStatement,
  ak: KeyPublic,
  nonce: Uint8Array | undefined,
  object: KeyPublic,
): CertifyAttest {
  const attest = verified(statement, ak, nonce);
  return certified(attest, object);
}

/**
 * The same for an attestation key of which only the public key is known, by a certificate: that it is a restricted key
 * of a TPM, and of which one, is what the certificate's issuer vouches for (TCG tcg-kp-AIKCertificate).
 * @param ak SubjectPublicKeyInfo, DER. @param hash of the key's scheme.
 * @throws KeysteadError `attestation.statement-refused`, `attestation.key-refused`.
 */
export function verifyCertifyByKey(
  statement: SignedStatement,
  ak: { readonly spki: DerSpki; readonly hash: TpmHash },
  nonce: Uint8Array,
  object: KeyPublic,
): CertifyAttest {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(ak.spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new KeysteadError('attestation.key-refused', { field: 'attestation key', seen: 'no key of OpenSSL', cause });
  }
  const attest = signedBy(statement, key, ak.hash, nonce);
  return certified(attest, object);
}

function certified(attest: CertifyAttest | QuoteAttest, object: KeyPublic): CertifyAttest {
  if (attest.kind !== 'certify') throw refused('statement', `a ${attest.kind}`);
  requireStrongName(object, 'key');
  if (!sameBytes(attest.name, nameOf(object))) throw refused('name', 'another object than this one');
  return attest;
}

/**
 * That the PCRs had exactly these values when the nonce was answered.
 * @throws KeysteadError `attestation.statement-refused`, `attestation.key-refused`.
 */
export function verifyQuote(
  statement: SignedStatement,
  ak: KeyPublic,
  nonce: Uint8Array,
  expected: { bank: PcrSelection['bank']; values: PcrValues },
): QuoteAttest {
  const attest = verified(statement, ak, nonce);
  if (attest.kind !== 'quote') throw refused('statement', `a ${attest.kind}`);
  const [selection, ...more] = attest.selection;
  const wanted = pcrNumbers([...expected.values.keys()]);
  if (selection?.bank !== expected.bank || more.length > 0 || selection.pcrs.join() !== wanted.join()) {
    throw refused('pcrs', `${selection?.bank}:${selection?.pcrs.join(',')}`);
  }
  // The digest is made with the hash of the signature (Part 3 section 18.4).
  const digest = pcrDigest(ak.scheme?.hash ?? 'sha256', expected.values);
  if (!sameBytes(attest.pcrDigest, digest)) throw refused('pcrDigest', 'other values than are expected');
  return attest;
}
