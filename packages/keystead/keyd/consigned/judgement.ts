import { type ConsignedUnit, isInRange, type SignedTicket, type UnitConflict } from '@keystead/core/lifecycle';
import type { TakenUnit } from './entries.ts';
import type { FleetUnit, FleetUnits } from './fleet-units.ts';
import type { ConsigningFactory } from './proof.ts';

/** A node's clock may be ahead by this much. */
export const CLOCK_SKEW_MS = 5 * 60_000;

/** What is known of a unit besides the fleet. */
export interface UnitFacts {
  /** Its ticket, which a quorum of the policy has signed; undefined where none came or none did. */
  readonly ticket: SignedTicket | undefined;
  /** Why its key is refused, in a few words. */
  readonly keyRefused?: string;
  /** What its certificate has that no profile gives it, in a few words. */
  readonly certificateDiffers?: string;
  /** What the records of headquarters have against it, which know keys that are no IDevID's. */
  readonly seen: readonly UnitConflict[];
  readonly now: Date;
}

/**
 * Decides about one unit of a consignment: each thing that contradicts it is named, and none is guessed. A unit that is
 * the same as before (its device came again after a crash) has what was decided of it. Takes nothing.
 * REQ-KEY-PROV-01, REQ-KEY-PROV-03
 */
export function judgeUnit(
  unit: ConsignedUnit,
  isVoid: boolean,
  factory: ConsigningFactory,
  fleet: FleetUnits,
  facts: UnitFacts,
): TakenUnit {
  const { deviceId, serial, spkiSha256, ticket, at } = unit;
  const taken: TakenUnit = { deviceId, serial, spkiSha256, ticket, at, ...(isVoid ? { void: true } : {}) };
  const known = fleet.same(factory.name, taken);
  const conflicts = known === undefined ? conflictsOf(unit, factory, fleet, facts) : again(known, unit, factory, facts);
  if (conflicts.length === 0) return taken;
  // Operators have decided that the unit is the right one; a certificate of another kind is none of it.
  return { ...taken, ...(known?.standing === 'released' ? { void: true as const } : {}), conflicts };
}

function again(
  { standing, conflicts, serials }: FleetUnit,
  { serial, at }: ConsignedUnit,
  factory: ConsigningFactory,
  { keyRefused, certificateDiffers }: UnitFacts,
): UnitConflict[] {
  if (standing === 'quarantined' || standing === 'rejected') return [...conflicts];
  const found: UnitConflict[] = [];
  if (!serials.has(serial)) found.push(...afterClose(at, factory));
  // Its key is seen for the first time with its first certificate; each certificate is another one.
  if (standing === 'void' && keyRefused !== undefined) found.push({ conflict: 'key-refused', with: keyRefused });
  if (certificateDiffers !== undefined) found.push({ conflict: 'certificate-differs', with: certificateDiffers });
  return found;
}

function conflictsOf(
  unit: ConsignedUnit,
  factory: ConsigningFactory,
  fleet: FleetUnits,
  { ticket, keyRefused, certificateDiffers, seen, now }: UnitFacts,
): UnitConflict[] {
  const { deviceId, at } = unit;
  const found = fleet.conflictsOf(factory.name, unit);
  for (const one of seen) if (!found.some(({ conflict }) => conflict === one.conflict)) found.push(one);
  if (ticket === undefined) {
    found.push({ conflict: 'ticket-unknown', with: unit.ticket.id });
  } else {
    const { factory: node, quota, deviceIds, notBefore, notAfter, id } = ticket.ticket;
    if (node !== factory.name) found.push({ conflict: 'ticket-not-for-factory', with: `${id} for ${node}` });
    if (!isInRange(deviceIds, deviceId)) found.push({ conflict: 'out-of-range', with: id });
    if (fleet.exceeds(factory.name, ticket.sha256, quota, deviceId))
      found.push({ conflict: 'quota-exceeded', with: id });
    if (at < notBefore || Date.parse(at) >= Date.parse(notAfter)) found.push({ conflict: 'out-of-time', with: id });
  }
  if (!factory.deviceIdPrefixes.some((prefix) => deviceId.startsWith(prefix)))
    addOnce(found, { conflict: 'out-of-range', with: factory.name });
  if (Date.parse(at) > now.getTime() + CLOCK_SKEW_MS) addOnce(found, { conflict: 'out-of-time', with: at });
  found.push(...afterClose(at, factory));
  if (keyRefused !== undefined) addOnce(found, { conflict: 'key-refused', with: keyRefused });
  if (certificateDiffers !== undefined) found.push({ conflict: 'certificate-differs', with: certificateDiffers });
  return found;
}

/** What was made before comes as late as it may. */
const afterClose = (at: string, { name, closedAt }: ConsigningFactory): UnitConflict[] =>
  closedAt !== undefined && Date.parse(at) >= closedAt.getTime()
    ? [{ conflict: 'after-close', with: `${name} closed ${closedAt.toISOString()}` }]
    : [];

function addOnce(found: UnitConflict[], one: UnitConflict): void {
  if (!found.some(({ conflict }) => conflict === one.conflict)) found.push(one);
}
