import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import type { Policy } from '../policy.ts';
import {
  draftQuorumDocument,
  parseQuorumDocument,
  type QuorumDocument,
  type QuorumKind,
  signQuorumDocument,
  verifyQuorumDocument,
} from '../quorum-document.ts';
import type { StatementSigner } from '../signers/proof.ts';
import { ticketQuorum } from '../ticket.ts';
import { deviceId, documentId, hash, serial, wholeSecond } from './fields.ts';
import { factoryName } from './name.ts';

const named = { id: documentId, factory: factoryName, reason: z.string().min(1).max(256) };
const times = { signedAt: wholeSecond, expiresAt: wholeSecond };

/**
 * What operators decide about what reconciliation could not: `release` says that the unit in quarantine is the right
 * one, and ends every other unit that has its device id or its key; `reject` ends the unit itself; `accept` lets in a
 * second consignment under a number that is known, after which the factory's consignments are taken again.
 */
const ResolutionSchema = z.discriminatedUnion('act', [
  z.strictObject({ v: z.literal(1), act: z.enum(['release', 'reject']), ...named, deviceId, serial, ...times }),
  z.strictObject({
    v: z.literal(1),
    act: z.literal('accept'),
    ...named,
    number: z.int().min(1),
    sha256: hash,
    ...times,
  }),
]);
export type Resolution = z.infer<typeof ResolutionSchema>;
type Draft<T> = T extends unknown ? Omit<T, 'v'> : never;

const KIND: QuorumKind<Resolution> = {
  context: 'keystead quarantine resolution v1\n',
  name: 'resolution',
  schema: ResolutionSchema as z.ZodType<Resolution>,
  codes: {
    malformed: 'resolution.malformed',
    signerUnknown: 'resolution.signer-unknown',
    signerForbidden: 'resolution.signer-forbidden',
    signatureInvalid: 'resolution.signature-invalid',
    signerTwice: 'resolution.signer-twice',
    tooFew: 'resolution.too-few-signatures',
    otherContent: 'resolution.malformed',
  },
};

/** A signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

/** Drafts a resolution and signs it. Returns its file, one line of JSON. @throws KeysteadError `resolution.malformed`. */
export const signResolution = (
  draft: Draft<Resolution>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> =>
  signQuorumDocument(KIND, draftQuorumDocument(KIND, { v: 1, ...draft } as Resolution), signerName, signer);

/** Adds a signature to a resolution. @throws KeysteadError `resolution.malformed`, `resolution.signer-twice`. */
export const addResolutionSignature = (text: string, signerName: string, signer: StatementSigner): Promise<string> =>
  signQuorumDocument(KIND, text, signerName, signer);

/** Reads a resolution; verifies nothing. @throws KeysteadError `resolution.malformed`. */
export const parseResolution = (text: string): QuorumDocument<Resolution> => parseQuorumDocument(KIND, text);

/**
 * Verifies who signed a resolution, that they are as many as sign a batch ticket, since it lets a unit in as one does,
 * and that it holds now. REQ-KEY-PROV-03, REQ-KEY-SOD-02
 * @throws KeysteadError `resolution.*`.
 */
export function verifyResolution(text: string, policy: Policy, now: Date): QuorumDocument<Resolution> {
  const quorum = ticketQuorum(policy);
  const document = verifyQuorumDocument(KIND, text, { permission: 'factory.sign', quorum, policy });
  const { signedAt, expiresAt } = document.content;
  const signed = Date.parse(signedAt);
  const ends = Date.parse(expiresAt);
  if (signed > now.getTime() + CLOCK_SKEW_MS) {
    throw new KeysteadError('resolution.not-now', { field: 'signedAt', seen: signedAt });
  }
  if (ends <= now.getTime() || ends - signed > policy.approvals.maxSeconds * 1000) {
    throw new KeysteadError('resolution.not-now', { field: 'expiresAt', seen: expiresAt });
  }
  return document;
}
