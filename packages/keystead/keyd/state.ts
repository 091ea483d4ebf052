import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { factoryOfIssuer, isListedIssuer, type ListedIssuer, type Shard } from '@keystead/core/lifecycle';
import { REVOCATION_REASONS, type RevocationReason } from '@keystead/core/x509';
import { Chips } from './attestation/chips.ts';
import { AuthorisationUses } from './authorisation-uses.ts';
import { DestroyedKeys } from './destroyed-keys.ts';
import { Factories } from './factories.ts';
import { FirmwareAdoptions } from './firmware-adoption.ts';
import { FirmwareKeyOrders } from './firmware-key-orders.ts';
import { FirmwareOrders } from './firmware-orders.ts';
import { type Held, Holds } from './holds.ts';
import { Injections } from './injections.ts';
import { IssuedSerials } from './issued-serials.ts';
import { IssuerLists } from './issuer-lists.ts';
import type { CertificateJournalEntry, JournalEntry, UnitKeyJournalEntry } from './journal-entry.ts';
import { Lapses, type Recount } from './lapses.ts';
import { LatestTime } from './latest-time.ts';
import { KnownMasters } from './master-keys.ts';
import { PasskeyCounters } from './passkey-counters.ts';
import type { RestoredJournalEntry } from './restore-entries.ts';
import { Restores } from './restores.ts';
import type { Forgetting } from './revocation.ts';
import type { CrlJournalEntry, RevocationsJournalEntry } from './revocation-entries.ts';
import { RevocationOrders } from './revocation-orders.ts';
import type { Revoked } from './revoked-set.ts';
import { RootList } from './root-list.ts';
import { EndedSignOns } from './sign-ons.ts';
import { Stations } from './stations.ts';
import { TicketUnits } from './ticket-units.ts';
import { TrustBundles } from './trust-bundles.ts';
import { TsaCertificates } from './tsa-certificates.ts';
import { TufRepositories } from './tuf-repositories.ts';

/** What is remembered of a certificate besides the count. */
type Certified = Pick<
  CertificateJournalEntry,
  'serial' | 'issuer' | 'profile' | 'subject' | 'spkiSha256' | 'notBefore' | 'notAfter' | 'ticket' | 'shards'
>;

/**
 * What keyd must know to refuse by itself: how many units each ticket has had and which device has which key, the
 * last CRL of each issuer and what stands on it, and the latest time that it has seen. All of it is made again from
 * the journal. A decision and its effect are one synchronous step, here as in each of its parts, so that requests that
 * run side by side cannot both take the last unit. REQ-KEY-STO-03
 */
export class KeydState {
  readonly #lists = new Map<ListedIssuer, IssuerLists>();
  /** The restores, and who agreed to them. */
  readonly restored = new Restores();
  /** When this journal may have forgotten something. */
  readonly lapses = new Lapses(this.restored);
  /** The latest time that was seen. */
  readonly time = new LatestTime();
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
  /** The units that were provisioned here, and what they took of their tickets. */
  readonly units: TicketUnits = new TicketUnits(
    () => this.factories,
    (issuer, serial) =>
      this.holds.isHeld(issuer, serial) ? 'certificateHold' : this.#lists.get(issuer)?.revoked.reason(serial),
  );
  /** The certificates of keyd's own issuers. */
  readonly issued = new IssuedSerials();
  /** The factory nodes, and what was taken in from them. */
  readonly factories = new Factories(this.units);
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
  /** How many revocations and holds came onto a list, or off it where the journal could not be written. */
  #listings = 0;
  #certificates = 0;
  #timestampsTold = Number.NEGATIVE_INFINITY;

  /** Takes an entry of the journal into account, at a start. */
  replay(entry: JournalEntry): void {
    if (entry.kind === 'timestamps') this.#timestampsTold = Date.parse(entry.time);
    this.time.saw(Date.parse(entry.time));
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
    this.tuf.replay(entry, this.lapses.raises);
    this.trust.replay(entry);
    this.restored.replay(entry);
    if (entry.kind === 'restored') this.#replayRestore(entry);
    if (entry.kind === 'recount') this.takeRecount(entry);
    if (entry.kind === 'factory') this.factories.replay(entry);
    this.factories.consigned.replay(entry);
  }

  #replayCertificate(entry: CertificateJournalEntry): void {
    this.units.replay(entry);
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

  /** Takes a recount into account. Returns what takes it back, for when it could not be written. */
  takeRecount(recount: Recount): () => void {
    const untake = this.lapses.takeRecount(recount);
    const unskip = this.trust.skip(recount.time);
    return () => {
      untake();
      unskip();
    };
  }

  /** Certificates in the journal. */
  get certificates(): number {
    return this.#certificates;
  }

  /** Takes a certificate into account whose entry in the journal is durable. */
  takeCertificate(entry: Certified): void {
    const { serial, issuer, notBefore, notAfter, shards } = entry;
    this.#certificates += 1;
    this.stations.saw(entry);
    this.tsaCertificates.saw(entry);
    this.issued.saw(issuer, serial as Serial, { notBefore: Date.parse(notBefore), notAfter: Date.parse(notAfter) });
    if (shards !== undefined) this.lists(issuer).sawSharding(shards, Date.parse(notAfter));
    this.units.certified(entry);
  }

  /**
   * Whether keyd has issued a certificate with this serial number, or a factory has told that it did, whatever became of
   * the unit.
   */
  isIssued(issuer: ListedIssuer, serial: Serial): boolean {
    const factory = factoryOfIssuer(issuer);
    if (factory !== undefined) return this.factories.consigned.units.bySerial(factory, serial) !== undefined;
    return this.issued.has(issuer, serial);
  }

  /** When the journal told last that time stamps are signed, as of the start; milliseconds since 1970. */
  get timestampsTold(): number {
    return this.#timestampsTold;
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
      this.issued.hasEnded(issuer, serial, endedSeconds) ?? listedAt <= allListedBy;
    this.lists(issuer).revoked.forget(listedBy, hasEnded);
    this.holds.forget(issuer, listedBy, hasEnded);
  }
}

const isReason = (text: string): text is RevocationReason => text in REVOCATION_REASONS;

const shardOf = ({ shard }: CrlJournalEntry): Shard | undefined =>
  shard === undefined ? undefined : { index: shard[0], of: shard[1] };
