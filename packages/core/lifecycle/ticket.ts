import { z } from 'zod';
import { KeysteadError } from '../errors/index.ts';
import { DeviceIds } from './device-ids.ts';
import { FACTORY_NAME, HEADQUARTERS } from './factory/name.ts';
import { type DocumentKind, type OperatorDocument, parseDocumentOf } from './operator-document.ts';
import type { Policy } from './policy.ts';
import {
  draftQuorumDocument,
  joinQuorumDocuments,
  parseQuorumDocument,
  type QuorumDocument,
  type QuorumKind,
  type QuorumSignature,
  requireEnough,
  type SigningQuorum,
  signQuorumDocument,
  verifyQuorumDocument,
} from './quorum-document.ts';
import { requireOperatorSignature } from './signed-payload.ts';
import type { StatementSigner } from './signers/proof.ts';
import { requireHardware } from './signers/verify.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
const time = z.iso.datetime({ offset: false, precision: 0 });

/** The ways to a device's key that a ticket can name, best first. */
export const TICKET_KEY_ORIGINS = ['tpm2-attested', 'secure-element', 'proof-of-possession', 'injected'] as const;
export type TicketKeyOrigin = (typeof TICKET_KEY_ORIGINS)[number];

const shape = {
  id: name,
  model: name,
  /** How many devices may be provisioned with it. */
  quota: z.int().min(1),
  /** From when to when, UTC, whole seconds. */
  notBefore: time,
  notAfter: time,
  lines: z.array(name).min(1).max(64),
  deviceIds: DeviceIds,
  profile: z.literal('idevid'),
  /** Where it is there, each unit must show that its key is in a TPM, or tied to a secure element, that the policy believes. */
  attestation: z.literal('required').optional(),
};

const endsLater = (ticket: { notBefore: string; notAfter: string }): boolean => ticket.notBefore < ticket.notAfter;
const notLater = { path: ['notAfter'], message: 'must be after notBefore' };

/** A ticket of before there were factory nodes and quorums: one person signed it. */
const FirstTicketSchema = z.strictObject({ v: z.literal(1), ...shape }).refine(endsLater, notLater);

const TicketSchema = z
  .strictObject({
    v: z.literal(2),
    ...shape,
    /** The one node that may use it: {@link HEADQUARTERS}, or a factory's name. */
    factory: z.string().regex(FACTORY_NAME, 'must be headquarters, or a factory: 1 to 32 of a-z 0-9 -'),
    /** Which ways to a key are allowed; without it, those that the policy allows, but never `injected`. */
    keyOrigins: z.array(z.enum(TICKET_KEY_ORIGINS)).min(1).optional(),
    /** At which stations; without it, at every station of its lines. */
    stations: z.array(name).min(1).max(64).optional(),
  })
  .refine(endsLater, notLater)
  .refine((ticket) => new Set(ticket.keyOrigins).size === (ticket.keyOrigins?.length ?? 0), {
    path: ['keyOrigins'],
    message: 'must name each way once',
  });

type WrittenTicket = z.infer<typeof FirstTicketSchema> | z.infer<typeof TicketSchema>;

/**
 * What operators at headquarters allow one node: how many devices of what kind, where, and until when. One of before
 * there were factory nodes (`v` 1) is headquarters' own.
 */
export type BatchTicket = Omit<z.infer<typeof TicketSchema>, 'v'> & { readonly v: 1 | 2 };

/** What a ticket is made of: times may have fractions of a second, which are cut off. */
export type BatchTicketDraft = Omit<BatchTicket, 'v' | 'factory'> & {
  /** {@link HEADQUARTERS} unless told. */
  readonly factory?: string;
};

/** A ticket as it was read, whose signatures are not yet verified. */
export interface SignedTicket {
  readonly ticket: BatchTicket;
  readonly signatures: readonly QuorumSignature[];
  readonly payload: Uint8Array;
  /** SHA-256 of the payload, hex: two tickets with one id are told apart by it, and not by who signed. */
  readonly sha256: string;
}

const CODES = {
  malformed: 'ticket.malformed',
  signerUnknown: 'ticket.signer-unknown',
  signerForbidden: 'ticket.signer-forbidden',
  signatureInvalid: 'ticket.signature-invalid',
  signerTwice: 'ticket.signer-twice',
  tooFew: 'ticket.too-few-signatures',
  otherContent: 'ticket.other-ticket',
} as const;

const FIRST_KIND: DocumentKind<z.infer<typeof FirstTicketSchema>> = {
  context: 'keystead batch ticket v1\n',
  name: 'ticket',
  schema: FirstTicketSchema,
  codes: CODES,
};

const KIND: QuorumKind<z.infer<typeof TicketSchema>> = {
  context: 'keystead batch ticket v2\n',
  name: 'ticket',
  schema: TicketSchema,
  codes: CODES,
};

