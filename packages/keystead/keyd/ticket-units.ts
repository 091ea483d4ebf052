import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId, ListedIssuer, SignedTicket } from '@keystead/core/lifecycle';
import { type CrlReason, NO_END } from '@keystead/core/x509';
import type { Factories } from './factories.ts';
import type { CertificateJournalEntry } from './journal-entry.ts';

interface TicketUse {
  readonly sha256: string;
  readonly quota: number;
  units: number;
}

interface Unit {
  readonly ticketId: string;
  readonly spkiSha256: string;
  /** The IDevID that it got last; none while the first is being made. */
  idevid?: { readonly issuer: ListedIssuer; readonly serial: Serial; readonly notAfter: number };
}

type UnitCertificate = Pick<CertificateJournalEntry, 'subject' | 'issuer' | 'serial' | 'notAfter' | 'ticket'>;

/**
 * How many units each ticket has had and which device has which key, made again from the journal at each start. A
 * decision and its effect are one synchronous step here, so that requests that run side by side cannot both take the
 * last unit. REQ-KEY-STO-03
 */
export class TicketUnits {
  readonly #tickets = new Map<string, TicketUse>();
  readonly #units = new Map<string, Unit>();
  readonly #unitKeys = new Map<string, string>();
  readonly #factories: () => Factories;
  readonly #listedAs: (issuer: ListedIssuer, serial: Serial) => CrlReason | undefined;

  /**
   * @param factories for what was provisioned elsewhere.
   * @param listedAs why a certificate is on hold or revoked; undefined where it is neither.
   */
  constructor(factories: () => Factories, listedAs: (issuer: ListedIssuer, serial: Serial) => CrlReason | undefined) {
    this.#factories = factories;
    this.#listedAs = listedAs;
  }

  /** Takes an entry of the journal into account, at a start. */
  replay(entry: CertificateJournalEntry): void {
    if (entry.ticket === undefined || this.#units.has(entry.subject)) return;
    const { id, sha256, quota } = entry.ticket;
    const use = this.#tickets.get(id) ?? { sha256, quota, units: 0 };
    this.#tickets.set(id, use);
    use.units += 1;
    this.#units.set(entry.subject, { ticketId: id, spkiSha256: entry.spkiSha256 });
    this.#unitKeys.set(entry.spkiSha256, entry.subject);
  }

  /** Takes note of the certificate of a unit whose entry in the journal is durable. */
  certified({ subject, issuer, serial, notAfter, ticket }: UnitCertificate): void {
    const unit = ticket === undefined ? undefined : this.#units.get(subject);
    if (unit !== undefined) unit.idevid = { issuer, serial: serial as Serial, notAfter: Date.parse(notAfter) };
  }

  /**
   * The IDevID that a device got last: its issuer and serial number, and when it ends, milliseconds since 1970. Undefined for a
   * device that was provisioned neither here nor by a factory that has told of it.
   */
  idevidOf(deviceId: string): Unit['idevid'] {
    const taken = this.#factories().idevidOf(deviceId);
    return taken === undefined ? this.#units.get(deviceId)?.idevid : { ...taken, notAfter: NO_END.getTime() };
  }

  /** The units that took part of a ticket here, with the IDevID that each got last, by its serial number. */
  ofTicket(ticketId: string): Map<Serial, { readonly deviceId: string; readonly issuer: IssuerId }> {
    const found = new Map<Serial, { deviceId: string; issuer: IssuerId }>();
    for (const [deviceId, { ticketId: of, idevid }] of this.#units) {
      if (of === ticketId && idevid !== undefined)
        found.set(idevid.serial, { deviceId, issuer: idevid.issuer as IssuerId });
    }
    return found;
  }

  /** What was provisioned here as this device. */
  unitOf(deviceId: string): Pick<Unit, 'ticketId' | 'spkiSha256'> | undefined {
    return this.#units.get(deviceId);
  }

  /** The hash of the key that a unit was provisioned with. */
  keyOf(deviceId: string): string | undefined {
    return this.#units.get(deviceId)?.spkiSha256;
  }

  /** The unit that has this key. */
  ownerOf(spkiSha256: string): string | undefined {
    return this.#unitKeys.get(spkiSha256);
  }

  get tickets(): { id: string; units: number; quota: number }[] {
    return [...this.#tickets].map(([id, { units, quota }]) => ({ id, units, quota }));
  }

  /**
   * Takes a unit of the ticket for this device and key. The same device with the same key may come again (its first
   * certificate was lost on the way): that takes no other unit. REQ-KEY-PROV-01
   * @throws KeysteadError `ticket.id-reused`, `device.already-provisioned`, `device.blocked`, `key.already-used`,
   *   `ticket.quota-exhausted`; nothing is taken then.
   */
  take(signed: SignedTicket, deviceId: string, spkiSha256: string): void {
    if (this.require(signed, deviceId, spkiSha256) === 'has it') return;
    const { ticket, sha256 } = signed;
    const use = this.#tickets.get(ticket.id);
    if (use === undefined) this.#tickets.set(ticket.id, { sha256, quota: ticket.quota, units: 1 });
    else use.units += 1;
    this.#units.set(deviceId, { ticketId: ticket.id, spkiSha256 });
    this.#unitKeys.set(spkiSha256, deviceId);
  }

  /**
   * Whether this device with this key would take a unit of the ticket, or has one already. Takes nothing.
   * @throws KeysteadError as {@link take} does.
   */
  require({ ticket, sha256 }: SignedTicket, deviceId: string, spkiSha256: string): 'takes one' | 'has it' {
    const use = this.#tickets.get(ticket.id);
    if (use !== undefined && use.sha256 !== sha256) {
      throw new KeysteadError('ticket.id-reused', { field: 'ticket', seen: ticket.id });
    }
    const unit = this.#units.get(deviceId);
    if (unit !== undefined) {
      if (unit.ticketId === ticket.id && unit.spkiSha256 === spkiSha256) {
        this.#requireInService(deviceId, unit);
        return 'has it';
      }
      const seen = unit.ticketId === ticket.id ? 'another key' : `ticket ${unit.ticketId}`;
      throw new KeysteadError('device.already-provisioned', { field: 'deviceId', seen: `${deviceId} with ${seen}` });
    }
    const factories = this.#factories();
    const elsewhere = factories.unitOf(deviceId);
    if (elsewhere !== undefined) {
      const seen = `${deviceId} at ${elsewhere.where}`;
      throw new KeysteadError('device.already-provisioned', { field: 'deviceId', seen });
    }
    const owner = factories.ownerOf(spkiSha256);
    if (owner !== undefined) throw new KeysteadError('key.already-used', { field: 'csr', seen: `the key of ${owner}` });
    const units = use?.units ?? 0;
    if (units >= ticket.quota) {
      throw new KeysteadError('ticket.quota-exhausted', { field: 'ticket', seen: `${units} of ${ticket.quota} units` });
    }
    return 'takes one';
  }

  /**
   * A unit whose IDevID is on hold, or was revoked for a reason that is told, gets no other one for the same key: else a
   * front end that was taken over had a new certificate for a key that was stolen. What nobody was given, because of a
   * crash, is revoked without a reason, and the unit comes again.
   * @throws KeysteadError `device.blocked`.
   */
  #requireInService(deviceId: string, { idevid }: Unit): void {
    if (idevid === undefined) return;
    const why = this.#listedAs(idevid.issuer, idevid.serial) ?? 'unspecified';
    if (why !== 'unspecified')
      throw new KeysteadError('device.blocked', { field: 'deviceId', seen: `${deviceId}: ${why}` });
  }
}
