import { ERRORS, type ErrorCode, type KeysteadError } from '@keystead/core/errors';

/** What a rig goes by: done, done with and not done, or not yet known: the same again later gets the answer. */
export type RigResult = 'pass' | 'fail' | 'retry';

/** One thing that can become of a unit. */
export interface Outcome {
  /** Never changes its meaning, and is never given to another one. */
  readonly code: number;
  readonly name: string;
  readonly result: RigResult;
  /** Who has something to do: the unit alone is wrong, the whole batch, the station with whoever stands there, the node. */
  readonly about: 'unit' | 'batch' | 'station' | 'node';
  /** What happened, in the words of the line. */
  readonly what: string;
  /** What to do now. */
  readonly todo: string;
  /** The errors of Keystead that are told so; one that ends with a dot is for all that begin so. */
  readonly errors: readonly string[];
}

const outcome = (
  code: number,
  name: string,
  result: RigResult,
  about: Outcome['about'],
  [what, todo]: readonly [what: string, todo: string],
  ...errors: string[]
): Outcome => ({ code, name, result, about, what, todo, errors });

/**
 * Every outcome that a station hears of: the code is for the rig, the words are for the operator. Rows are added at
 * free numbers and never changed; docs/station.md is printed from this table. REQ-KEY-PROV-01
 */
