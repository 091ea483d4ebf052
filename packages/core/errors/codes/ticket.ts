import type { ErrorEntry } from '../entry.ts';

/** Batch tickets, and the counters behind them. */
export const TICKET_ERRORS = {
  'ticket.before-restore': {
    kind: 'forbidden',
    rule: 'a ticket that was in force before a restore is closed: units may have been made that are forgotten',
    remedy: 'sign a new ticket for what is left of the batch',
  },
  'ticket.malformed': { kind: 'invalid', rule: 'a batch ticket must have the form that signTicket writes' },
  'ticket.signature-invalid': {
    kind: 'forbidden',
    rule: 'a batch ticket must carry the signature of the operator whom it names',
  },
  'ticket.signer-unknown': { kind: 'forbidden', rule: 'the signer of a batch ticket must stand in the policy' },
  'ticket.signer-forbidden': {
    kind: 'forbidden',
    rule: 'the signer of a batch ticket must hold a role that may sign tickets',
  },
  'ticket.not-yet-valid': { kind: 'forbidden', rule: 'a batch ticket is used from its notBefore on' },
  'ticket.expired': {
    kind: 'forbidden',
    rule: 'a batch ticket is used before its notAfter',
    remedy: 'have a new ticket signed',
  },
  'ticket.exceeds-policy': { kind: 'forbidden', rule: 'a batch ticket may not allow more than the policy does' },
  'ticket.line-forbidden': { kind: 'forbidden', rule: 'the line must be one that the batch ticket names' },
  'ticket.device-forbidden': {
    kind: 'forbidden',
    rule: 'the device id must be one of the range that the batch ticket names',
  },
  'ticket.quota-exhausted': {
    kind: 'conflict',
    rule: 'a batch ticket is good for as many devices as its quota says',
    remedy: 'have a new ticket signed',
  },
  'ticket.id-reused': { kind: 'conflict', rule: 'two batch tickets never have the same id' },
  'ticket.too-few-signatures': {
    kind: 'forbidden',
    rule: 'a batch ticket is signed by as many people as the policy asks for (quorums.batch-ticket)',
    remedy: 'have another operator sign it: keystead ticket sign',
  },
  'ticket.signer-twice': {
    kind: 'conflict',
    rule: 'a person, and a key, signs a batch ticket once',
    remedy: 'have another operator sign it',
  },
  'ticket.other-ticket': { kind: 'conflict', rule: 'only copies of one and the same batch ticket can be joined' },
  'ticket.file-exists': { kind: 'conflict', rule: 'a file that people are signing is never overwritten by a draft' },
  'ticket.other-factory': {
    kind: 'forbidden',
    rule: 'a batch ticket is used by the one node that it names, and by no other',
    remedy: 'take the ticket to that node, or have one signed for this node',
  },
  'ticket.key-origin-forbidden': {
    kind: 'forbidden',
    rule: 'a key of a unit comes about in one of the ways that the batch ticket allows',
    remedy: 'take a way that it allows, or have another ticket signed',
  },
  'ticket.station-forbidden': {
    kind: 'forbidden',
    rule: 'the station must be one that the batch ticket names',
    remedy: 'go to one of its stations, or have another ticket signed',
  },
  'ticket.before-recount': {
    kind: 'forbidden',
    rule: 'a ticket that was in force before a recount is closed: units may have been made that are forgotten',
    remedy: 'sign a new ticket for what is left of the batch',
  },
  'ticket.unknown': {
    kind: 'not-found',
    rule: 'the batch must be open here: its ticket is opened before its first unit',
  },
  'ticket.revoked': { kind: 'forbidden', rule: 'a batch that was revoked gets no unit any more' },
  'recount.malformed': { kind: 'invalid', rule: 'an order to recount must have the form that keystead recount writes' },
  'recount.signer-unknown': { kind: 'forbidden', rule: 'who signs an order to recount must stand in the policy' },
  'recount.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who signs an order to recount must be one who signs batch tickets',
  },
  'recount.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order to recount must carry the signatures of those whom it names',
  },
  'recount.signer-twice': { kind: 'conflict', rule: 'a person, and a key, signs an order to recount once' },
  'recount.too-few-signatures': {
    kind: 'forbidden',
    rule: 'an order to recount is signed by as many people as a batch ticket (quorums.batch-ticket)',
    remedy: 'have another operator sign it: keystead recount sign',
  },
  'recount.other-order': { kind: 'conflict', rule: 'only copies of one and the same order can be joined' },
  'recount.other-keyd': { kind: 'forbidden', rule: 'an order to recount is for the one keyd whose log it names' },
  'recount.other-values': {
    kind: 'conflict',
    rule: 'an order to recount names the values of counter and journal as they are',
    remedy: 'draft it anew: keystead recount draft',
  },
  'recount.expired': { kind: 'forbidden', rule: 'an order to recount is carried out in its time' },
  'recount.not-needed': { kind: 'conflict', rule: 'nothing is recounted where the counter covers the journal' },
  'counter.missing': {
    kind: 'unavailable',
    rule: 'the counter of counter.json must be there',
    remedy: 'if its TPM or token was cleared or changed, make a counter again and have operators order a recount',
  },
  'counter.exists': { kind: 'conflict', rule: 'a counter is made once', remedy: 'take another name for it' },
  'counter.moved': {
    kind: 'conflict',
    rule: 'one keyd alone takes the steps of its counter',
    remedy: 'find the other program that uses the same counter: a copy of the data directory, most likely',
  },
} as const satisfies Record<string, ErrorEntry>;
