import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { HEADQUARTERS, type UnitConflict } from '@keystead/core/lifecycle';
import type { ResolvedJournalEntry, TakenJournalEntry, TakenUnit } from './entries.ts';

/** What headquarters itself has provisioned. */
export interface OwnUnits {
  unitOf(deviceId: string): { readonly ticketId: string; readonly spkiSha256: string } | undefined;
  /** The device that has this key. */
  ownerOf(spkiSha256: string): string | undefined;
}

/**
 * Where a unit of a factory stands. `void`: nobody was given a certificate of it. `quarantined`: it came later than
 * another that it contradicts; operators make it `released` or `rejected`. Only of `taken` and `released` ones are
 * certificates believed.
 */
export type Standing = 'taken' | 'void' | 'quarantined' | 'released' | 'rejected';

/** One device with one key by one ticket of one factory; more than one certificate where it came again. */
export interface FleetUnit {
  readonly factory: string;
  readonly deviceId: string;
  readonly spkiSha256: SpkiSha256;
  readonly ticket: { readonly id: string; readonly sha256: string };
  readonly standing: Standing;
  readonly conflicts: readonly UnitConflict[];
  /** Every certificate of it, by serial number; true for one that nobody was given. */
  readonly serials: ReadonlyMap<Serial, boolean>;
  /** The newest certificate that it was given. */
  readonly idevid: { readonly serial: Serial; readonly at: string } | undefined;
}

type Held = { -readonly [K in keyof FleetUnit]: FleetUnit[K] } & { readonly serials: Map<Serial, boolean> };

/**
 * Every unit that factories have told headquarters of, made again from its keyd's journal. A device id and a key belong
 * to one unit of the whole fleet for all time; a unit that comes later and contradicts one is kept beside it, in
 * quarantine, and what comes after is compared with both. REQ-KEY-PROV-01, REQ-KEY-PROV-03
 */
export class FleetUnits {
  readonly #own: OwnUnits;
  readonly #bySerial = new Map<string, Held>();
  /** When each certificate of a factory was made, as its node says, milliseconds since 1970. */
  readonly #madeAt = new Map<string, Map<Serial, number>>();
  /** In the order in which they were taken in. */
  readonly #byDevice = new Map<string, Held[]>();
  readonly #byKey = new Map<string, Held[]>();
  /**
   * The device ids that each ticket has had, by factory and the ticket's hash: a ticket is for one node, and what another
   * one says it made by it takes nothing of its quota.
   */
  readonly #tickets = new Map<string, Set<string>>();
  /** Devices of headquarters that a resolution ended. */
  readonly #endedOwn = new Set<string>();
  /** Certificates whose entry is not durable yet, by factory and serial number. */
  readonly #unwritten = new Set<string>();

  constructor(own: OwnUnits) {
    this.#own = own;
  }

  /** The unit that this one is again, with a certificate that may be another: same device, key, ticket and factory. */
  same(factory: string, unit: Pick<TakenUnit, 'deviceId' | 'spkiSha256' | 'ticket'>): FleetUnit | undefined {
    return this.#same(factory, unit);
  }

