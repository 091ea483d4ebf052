import { DEFAULT_AUTHORISATION_LIMITS } from '../authorisation.ts';
import type { Policy } from '../policy.ts';
import { change, type Findings, named } from './findings.ts';

/** What an enrolment authorisation may allow. Those that allow more are refused from then on. */
export function authorisations(found: Findings, before: Policy, after: Policy): void {
  const old = before.authorisations ?? DEFAULT_AUTHORISATION_LIMITS;
  const next = after.authorisations ?? DEFAULT_AUTHORISATION_LIMITS;
  const over = 'those that allow more are refused from then on';
  if (old.maxUses !== next.maxUses) {
    const text = `keys of one authorisation from ${old.maxUses} to ${next.maxUses}`;
    const less = next.maxUses < old.maxUses;
    found.add(less ? 'warns' : 'notes', 'authorisations.maxUses', less ? `${text}: ${over}` : text);
  }
  if (old.maxSeconds !== next.maxSeconds) {
    const text = `time of an authorisation ${change(old.maxSeconds, next.maxSeconds)}`;
    const less = next.maxSeconds < old.maxSeconds;
    found.add(less ? 'warns' : 'notes', 'authorisations.maxSeconds', less ? `${text}: ${over}` : text);
  }
}

/** What proves a device to keyd. Those that come by EST are refused where a signed message is wanted. */
export function deviceProof(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.deviceProof ?? 'tls', after.deviceProof ?? 'tls'];
  if (old === next) return;
  if (next === 'message') {
    const text =
      'a device signs each request in a CMP message from now on: devices that enrol and renew by EST get no certificate';
    found.add('warns', 'deviceProof', text);
  } else {
    found.add('warns', 'deviceProof', 'the word of the front end is enough again for which device asks');
  }
}

/** Who can open the backups that are made from now on. Those of before stay as they are. */
export function backups(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.backup, after.backup];
  if (next === undefined) {
    if (old !== undefined) found.add('breaks', 'backup', 'no custodians any more: no backup can be made');
    return;
  }
  if (old === undefined) {
    const names = named(next.custodians.map(({ name }) => name));
    found.add('notes', 'backup', `any ${next.threshold} of ${names} open the backups that are made from now on`);
    return;
  }
  if (old.threshold !== next.threshold) {
    const weaker = next.threshold < old.threshold;
    found.add(
      weaker ? 'warns' : 'notes',
      'backup.threshold',
      `${next.threshold} instead of ${old.threshold} custodians open a backup${weaker ? ': fewer people can do it together' : ''}`,
    );
  }
  const keyOf = (policy: typeof old, name: string): string | undefined =>
    policy.custodians.find((one) => one.name === name)?.recipient;
  for (const { name, recipient } of next.custodians) {
    const known = keyOf(old, name);
    if (known === undefined) found.add('warns', `backup.custodians.${name}`, 'keeps a share of backups from now on');
    else if (known !== recipient) {
      found.add('warns', `backup.custodians.${name}`, 'another key: the old one is still needed for backups of before');
    }
  }
  for (const { name } of old.custodians) {
    if (keyOf(next, name) !== undefined) continue;
    found.add('warns', `backup.custodians.${name}`, 'keeps no share any more, but still those of backups of before');
  }
}
