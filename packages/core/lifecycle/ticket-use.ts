import { KeysteadError } from '../errors/index.ts';
import { isInRange } from './device-ids.ts';
import { HEADQUARTERS } from './factory/name.ts';
import type { BatchTicket, TicketKeyOrigin } from './ticket.ts';

/**
 * That a ticket is for this node. @param name {@link HEADQUARTERS}, or a factory's name.
 * @throws KeysteadError `ticket.other-factory`.
 */
export function requireTicketFactory({ factory }: BatchTicket, name: string): void {
  if (factory === name) return;
  throw new KeysteadError('ticket.other-factory', { field: 'factory', seen: `${factory}, and this is ${name}` });
}

/** That a ticket allows this way to a key; one that names none forbids none here. @throws KeysteadError `ticket.key-origin-forbidden`. */
export function requireTicketKeyOrigin({ keyOrigins }: BatchTicket, origin: TicketKeyOrigin): void {
  if (keyOrigins === undefined || keyOrigins.includes(origin)) return;
  throw new KeysteadError('ticket.key-origin-forbidden', {
    field: 'keyOrigins',
    seen: `${origin}, where the ticket allows ${keyOrigins.join(', ')}`,
  });
}

/** @throws KeysteadError `ticket.station-forbidden`. */
export function requireTicketStation({ stations }: BatchTicket, station: string): void {
  if (stations === undefined || stations.includes(station)) return;
  throw new KeysteadError('ticket.station-forbidden', { field: 'station', seen: station });
}

/** @throws KeysteadError `ticket.not-yet-valid`, `ticket.expired`. */
export function requireTicketTime(ticket: BatchTicket, now: Date): void {
  if (now.getTime() < Date.parse(ticket.notBefore)) {
    throw new KeysteadError('ticket.not-yet-valid', { field: 'notBefore', seen: ticket.notBefore });
  }
  if (now.getTime() >= Date.parse(ticket.notAfter)) {
    throw new KeysteadError('ticket.expired', { field: 'notAfter', seen: ticket.notAfter });
  }
}

/** @throws KeysteadError `ticket.line-forbidden`. */
export function requireTicketLine(ticket: BatchTicket, line: string): void {
  if (!ticket.lines.includes(line)) throw new KeysteadError('ticket.line-forbidden', { field: 'line', seen: line });
}

/** @throws KeysteadError `ticket.device-forbidden`. */
export function requireTicketDevice(ticket: BatchTicket, deviceId: string): void {
  if (!isInRange(ticket.deviceIds, deviceId)) {
    throw new KeysteadError('ticket.device-forbidden', { field: 'deviceId', seen: deviceId });
  }
}
