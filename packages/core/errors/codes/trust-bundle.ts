import type { ErrorEntry } from '../entry.ts';

/** Trust bundles and revocation filters. */
export const TRUST_BUNDLE_ERRORS = {
  'trust-bundle.malformed': { kind: 'invalid', rule: 'a trust bundle must have the one form that is signed' },
  'trust-bundle.rule': {
    kind: 'invalid',
    rule: 'a trust bundle must leave devices a way on: current and backup pins, a signer that outlives it, windows that open',
  },
  'trust-bundle.signature-invalid': {
    kind: 'forbidden',
    rule: 'a trust bundle must carry the signature of its signer',
  },
  'trust-bundle.signer-unknown': {
    kind: 'forbidden',
    rule: 'a trust bundle must be signed by a key that the one before it names',
  },
  'trust-bundle.signer-retired': { kind: 'forbidden', rule: 'a signer of trust bundles signs in its own time only' },
  'trust-bundle.fleet-differs': { kind: 'forbidden', rule: 'a device takes the trust bundles of its own fleet' },
  'trust-bundle.rolled-back': { kind: 'conflict', rule: 'a device never goes back to an older trust bundle' },
  'trust-bundle.forked': {
    kind: 'conflict',
    rule: 'there is one trust bundle of each version: two are an attack, or a defect of who signs them',
  },
  'trust-bundle.not-yet-valid': {
    kind: 'forbidden',
    rule: 'a trust bundle is not of the future',
    remedy: 'look at the clock of the device',
  },
  'trust-bundle.expired': {
    kind: 'forbidden',
    rule: 'a trust bundle is gone by until it expires',
    remedy: 'fetch a newer one; look at the clock of the device',
  },
  'trust-bundle.firmware-rolled-back': {
    kind: 'conflict',
    rule: 'the least firmware that is taken never goes back, and no product is left out',
  },
  'trust-bundle.none': {
    kind: 'not-found',
    rule: 'there is no such trust bundle',
    remedy: 'the first one takes an order of the quorum: keystead trust propose',
  },
  'trust-bundle.too-large': {
    kind: 'invalid',
    rule: 'a bundle is no longer than trust.bundle.maxBytes of the policy',
  },
  'trust-bundle.too-soon': {
    kind: 'conflict',
    rule: 'the same content is signed anew when its time has come, when a filter is due, or when something was revoked since',
  },
  'trust-bundle.no-signer': {
    kind: 'unavailable',
    rule: 'keyd must hold a key that devices believe now and that may sign',
    remedy: 'look at keystead trust status; devices recover with their IDevID when all of their signers are over',
  },
  'trust-bundle.filter-refused': {
    kind: 'conflict',
    rule: "a filter must say of every certificate of its CAs what keyd's own list says, at a time that is right",
    remedy: 'have serve build another one; if it fails again, look for who changed its records',
  },
  'trust-order.malformed': {
    kind: 'invalid',
    rule: 'an order for trust bundles, and each statement of it, must have the one form that is signed',
  },
  'trust-order.signer-unknown': { kind: 'forbidden', rule: 'who signs must be an operator of the policy in force' },
  'trust-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who signs must hold the role that they name, and it must be one that may propose or approve this order',
  },
  'trust-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must carry the signature of a key of the operator whom it names',
  },
  'trust-order.other-order': {
    kind: 'conflict',
    rule: 'the statements must be of one order and name the one who asked for it',
  },
  'trust-order.expired': {
    kind: 'forbidden',
    rule: 'a statement counts until it ends',
    remedy: 'have the order signed again',
  },
  'trust-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'trust-order.too-long': { kind: 'invalid', rule: 'a statement ends within approvals.maxSeconds of the policy' },
  'trust-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'trust-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'trust-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead trust approve',
  },
  'trust-order.not-in-policy': {
    kind: 'forbidden',
    rule: 'the policy must have the section trust, and the order must be for its fleet',
    remedy: 'another policy takes its quorum: keystead policy',
  },
  'trust-order.stale': {
    kind: 'conflict',
    rule: 'an order is for the content that stood when it was written: each change has the next number, and each id is used once',
    remedy: 'look at what stands now (keystead trust show) and propose anew',
  },
  'trust-order.strands': {
    kind: 'conflict',
    rule: 'nothing is taken from devices before its time is over, unless the order says so (strand) and a larger quorum signs it',
    remedy: 'let the window end by itself; announce a new key as next before it becomes current',
  },
  'trust-order.root-ended': {
    kind: 'conflict',
    rule: 'a root that has a successor is an anchor until its transition (roots.transitionSeconds) is over, and never again',
    remedy: 'leave it out: keystead rotate next writes the content without it',
  },
  'trust-order.strand-forbidden': {
    kind: 'forbidden',
    rule: 'something is taken from devices at once only where the policy has a quorum for it',
  },
  'trust-order.before-restore': {
    kind: 'conflict',
    rule: 'a statement is of after the last restore: what was carried out before it may be forgotten',
    remedy: 'look at what stands now (keystead trust show) and have an order signed again',
  },
  'trust-order.before-recount': {
    kind: 'conflict',
    rule: 'a statement is of after the last recount: what was carried out before it may be forgotten',
    remedy: 'look at what stands now (keystead trust show) and have an order signed again',
  },
  'filter.malformed': { kind: 'invalid', rule: 'a revocation filter must have the form of docs/filter.md' },
  'filter.base-differs': {
    kind: 'conflict',
    rule: 'a delta changes the very filter that it was built for, and goes forward in time',
    remedy: 'fetch a whole filter',
  },
  'filter.unsolvable': { kind: 'invalid', rule: 'a certificate is revoked or is not: it cannot be given as both' },
} as const satisfies Record<string, ErrorEntry>;
