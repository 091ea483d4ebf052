import { durationText } from '../duration.ts';
import { keyPurpose } from '../key-purposes.ts';
import { cryptoperiodOf, type Policy } from '../policy.ts';
import { sameJson } from '../policy-update.ts';
import { change, type Findings, type LiveInventory, longer, named } from './findings.ts';

export function cryptoperiods(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  for (const old of before.cryptoperiods) {
    const next = cryptoperiodOf(after, old.purpose);
    const field = `cryptoperiods.${old.purpose}`;
    const title = keyPurpose(old.purpose).title;
    if (old.originatorSeconds !== next.originatorSeconds) {
      const said = `originator usage period of the ${title} ${change(old.originatorSeconds, next.originatorSeconds)}`;
      const authority = live?.authorities.find(({ purpose }) => purpose === old.purpose);
      const end =
        authority === undefined ? undefined : authority.since.getTime() + longer(next.originatorSeconds) * 1000;
      if (live !== undefined && end !== undefined && end <= live.now.getTime()) {
        found.add(
          'breaks',
          `${field}.originatorSeconds`,
          `${said}: it would be over since ${new Date(end).toISOString()}, and the key would sign nothing more`,
        );
      } else
        found.add(
          longer(next.originatorSeconds) < longer(old.originatorSeconds) ? 'warns' : 'notes',
          `${field}.originatorSeconds`,
          said,
        );
    }
    if (old.recipientSeconds !== next.recipientSeconds) {
      found.add(
        'notes',
        `${field}.recipientSeconds`,
        `recipient usage period of the ${title} ${change(old.recipientSeconds, next.recipientSeconds)}`,
      );
    }
    if (old.warnSeconds !== next.warnSeconds) {
      found.add(
        'notes',
        `${field}.warnSeconds`,
        `warning for the ${title} ${durationText(next.warnSeconds)} before the end instead of ${durationText(old.warnSeconds)}`,
      );
    }
  }
}

export function custody(found: Findings, before: Policy, after: Policy): void {
  for (const old of before.custody) {
    const next = after.custody.find(({ purpose }) => purpose === old.purpose);
    if (next === undefined || sameJson(old, next)) continue;
    const field = `custody.${old.purpose}`;
    const gone = old.allowed.filter((place) => !next.allowed.includes(place));
    const added = next.allowed.filter((place) => !old.allowed.includes(place));
    if (gone.length > 0)
      found.add(
        'warns',
        `${field}.allowed`,
        `no longer in ${gone.join(', ')}: keyd refuses the policy if it holds such a key there`,
      );
    if (added.length > 0) found.add('warns', `${field}.allowed`, `now also in ${added.join(', ')}`);
    if (old.fips140 !== next.fips140)
      found.add('warns', `${field}.fips140`, `FIPS 140 level ${next.fips140} instead of ${old.fips140}`);
    if (old.owner !== next.owner)
      found.add('notes', `${field}.owner`, `${next.owner} answers for it instead of ${old.owner}`);
  }
}

export function grace(found: Findings, before: Policy, after: Policy, live: LiveInventory | undefined): void {
  const [old, next] = [before.grace, after.grace];
  if (old.renewalSeconds !== next.renewalSeconds) {
    const since = (seconds: number): number => (live?.now.getTime() ?? 0) - seconds * 1000;
    const stranded =
      live?.late.filter(
        ({ endedAt }) =>
          endedAt.getTime() < since(next.renewalSeconds) && endedAt.getTime() >= since(old.renewalSeconds),
      ) ?? [];
    const text = `grace period of late devices ${change(old.renewalSeconds, next.renewalSeconds)}`;
    found.add(
      stranded.length > 0 ? 'breaks' : 'notes',
      'grace.renewalSeconds',
      stranded.length > 0
        ? `${text}: ${named(stranded.map(({ deviceId }) => deviceId))} (${stranded.length} in all) could no longer recover by themselves`
        : text,
    );
  }
  if (old.suspendedSeconds !== next.suspendedSeconds) {
    found.add(
      'notes',
      'grace.suspendedSeconds',
      `longest suspension ${change(old.suspendedSeconds, next.suspendedSeconds)}`,
    );
  }
}

const REVOCATION_TIMES = {
  crlSeconds: 'life of a CRL',
  crlRefreshSeconds: 'time between two CRLs',
  rootCrlSeconds: 'life of the CRLs of the roots',
  ocspSeconds: 'life of an OCSP answer',
  ocspResponderSeconds: 'use of one OCSP responder key',
} as const;
const PROMISES = {
  ocspSeconds: 'promise from report to OCSP',
  crlSeconds: 'promise from report to CRL',
  backendSeconds: 'promise from report to every backend',
} as const;

const DELTA_TIMES = { seconds: 'life of a delta CRL', refreshSeconds: 'time between two delta CRLs' } as const;

export function revocation(found: Findings, before: Policy, after: Policy): void {
  const [old, next] = [before.revocation, after.revocation];
  revocationLists(found, old.lists, next.lists);
  for (const part of Object.keys(REVOCATION_TIMES) as (keyof typeof REVOCATION_TIMES)[]) {
    if (old[part] === next[part]) continue;
    const slower = next[part] > old[part];
    found.add(
      slower ? 'warns' : 'notes',
      `revocation.${part}`,
      `${REVOCATION_TIMES[part]} ${change(old[part], next[part])}`,
    );
  }
  for (const part of Object.keys(PROMISES) as (keyof typeof PROMISES)[]) {
    const [from, to] = [old.promises[part], next.promises[part]];
    if (from !== to)
      found.add(to > from ? 'warns' : 'notes', `revocation.promises.${part}`, `${PROMISES[part]} ${change(from, to)}`);
  }
}

type Lists = Policy['revocation']['lists'];

function revocationLists(found: Findings, before: Lists, after: Lists): void {
  const [from, to] = [before?.shards ?? 1, after?.shards ?? 1];
  if (from !== to) {
    const text = `what a CA issues from now on is listed in ${to} partitions, not ${from}; what was issued keeps its own`;
    found.add('notes', 'revocation.lists.shards', text);
  }
  const [old, next] = [before?.delta, after?.delta];
  if ((old === undefined) !== (next === undefined)) {
    const text =
      next === undefined ? 'delta CRLs are made no more: who reads them reads full CRLs' : 'delta CRLs are made';
    found.add(next === undefined ? 'warns' : 'notes', 'revocation.lists.delta', text);
  }
  if (old === undefined || next === undefined) return;
  for (const part of Object.keys(DELTA_TIMES) as (keyof typeof DELTA_TIMES)[]) {
    if (old[part] === next[part]) continue;
    const severity = next[part] > old[part] ? 'warns' : 'notes';
    found.add(severity, `revocation.lists.delta.${part}`, `${DELTA_TIMES[part]} ${change(old[part], next[part])}`);
  }
}

/** How long an old root stays an anchor: shorter cuts off devices that have not learned of the new one. */
export function transition(found: Findings, before: Policy, after: Policy): void {
  const seconds = ({ roots }: Policy): number => roots?.transitionSeconds ?? Number.POSITIVE_INFINITY;
  const text = (policy: Policy): string =>
    policy.roots === undefined ? 'until it ends' : `for ${durationText(policy.roots.transitionSeconds)}`;
  if (seconds(before) === seconds(after)) return;
  found.add(
    seconds(after) < seconds(before) ? 'warns' : 'notes',
    'roots.transitionSeconds',
    `after the change of a root's key the old one is an anchor ${text(after)} instead of ${text(before)}${seconds(after) < seconds(before) ? '' : '; one that was changed already no longer than its ceremony says'}`,
  );
}
