import { z } from 'zod';
import { KeysteadError } from '../errors/index.ts';
import type { Policy } from './policy.ts';
import {
  draftQuorumDocument,
  joinQuorumDocuments,
  parseQuorumDocument,
  type QuorumDocument,
  type QuorumKind,
  signQuorumDocument,
  verifyQuorumDocument,
} from './quorum-document.ts';
import type { StatementSigner } from './signers/proof.ts';
import { ticketQuorum } from './ticket.ts';

const time = z.iso.datetime({ offset: false, precision: 0 });

const RecountSchema = z
  .strictObject({
    v: z.literal(1),
    /** Which keyd: the verifier key of its log, by which no other is known. */
    log: z.string().min(1).max(256),
    /** What was seen, to the letter: an order is for this moment of this counter, and is good once. */
    counter: z.strictObject({
      make: z.enum(['tpm2', 'pkcs11']),
      name: z.string().min(1).max(256),
      value: z.int().min(0),
      mark: z.string().regex(/^[0-9a-f]{32}$/, 'must be 16 bytes in lower-case hex'),
    }),
    /** The value in the journal; null where it knew of none. */
    journal: z.int().min(0).nullable(),
    reason: z.string().min(1).max(200),
    /** UTC, whole seconds. */
    at: time,
    expiresAt: time,
  })
  .refine(({ at, expiresAt }) => at < expiresAt, { path: ['expiresAt'], message: 'must be after at' });

/** An order of operators by which a keyd goes on that does not agree with its counter. */
export type Recount = z.infer<typeof RecountSchema>;
export type RecountDraft = Omit<Recount, 'v' | 'at' | 'expiresAt'> & { readonly at: Date; readonly expiresAt: Date };

const KIND: QuorumKind<Recount> = {
  context: 'keystead recount order v1\n',
  name: 'order',
  schema: RecountSchema,
  codes: {
    malformed: 'recount.malformed',
    signerUnknown: 'recount.signer-unknown',
    signerForbidden: 'recount.signer-forbidden',
    signatureInvalid: 'recount.signature-invalid',
    signerTwice: 'recount.signer-twice',
    tooFew: 'recount.too-few-signatures',
    otherContent: 'recount.other-order',
  },
};

/** How far the clock of whoever drafted it may be ahead. */
const AHEAD_MS = 60_000;

/** Writes an order that nobody has signed yet: one line of JSON. @throws KeysteadError `recount.malformed`. */
export const draftRecount = ({ at, expiresAt, ...draft }: RecountDraft): string =>
  draftQuorumDocument(KIND, { v: 1, ...draft, at: wholeSecond(at), expiresAt: wholeSecond(expiresAt) });

/** Adds a signature to an order. @throws KeysteadError `recount.malformed`, `recount.signer-twice`. */
export const addRecountSignature = (text: string, signerName: string, signer: StatementSigner): Promise<string> =>
  signQuorumDocument(KIND, text, signerName, signer);

/** Joins copies of one order that were signed apart. @throws KeysteadError `recount.malformed`, `recount.other-order`. */
export const joinRecounts = (texts: readonly string[]): string => joinQuorumDocuments(KIND, texts);

/** Reads an order; verifies nothing. @throws KeysteadError `recount.malformed` with the field. */
export const parseRecount = (text: string): QuorumDocument<Recount> => parseQuorumDocument(KIND, text);

/**
 * Verifies who signed an order, that they are as many as sign a batch ticket, since they give away what one grants, and
 * that it is of the present. Whether it fits counter and journal is for the keyd that has them.
 * REQ-KEY-PROV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `recount.*`.
 */
export function verifyRecount(text: string, policy: Policy, now: Date): QuorumDocument<Recount> {
  const document = verifyQuorumDocument(KIND, text, {
    permission: 'ticket.sign',
    quorum: ticketQuorum(policy),
    policy,
  });
  const { at, expiresAt } = document.content;
  const seconds = (Date.parse(expiresAt) - Date.parse(at)) / 1000;
  if (Date.parse(expiresAt) <= now.getTime() || Date.parse(at) > now.getTime() + AHEAD_MS) {
    throw new KeysteadError('recount.expired', { field: 'expiresAt', seen: `${at} to ${expiresAt}` });
  }
  if (seconds > policy.approvals.maxSeconds) {
    const seen = `${seconds} s, where ${policy.approvals.maxSeconds} are the most`;
    throw new KeysteadError('recount.malformed', { field: 'expiresAt', seen });
  }
  return document;
}

const wholeSecond = (date: Date): string => `${date.toISOString().slice(0, 19)}Z`;
