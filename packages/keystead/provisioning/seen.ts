import type { ConsignedUnit, UnitConflict } from '@keystead/core/lifecycle';
import { factoryIssuerId, HEADQUARTERS } from '@keystead/core/lifecycle';
import type { Reader } from '../store/index.ts';

/**
 * What the records of headquarters have against units of a factory, by their place: keyd knows the keys of IDevIDs only;
 * the records know every key that was ever certified, and those that were reported to be in foreign hands.
 * REQ-KEY-PROV-03
 */
export function seenOf(
  records: Reader,
  factory: string,
  units: readonly ConsignedUnit[],
): ({ index: number } & UnitConflict)[] {
  return units.flatMap((unit, index) => seenOne(records, factory, unit).map((one) => ({ index, ...one })));
}

function seenOne(records: Reader, factory: string, { deviceId, spkiSha256 }: ConsignedUnit): UnitConflict[] {
  const found: UnitConflict[] = [];
  const use = records.keyUse(spkiSha256);
  if (typeof use?.compromisedAt === 'number') found.push({ conflict: 'key-refused', with: 'reported compromised' });
  if (use !== undefined && use.owner !== `device:${deviceId}`) {
    found.push({
      conflict: 'key-known',
      with: `${use.issuer ?? HEADQUARTERS} ${use.owner.replace(/^device:/, '')}`.slice(0, 160),
    });
  }
  const device = records.device(deviceId);
  const theirs = device === undefined ? undefined : records.certificate(factoryIssuerId(factory), device.idevidSerial);
  if (device !== undefined && theirs === undefined) {
    found.push({ conflict: 'device-known', with: `${HEADQUARTERS} ${deviceId}` });
  }
  return found;
}
