import { z } from 'zod';
import type { DerSpki } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { factoryName } from './name.ts';
import {
  EVIDENCE_CODES,
  type EvidenceDocument,
  type EvidenceKind,
  parseEvidence,
  signByEvidence,
  verifyEvidence,
} from './signed.ts';

const crlNumber = z.int().min(0);

/**
 * What the keyd of a factory node says of itself when the node asks headquarters for what waits for it: who it is, what it
 * works by, and when it said so. Signed by the node's evidence key.
 */
const HelloSchema = z.strictObject({
  v: z.literal(1),
  factory: factoryName,
  at: z.iso.datetime({ offset: false }),
  /** The number of the commission that it works by. */
  commission: z.int().min(1),
  policyVersion: z.int().min(1),
  /** The numbers of the CRLs of headquarters that it goes by. */
  crls: z.strictObject({ root: crlNumber, manufacturing: crlNumber, server: crlNumber, operator: crlNumber }),
});
export type FactoryHello = z.infer<typeof HelloSchema>;

/** The most tickets that a node says it has when it asks for others. */
export const MOST_TICKETS_KNOWN = 1000;

const KIND: EvidenceKind<FactoryHello> = {
  codes: EVIDENCE_CODES,
  context: 'keystead factory hello v1\n',
  name: 'hello',
  schema: HelloSchema,
  maxBytes: 4096,
};

/** A hello is good for this long, before and after the time in it: clocks differ, and lines are slow. */
const HELLO_MS = 5 * 60_000;

/** Returns the hello, one line of JSON. @throws KeysteadError `factory.document-malformed`. */
export const signHello = (draft: Omit<FactoryHello, 'v'>, signer: Pick<Signer, 'sign'>): Promise<string> =>
  signByEvidence(KIND, { v: 1, ...draft }, signer);

/** Reads a hello; verifies nothing. @throws KeysteadError `factory.document-malformed`. */
export const parseHello = (text: string): EvidenceDocument<FactoryHello> => parseEvidence(KIND, text);

/**
 * Verifies that this factory has said it, and now. REQ-KEY-PROV-01
 * @param factory its name, and every key that has signed its consignments.
 * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`, `factory.hello-not-now`.
 */
export function verifyHello(
  text: string,
  factory: { readonly name: string; readonly evidence: readonly DerSpki[] },
  now: Date,
): FactoryHello {
  const { content } = parseHello(text);
  const signed = content.factory === factory.name && factory.evidence.some((spki) => isSigned(text, spki));
  if (!signed) {
    throw new KeysteadError('factory.signature-invalid', { field: 'hello', seen: `not one of ${factory.name}` });
  }
  if (Math.abs(Date.parse(content.at) - now.getTime()) > HELLO_MS) {
    throw new KeysteadError('factory.hello-not-now', { field: 'at', seen: `${content.at}, now ${now.toISOString()}` });
  }
  return content;
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