export const OUTCOMES = [
  outcome(0, 'done', 'pass', 'unit', ['The unit has its certificate.', 'Take the next one.']),
  outcome(1, 'done-before', 'pass', 'unit', [
    'This unit was done before. Here is its result again.',
    'Take the next one.',
  ]),
  // ---- 10 to 39: this unit
  outcome(
    10,
    'id-unreadable',
    'fail',
    'unit',
    ['The device id is not one: something was scanned that is no label of a unit.', 'Scan the label again.'],
    'device.id-malformed',
  ),
  outcome(
    11,
    'id-out-of-range',
    'fail',
    'unit',
    [
      'No batch that is open here has this device id.',
      'Scan again. If the id is right, the unit belongs to another batch: put it aside and call the line lead.',
    ],
    'ticket.device-forbidden',
    'station.no-batch',
  ),
  outcome(
    12,
    'id-reused',
    'fail',
    'unit',
    [
      'A unit with this id was done before, and it had another key.',
      'Put the unit aside. Two units have one label, or the unit was erased: call the line lead.',
    ],
    'device.already-provisioned',
  ),
  outcome(
    13,
    'key-of-another',
    'fail',
    'unit',
    [
      'This unit has the key of another unit.',
      'Put the unit aside: it may be a copy. Let it make a new key before it comes again.',
    ],
    'key.already-used',
  ),
  outcome(
    14,
    'request-of-another',
    'fail',
    'unit',
    [
      'The request names another unit than the label.',
      'Check that the unit in the rig is the one that was scanned, and start it again.',
    ],
    'csr.subject-mismatch',
  ),
  outcome(
    15,
    'request-broken',
    'fail',
    'unit',
    [
      'The request of the unit is not whole.',
      'Check the cable to the unit and start it again. If it fails twice, put it aside.',
    ],
    'csr.',
  ),
  outcome(
    16,
    'key-refused',
    'fail',
    'unit',
    ['The key of the unit is of a kind that is not allowed, or is weak.', 'Put the unit aside and call the engineer.'],
    'key.',
  ),
  outcome(
    17,
    'attestation-refused',
    'fail',
    'unit',
    [
      'The unit did not show that its key is in its security chip.',
      'Start the unit again. If it fails twice, put it aside: its chip may be wrong.',
    ],
    'attestation.',
  ),
  outcome(
    18,
    'device-blocked',
    'fail',
    'unit',
    [
      'This unit is reported stolen, its identity was revoked, or it has come to its end.',
      'Keep the unit and call the line lead.',
    ],
    'device.blocked',
    'device.quarantined',
  ),
  outcome(
    19,
    'way-unknown',
    'fail',
    'unit',
    ['The rig asks for a way to a key that is not known here.', 'Call the engineer: the rig is set up wrongly.'],
    'station.way-unknown',
  ),
  outcome(
    20,
    'rig-failed',
    'fail',
    'unit',
    ['The rig gave no request for this unit.', 'Check that the unit sits well and has power, and start it again.'],
    'station.rig-failed',
  ),
  outcome(
    21,
    'unit-unknown',
    'fail',
    'unit',
    ['This unit has no result here.', 'Start the unit.'],
    'station.unit-unknown',
  ),
  outcome(
    22,
    'install-failed',
    'fail',
    'unit',
    [
      'The unit has its certificate, but the rig could not put it in.',
      'Start the unit again: it gets the same certificate.',
    ],
    'station.install-failed',
  ),
  outcome(
    23,
    'chip-refused',
    'fail',
    'unit',
    [
      'The secure element of this unit is not one that is believed, or its answer is wrong.',
      'Put the unit aside and take the next. When it comes again, call the engineer.',
    ],
    'element.',
  ),
  outcome(
    24,
    'injection-refused',
    'fail',
    'unit',
    [
      'No key may be made for this unit, or it was asked for in a wrong way.',
      'Put the unit aside and call the engineer.',
    ],
    'injection.',
  ),
  // ---- 40 to 59: the batch
  outcome(
    40,
    'ticket-expired',
    'fail',
    'batch',
    ['The time of this batch is over.', 'Stop this batch and call the line lead for a new ticket.'],
    'ticket.expired',
    'ticket.before-restore',
    'ticket.before-recount',
  ),
  outcome(
    41,
    'ticket-early',
    'fail',
    'batch',
    ['This batch may not be begun yet.', 'Wait until its day, or call the line lead.'],
    'ticket.not-yet-valid',
  ),
  outcome(
    42,
    'ticket-forged',
    'fail',
    'batch',
    [
      'The ticket of this batch is not genuine, or is accepted no more.',
      'Stop this batch. Keep the ticket and call the line lead at once.',
    ],
    'ticket.',
  ),
  outcome(
    43,
    'quota-reached',
    'fail',
    'batch',
    ['All units of this batch are done.', 'Stop: this unit is one too many. Call the line lead for the next ticket.'],
    'ticket.quota-exhausted',
  ),
  outcome(
    44,
    'batch-unknown',
    'fail',
    'batch',
    ['This batch is not open here.', 'Open the batch with its ticket, or call the line lead.'],
    'ticket.unknown',
  ),
  outcome(
    45,
    'batch-revoked',
    'fail',
    'batch',
    ['This batch was stopped by headquarters.', 'Stop this batch and put its units aside. Call the line lead.'],
    'ticket.revoked',
  ),
  outcome(
    46,
    'wrong-line',
    'fail',
    'batch',
    ['This batch is not for this line.', 'Take the batch to its line, or sign on for the right line.'],
    'ticket.line-forbidden',
  ),
  outcome(
    47,
    'wrong-station',
    'fail',
    'batch',
    ['This batch is not for this station.', 'Take the batch to its station, or call the line lead.'],
    'ticket.station-forbidden',
  ),
  outcome(
    48,
    'batch-ambiguous',
    'fail',
    'batch',
    ['Several open batches have this device id.', 'Say which batch it is (ticketId), or call the line lead.'],
    'station.batch-ambiguous',
  ),
  outcome(
    49,
    'way-forbidden',
    'fail',
    'batch',
    [
      'This batch does not allow that units come to their key in this way.',
      'Stop this batch and call the engineer: the rig is set up for another one.',
    ],
    'ticket.key-origin-forbidden',
  ),
  outcome(
    50,
    'wrong-factory',
    'fail',
    'batch',
    ['This batch is not for this factory.', 'Take the batch to its factory, or call the line lead.'],
    'ticket.other-factory',
    'factory.device-outside',
  ),
  // ---- 60 to 79: the station, and who stands there
  outcome(
    60,
    'sign-on-needed',
    'fail',
    'station',
    ['Nobody is signed on at this station.', 'Sign on. The unit can stay where it is.'],
    'sign-on.needed',
  ),
  outcome(
    61,
    'sign-on-over',
    'fail',
    'station',
    ['The sign-on at this station is over.', 'Sign on again. The unit can stay where it is.'],
    'sign-on.expired',
    'sign-on.ended',
    'sign-on.before-restore',
    'sign-on.before-recount',
  ),
  outcome(
    62,
    'sign-on-refused',
    'fail',
    'station',
    ['The sign-on is not accepted.', 'Sign on with your own key. If it is refused again, call the line lead.'],
    'sign-on.',
    'factory.operator-revoked',
    'operator.',
    'access.forbidden',
  ),
  outcome(
    63,
    'sign-on-elsewhere',
    'fail',
    'station',
    ['The sign-on is for another station or another site.', 'Sign on at this station.'],
    'sign-on.other-station',
    'sign-on.other-factory',
    'sign-on.differs',
  ),
  outcome(
    64,
    'station-refused',
    'fail',
    'station',
    ['This station is not known, or its certificate is over or revoked.', 'Use another station and call the engineer.'],
    'client.',
    'station.needed',
    'requester.',
  ),
  outcome(
    65,
    'clock-wrong',
    'fail',
    'station',
    ["The station's clock is wrong by more than five minutes.", 'Set date and time of the station, in UTC, and go on.'],
    'station.clock-wrong',
    'sign-on.not-yet-valid',
  ),
  outcome(
    66,
    'rig-speaks-wrongly',
    'fail',
    'station',
    ['The rig sends something that the node does not understand.', 'Call the engineer: the rig is set up wrongly.'],
    'request.',
  ),
  // ---- 80 to 99: the node
  outcome(
    80,
    'busy',
    'retry',
    'node',
    ['The node has too much to do right now.', 'Leave the unit where it is. It is tried again by itself.'],
    'attestation.too-many',
    'attestation.busy',
  ),
  outcome(
    81,
    'key-service-away',
    'retry',
    'node',
    [
      'The key service of the node does not answer.',
      'Leave the unit where it is. After five minutes call the engineer.',
    ],
    'keyd.unreachable',
  ),
  outcome(
    82,
    'hsm-away',
    'retry',
    'node',
    [
      'The key module (HSM) of the node does not answer.',
      'Leave the unit where it is. Check that the module is plugged in, and call the engineer.',
    ],
    'keystore.',
    // The counter of units is in the module too: whichever is asked first finds it away.
    'keyd.counter-failed',
  ),
  outcome(
    83,
    'disk-full',
    'retry',
    'node',
    [
      'The node cannot write its records: its disk is full.',
      'Leave the unit where it is and call the engineer to make room. Nothing is lost.',
    ],
    'store.disk-full',
    'keyd.journal-failed',
  ),
  outcome(
    84,
    'node-clock-wrong',
    'retry',
    'node',
    [
      "The node's own clock went back.",
      'Leave the unit where it is and call the engineer to set the clock of the node.',
    ],
    'clock.went-back',
  ),
  outcome(
    85,
    'node-away',
    'retry',
    'node',
    [
      'The node does not answer.',
      'Leave the unit where it is. It is tried again by itself; check the network if it lasts.',
    ],
    'service.',
  ),
  outcome(86, 'try-again', 'retry', 'node', [
    'The node cannot do it right now.',
    'Leave the unit where it is. It is tried again by itself.',
  ]),
  outcome(
    87,
    'node-stopped',
    'retry',
    'node',
    ['The key by which the node certifies units was stopped.', 'Leave the unit where it is and call the engineer.'],
    'key.use-forbidden',
    'key.cryptoperiod-ended',
    'ca.',
    'factory.closed',
  ),
  outcome(
    88,
    'count-wrong',
    'retry',
    'node',
    [
      'The node gives out no units: an older disk was put back into it, or its counter was changed.',
      'Leave the unit where it is and call the engineer.',
    ],
    'keyd.journal-rolled-back',
    'keyd.counter-replaced',
    'keyd.counter-missing',
  ),
  outcome(98, 'refused', 'fail', 'unit', [
    'The node refuses this unit.',
    'Put the unit aside and call the engineer with the request id.',
  ]),
  outcome(
    99,
    'defect',
    'fail',
    'node',
    ['The node has a defect. Nothing was changed.', 'Put the unit aside and call the engineer with the request id.'],
    'internal.',
  ),
] as const satisfies readonly Outcome[];