/** Writes a ticket that nobody has signed yet: one line of JSON, UTF-8. @throws KeysteadError `ticket.malformed`. */
export function draftTicket(draft: BatchTicketDraft): string {
  const { notBefore, notAfter, factory = HEADQUARTERS } = draft;
  return draftQuorumDocument(KIND, {
    v: 2,
    ...draft,
    factory,
    notBefore: wholeSecond(notBefore),
    notAfter: wholeSecond(notAfter),
  });
}

/**
 * Adds a signature to a ticket, offline, where the signer's key is. Returns its file with it. REQ-KEY-PROV-01
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError `ticket.malformed`, `ticket.signer-twice`.
 */
export const addTicketSignature = (text: string, signerName: string, signer: StatementSigner): Promise<string> =>
  signQuorumDocument(KIND, text, signerName, signer);

/**
 * Joins copies of one ticket that were signed apart.
 * @throws KeysteadError `ticket.malformed`, `ticket.other-ticket` for copies that say different things.
 */
export const joinTickets = (texts: readonly string[]): string => joinQuorumDocuments(KIND, texts);

/**
 * Writes a ticket and signs it, by one person. Returns its file: one line of JSON, UTF-8. REQ-KEY-PROV-01
 * @throws KeysteadError `ticket.malformed` with the field.
 */
export const signTicket = async (
  draft: BatchTicketDraft,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => addTicketSignature(draftTicket(draft), signerName, signer);

/**
 * Reads a ticket; verifies nothing. A ticket has one encoding only: what two readers could read differently is
 * refused.
 * @throws KeysteadError `ticket.malformed` with the field.
 */
export function parseTicket(text: string): SignedTicket {
  return isFirstForm(text) ? firstTicket(parseDocumentOf(FIRST_KIND, text)) : asTicket(parseQuorumDocument(KIND, text));
}

/** Who signed a ticket, as it says itself: their names, in its order. */
export const signersOf = ({ signatures }: Pick<SignedTicket, 'signatures'>): string[] =>
  signatures.map(({ signer }) => signer);

/** How many people sign a batch ticket, and who may, where the policy does not say: one in a demonstration, else two. */
export const ticketQuorum = ({ quorums, demonstration }: Policy): SigningQuorum =>
  quorums['batch-ticket'] ?? { signatures: demonstration ? 1 : 2, roles: ['policy-administrator', 'ca-operator'] };

/**
 * Verifies that a quorum of the policy signed a ticket, and that it allows no more than the policy does. The time is
 * not looked at: that is `requireTicketTime`, which is asked each time that the ticket is used.
 * REQ-KEY-PROV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `ticket.malformed`, `ticket.signer-unknown`, `ticket.signer-forbidden`, `ticket.signer-twice`,
 *   `ticket.signature-invalid`, `ticket.too-few-signatures`, `ticket.exceeds-policy`.
 */
export function verifyTicket(text: string, policy: Policy): SignedTicket {
  const quorum = ticketQuorum(policy);
  const signed = isFirstForm(text)
    ? verifyFirst(text, quorum, policy)
    : asTicket(verifyQuorumDocument(KIND, text, { permission: 'ticket.sign', quorum, policy }));
  requireWithinPolicy(signed.ticket, policy);
  return signed;
}

function verifyFirst(text: string, quorum: SigningQuorum, policy: Policy): SignedTicket {
  const read = parseDocumentOf(FIRST_KIND, text);
  const { signer } = read;
  const who = { permission: 'ticket.sign', roles: quorum.roles, policy } as const;
  const proven = requireOperatorSignature(FIRST_KIND, read.payload, read, who);
  if (quorum.hardware === true) requireHardware(proven, signer, 'signature');
  requireEnough(KIND, [signer], quorum);
  return firstTicket(read);
}

/** The form of before quorums had `signature`; whatever else there is is judged as the present form. */
function isFirstForm(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'signature' in value;
  } catch {
    return false;
  }
}

const firstTicket = (read: OperatorDocument<z.infer<typeof FirstTicketSchema>>): SignedTicket => ({
  ticket: withFactory(read.content),
  signatures: [{ signer: read.signer, by: read.by, signature: read.signature }],
  payload: read.payload,
  sha256: read.sha256,
});

const asTicket = ({ content, ...read }: QuorumDocument<z.infer<typeof TicketSchema>>): SignedTicket => ({
  ...read,
  ticket: content,
});

const withFactory = (ticket: WrittenTicket): BatchTicket => ({ factory: HEADQUARTERS, ...ticket });

function requireWithinPolicy(ticket: BatchTicket, policy: Policy): void {
  const { maxQuota, maxSeconds } = policy.tickets;
  if (ticket.quota > maxQuota) {
    throw new KeysteadError('ticket.exceeds-policy', {
      field: 'quota',
      seen: `${ticket.quota} of at most ${maxQuota}`,
    });
  }
  const seconds = (Date.parse(ticket.notAfter) - Date.parse(ticket.notBefore)) / 1000;
  if (seconds > maxSeconds) {
    throw new KeysteadError('ticket.exceeds-policy', {
      field: 'notAfter',
      seen: `${seconds} s of at most ${maxSeconds}`,
    });
  }
}

const wholeSecond = (text: string): string => text.replace(/\.\d+Z$/, 'Z');
