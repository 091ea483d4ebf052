import { type BatchTicket, parseTicket } from '@keystead/core/lifecycle';
import { parseDocument, stringify } from 'yaml';
import type { VerifiedRecord } from '../record.ts';
import { KEY_ORIGINS } from '../record.ts';

/** A run of device ids, both ends included. */
interface Gap {
  readonly from: string;
  readonly to: string;
}

/** What is known of a batch after some of its units, in ascending order of their ids; JSON, so that it can be put aside. */
export interface BatchTally {
  units: number;
  /** Number of the next id of the range that has not been seen. */
  next: number;
  gaps: Gap[];
  firstDevice: string;
  lastDevice: string;
  firstDate: string;
  lastDate: string;
  origins: Record<string, number>;
  lines: Record<string, number>;
}

export const newTally = ({ deviceIds }: Pick<BatchTicket, 'deviceIds'>): BatchTally => ({
  units: 0,
  next: deviceIds.from,
  gaps: [],
  firstDevice: '',
  lastDevice: '',
  firstDate: '',
  lastDate: '',
  origins: {},
  lines: {},
});

const idOf = ({ prefix, width }: BatchTicket['deviceIds'], number: number): string =>
  `${prefix}${String(number).padStart(width, '0')}`;

/** Counts one more unit. The ids of one batch have one length, so that their order is that of their numbers. */
export function countUnit(
  tally: BatchTally,
  { deviceIds }: Pick<BatchTicket, 'deviceIds'>,
  unit: Pick<VerifiedRecord, 'deviceId' | 'date' | 'line' | 'keyOrigin'>,
): void {
  const { deviceId, date, line, keyOrigin } = unit;
  const number = Number(deviceId.slice(deviceIds.prefix.length));
  if (number > tally.next) tally.gaps.push({ from: idOf(deviceIds, tally.next), to: idOf(deviceIds, number - 1) });
  tally.next = number + 1;
  tally.units += 1;
  if (tally.firstDevice === '') tally.firstDevice = deviceId;
  tally.lastDevice = deviceId;
  if (tally.firstDate === '' || date < tally.firstDate) tally.firstDate = date;
  if (date > tally.lastDate) tally.lastDate = date;
  tally.origins[keyOrigin] = (tally.origins[keyOrigin] ?? 0) + 1;
  tally.lines[line] = (tally.lines[line] ?? 0) + 1;
}

/** The statement of a batch, YAML: what was allowed and what was made, out of its ticket and its records alone. */
export function batchStatement(ticketText: string, tally: BatchTally): string {
  const { ticket, sha256 } = parseTicket(ticketText);
  const { deviceIds, quota } = ticket;
  const rest =
    tally.next <= deviceIds.to ? [{ from: idOf(deviceIds, tally.next), to: idOf(deviceIds, deviceIds.to) }] : [];
  const statement = {
    statement: 'keystead batch statement',
    statement_version: 1,
    ticket: ticket.id,
    ticket_sha256: sha256,
    model: ticket.model,
    valid: { from: ticket.notBefore, to: ticket.notAfter },
    lines_allowed: [...ticket.lines],
    quota,
    units_made: tally.units,
    quota_left: quota - tally.units,
    made: tally.units === 0 ? null : { first: tally.firstDate, last: tally.lastDate },
    device_ids: { from: idOf(deviceIds, deviceIds.from), to: idOf(deviceIds, deviceIds.to) },
    ids_in_range: deviceIds.to - deviceIds.from + 1,
    ids_never_made: deviceIds.to - deviceIds.from + 1 - tally.units,
    ids_never_made_list: [...tally.gaps, ...rest],
    units_by_key_origin: Object.fromEntries(KEY_ORIGINS.map((origin) => [origin, tally.origins[origin] ?? 0])),
    units_by_line: Object.fromEntries(Object.entries(tally.lines).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  return stringify(statement, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 });
}

/** The text of one field of a statement, for people. */
export const statementField = (text: string, field: string): string => String(parseDocument(text).get(field) ?? '');