export type OutcomeName = (typeof OUTCOMES)[number]['name'];

const BY_ERROR = new Map<string, Outcome>(OUTCOMES.flatMap((one) => one.errors.map((error) => [error, one] as const)));

/** The outcome with this name. */
export function outcomeNamed(name: OutcomeName): Outcome {
  const found: Outcome | undefined = OUTCOMES.find((one) => one.name === name);
  if (found === undefined) throw new TypeError(`no outcome ${name}`);
  return found;
}

/** The outcome with this code; `refused` for one that no table has. */
export const outcomeOf = (code: number): Outcome =>
  OUTCOMES.find((one) => one.code === code) ?? outcomeNamed('refused');

/**
 * What an error is to a station. A failure that may pass is never a fail, whatever room it comes from: a rig that heard
 * `fail` would throw away a unit that is good.
 */
export function outcomeOfError({ code, kind, field }: Pick<KeysteadError, 'code' | 'kind' | 'field'>): Outcome {
  const exact = BY_ERROR.get(code);
  if (exact !== undefined && (kind !== 'unavailable' || exact.result === 'retry')) return exact;
  if (code === 'request.malformed' && field === 'csr') return outcomeNamed('request-broken');
  if (code === 'request.malformed' && field === 'deviceId') return outcomeNamed('id-unreadable');
  const room = BY_ERROR.get(`${code.slice(0, code.indexOf('.'))}.`);
  if (kind === 'unavailable') return room?.result === 'retry' ? room : outcomeNamed('try-again');
  if (kind === 'too-many') return outcomeNamed('busy');
  if (kind === 'internal') return outcomeNamed('defect');
  return room ?? outcomeNamed('refused');
}

/** The table as Markdown, for docs/station.md. */
export function outcomesTable(): string {
  const head = '| code | name | result | about | what happened | what to do |\n|---|---|---|---|---|---|';
  const rows = OUTCOMES.map(
    ({ code, name, result, about, what, todo }) =>
      `| ${code} | \`${name}\` | ${result} | ${about} | ${what} | ${todo} |`,
  );
  return `${[head, ...rows].join('\n')}\n`;
}

/** The errors that have an outcome of their own name, for a test that none is misspelt. */
export const namedErrors = (): string[] => [...BY_ERROR.keys()];
/** Whether there is such an error, or a room of errors that begin so. */
export const isKnownError = (name: string): boolean =>
  name in ERRORS || (name.endsWith('.') && (Object.keys(ERRORS) as ErrorCode[]).some((code) => code.startsWith(name)));
