import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BatchTicket,
  factoryOfIssuer,
  type IssuerId,
  isListedIssuer,
  type ListedIssuer,
  type Shard,
  type SignedTicket,
} from '@keystead/core/lifecycle';
import { NO_END, REVOCATION_REASONS, type RevocationReason } from '@keystead/core/x509';
import { Chips } from './attestation/chips.ts';
import { AuthorisationUses } from './authorisation-uses.ts';
import { DestroyedKeys } from './destroyed-keys.ts';
import { Factories } from './factories.ts';
import { FirmwareAdoptions } from './firmware-adoption.ts';
import { FirmwareKeyOrders } from './firmware-key-orders.ts';
import { FirmwareOrders } from './firmware-orders.ts';
import { type Held, Holds } from './holds.ts';
import { Injections } from './injections.ts';
import { IssuerLists } from './issuer-lists.ts';
import type {
  CertificateJournalEntry,
  CrlJournalEntry,
  JournalEntry,
  RecountJournalEntry,
  RestoredJournalEntry,
  RevocationsJournalEntry,
  UnitKeyJournalEntry,
} from './journal-entry.ts';
import { KnownMasters } from './master-keys.ts';
import { PasskeyCounters } from './passkey-counters.ts';
import { type KnownRestore, Restores } from './restores.ts';
import type { Forgetting } from './revocation.ts';
import { RevocationOrders } from './revocation-orders.ts';
import type { Revoked } from './revoked-set.ts';
import { RootList } from './root-list.ts';
import { type Life, SerialSet } from './serial-set.ts';
import { EndedSignOns } from './sign-ons.ts';
import { Stations } from './stations.ts';
import { TrustBundles } from './trust-bundles.ts';
import { TsaCertificates } from './tsa-certificates.ts';
import { TufRepositories } from './tuf-repositories.ts';

/** How far a clock may go back and the time stands still instead: what setting it right by hand or NTP does. */
export const CLOCK_TOLERANCE_MS = 2000;

type Recount = Omit<RecountJournalEntry, 'n' | 'kind'>;

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

/** What is remembered of a certificate besides the count. */
type Certified = Pick<
  CertificateJournalEntry,
  'serial' | 'issuer' | 'profile' | 'subject' | 'spkiSha256' | 'notBefore' | 'notAfter' | 'ticket' | 'shards'
>;

/**
 * What keyd must know to refuse by itself: how many units each ticket has had and which device has which key, the
 * last CRL of each issuer and what stands on it, and the latest time that it has seen. All of it is made again from
 * the journal. A decision and its effect are one synchronous step here, so that requests that run side by side
 * cannot both take the last unit. REQ-KEY-STO-03
 */
export class KeydState {
  readonly #tickets = new Map<string, TicketUse>();
  readonly #units = new Map<string, Unit>();
  readonly #unitKeys = new Map<string, string>();
  readonly #lists = new Map<ListedIssuer, IssuerLists>();
  /** The restores, and who agreed to them. */
  readonly restored = new Restores();
  readonly #recounts: Recount[] = [];
  /** The uses of enrolment authorisations. */
  readonly authorisations = new AuthorisationUses();
  /** Which device has which chip. */
  readonly chips = new Chips();
  /** The masters that were made. */
  readonly masters = new KnownMasters();
  /** The keys that keyd made for units. */
  readonly injections = new Injections();
  /** The orders of people to revoke. */
  readonly revocationOrders = new RevocationOrders();
  /** What is on hold, and what came off. */
  readonly holds = new Holds();
  /** The factory nodes, and what was taken in from them. */
  readonly factories = new Factories({
    unitOf: (deviceId) => this.#units.get(deviceId),
    ownerOf: (spkiSha256) => this.#unitKeys.get(spkiSha256),
  });
  /** The certificates of stations, and the sign-ons that were ended before their time. */
  readonly stations = new Stations();
  readonly endedSignOns = new EndedSignOns();
  /** The certificates of keys that sign time stamps. */
  readonly tsaCertificates = new TsaCertificates();
  /** The indirect CRL of the root. */
  readonly rootList = new RootList();
  /** The update repositories whose online roles keyd signs. */
  readonly tuf = new TufRepositories();
  /** The orders to sign firmware. */
  readonly firmware = new FirmwareOrders();
  /** The orders about firmware keys. */
  readonly firmwareKeyOrders = new FirmwareKeyOrders();
  /** The certificates of firmware keys that ceremonies made. */
  readonly firmwareAdoptions = new FirmwareAdoptions();
  /** How far the passkeys of approvers have counted. */
  readonly passkeys = new PasskeyCounters();
  /** The firmware keys that are gone. */
  readonly destroyed = new DestroyedKeys();
  /** The trust bundles. */
  readonly trust = new TrustBundles();
  readonly #issued = new Map<IssuerId, SerialSet>();
  /** How many revocations and holds came onto a list, or off it where the journal could not be written. */
  #listings = 0;
  #certificates = 0;
  #lastTime = 0;
  #timestampsTold = Number.NEGATIVE_INFINITY;

