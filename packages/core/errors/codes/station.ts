import type { ErrorEntry } from '../entry.ts';

/** Stations at a line, and who signs on. */
export const STATION_ERRORS = {
  'station.refused': { kind: 'forbidden', rule: 'the server refused what the station asked for the unit' },
  'station.bad-answer': { kind: 'internal', rule: 'the server must answer a station as its REST interface says' },
  'station.needed': {
    kind: 'forbidden',
    rule: 'this is for stations: it needs the certificate of one',
    remedy: 'enrol the station: keystead station enrol',
  },
  'station.clock-wrong': {
    kind: 'forbidden',
    rule: "the station's clock must agree with the node's within five minutes",
    remedy: 'set the clock of the station',
  },
  'station.no-batch': {
    kind: 'not-found',
    rule: 'no batch that is open for this line has this device id',
    remedy: 'look at the id, and at the batches that are open',
  },
  'station.batch-ambiguous': {
    kind: 'conflict',
    rule: 'several open batches have this device id',
    remedy: 'name the ticket',
  },
  'station.unit-unknown': { kind: 'not-found', rule: 'this unit has no result here' },
  'station.way-unknown': {
    kind: 'invalid',
    rule: 'a way to a key must be one that this node knows',
    remedy: 'docs/ways-to-a-key.md has them',
  },
  'station.rig-failed': { kind: 'invalid', rule: 'the rig must give a request, and say that it did' },
  'station.install-failed': {
    kind: 'invalid',
    rule: 'the rig must put the certificate into the unit, and say that it did',
  },
  'station.queue': {
    kind: 'invalid',
    rule: "a station's queue must be files that this program wrote, used by one of it",
  },
  'station-order.malformed': { kind: 'invalid', rule: 'an order for a station must have the one form that is signed' },
  'station-order.signer-unknown': { kind: 'forbidden', rule: 'the signer must stand in the policy' },
  'station-order.signer-forbidden': { kind: 'forbidden', rule: 'the signer must hold a role that may enrol stations' },
  'station-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order for a station must carry the signature of the operator whom it names',
  },
  'station-order.expired': {
    kind: 'forbidden',
    rule: 'an order for a station is good for a day at most',
    remedy: 'sign it anew',
  },
  'station-order.differs': {
    kind: 'forbidden',
    rule: 'an order for a station is for one site, one name and one request',
  },
  'sign-on.malformed': { kind: 'invalid', rule: 'a sign-on must have the one form that is signed' },
  'sign-on.signer-unknown': { kind: 'forbidden', rule: 'who signs on must stand in the policy' },
  'sign-on.signer-forbidden': { kind: 'forbidden', rule: 'who signs on must hold a role that may provision units' },
  'sign-on.signature-invalid': {
    kind: 'forbidden',
    rule: 'a sign-on must carry the signature of the operator whom it names',
  },
  'sign-on.too-long': {
    kind: 'forbidden',
    rule: 'a sign-on holds no longer than the policy lets it, and 12 hours at most',
    remedy: 'sign on for a shorter time',
  },
  'sign-on.not-yet-valid': {
    kind: 'forbidden',
    rule: 'a sign-on must not begin in the future',
    remedy: 'set the clock of the machine where it was signed',
  },
  'sign-on.expired': { kind: 'forbidden', rule: 'a sign-on must not have ended', remedy: 'sign on anew' },
  'sign-on.ended': {
    kind: 'forbidden',
    rule: 'who was signed off stays so, until they sign on anew',
    remedy: 'sign on anew',
  },
  'sign-on.before-restore': {
    kind: 'forbidden',
    rule: 'after a restore nobody is signed on by what was signed before it',
    remedy: 'sign on anew',
  },
  'sign-on.before-recount': {
    kind: 'forbidden',
    rule: 'after a recount nobody is signed on by what was signed before it',
    remedy: 'sign on anew',
  },
  'sign-on.other-station': {
    kind: 'forbidden',
    rule: 'a sign-on is for one station, the one whose certificate is shown',
  },
  'sign-on.other-factory': { kind: 'forbidden', rule: 'a sign-on is for one site' },
  'sign-on.differs': {
    kind: 'forbidden',
    rule: 'operator, station and line of a unit must be those of the sign-on that it comes under',
  },
  'sign-on.needed': {
    kind: 'forbidden',
    rule: 'a unit needs a station that somebody is signed on at',
    remedy: 'sign on at the station',
  },
} as const satisfies Record<string, ErrorEntry>;
