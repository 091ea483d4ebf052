import type { DerCertificate, Serial, SpkiSha256 } from '@keystead/core/bytes';
import { fromBase64 } from '@keystead/core/bytes';
import {
  type Conflict,
  type ConsignedUnit,
  type FactoryIssuerId,
  type FactorySlot,
  factoryIssuerId,
  factoryOfIssuer,
  HEADQUARTERS,
  type ListedIssuer,
} from '@keystead/core/lifecycle';
import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import type { FactoryJournalEntry } from './factory-entry.ts';
import { Turnstile } from './turnstile.ts';

/** A unit of a factory as this keyd goes by it. */
export type FactoryUnit = Pick<ConsignedUnit, 'deviceId' | 'serial' | 'spkiSha256'> & {
  readonly ticket: Pick<ConsignedUnit['ticket'], 'id'>;
};

/** A unit of the fleet, wherever it was provisioned. */
export interface KnownUnit {
  /** The name of a factory, or `headquarters`. */
  readonly where: string;
  readonly deviceId: string;
  readonly spkiSha256: string;
  readonly ticketId: string;
}

/** What another unit is in the way of one that is to be taken. `with` names it: a device id, as receipts do. */
export interface UnitConflict {
  readonly conflict: Extract<Conflict, 'device-known' | 'key-known'>;
  readonly with: string;
}

/** What headquarters itself has provisioned. */
export interface OwnUnits {
  unitOf(deviceId: string): { readonly ticketId: string; readonly spkiSha256: string } | undefined;
  /** The device that has this key. */
  ownerOf(spkiSha256: string): string | undefined;
}

/** A factory node that this keyd has commissioned. */
export interface Factory {
  readonly name: string;
  readonly issuer: FactoryIssuerId;
  /** What was ordered of it, the oldest first; the commission is the first, and a close the last. */
  readonly acts: readonly FactoryJournalEntry[];
  /** The act by which it works: the last commission or renewal. */
  readonly inForce: FactoryJournalEntry;
  /** The newest certificate of each of its keys. */
  readonly certificates: Readonly<Record<FactorySlot, DerCertificate>>;
  /** Of its manufacturing sub-CA. */
  readonly manufacturing: CertificateInfo;
  /** When it was closed, and whether its CAs were revoked with it. */
  readonly closed: { readonly at: Date; readonly revoked: boolean } | undefined;
}

interface Held {
  readonly factory: string;
  readonly unit: FactoryUnit;
}

interface Quarantined {
  readonly factory: string;
  readonly unit: FactoryUnit;
  readonly conflict: Conflict;
}

/**
 * The factory nodes that this keyd has commissioned, and the units that reconciliation has taken in from them. All of it
 * is made again from the journal. A device id and a key belong to one unit of the whole fleet, of headquarters or of any
 * factory, for all time. REQ-KEY-PROV-01
 */
export class Factories {
  /** One order at a time is carried out. */
  readonly turnstile = new Turnstile();
  readonly #own: OwnUnits;
  readonly #factories = new Map<string, Factory>();
  readonly #orders = new Map<string, FactoryJournalEntry>();
  readonly #units = new Map<string, Held>();
  readonly #keys = new Map<string, string>();
  /** By `issuer serial`. */
  readonly #serials = new Map<string, Held>();
  readonly #quarantined = new Map<string, Quarantined>();

  constructor(own: OwnUnits) {
    this.#own = own;
  }

  /** Takes an order into account that was carried out and whose entry is durable. */
  replay(entry: FactoryJournalEntry): void {
    const acts = [...(this.#factories.get(entry.factory)?.acts ?? []), entry];
    const inForce = acts.findLast(({ act }) => act !== 'close') ?? entry;
    const der = (slot: FactorySlot) => fromBase64(inForce.certified[slot].certificate) as DerCertificate;
    const certificates = { manufacturing: der('manufacturing'), server: der('server'), evidence: der('evidence') };
    const end = acts.find(({ act }) => act === 'close');
    this.#factories.set(entry.factory, {
      name: entry.factory,
      issuer: factoryIssuerId(entry.factory),
      acts,
      inForce,
      certificates,
      manufacturing: readCertificate(certificates.manufacturing),
      closed: end && { at: new Date(end.time), revoked: end.revoked === true },
    });
    this.#orders.set(entry.orderSha256, entry);
  }

  /** The factory with this name, also when it is closed; undefined where none was ever commissioned. */
  get(name: string): Factory | undefined {
    return this.#factories.get(name);
  }

  /** The factory whose manufacturing sub-CA this is. */
  ofIssuer(issuer: string): Factory | undefined {
    return this.#factories.get(factoryOfIssuer(issuer) ?? '');
  }

