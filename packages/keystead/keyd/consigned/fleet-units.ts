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
  /** In the order in which they were taken in. */
  readonly #byDevice = new Map<string, Held[]>();
  readonly #byKey = new Map<string, Held[]>();
  /** The device ids that each ticket has had, by the ticket's hash. */
  readonly #tickets = new Map<string, Set<string>>();
  /** Devices of headquarters that a resolution ended. */
  readonly #endedOwn = new Set<string>();

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
   * with every unit that is known, whatever became of it: what people have not decided is never guessed.
   */
  conflictsOf(factory: string, unit: Pick<TakenUnit, 'deviceId' | 'spkiSha256' | 'serial'>): UnitConflict[] {
    const found: UnitConflict[] = [];
    const device = this.#byDevice.get(unit.deviceId)?.[0] ?? this.#bySerial.get(`${factory} ${unit.serial}`);
    const ownDevice = this.#own.unitOf(unit.deviceId);
    if (ownDevice !== undefined) {
      found.push({ conflict: 'device-known', with: `${HEADQUARTERS} ${unit.deviceId}` });
    } else if (device !== undefined) {
      found.push({ conflict: 'device-known', with: `${device.factory} ${device.deviceId}` });
    }
    const ownOwner = this.#own.ownerOf(unit.spkiSha256);
    const owner = this.#byKey.get(unit.spkiSha256)?.find(({ deviceId }) => deviceId !== unit.deviceId);
    if (ownOwner !== undefined && ownOwner !== unit.deviceId) {
      found.push({ conflict: 'key-known', with: `${HEADQUARTERS} ${ownOwner}` });
    } else if (owner !== undefined) {
      found.push({ conflict: 'key-known', with: `${owner.factory} ${owner.deviceId}` });
    }
    return found;
  }

  /** Whether a device would be one more than the ticket allows. */
  exceeds(ticketSha256: string, quota: number, deviceId: string): boolean {
    const devices = this.#tickets.get(ticketSha256);
    return devices !== undefined && !devices.has(deviceId) && devices.size >= quota;
  }

  /**
   * Takes units in as they were decided about. To take the same again changes nothing, so that it may be done before the
   * entry is durable: what could not be written is decided in the same way the next time.
   */
  take({ factory, units }: Pick<TakenJournalEntry, 'factory' | 'units'>): void {
    for (const unit of units) this.#takeOne(factory, unit);
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
      const devices = this.#tickets.get(ticket.sha256) ?? new Set();
      this.#tickets.set(ticket.sha256, devices.add(deviceId));
    }
    if (unit.conflicts !== undefined && held.standing !== 'released' && held.standing !== 'rejected') {
      held.standing = 'quarantined';
      held.conflicts = unit.conflicts;
    }
    if (!isVoid && held.standing === 'void') held.standing = 'taken';
    held.serials.set(serial, isVoid);
    const key = `${factory} ${serial}`;
    if (!this.#bySerial.has(key)) this.#bySerial.set(key, held);
    if (!isVoid && (held.idevid === undefined || held.idevid.at <= unit.at)) held.idevid = { serial, at: unit.at };
  }

  /** The unit with this certificate. */
  bySerial(factory: string, serial: string): FleetUnit | undefined {
    return this.#bySerial.get(`${factory} ${serial}`);
  }

  /** The unit of a factory whose certificates are believed, by its device id. */
  unitOf(deviceId: string): FleetUnit | undefined {
    const units = this.#byDevice.get(deviceId);
    return units?.find(believed) ?? units?.[0];
  }

  /** The units of a factory with this device id, whatever became of them. */
  unitsOf(deviceId: string, factory: string): FleetUnit[] {
    return (this.#byDevice.get(deviceId) ?? []).filter((one) => one.factory === factory);
  }

  /** The device of a factory that has this key, whatever became of it. */
  ownerOf(spkiSha256: string): string | undefined {
    return this.#byKey.get(spkiSha256)?.[0]?.deviceId;
  }

  /** Whether this very certificate is one that a device may show: taken in, given out, and not in quarantine. */
  believes(factory: string, serial: string): boolean {
    const unit = this.bySerial(factory, serial);
    return unit !== undefined && believed(unit) && unit.serials.get(serial as Serial) === false;
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
