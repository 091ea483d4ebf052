import { z } from 'zod';
import { type DerSpki, toHex } from '../../bytes/index.ts';
import { type Signer, sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { hash } from './fields.ts';
import { factoryName } from './name.ts';
import type { Parcel } from './parcel.ts';
import { EVIDENCE_CODES, type EvidenceKind, parseEvidence, signByEvidence, verifyEvidence } from './signed.ts';

/**
 * What a node has put into the parcel of one consignment. The consignment says which units there are; only the front end
 * knows which of them nobody was given. Without the seal, whoever carries a parcel could leave out a certificate or a
 * ticket, and headquarters would list a unit that is good as void.
 */
const SealSchema = z.strictObject({
  v: z.literal(1),
  factory: factoryName,
  number: z.int().min(1),
  /** SHA-256 of the payload of the consignment. */
  consignmentSha256: hash,
  /** See `contentsSha256`. */
  contentsSha256: hash,
});
export type ParcelSeal = z.infer<typeof SealSchema>;

const KIND: EvidenceKind<ParcelSeal> = {
  codes: EVIDENCE_CODES,
  context: 'keystead parcel seal v1\n',
  name: 'seal',
  schema: SealSchema,
  maxBytes: 4096,
};

/** SHA-256, hex, of what a parcel has beside its consignment: JSON of the tickets and of each content's three fields. */
export function contentsSha256({ tickets, contents }: Pick<Parcel, 'tickets' | 'contents'>): string {
  const each = contents.map((one) => one && [one.certificate, one.record, one.signature]);
  return toHex(sha256(Buffer.from(JSON.stringify([tickets, each]), 'utf8')));
}

/** Returns the seal, one line of JSON. @throws KeysteadError `factory.document-malformed`. */
export const signSeal = (draft: Omit<ParcelSeal, 'v'>, signer: Pick<Signer, 'sign'>): Promise<string> =>
  signByEvidence(KIND, { v: 1, ...draft }, signer);

/**
 * Verifies that this factory has packed this parcel, as it is. REQ-KEY-PROV-01
 * @param evidence every key that has signed consignments of the factory.
 * @param packed what the seal must say.
 * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`, `consignment.seal-broken`.
 */
export function verifySeal(text: string, evidence: readonly DerSpki[], packed: Omit<ParcelSeal, 'v'>): void {
  const { content } = parseEvidence(KIND, text);
  if (!evidence.some((spki) => isSigned(text, spki)))
    throw new KeysteadError('factory.signature-invalid', { field: 'seal', seen: `not one of ${packed.factory}` });
  for (const name of ['factory', 'number', 'consignmentSha256', 'contentsSha256'] as const) {
    if (content[name] === packed[name]) continue;
    const seen = `${packed[name]}, and the seal says ${content[name]}`;
    throw new KeysteadError('consignment.seal-broken', { field: `seal.${name}`, seen });
  }
}

function isSigned(text: string, spki: DerSpki): boolean {
  try {
    verifyEvidence(KIND, text, spki);
    return true;
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'factory.signature-invalid') return false;
    throw error;
  }
}
