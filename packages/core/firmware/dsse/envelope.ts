import { z } from 'zod';
import { type DerSpki, toBase64, toBase64url } from '../../bytes/index.ts';
import {
  algorithmOfSpki,
  KEYS_FOR,
  type KeyAlgorithm,
  type SignatureScheme,
  spkiSha256,
  verifySignature,
} from '../../crypto/index.ts';
import { MOST_SUBJECT_BYTES } from '../format.ts';
import { malformed } from '../malformed.ts';
import { type DssePayload, pae, requirePayloadType } from './pae.ts';
import { strictJson } from './strict-json.ts';

/** A signature in an envelope; `keyid` is a hint and is not signed. */
export interface DsseSignature {
  readonly keyid?: string | undefined;
  readonly sig: Uint8Array;
}
export interface DsseEnvelope extends DssePayload {
  readonly signatures: readonly DsseSignature[];
}

/** As many as anybody asks for; each costs a verification by each key. */
const MOST_SIGNATURES = 16;
/** The payload in base64 and what is around it. SLH-DSA signatures are the longest, of 50 KB. */
export const MOST_ENVELOPE_BYTES = Math.ceil(MOST_SUBJECT_BYTES / 3) * 4 + MOST_SIGNATURES * 80_000;

const Envelope = z.looseObject({
  payload: z.string(),
  payloadType: z.string(),
  signatures: z.array(z.looseObject({ keyid: z.string().max(1024).optional(), sig: z.string().max(80_000) })),
});

/**
 * Reads an envelope (DSSE v1, envelope.md: JSON, members that are not known are passed over); verifies nothing.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readDsseEnvelope(bytes: Uint8Array): DsseEnvelope {
  if (bytes.length > MOST_ENVELOPE_BYTES) throw malformed('envelope', `${bytes.length} bytes`);
  const read = Envelope.safeParse(strictJson(bytes, 'envelope'));
  if (!read.success) throw malformed('envelope', 'no payload, payloadType and signatures');
  const { payload, payloadType, signatures } = read.data;
  if (signatures.length > MOST_SIGNATURES) throw malformed('signatures', `${signatures.length} of them`);
  return {
    payload: base64(payload, 'payload'),
    payloadType: requirePayloadType(payloadType),
    signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: base64(sig, 'sig') })),
  };
}

/** An envelope in JSON: base64 with padding, as every reader takes it. */
export const dsseEnvelope = ({ payload, payloadType, signatures }: DsseEnvelope): Uint8Array =>
  Buffer.from(
    `${JSON.stringify({
      payload: toBase64(payload),
      payloadType,
      signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: toBase64(sig) })),
    })}\n`,
  );

/** What Keystead writes as `keyid`: SHA-256 of the SubjectPublicKeyInfo, hex. */
export const dsseKeyId = (spki: DerSpki): string => spkiSha256(spki);

/**
 * The keys that signed the envelope, each once however often it signed: count them for a threshold. The `keyid` is not
 * trusted: every key is tried.
 */
export function dsseSigners(envelope: DsseEnvelope, keys: readonly DerSpki[]): readonly DerSpki[] {
  const signed = pae(envelope);
  return keys.filter((spki, index) => {
    // The same key twice is one signer.
    if (keys.findIndex((other) => spkiSha256(other) === spkiSha256(spki)) !== index) return false;
    const algorithm = algorithmOfSpki(spki);
    if (algorithm === undefined) return false;
    return envelope.signatures.some(({ sig }) =>
      schemesOf(algorithm).some((scheme) => verifySignature(scheme, spki, signed, sig)),
    );
  });
}

/** An envelope does not say by what it was signed: whatever the key can sign by is tried. */
const schemesOf = (algorithm: KeyAlgorithm): readonly SignatureScheme[] =>
  (Object.keys(KEYS_FOR) as SignatureScheme[]).filter((scheme) => KEYS_FOR[scheme].includes(algorithm));

/** Base64 of either alphabet with padding or without, as the protocol says; nothing else, and no bits that say nothing. */
function base64(text: string, field: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  const bare = text.replace(/={1,2}$/, '');
  const padded = bare.length !== text.length;
  const spelt = bare === toBase64url(bytes) || bare === toBase64(bytes).replace(/=+$/, '');
  if (!spelt || (padded && text.length % 4 !== 0)) throw malformed(field, 'no base64');
  return new Uint8Array(bytes);
}
