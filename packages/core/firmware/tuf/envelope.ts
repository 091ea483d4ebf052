import { z } from 'zod';
import { fromHex, type JsonValue, sameBytes, toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { malformed } from '../malformed.ts';
import { parseTufJson, signedBytes, tufSubject } from './canonical.ts';
import { verifiesTuf } from './key.ts';
import { parseSubject, type TufRole, type TufRoot, type TufSigned } from './metadata.ts';

const MOST_SIGNATURES = 64;

const envelopeSchema = z.strictObject({
  signed: z.json(),
  signatures: z
    .array(
      z.strictObject({
        keyid: z.string().regex(/^[0-9a-f]{64}$/),
        sig: z.string().regex(/^([0-9a-f]{2}){1,512}$/),
      }),
    )
    .max(MOST_SIGNATURES),
});

/** A signature as it stands in an envelope: both hex. */
export interface TufSignature {
  readonly keyid: string;
  readonly sig: string;
}

/** Metadata with its signatures (TUF 1.0 section 4.2). */
export interface TufEnvelope<S extends TufSigned = TufSigned> {
  readonly signed: S;
  /** `signed` in its one spelling, JSON; what is signed is {@link signedBytes} of it. */
  readonly subject: Uint8Array;
  readonly signatures: readonly TufSignature[];
}

/**
 * Reads an envelope, or the signed part alone (which then has no signatures yet).
 * @throws KeysteadError `firmware.malformed`.
 */
export function readEnvelope(bytes: Uint8Array): TufEnvelope {
  const value = parseTufJson(bytes, 'metadata');
  if (typeof value === 'object' && value !== null && '_type' in value) {
    const subject = tufSubject(value);
    return { signed: parseSubject(subject), subject, signatures: [] };
  }
  const { data, error } = envelopeSchema.safeParse(value);
  if (error !== undefined) throw malformed('metadata', error.issues[0]?.message.slice(0, 200) ?? 'another form');
  if (new Set(data.signatures.map(({ keyid }) => keyid)).size !== data.signatures.length) {
    throw malformed('signatures', 'two of one key');
  }
  // Not what the schema made of it: that would pass over members.
  const subject = tufSubject((value as { signed: JsonValue }).signed);
  return { signed: parseSubject(subject), subject, signatures: data.signatures };
}

/** As {@link readEnvelope}, for metadata of one role. @throws KeysteadError `firmware.malformed`. */
export function readRole<R extends TufRole>(role: R, bytes: Uint8Array): TufEnvelope<Extract<TufSigned, { _type: R }>> {
  const envelope = readEnvelope(bytes);
  if (envelope.signed._type !== role) throw malformed('signed._type', `${envelope.signed._type}, not ${role}`);
  return envelope as TufEnvelope<Extract<TufSigned, { _type: R }>>;
}

/** The envelope, UTF-8, in its one spelling. */
export const envelopeBytes = ({ signed, signatures }: Pick<TufEnvelope, 'signed' | 'signatures'>): Uint8Array =>
  tufSubject({ signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })), signed });

/** With one more signature; one by the same key is replaced. */
export function withSignature<S extends TufSigned>(
  envelope: TufEnvelope<S>,
  keyid: string,
  signature: Uint8Array,
): TufEnvelope<S> {
  const others = envelope.signatures.filter((other) => other.keyid !== keyid);
  return { ...envelope, signatures: [...others, { keyid, sig: toHex(signature) }] };
}

/** The key ids of a role by which the envelope is truly signed, each once. */
export function signersOf(envelope: TufEnvelope, { keys, roles }: TufRoot, role: TufRole): readonly string[] {
  const data = signedBytes(envelope.subject);
  return roles[role].keyids.filter((id) => {
    const key = keys[id];
    const signature = envelope.signatures.find(({ keyid }) => keyid === id);
    return key !== undefined && signature !== undefined && verifiesTuf(key, data, fromHex(signature.sig));
  });
}

/** @throws KeysteadError `firmware.tuf-threshold` where fewer keys of the role have signed than `root` asks for. */
export function requireThreshold(envelope: TufEnvelope, root: TufRoot, role: TufRole): void {
  const signers = signersOf(envelope, root, role);
  const { threshold } = root.roles[role];
  if (signers.length >= threshold) return;
  const field = `${envelope.signed._type} ${envelope.signed.version}`;
  const seen = `${signers.length} of ${threshold} signatures that root ${root.version} asks for`;
  throw new KeysteadError('firmware.tuf-threshold', { field, seen });
}

/** One envelope of copies that were signed apart. @throws KeysteadError `firmware.malformed` where they differ. */
export function joinEnvelopes<S extends TufSigned>(copies: readonly TufEnvelope<S>[]): TufEnvelope<S> {
  const [first, ...others] = copies;
  if (first === undefined) throw malformed('metadata', 'no copy');
  let joined = first;
  for (const copy of others) {
    if (!sameBytes(copy.subject, first.subject)) throw malformed('signed', 'copies of different metadata');
    for (const { keyid, sig } of copy.signatures) joined = withSignature(joined, keyid, fromHex(sig));
  }
  return joined;
}