  #same(factory: string, { deviceId, spkiSha256, ticket }: Pick<TakenUnit, 'deviceId' | 'spkiSha256' | 'ticket'>) {
    return this.#byDevice
      .get(deviceId)
      ?.find((one) => one.factory === factory && one.spkiSha256 === spkiSha256 && one.ticket.sha256 === ticket.sha256);
  }

  /**
   * What contradicts this unit: another one with its device id, its key, or its certificate's serial number. Compared
   * with every unit that is known, whatever became of it: what people have not decided is never guessed. A mere claim
   * is none, see `stands`.
   */
  conflictsOf(factory: string, unit: Pick<TakenUnit, 'deviceId' | 'spkiSha256' | 'serial'>): UnitConflict[] {
    const found: UnitConflict[] = [];
    const device = this.#byDevice.get(unit.deviceId)?.find(stands) ?? this.#bySerial.get(`${factory} ${unit.serial}`);
    const ownDevice = this.#own.unitOf(unit.deviceId);
    if (ownDevice !== undefined) {
      found.push({ conflict: 'device-known', with: `${HEADQUARTERS} ${unit.deviceId}` });
    } else if (device !== undefined) {
      found.push({ conflict: 'device-known', with: `${device.factory} ${device.deviceId}` });
    }
    const ownOwner = this.#own.ownerOf(unit.spkiSha256);
    const owner = this.#byKey.get(unit.spkiSha256)?.find((one) => one.deviceId !== unit.deviceId && stands(one));
    if (ownOwner !== undefined && ownOwner !== unit.deviceId) {
      found.push({ conflict: 'key-known', with: `${HEADQUARTERS} ${ownOwner}` });
    } else if (owner !== undefined) {
      found.push({ conflict: 'key-known', with: `${owner.factory} ${owner.deviceId}` });
    }
    return found;
  }

  /** Whether a device of this factory would be one more than the ticket allows. */
  exceeds(factory: string, ticketSha256: string, quota: number, deviceId: string): boolean {
    const devices = this.#tickets.get(`${factory} ${ticketSha256}`);
    return devices !== undefined && !devices.has(deviceId) && devices.size >= quota;
  }

  /** Takes units in as they were decided about, in an entry that is durable. */
  take({ factory, units }: Pick<TakenJournalEntry, 'factory' | 'units'>): void {
    for (const unit of units) this.#takeOne(factory, unit);
  }

  /**
   * Takes a unit in whose entry is about to be written: what comes after is compared with it, and its certificate is not
   * believed before that.
   * @returns `settle`, for when the entry is durable, and `undo`, for when it could not be written: then the unit is as it
   *   was. Of several, the last is undone first.
   */
  hold(factory: string, unit: TakenUnit): { settle(): void; undo(): void } {
    const key = `${factory} ${unit.serial}`;
    const serial = unit.serial as Serial;
    const known = this.#same(factory, unit);
    const before = known && { ...known, isVoid: known.serials.get(serial) };
    const isListed = this.#bySerial.has(key);
    this.#takeOne(factory, unit);
    const held = this.#same(factory, unit);
    const standing = held?.standing;
    const isNew = before?.isVoid !== false;
    if (isNew) this.#unwritten.add(key);
    const settle = () => {
      if (isNew) this.#unwritten.delete(key);
    };
    const undo = () => {
      settle();
      if (held === undefined) return;
      if (!isListed) {
        this.#bySerial.delete(key);
        this.#madeAt.get(factory)?.delete(serial);
      }
      if (before === undefined) {
        this.#forget(held);
        return;
      }
      // What operators decided meanwhile stays.
      if (held.standing === standing) held.standing = before.standing;
      held.conflicts = before.conflicts;
      held.idevid = before.idevid;
      if (before.isVoid === undefined) held.serials.delete(serial);
      else held.serials.set(serial, before.isVoid);
    };
    return { settle, undo };
  }

  #forget(held: Held): void {
    const { factory, deviceId, spkiSha256, ticket } = held;
    const without = (map: Map<string, Held[]>, key: string): Held[] => {
      const left = (map.get(key) ?? []).filter((one) => one !== held);
      if (left.length === 0) map.delete(key);
      else map.set(key, left);
      return left;
    };
    without(this.#byKey, spkiSha256);
    const same = without(this.#byDevice, deviceId).some(
      (one) => one.factory === factory && one.ticket.sha256 === ticket.sha256,
    );
    if (!same) this.#tickets.get(`${factory} ${ticket.sha256}`)?.delete(deviceId);
  }

  #takeOne(factory: string, unit: TakenUnit): void {
    const { deviceId, spkiSha256, ticket } = unit;
    const serial = unit.serial as Serial;
    const isVoid = unit.void === true;
    const known = this.#same(factory, unit);
    const held: Held = known ?? {
      factory,
      deviceId,
      spkiSha256: spkiSha256 as SpkiSha256,
      ticket,
      standing: isVoid ? 'void' : 'taken',
      conflicts: unit.conflicts ?? [],
      serials: new Map(),
      idevid: undefined,
    };
    if (known === undefined) {
      pushTo(this.#byDevice, deviceId, held);
      pushTo(this.#byKey, spkiSha256, held);
      const key = `${factory} ${ticket.sha256}`;
      this.#tickets.set(key, (this.#tickets.get(key) ?? new Set()).add(deviceId));
    }
    if (unit.conflicts !== undefined && held.standing !== 'released' && held.standing !== 'rejected') {
      held.standing = 'quarantined';
      held.conflicts = unit.conflicts;
    }
    if (!isVoid && held.standing === 'void') held.standing = 'taken';
    // What was given once was given: who has the evidence key alone takes no certificate back.
    const wasGiven = unit.conflicts === undefined && held.serials.get(serial) === false;
    held.serials.set(serial, isVoid && !wasGiven);
    const key = `${factory} ${serial}`;
    if (!this.#bySerial.has(key)) {
      this.#bySerial.set(key, held);
      const made = this.#madeAt.get(factory) ?? new Map<Serial, number>();
      this.#madeAt.set(factory, made.set(serial, Date.parse(unit.at)));
    }
    if (!isVoid && (held.idevid === undefined || held.idevid.at <= unit.at)) held.idevid = { serial, at: unit.at };
  }

  /** The unit with this certificate. */
  bySerial(factory: string, serial: string): FleetUnit | undefined {
    return this.#bySerial.get(`${factory} ${serial}`);
  }

  /**
   * Every certificate of a factory that is known, whatever became of its unit, in the order in which they came, with when
   * it was made (milliseconds since 1970). More may come while it is gone through.
   */
  certificatesOf(factory: string): Iterable<readonly [Serial, number]> {
    return this.#madeAt.get(factory) ?? [];
  }

  /** The unit of a factory whose certificates are believed, by its device id. */
  unitOf(deviceId: string): FleetUnit | undefined {
    const units = this.#byDevice.get(deviceId);
    return units?.find(believed) ?? units?.find(stands);
  }

  /** The units of a factory with this device id, whatever became of them. */
  unitsOf(deviceId: string, factory: string): FleetUnit[] {
    return (this.#byDevice.get(deviceId) ?? []).filter((one) => one.factory === factory);
  }

  /** The device of a factory that has this key, whatever became of it. */
  ownerOf(spkiSha256: string): string | undefined {
    return this.#byKey.get(spkiSha256)?.find(stands)?.deviceId;
  }

  /** Whether this very certificate is one that a device may show: taken in, given out, and not in quarantine. */
  believes(factory: string, serial: string): boolean {
    const unit = this.bySerial(factory, serial);
    if (unit === undefined || this.#unwritten.has(`${factory} ${serial}`)) return false;
    return believed(unit) && unit.serials.get(serial as Serial) === false;
  }

  /** Whether a resolution ended this device of headquarters. */
  isEndedOwn(deviceId: string): boolean {
    return this.#endedOwn.has(deviceId);
  }

  /** How many units are known of a factory. */
  count(factory: string): number {
    let count = 0;
    for (const units of this.#byDevice.values()) for (const unit of units) if (unit.factory === factory) count += 1;
    return count;
  }

  /** Units in quarantine, in the order in which they came. */
  quarantined(): FleetUnit[] {
    return [...this.#byDevice.values()].flat().filter(({ standing }) => standing === 'quarantined');
  }

  /** What a release would end: every other unit with the device id or the key. */
  rivalsOf(unit: FleetUnit): { where: string; deviceId: string }[] {
    const others = new Set([...(this.#byDevice.get(unit.deviceId) ?? []), ...(this.#byKey.get(unit.spkiSha256) ?? [])]);
    const rivals = [...others].filter((one) => one !== unit && one.standing !== 'rejected');
    const own = new Set([
      ...(this.#own.unitOf(unit.deviceId) === undefined ? [] : [unit.deviceId]),
      ...[this.#own.ownerOf(unit.spkiSha256)].filter((owner) => owner !== undefined),
    ]);
    return [
      ...rivals.map(({ factory, deviceId }) => ({ where: factory, deviceId })),
      ...[...own].filter((id) => !this.#endedOwn.has(id)).map((deviceId) => ({ where: HEADQUARTERS, deviceId })),
    ];
  }

  /** Takes an operator's decision into account whose entry is durable. */
  resolve({ factory, decision }: Pick<ResolvedJournalEntry, 'factory' | 'decision'>): void {
    if (decision.act === 'accept') return;
    const unit = this.#bySerial.get(`${factory} ${decision.serial}`);
    if (unit === undefined) return;
    if (decision.act === 'reject') {
      unit.standing = 'rejected';
      return;
    }
    const right = `${factory} ${unit.deviceId}`;
    for (const one of this.#byDevice.get(unit.deviceId) ?? []) end(one, { conflict: 'device-known', with: right });
    for (const one of this.#byKey.get(unit.spkiSha256) ?? []) end(one, { conflict: 'key-known', with: right });
    for (const { where, deviceId } of decision.ended) if (where === HEADQUARTERS) this.#endedOwn.add(deviceId);
    unit.standing = 'released';
  }
}

/**
 * Whether it stands against others. A device id that is none of its factory's or ticket's, without a certificate, is a
 * mere claim: who has stolen the evidence key of one factory must not keep the units of the others from being taken.
 */
const stands = ({ standing, idevid, conflicts }: FleetUnit): boolean =>
  standing === 'released' || idevid !== undefined || !conflicts.some(({ conflict }) => conflict === 'out-of-range');

const believed = ({ standing }: FleetUnit): boolean => standing === 'taken' || standing === 'released';

/** Another unit was found to be the right one. */
function end(unit: Held, by: UnitConflict): void {
  unit.standing = 'rejected';
  if (unit.conflicts.length === 0) unit.conflicts = [by];
}

function pushTo(map: Map<string, Held[]>, key: string, held: Held): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [held]);
  else list.push(held);
}
