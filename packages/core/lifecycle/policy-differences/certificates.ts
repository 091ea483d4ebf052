import { type DerSpki, fromBase64 } from '../../bytes/index.ts';
import type { KeyAlgorithm } from '../../crypto/index.ts';
import { checkPublicKey } from '../../x509/index.ts';
import { durationText } from '../duration.ts';
import type { Period } from '../key-purposes.ts';
import type { Policy } from '../policy.ts';
import { sameJson } from '../policy-update.ts';
import { keysOf } from '../signers/keys.ts';
import { change, count, type Findings, type LiveCertificate, type LiveInventory, longer, named } from './findings.ts';

/** At 75 % of a certificate's life, at the latest, a device renews (agent/renewal/schedule.ts). */
const LATEST_RENEWAL = 0.75;

export function algorithms(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  for (const algorithm of before.algorithms.filter((one) => !after.algorithms.includes(one))) {
    const held = live?.certificates.filter((one) => one.keyAlgorithm === algorithm) ?? [];
    const people = after.operators
      .filter((one) => [...keysOf(one).keys()].some((key) => algorithmOf(key) === algorithm))
      .map(({ name }) => name);
    if (held.length > 0) {
      found.add(
        'breaks',
        'algorithms',
        `${algorithm} removed: ${count(held, 'unexpired certificate')} with such a key cannot be followed by another for a key of this kind`,
      );
    }
    if (people.length > 0) {
      found.add(
        'breaks',
        'algorithms',
        `${algorithm} removed: the signatures of ${named(people)} would no longer be accepted`,
      );
    }
    if (held.length + people.length === 0) found.add('warns', 'algorithms', `${algorithm} removed`);
  }
  for (const algorithm of after.algorithms.filter((one) => !before.algorithms.includes(one)))
    found.add('notes', 'algorithms', `${algorithm} added`);
}

function algorithmOf(spki: string): KeyAlgorithm | undefined {
  try {
    return checkPublicKey(fromBase64(spki) as DerSpki, [
      'P-256',
      'P-384',
      'Ed25519',
      'RSA-2048',
      'RSA-3072',
      'RSA-4096',
    ]);
  } catch {
    return undefined;
  }
}

export function profiles(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  for (const old of before.profiles) {
    const next = after.profiles.find(({ id }) => id === old.id);
    const held = live?.certificates.filter((one) => one.profile === old.id) ?? [];
    if (next === undefined) {
      const what =
        held.length === 0 ? 'removed' : `removed: ${count(held, 'unexpired certificate')} could not be renewed`;
      found.add(held.length === 0 ? 'warns' : 'breaks', `profiles.${old.id}`, what);
      continue;
    }
    if (sameJson(old, next)) continue;
    const field = `profiles.${old.id}`;
    if (old.validity.seconds !== next.validity.seconds)
      lifetime(found, field, old.id, [old.validity.seconds, next.validity.seconds], held);
    if (old.validity.backdateSeconds !== next.validity.backdateSeconds) {
      const text = `notBefore is set back by ${durationText(next.validity.backdateSeconds)} instead of ${durationText(old.validity.backdateSeconds)}`;
      found.add('notes', `${field}.validity.backdateSeconds`, text);
    }
    for (const algorithm of old.keyAlgorithms.filter((one) => !next.keyAlgorithms.includes(one))) {
      const such = held.filter((one) => one.keyAlgorithm === algorithm);
      const text = `${algorithm} removed: ${count(such, 'unexpired certificate')} with such a key`;
      found.add(
        such.length > 0 ? 'breaks' : 'warns',
        `${field}.keyAlgorithms`,
        such.length > 0 ? `${text}, whose next key must be another` : `${algorithm} removed`,
      );
    }
    const { validity: _v, keyAlgorithms: _k, ...restOld } = old;
    const { validity: _w, keyAlgorithms: _l, ...restNext } = next;
    if (!sameJson(restOld, restNext)) {
      const parts = (Object.keys({ ...restOld, ...restNext }) as (keyof typeof restOld)[]).filter(
        (part) => !sameJson(restOld[part], restNext[part]),
      );
      found.add('warns', field, `${parts.join(', ')} changed: new certificates differ from those that are out`);
    }
    const added = next.keyAlgorithms.filter((one) => !old.keyAlgorithms.includes(one));
    if (added.length > 0) found.add('notes', `${field}.keyAlgorithms`, `${added.join(', ')} added`);
  }
  for (const { id } of after.profiles.filter((one) => before.profiles.every(({ id: old }) => old !== one.id)))
    found.add('notes', `profiles.${id}`, 'added');
}

function lifetime(
  found: Findings,
  profile: string,
  id: string,
  [from, to]: readonly [Period, Period],
  held: readonly LiveCertificate[],
): void {
  const field = `${profile}.validity.seconds`;
  const said = `${id} lifetime ${change(from, to)}`;
  if (longer(to) > longer(from)) {
    found.add('notes', field, said);
    return;
  }
  const outlive = held.filter((one) => one.notAfter.getTime() - one.issuedAt.getTime() > longer(to) * 1000);
  // A device learns of the shorter life only with its next certificate, and asks for that by the length of this one.
  const late = outlive.filter(
    (one) => (one.notAfter.getTime() - one.issuedAt.getTime()) * LATEST_RENEWAL > longer(to) * 1000,
  );
  const tail =
    (late.length > 0 &&
      `: below the renewal point of ${named(late.map((one) => one.owner))} (${late.length} in all), who go on with a certificate that is older than that`) ||
    (outlive.length > 0 && `: ${count(outlive, 'certificate')} that are out stay valid for longer than that`) ||
    '';
  found.add(late.length > 0 ? 'breaks' : 'warns', field, `${said}${tail}`);
}
