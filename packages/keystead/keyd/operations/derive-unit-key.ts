import type { DerSpki, SpkiSha256 } from '@keystead/core/bytes';
import { keyCheckValue, SecretBytes, spkiSha256, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { requestName } from '@keystead/core/lifecycle';
import { octetString, readCertificate, sequence, signatureAlgorithmFor } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import { sealedPackage } from './key-package.ts';
import { recipientKey, requireNoIdentity } from './make-unit-key.ts';

const REQUEST = 'keystead device key request v1\n';

/**
 * What a device signs with the key of its certificate, so that its key for a purpose is wrapped to a key of its own and
 * not to one of somebody's on the way: `keystead device key request v1`, the purpose and the device id, ASCII, each with a
 * line feed; the recipient's SubjectPublicKeyInfo, DER.
 */
export const diversifiedRequest = (purpose: string, deviceId: string, recipient: DerSpki): Uint8Array =>
  Buffer.concat([Buffer.from(`${REQUEST}${purpose}\n${deviceId}\n`, 'utf8'), recipient]);

/**
 * The symmetric key that a device has for one purpose, wrapped to a key that the device signed. keyd composes label and
 * context itself, of what it provisioned; the front end can neither choose them nor read what comes out. The same device
 * gets the same key as often as it asks, until the policy names another master. REQ-KEY-KDF-01, REQ-KEY-PROV-01
 * @throws KeysteadError `diversify.*`, `requester.*`, `injection.recipient-unfit`, `agreement.key-invalid`, `key.*`,
 *   `key.use-forbidden`, `key.cryptoperiod-ended`, `keystore.*`, `keyd.journal-failed`, `clock.went-back`.
 */
export async function deriveUnitKey(
  keyd: KeydContext,
  params: Params<'deriveUnitKey'>,
): Promise<Result<'deriveUnitKey'>> {
  const now = keyd.now();
  const { deviceId, purpose, certificate, proof, requestId } = params;
  const wanted = keyd.policy.unitKeys?.diversified?.find((one) => one.purpose === purpose);
  if (wanted === undefined) throw new KeysteadError('diversify.purpose-unknown', { field: 'purpose', seen: purpose });
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const identity = identityOf(keyd, deviceId);
  keyd.requesters.check('device', deviceId, certificate, now);
  const recipient = recipientKey(params.recipient as DerSpki);
  const recipientSha256 = spkiSha256(recipient.spki);
  requireNoIdentity(keyd, recipientSha256);
  requireProof(certificate, diversifiedRequest(purpose, deviceId, recipient.spki), proof);
  using key = await keyd.diversification.derive(wanted, deviceId, identity, now);
  const { version } = wanted;
  await keyd.journal.append({
    time: now.toISOString(),
    kind: 'derived',
    subject: deviceId,
    purpose,
    version,
    recipientSha256,
    requestId,
  });
  // SymmetricKeyPackage with one key and no attributes (RFC 6031 section 2).
  using content = SecretBytes.take(key.use((bytes) => symmetricKeyPackage(bytes)));
  const hint = `keystead device key ${purpose}.${version} of ${deviceId}`;
  const order = { type: 'symmetricKeyPackage', hint, recipient } as const;
  const envelope = await content.use((bytes) => sealedPackage(keyd, { ...order, content: bytes }));
  return { version, kcv: keyCheckValue(key), envelope };
}

/** What was provisioned here and has not ended. @throws KeysteadError `diversify.unproven`. */
function identityOf({ state }: KeydContext, deviceId: string): SpkiSha256 {
  const key = state.units.keyOf(deviceId);
  const idevid = state.units.idevidOf(deviceId);
  if (key === undefined || idevid === undefined)
    throw new KeysteadError('diversify.unproven', { field: 'deviceId', seen: `${deviceId}, not provisioned here` });
  if (state.isListed(idevid.issuer, idevid.serial))
    throw new KeysteadError('diversify.unproven', { field: 'deviceId', seen: `${deviceId}, which is revoked` });
  return key as SpkiSha256;
}

function requireProof(certificate: Uint8Array, said: Uint8Array, proof: Uint8Array): void {
  const { spki, keyAlgorithm } = readCertificate(certificate);
  if (keyAlgorithm !== undefined && verifySignature(signatureAlgorithmFor(keyAlgorithm), spki, said, proof)) return;
  throw new KeysteadError('diversify.unproven', { field: 'proof', seen: 'not a signature of the certificate’s key' });
}

function symmetricKeyPackage(key: Uint8Array): Uint8Array {
  const octets = octetString(key);
  const one = sequence(octets);
  const keys = sequence(one);
  try {
    return sequence(keys);
  } finally {
    for (const copy of [octets, one, keys]) copy.fill(0);
  }
}