  /** Takes an entry of the journal into account, at a start. */
  replay(entry: JournalEntry): void {
    if (entry.kind === 'timestamps') this.#timestampsTold = Date.parse(entry.time);
    this.#lastTime = Math.max(this.#lastTime, Date.parse(entry.time));
    if (entry.kind === 'certificate') this.#replayCertificate(entry);
    if (entry.kind === 'master-key') this.masters.replay(entry);
    if (entry.kind === 'unit-key') this.#replayUnitKey(entry);
    if (entry.kind === 'crl') this.#replayCrl(entry);
    if (entry.kind === 'revocations') this.#replayRevocations(entry, entry.since);
    if (entry.kind === 'release') this.holds.release(entry);
    if (entry.kind === 'sign-off') this.endedSignOns.end(entry);
    this.revocationOrders.replay(entry);
    this.rootList.replay(entry);
    this.firmware.replay(entry);
    this.firmwareAdoptions.replay(entry);
    this.firmwareKeyOrders.replay(entry);
    this.destroyed.replay(entry);
    this.passkeys.replay(entry);
    this.tuf.replay(entry, this.raises);
    this.trust.replay(entry);
    this.restored.replay(entry);
    if (entry.kind === 'restored') this.#replayRestore(entry);
    if (entry.kind === 'recount') this.takeRecount(entry);
    if (entry.kind === 'factory') this.factories.replay(entry);
    this.factories.consigned.replay(entry);
  }

