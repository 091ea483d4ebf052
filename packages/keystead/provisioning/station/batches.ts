import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicket, isInRange, parseTicket } from '@keystead/core/lifecycle';
import { batchRevoked } from '../../authority/index.ts';
import type { Reader, Ticket } from '../../store/index.ts';

/** More batches than are open at one site at a time. */
const MOST_BATCHES = 256;
const REMEMBERED = 1024;

/** Tickets as they are read, so that finding the batch of a unit reads each once and not for each unit. */
const read = new Map<string, BatchTicket>();

function ticketOf({ text }: Pick<Ticket, 'text'>): BatchTicket {
  const known = read.get(text);
  if (known !== undefined) return known;
  const { ticket } = parseTicket(text);
  if (read.size >= REMEMBERED) read.clear();
  read.set(text, ticket);
  return ticket;
}

/** Whether units may come under it now, at this line and station. */
function isOpenAt(ticket: BatchTicket & { stations?: readonly string[] }, now: Date, line: string, station: string) {
  const inTime = now.getTime() >= Date.parse(ticket.notBefore) && now.getTime() < Date.parse(ticket.notAfter);
  return inTime && ticket.lines.includes(line) && (ticket.stations?.includes(station) ?? true);
}

/**
 * The batch that a unit is of, where the rig does not say: the one by which it was provisioned, or the only one that is
 * open at this line and has the id. Where none is, one that has the id is named, so that keyd says what is wrong with it.
 * @throws KeysteadError `station.no-batch`, `station.batch-ambiguous`.
 */
export function batchOf(
  records: Reader,
  unit: { readonly deviceId: string; readonly line: string; readonly station: string; readonly now: Date },
): string {
  const { deviceId, line, station, now } = unit;
  const device = records.device(deviceId);
  if (device !== undefined) return device.ticketId;
  const having = records.stations
    .ticketsLately(MOST_BATCHES)
    .map(ticketOf)
    .filter(({ deviceIds }) => isInRange(deviceIds, deviceId));
  const open = having.filter(
    (ticket) => isOpenAt(ticket, now, line, station) && records.meta(batchRevoked(ticket.id)) === undefined,
  );
  const [only, ...more] = open;
  if (more.length > 0) {
    const seen = open.map(({ id }) => id).join(', ');
    throw new KeysteadError('station.batch-ambiguous', { field: 'ticketId', seen: seen.slice(0, 200) });
  }
  const found = only ?? having[0];
  if (found === undefined) throw new KeysteadError('station.no-batch', { field: 'deviceId', seen: deviceId });
  return found.id;
}

/** A batch that is open at a line. */
export interface OpenBatch {
  readonly ticketId: string;
  readonly model: string;
  readonly quota: number;
  readonly notAfter: string;
  /** Device ids, the first and the last. */
  readonly from: string;
  readonly to: string;
}

/** The batches that are open at a station, the newest first. */
export function openBatches(records: Reader, at: { line: string; station: string; now: Date }): OpenBatch[] {
  return records.stations
    .ticketsOpen(at.now.getTime(), MOST_BATCHES)
    .map(ticketOf)
    .filter(
      (ticket) => isOpenAt(ticket, at.now, at.line, at.station) && records.meta(batchRevoked(ticket.id)) === undefined,
    )
    .map(({ id, model, quota, notAfter, deviceIds }) => {
      const { prefix, from, to, width } = deviceIds;
      const named = (number: number): string => `${prefix}${String(number).padStart(width, '0')}`;
      return { ticketId: id, model, quota, notAfter, from: named(from), to: named(to) };
    });
}
