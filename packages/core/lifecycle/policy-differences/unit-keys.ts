import type { Policy } from '../policy.ts';
import type { Findings } from './findings.ts';

/** Keys of units that others than the device make: somebody should know of each, and of each master that rotates. */
export function unitKeys(found: Findings, before: Policy, after: Policy): void {
  const [had, has] = [before.unitKeys?.injected ?? [], after.unitKeys?.injected ?? []];
  const field = 'unitKeys.injected';
  for (const id of has.filter((one) => !had.includes(one)))
    found.add('warns', field, `keyd may make the keys of units by ${id}: they are then not the device's own`);
  for (const id of had.filter((one) => !has.includes(one)))
    found.add('warns', field, `keyd makes no key by ${id} any more: a unit that can make none gets none`);
  const [old, next] = [before.unitKeys?.diversified ?? [], after.unitKeys?.diversified ?? []];
  for (const { purpose, version, bytes } of next) {
    const part = `unitKeys.diversified.${purpose}`;
    const known = old.find((one) => one.purpose === purpose);
    if (known === undefined) {
      found.add('warns', part, `each device has a key for ${purpose} from then on, by master ${version}`);
      continue;
    }
    if (version < known.version)
      found.add('breaks', part, `master ${version} after ${known.version}: an older master would give keys again`);
    if (version > known.version)
      found.add('warns', part, `master ${version}: keys that are derived from then on are others than before`);
    if (bytes !== known.bytes)
      found.add('breaks', part, `${bytes} bytes after ${known.bytes}: every device's key becomes another one`);
  }
  for (const { purpose } of old.filter((one) => next.every((other) => other.purpose !== one.purpose)))
    found.add('warns', `unitKeys.diversified.${purpose}`, 'no key is derived for it any more');
}