  #replayCertificate(entry: CertificateJournalEntry): void {
    if (entry.ticket !== undefined && !this.#units.has(entry.subject)) {
      const { id, sha256, quota } = entry.ticket;
      const use = this.#tickets.get(id) ?? { sha256, quota, units: 0 };
      this.#tickets.set(id, use);
      use.units += 1;
      this.#units.set(entry.subject, { ticketId: id, spkiSha256: entry.spkiSha256 });
      this.#unitKeys.set(entry.spkiSha256, entry.subject);
    }
    this.authorisations.replay(entry);
    this.chips.replay(entry);
    this.takeCertificate(entry);
  }

  #replayUnitKey(entry: UnitKeyJournalEntry): void {
    this.injections.replay(entry);
    this.chips.replay(entry);
  }

  #replayCrl(entry: CrlJournalEntry): void {
    const lists = this.lists(entry.issuer);
    this.#replayRevocations(entry, entry.number);
    lists.raiseNumber(entry.number);
    if (entry.delta === true || entry.nextUpdate === undefined) return;
    const thisUpdate = Math.floor(Date.parse(entry.time) / 1000) * 1000;
    lists.sawFull(shardOf(entry), { number: entry.number, thisUpdate, nextUpdate: Date.parse(entry.nextUpdate) });
  }

  #replayRevocations({ issuer, revoked, time }: RevocationsJournalEntry | CrlJournalEntry, since: number): void {
    const lists = this.lists(issuer);
    const listedAt = Date.parse(time);
    this.#listings += revoked.length;
    for (const [hex, ms, reason] of revoked) {
      if (!isReason(reason)) throw new KeysteadError('keyd.journal-damaged', { field: 'reason', seen: reason });
      const entry = { serial: hex as Serial, revokedAt: new Date(ms), reason };
      const held = this.holds.isHeld(issuer, entry.serial);
      if (reason === 'certificateHold') this.holds.take(issuer, { ...entry, listedAt });
      else if (!lists.revoked.add(entry, since, listedAt)) continue;
      else if (held) this.holds.end(issuer, entry.serial);
      if (!held && !this.isIssued(issuer, entry.serial)) lists.sawUnissued(1);
    }
  }

  #replayRestore(entry: RestoredJournalEntry): void {
    for (const [issuer, floor] of Object.entries(entry.crlNumbers)) {
      if (isListedIssuer(issuer) && floor !== undefined) this.lists(issuer).raiseNumber(floor);
    }
  }

  /** Every restore that this journal has been through, in order. */
  get restores(): readonly KnownRestore[] {
    return this.restored.all;
  }

  /** Every order to go on where journal and counter did not agree, in order. */
  get recounts(): readonly Recount[] {
    return this.#recounts;
  }

  /** How often this journal was restored, or put back: so often it has forgotten what was signed. */
  get raises(): number {
    return this.restores.length + this.#recounts.length;
  }

  /** When what was done before may last have been forgotten, by a restore or an older disk; milliseconds since 1970. */
  get forgotAt(): number | undefined {
    const last = [this.restores.at(-1), this.#recounts.at(-1)].flatMap((one) => one?.time ?? []);
    return last.length === 0 ? undefined : Math.max(...last.map((time) => Date.parse(time)));
  }

  /** Takes a recount into account. Returns what takes it back, for when it could not be written. */
  takeRecount(recount: Recount): () => void {
    this.#recounts.push(recount);
    const unskip = this.trust.skip(recount.time);
    return () => {
      this.#recounts.splice(this.#recounts.indexOf(recount), 1);
      unskip();
    };
  }

  /** The fewest entries that the log may have: what the restores vouched for. */
  get leastLogSize(): number {
    return Math.max(0, ...this.restores.map(({ log }) => log.restored));
  }

  /**
   * What was made with a ticket or an authorisation after the backup, or after the disk that was put back, is forgotten,
   * and so is that it was ever used. What could be used before is therefore closed. REQ-KEY-BAK-02, REQ-KEY-PROV-01
   * @throws KeysteadError `<what>.before-restore`, `<what>.before-recount`.
   */
  requireAfterRestore(
    { notBefore }: Pick<BatchTicket, 'notBefore'>,
    what: 'ticket' | 'authorisation' | 'sign-on' | 'firmware-order' | 'trust-order' = 'ticket',
  ): void {
    const isAfter = (last: { time: string } | undefined): boolean =>
      last === undefined || Date.parse(notBefore) > Date.parse(last.time);
    const field = 'notBefore';
    const restored = this.restores.at(-1);
    if (!isAfter(restored)) {
      throw new KeysteadError(`${what}.before-restore`, { field, seen: `${notBefore}, restored ${restored?.time}` });
    }
    const recounted = this.#recounts.at(-1);
    if (!isAfter(recounted)) {
      throw new KeysteadError(`${what}.before-recount`, { field, seen: `${notBefore}, recounted ${recounted?.time}` });
    }
  }

  /** Certificates in the journal. */
  get certificates(): number {
    return this.#certificates;
  }

  /** Takes a certificate into account whose entry in the journal is durable. */
  takeCertificate(entry: Certified): void {
    const { serial, issuer, subject, notBefore, notAfter, ticket, shards } = entry;
    this.#certificates += 1;
    this.stations.saw(entry);
    this.tsaCertificates.saw(entry);
    this.sawSerial(issuer, serial as Serial, { notBefore: Date.parse(notBefore), notAfter: Date.parse(notAfter) });
    if (shards !== undefined) this.lists(issuer).sawSharding(shards, Date.parse(notAfter));
    const unit = ticket === undefined ? undefined : this.#units.get(subject);
    if (unit !== undefined) unit.idevid = { issuer, serial: serial as Serial, notAfter: Date.parse(notAfter) };
  }

  /** Takes note of a certificate of this CA; without its life, it has begun and never ends. */
  sawSerial(issuer: IssuerId, serial: Serial, life?: Life): void {
    const known = this.#issued.get(issuer) ?? new SerialSet();
    this.#issued.set(issuer, known);
    known.add(serial, life);
  }

  /**
   * Whether keyd has issued a certificate with this serial number, or a factory has told that it did, whatever became of
   * the unit.
   */
  isIssued(issuer: ListedIssuer, serial: Serial): boolean {
    const factory = factoryOfIssuer(issuer);
    if (factory !== undefined) return this.factories.consigned.units.bySerial(factory, serial) !== undefined;
    return this.#issued.get(issuer as IssuerId)?.has(serial) ?? false;
  }

  /**
   * The IDevID that a device got last: its issuer and serial number, and when it ends, milliseconds since 1970. Undefined for a
   * device that was provisioned neither here nor by a factory that has told of it.
   */
  idevidOf(deviceId: string): Unit['idevid'] {
    const taken = this.factories.idevidOf(deviceId);
    return taken === undefined ? this.#units.get(deviceId)?.idevid : { ...taken, notAfter: NO_END.getTime() };
  }

  /** The units that took part of a ticket here, with the IDevID that each got last, by its serial number. */
  unitsOfTicket(ticketId: string): Map<Serial, { readonly deviceId: string; readonly issuer: IssuerId }> {
    const found = new Map<Serial, { deviceId: string; issuer: IssuerId }>();
    for (const [deviceId, { ticketId: of, idevid }] of this.#units) {
      if (of === ticketId && idevid !== undefined)
        found.set(idevid.serial, { deviceId, issuer: idevid.issuer as IssuerId });
    }
    return found;
  }

  /** The hash of the key that a unit was provisioned with. */
  unitKeyOf(deviceId: string): string | undefined {
    return this.#units.get(deviceId)?.spkiSha256;
  }

  /** The unit that has this key. */
  ownerOfUnitKey(spkiSha256: string): string | undefined {
    return this.#unitKeys.get(spkiSha256);
  }

  get tickets(): { id: string; units: number; quota: number }[] {
    return [...this.#tickets].map(([id, { units, quota }]) => ({ id, units, quota }));
  }

  /**
   * The time by which to sign. Two seconds back are borne: clocks are set that way in small steps.
   * @throws KeysteadError `clock.went-back`.
   */
  timeAt(now: Date): Date {
    const ms = now.getTime();
    if (!(ms >= this.#lastTime - CLOCK_TOLERANCE_MS)) {
      throw new KeysteadError('clock.went-back', {
        field: 'clock',
        seen: `${Number.isNaN(ms) ? 'no time' : now.toISOString()}, after ${new Date(this.#lastTime).toISOString()}`,
      });
    }
    this.#lastTime = Math.max(this.#lastTime, ms);
    return new Date(this.#lastTime);
  }

  /** When the journal told last that time stamps are signed, as of the start; milliseconds since 1970. */
  get timestampsTold(): number {
    return this.#timestampsTold;
  }

  /** The latest time that was seen, milliseconds since 1970. */
  get lastTime(): number {
    return this.#lastTime;
  }

  /** Takes note of a time that something else of keyd's was signed at, milliseconds since 1970. */
  sawTime(ms: number): void {
    this.#lastTime = Math.max(this.#lastTime, ms);
  }

  /**
   * Takes a unit of the ticket for this device and key. The same device with the same key may come again (its first
   * certificate was lost on the way): that takes no other unit. REQ-KEY-PROV-01
   * @throws KeysteadError `ticket.id-reused`, `device.already-provisioned`, `device.blocked`, `key.already-used`,
   *   `ticket.quota-exhausted`; nothing is taken then.
   */
  takeUnit(signed: SignedTicket, deviceId: string, spkiSha256: string): void {
    if (this.requireUnit(signed, deviceId, spkiSha256) === 'has it') return;
    const { ticket, sha256 } = signed;
    const use = this.#tickets.get(ticket.id);
    if (use === undefined) this.#tickets.set(ticket.id, { sha256, quota: ticket.quota, units: 1 });
    else use.units += 1;
    this.#units.set(deviceId, { ticketId: ticket.id, spkiSha256 });
    this.#unitKeys.set(spkiSha256, deviceId);
  }

  /**
   * Whether this device with this key would take a unit of the ticket, or has one already. Takes nothing.
   * @throws KeysteadError as {@link takeUnit} does.
   */
  requireUnit({ ticket, sha256 }: SignedTicket, deviceId: string, spkiSha256: string): 'takes one' | 'has it' {
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
    const elsewhere = this.factories.unitOf(deviceId);
    if (elsewhere !== undefined) {
      const seen = `${deviceId} at ${elsewhere.where}`;
      throw new KeysteadError('device.already-provisioned', { field: 'deviceId', seen });
    }
    const owner = this.factories.ownerOf(spkiSha256);
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
    const { issuer, serial } = idevid;
    const held = this.holds.isHeld(issuer, serial) ? 'certificateHold' : undefined;
    const why = held ?? this.#lists.get(issuer)?.revoked.reason(serial) ?? 'unspecified';
    if (why !== 'unspecified')
      throw new KeysteadError('device.blocked', { field: 'deviceId', seen: `${deviceId}: ${why}` });
  }

  /** The last CRL number of each issuer. */
  get crlNumbers(): Partial<Record<ListedIssuer, number>> {
    const made = [...this.#lists].filter(([, { number }]) => number > 0);
    return Object.fromEntries(made.map(([issuer, { number }]) => [issuer, number]));
  }

  /** The CRLs of an issuer. */
  lists(issuer: ListedIssuer): IssuerLists {
    const known = this.#lists.get(issuer) ?? new IssuerLists(issuer);
    this.#lists.set(issuer, known);
    return known;
  }

  /**
   * Goes up by each revocation and hold that is listed or taken back, by each release, and by each factory that is stopped:
   * whether anything has happened since that makes a filter of before say too much or too little.
   */
  get revocationCount(): number {
    return this.#listings + this.holds.releases + this.factories.consigned.histories.stops;
  }

  /** The certificates of one of keyd's own issuers, see `SerialSet.living`. */
  issued(
    issuer: ListedIssuer,
    ...span: Parameters<SerialSet['living']>
  ): Iterable<readonly [place: number, serial: Serial]> {
    return this.#issued.get(issuer as IssuerId)?.living(...span) ?? [];
  }

  /** Whether it has ended at `at`, seconds since 1970; undefined for one that no key of this keyd issued. */
  hasEnded(issuer: ListedIssuer, serial: Serial, at: number): boolean | undefined {
    const issued = this.#issued.get(issuer as IssuerId);
    return issued?.has(serial) === true ? !issued.endsAfter(serial, at) : undefined;
  }

  /** Whether keyd lists this certificate for good. */
  isRevoked(issuer: ListedIssuer, serial: Serial): boolean {
    return this.#lists.get(issuer)?.revoked.has(serial) ?? false;
  }

  /** Whether it lists it at all: for good, or on a hold that no order has released. */
  isListed(issuer: ListedIssuer, serial: Serial): boolean {
    return this.isRevoked(issuer, serial) || this.holds.isHeld(issuer, serial);
  }

  /**
   * Takes revocations and holds onto the list of an issuer, first on the CRL with the number `since`. Returns those that
   * are there for the first time, and what takes them back, for when the journal could not be written: else they would
   * be on no list later. What has ended is let go.
   * @throws KeysteadError `revocation.unissued-too-many`; nothing is taken then.
   */
  list(
    issuer: ListedIssuer,
    since: number,
    entries: readonly Revoked[],
    forgetting: Forgetting,
  ): { fresh: Revoked[]; undo: () => void } {
    const lists = this.lists(issuer);
    const fresh: Revoked[] = [];
    const ended: Held[] = [];
    const listedAt = forgetting.at;
    const unissued = entries.filter(({ serial }) => !this.isListed(issuer, serial) && !this.isIssued(issuer, serial));
    lists.takeUnissued(unissued.length);
    for (const entry of entries) {
      const { serial } = entry;
      if (lists.revoked.has(serial)) continue;
      if (entry.reason === 'certificateHold') {
        if (this.holds.take(issuer, { ...entry, listedAt })) fresh.push(entry);
        continue;
      }
      const held = this.holds.end(issuer, serial);
      if (held !== undefined) ended.push({ ...held, reason: 'certificateHold' });
      lists.revoked.add(entry, since, listedAt);
      fresh.push(entry);
    }
    this.#forget(issuer, forgetting);
    this.#listings += fresh.length;
    const undo = (): void => {
      // Up again: a filter may have been compared meanwhile, and what comes next must not look like what it was.
      this.#listings += fresh.length;
      for (const { serial } of fresh) {
        lists.revoked.delete(serial);
        this.holds.end(issuer, serial);
      }
      for (const held of ended) this.holds.take(issuer, held);
      lists.sawUnissued(-unissued.length);
    };
    return { fresh, undo };
  }

  #forget(issuer: ListedIssuer, { listedBy, endedBy, allListedBy }: Forgetting): void {
    const endedSeconds = Math.floor(endedBy / 1000);
    const hasEnded = (serial: Serial, listedAt: number): boolean =>
      this.hasEnded(issuer, serial, endedSeconds) ?? listedAt <= allListedBy;
    this.lists(issuer).revoked.forget(listedBy, hasEnded);
    this.holds.forget(issuer, listedBy, hasEnded);
  }
}

const isReason = (text: string): text is RevocationReason => text in REVOCATION_REASONS;

const shardOf = ({ shard }: CrlJournalEntry): Shard | undefined =>
  shard === undefined ? undefined : { index: shard[0], of: shard[1] };
