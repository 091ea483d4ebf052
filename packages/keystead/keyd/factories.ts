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
import { Consigned, type OwnUnits } from './consigned/index.ts';
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
  /** What the factories have told of. */
  readonly consigned: Consigned;

  constructor(own: OwnUnits) {
    this.#own = own;
    this.consigned = new Consigned(own);
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
    const unit = this.consigned.units.unitOf(deviceId);
    if (unit === undefined) return undefined;
    return { where: unit.factory, deviceId, spkiSha256: unit.spkiSha256, ticketId: unit.ticket.id };
  }

  /** The device of the fleet that has this key. */
  ownerOf(spkiSha256: string): string | undefined {
    return this.#own.ownerOf(spkiSha256) ?? this.consigned.units.ownerOf(spkiSha256);
  }

  isKnownKey(spkiSha256: string): boolean {
    return this.ownerOf(spkiSha256) !== undefined;
  }

  /** Why this very certificate of a factory is in quarantine; undefined where it is not. */
  quarantineOf(issuer: FactoryIssuerId, { serial }: Pick<FactoryUnit, 'serial'>): Conflict | undefined {
    const unit = this.consigned.units.bySerial(factoryOfIssuer(issuer) ?? '', serial);
    return unit?.standing === 'quarantined' || unit?.standing === 'rejected' ? unit.conflicts[0]?.conflict : undefined;
  }

  /** The unit that was taken with this certificate, and is not in quarantine. */
  unitBySerial(issuer: ListedIssuer, serial: Serial): FactoryUnit | undefined {
    const factory = factoryOfIssuer(issuer) ?? '';
    const unit = this.consigned.units.bySerial(factory, serial);
    if (unit === undefined || !this.consigned.units.believes(factory, serial)) return undefined;
    return { deviceId: unit.deviceId, serial, spkiSha256: unit.spkiSha256, ticket: unit.ticket };
  }

  /** The unit that some factory made with this certificate, whatever is thought of it, and under which issuer it is listed. */
  anyUnit(serial: Serial): { readonly issuer: FactoryIssuerId; readonly unit: FactoryUnit } | undefined {
    for (const { name } of this.all()) {
      const unit = this.consigned.units.bySerial(name, serial);
      if (unit === undefined) continue;
      const { deviceId, spkiSha256, ticket } = unit;
      return { issuer: `factory.${name}`, unit: { deviceId, serial, spkiSha256, ticket } };
    }
    return undefined;
  }

  /** The IDevID of a device that a factory provisioned. */
  idevidOf(deviceId: string): { issuer: FactoryIssuerId; serial: Serial; spkiSha256: SpkiSha256 } | undefined {
    const unit = this.consigned.units.unitOf(deviceId);
    if (unit?.idevid === undefined || !this.consigned.units.believes(unit.factory, unit.idevid.serial))
      return undefined;
    return { issuer: factoryIssuerId(unit.factory), serial: unit.idevid.serial, spkiSha256: unit.spkiSha256 };
  }

  /** How many units were taken from a factory. */
  count(factory: string): number {
    return this.consigned.units.count(factory);
  }
}
