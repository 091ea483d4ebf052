import { sameBytes } from '../../bytes/index.ts';
import { SIGNATURE_OF } from '../../crypto/index.ts';
import { type FirmwareFormat, type FirmwareReading, MOST_SUBJECT_BYTES, type SigningTerms } from '../format.ts';
import type { ImageBytes } from '../image.ts';
import { malformed } from '../malformed.ts';
import { described, signerKey, unsuitable } from '../signer-key.ts';
import { wholeOf } from '../whole.ts';
import { signedBytes } from './canonical.ts';
import { envelopeBytes, readEnvelope, type TufEnvelope, withSignature } from './envelope.ts';
import { isTufKey, tufKeyId, tufKeyOf } from './key.ts';
import { parseSubject, TUF_ROLES, type TufRoot, type TufSigned, type TufTargets } from './metadata.ts';

/** What a quorum signs; snapshot and timestamp are the online key's (`status.ts`). */
type QuorumSigned = TufRoot | TufTargets;

/**
 * TUF repository metadata of the roles that people sign, root and targets. The image is the signed part in JSON, or the
 * envelope with the signatures so far: several keys sign one after the other, until the threshold is reached.
 */
export const tuf: FirmwareFormat = {
  name: 'tuf',
  title: 'TUF root and targets metadata, verified by TUF clients (tuf-js, python-tuf, go-tuf)',
  places: ['version', 'securityCounter'],
  signedBy: ({ algorithm, scheme }) => isTufKey(algorithm) && scheme === SIGNATURE_OF[algorithm],
  async read(image) {
    const envelope = await envelopeOf(image);
    const signed = requireQuorumSigned(envelope.signed);
    return {
      format: 'tuf',
      ...claimsOf(signed),
      shown: shownOf(signed),
      signatures: envelope.signatures.length,
      subject: envelope.subject,
    };
  },
  claims: (subject) => claimsOf(requireQuorumSigned(parseSubject(subject))),
  compose(subject, terms) {
    requireQuorumSigned(parseSubject(subject));
    keyOf(terms);
    return signedBytes(subject);
  },
  async *assemble(image, subject, made) {
    let envelope = await envelopeOf(image);
    if (!sameBytes(envelope.subject, subject)) throw malformed('signed', 'another image than the one that was signed');
    for (const { signature, ...terms } of made) envelope = withSignature(envelope, tufKeyId(keyOf(terms)), signature);
    yield envelopeBytes(envelope);
  },
};

function keyOf(terms: Pick<SigningTerms, 'signer' | 'scheme'>) {
  const key = signerKey(terms);
  // Each kind of key has one scheme in TUF.
  if (key.scheme !== SIGNATURE_OF[key.algorithm]) throw unsuitable(`${described(key)}, which TUF clients do not know`);
  return tufKeyOf(key.spki);
}

const envelopeOf = async (image: ImageBytes): Promise<TufEnvelope> =>
  readEnvelope(await wholeOf(image, MOST_SUBJECT_BYTES, 'metadata'));

function requireQuorumSigned(signed: TufSigned): QuorumSigned {
  if (signed._type === 'root' || signed._type === 'targets') return signed;
  throw malformed('signed._type', `${signed._type}, which the online key signs`);
}

function claimsOf(signed: QuorumSigned): Pick<FirmwareReading, 'product' | 'version' | 'securityCounter'> {
  const product = signed._type === 'targets' ? Object.values(signed.targets)[0]?.custom?.product : undefined;
  return { product: product ?? null, version: String(signed.version), securityCounter: signed.version };
}

/** What a person reads before they sign. */
export function shownOf(signed: QuorumSigned): FirmwareReading['shown'] {
  const shown = [
    { name: 'role', value: signed._type },
    { name: 'version', value: String(signed.version) },
    { name: 'expires', value: signed.expires },
  ];
  if (signed._type === 'root') {
    for (const role of TUF_ROLES) {
      const { threshold, keyids } = signed.roles[role];
      shown.push({ name: `${role} keys`, value: `${threshold} of ${keyids.length}` });
      for (const id of keyids) shown.push({ name: `${role} key`, value: `${id} ${signed.keys[id]?.scheme ?? ''}` });
    }
    return shown;
  }
  for (const [path, { length, hashes, custom }] of Object.entries(signed.targets)) {
    const { product, version, securityCounter } = custom ?? {};
    const says = [product, version, securityCounter === undefined ? undefined : `counter ${securityCounter}`];
    const more = says.filter((word) => word !== undefined).join(' ');
    shown.push({ name: path, value: `${length} octets, SHA-256 ${hashes.sha256}${more === '' ? '' : `, ${more}`}` });
  }
  return shown;
}