  /** In the order in which they were commissioned. */
  all(): readonly Factory[] {
    return [...this.#factories.values()];
  }

  /** What came of an order that was carried out. */
  order(orderSha256: string): FactoryJournalEntry | undefined {
    return this.#orders.get(orderSha256);
  }

  /** The unit of this device, wherever it was provisioned. */
  unitOf(deviceId: string): KnownUnit | undefined {
    const own = this.#own.unitOf(deviceId);
    if (own !== undefined) return { where: HEADQUARTERS, deviceId, ...own };
    const held = this.#units.get(deviceId);
    return held && tell(held);
  }

  /** The device of the fleet that has this key. */
  ownerOf(spkiSha256: string): string | undefined {
    return this.#own.ownerOf(spkiSha256) ?? this.#keys.get(spkiSha256);
  }

  isKnownKey(spkiSha256: string): boolean {
    return this.ownerOf(spkiSha256) !== undefined;
  }

  /**
   * What stands in the way of this unit: another unit with its device id, its key, or its serial number. The very same
   * unit again is none. Takes nothing.
   */
  conflictOf(factory: string, unit: FactoryUnit): UnitConflict | undefined {
    if (this.#isTaken(factory, unit)) return undefined;
    if (this.unitOf(unit.deviceId) !== undefined) return { conflict: 'device-known', with: unit.deviceId };
    const owner = this.ownerOf(unit.spkiSha256);
    if (owner !== undefined) return { conflict: 'key-known', with: owner };
    const same = this.#serials.get(serialKey(factoryIssuerId(factory), unit.serial));
    return same && { conflict: 'device-known', with: same.unit.deviceId };
  }

  /**
   * Takes a unit whose entry in the journal is durable: its device is known from now on, and its IDevID accepted.
   * @returns what is in its way; nothing is taken then.
   */
  take(factory: string, unit: FactoryUnit): UnitConflict | undefined {
    const conflict = this.conflictOf(factory, unit);
    if (conflict !== undefined || this.#isTaken(factory, unit)) return conflict;
    const { deviceId, serial, spkiSha256, ticket } = unit;
    const held = { factory, unit: { deviceId, serial, spkiSha256, ticket: { id: ticket.id } } };
    this.#units.set(deviceId, held);
    this.#keys.set(spkiSha256, deviceId);
    this.#serials.set(serialKey(factoryIssuerId(factory), serial), held);
    return undefined;
  }

  /** Remembers a unit that was not taken: its IDevID is refused as one in quarantine. The entry is durable. */
  quarantine(factory: string, unit: FactoryUnit, conflict: Conflict): void {
    const key = quarantineKey(factoryIssuerId(factory), unit);
    if (!this.#quarantined.has(key)) this.#quarantined.set(key, { factory, unit, conflict });
  }

  /** Why this very certificate of a factory is in quarantine; undefined where it is not. */
  quarantineOf(issuer: FactoryIssuerId, unit: Pick<FactoryUnit, 'serial' | 'spkiSha256'>): Conflict | undefined {
    return this.#quarantined.get(quarantineKey(issuer, unit))?.conflict;
  }

  get quarantined(): readonly { factory: string; unit: FactoryUnit; conflict: Conflict }[] {
    return [...this.#quarantined.values()];
  }

  /** The unit that was taken with this certificate. */
  unitBySerial(issuer: ListedIssuer, serial: Serial): FactoryUnit | undefined {
    return this.#serials.get(serialKey(issuer, serial))?.unit;
  }

  /** The IDevID of a device that a factory provisioned. */
  idevidOf(deviceId: string): { issuer: FactoryIssuerId; serial: Serial; spkiSha256: SpkiSha256 } | undefined {
    const held = this.#units.get(deviceId);
    return (
      held && {
        issuer: factoryIssuerId(held.factory),
        serial: held.unit.serial,
        spkiSha256: held.unit.spkiSha256,
      }
    );
  }

  /** How many units were taken from a factory. */
  count(factory: string): number {
    let count = 0;
    for (const held of this.#units.values()) if (held.factory === factory) count += 1;
    return count;
  }

  #isTaken(factory: string, { deviceId, serial, spkiSha256 }: FactoryUnit): boolean {
    const held = this.#units.get(deviceId);
    return held?.factory === factory && held.unit.serial === serial && held.unit.spkiSha256 === spkiSha256;
  }
}

const tell = ({ factory, unit }: Held): KnownUnit => ({
  where: factory,
  deviceId: unit.deviceId,
  spkiSha256: unit.spkiSha256,
  ticketId: unit.ticket.id,
});

const serialKey = (issuer: ListedIssuer, serial: Serial): string => `${issuer} ${serial}`;

const quarantineKey = (
  issuer: FactoryIssuerId,
  { serial, spkiSha256 }: Pick<FactoryUnit, 'serial' | 'spkiSha256'>,
): string => `${issuer} ${serial} ${spkiSha256}`;
