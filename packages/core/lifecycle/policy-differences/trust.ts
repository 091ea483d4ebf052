import type { Policy } from '../policy.ts';
import { sameJson } from '../policy-update.ts';
import type { TrustPolicy } from '../trust/policy.ts';
import { change, type Findings } from './findings.ts';

/** What changes for who decides on trust bundles, and for how long devices can go by one. */
export function trust(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.trust, after.trust];
  if (old === undefined && next === undefined) return;
  if (next === undefined) {
    found.add('breaks', 'trust', 'no trust bundle is signed any more: devices stop when theirs expires');
    return;
  }
  if (old === undefined) {
    found.add('notes', 'trust', `trust bundles of '${next.fleet}': keyd makes their keys at its next start`);
    return;
  }
  if (old.fleet !== next.fleet)
    found.add('breaks', 'trust.fleet', `devices of '${old.fleet}' take no bundle of '${next.fleet}'`);
  keys(found, old, next);
  for (const [field, was, is] of [
    ['trust.approvals', old.approvals, next.approvals],
    ['trust.strand.approvals', old.strand?.approvals ?? null, next.strand?.approvals ?? null],
  ] as const) {
    if (was === is) continue;
    const fewer = is !== null && (was === null || is < was);
    found.add(fewer ? 'warns' : 'notes', field, `takes ${is ?? 'nobody: it is refused'}, and took ${was ?? 'nobody'}`);
  }
  if (
    !sameJson(
      [old.roles, old.hardware ?? false, old.strand ?? null],
      [next.roles, next.hardware ?? false, next.strand ?? null],
    )
  )
    found.add('warns', 'trust.roles', 'who approves changes');
  for (const part of ['seconds', 'awaySeconds'] as const) {
    if (old.bundle[part] !== next.bundle[part])
      found.add('warns', `trust.bundle.${part}`, change(old.bundle[part], next.bundle[part]));
  }
  const gone = old.filter?.issuers.filter((one) => next.filter?.issuers.includes(one) !== true) ?? [];
  if (gone.length > 0)
    found.add('breaks', 'trust.filter.issuers', `no filter says any more what is revoked of: ${gone.join(', ')}`);
  if (!sameJson([old.bundle, old.filter ?? null], [next.bundle, next.filter ?? null]))
    found.add('notes', 'trust.bundle', 'how bundles and filters are made is different');
}

function keys(found: Findings, old: TrustPolicy, next: TrustPolicy): void {
  const come = new Map(next.keys.map((key) => [key.id, key]));
  for (const { id, algorithm } of old.keys) {
    const now = come.get(id);
    come.delete(id);
    if (now === undefined) found.add('breaks', `trust.keys.${id}`, 'signs no bundle any more');
    else if (now.algorithm !== algorithm)
      found.add('breaks', `trust.keys.${id}`, `was made as ${algorithm}: keyd signs nothing with it`);
  }
  for (const id of come.keys()) found.add('notes', `trust.keys.${id}`, 'keyd makes it at its next start');
}
