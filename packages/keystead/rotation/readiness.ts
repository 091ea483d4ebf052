import { KeysteadError } from '@keystead/core/errors';
import { caOf, isIssuerId } from '@keystead/core/lifecycle';
import type { Reader } from '../store/index.ts';
import type { RotationDeps } from './deps.ts';
import { believes, believesNext } from './known-by-bundle.ts';
import type { Plan } from './plan.ts';

type Deps = Pick<RotationDeps, 'policy' | 'issuers' | 'rollovers' | 'bundles' | 'clock'>;

const notReady = (field: string, seen: string): KeysteadError =>
  new KeysteadError('rotation.not-ready', { field, seen });

/**
 * What must be there before a campaign begins: that what it rotates is there.
 * @throws KeysteadError `rotation.target`, `rotation.not-ready`.
 */
export function requireStartable(plan: Plan, deps: Deps): void {
  const { kind, target, emergency } = plan;
  const unknown = (seen: string) => new KeysteadError('rotation.target', { field: 'target', seen });
  switch (kind) {
    case 'device-credentials':
    case 'algorithm':
      if (!deps.policy.profiles.some(({ id }) => id === target)) throw unknown(`${target}, no profile of the policy`);
      return;
    case 'issuing-ca': {
      const issuer = deps.issuers().find(({ id }) => id === target);
      if (issuer === undefined) throw unknown(`${target}, which keyd has not`);
      if (emergency && !issuer.revoked) {
        throw notReady('target', `${target} is not revoked: keystead revoke-ca, by its quorum, comes first`);
      }
      return;
    }
    default:
      // What these rotate stands in bundles and ceremonies, which are asked before the switch.
      return;
  }
}

/**
 * What must be there before the new one counts as the one that is used.
 * @throws KeysteadError `rotation.not-ready`, `rotation.backup-pin`.
 */
export function requireSwitched(plan: Plan, deps: Deps): void {
  const { kind, target, algorithm, old, next, backup } = plan;
  const now = deps.clock.now().getTime();
  switch (kind) {
    case 'device-credentials':
      return;
    case 'algorithm': {
      const profile = deps.policy.profiles.find(({ id }) => id === target);
      if (profile?.keyAlgorithms.some((one) => one === algorithm) === true) return;
      throw notReady('policy.profiles', `${target} takes ${profile?.keyAlgorithms.join(', ') ?? 'nothing'}`);
    }
    case 'issuing-ca': {
      const ca = isIssuerId(target) ? caOf(target) : undefined;
      const successor = deps.issuers().find((issuer) => issuer.ca === ca && issuer.current);
      if (successor === undefined || successor.id === target || successor.revoked) {
        throw notReady('target', `${target} has no successor yet: docs/ceremony.md, "A new key for a CA"`);
      }
      return;
    }
    case 'root': {
      requireBelieved(plan, deps, now);
      const done = deps.rollovers().find((one) => one.role === target && one.old === old && one.next === next);
      if (done === undefined) throw notReady('target', `no rollover of ${target} to this key was imported`);
      return;
    }
    case 'server-keys': {
      const { content } = requireBelieved(plan, deps, now);
      if (believes(plan, content, old, now) && believes(plan, content, backup, now)) return;
      throw new KeysteadError('rotation.backup-pin', { field: target, seen: `trust bundle ${content.version}` });
    }
    case 'firmware-keys': {
      const { content } = requireBelieved(plan, deps, now);
      if (!believes(plan, content, old, now))
        throw notReady('old', `trust bundle ${content.version} dropped it already`);
      return;
    }
  }
}

function requireBelieved(plan: Plan, { bundles }: Deps, now: number) {
  const latest = bundles.latest();
  if (latest === undefined) throw notReady('next', 'no trust bundle was published');
  if (believesNext(plan, latest.content, now)) return latest;
  throw notReady(
    'next',
    `trust bundle ${latest.content.version} does not have it, or not in every role of the old one`,
  );
}

/**
 * What must be so for a campaign to be taken back, besides its state: that the old one is there to go on with.
 * @throws KeysteadError `rotation.not-ready`.
 */
export function requireTakenBack({ kind, target, algorithm }: Plan, { policy }: Pick<Deps, 'policy'>): void {
  if (kind !== 'algorithm') return;
  const takes = policy.profiles.find(({ id }) => id === target)?.keyAlgorithms ?? [];
  if (takes.some((one) => one !== algorithm)) return;
  throw notReady('policy.profiles', `${target} takes ${takes.join(', ')} alone`);
}

/**
 * What must be so before the old one may be called retired: that it signs nothing and nobody needs it.
 * @throws KeysteadError `rotation.not-ready`, `rotation.too-early`.
 */
export function requireRetirable(plan: Plan, startedAt: number, deps: Deps, records: Reader): void {
  const now = deps.clock.now().getTime();
  const earliest = startedAt + plan.transitionSeconds * 1000;
  if (!plan.emergency && now < earliest) {
    throw new KeysteadError('rotation.too-early', {
      field: 'transitionSeconds',
      seen: `until ${new Date(earliest).toISOString()}`,
    });
  }
  switch (plan.kind) {
    case 'device-credentials':
      return;
    case 'algorithm': {
      const profile = deps.policy.profiles.find(({ id }) => id === plan.target);
      const others = profile?.keyAlgorithms.filter((one) => one !== plan.algorithm) ?? [];
      if (others.length > 0) throw notReady('policy.profiles', `${plan.target} takes ${others.join(', ')} still`);
      return;
    }
    case 'issuing-ca': {
      const { target } = plan;
      const issuer = deps.issuers().find(({ id }) => id === target);
      if (issuer?.revoked === true || !isIssuerId(target)) return;
      if (issuer?.current === true) throw notReady('target', `${target} issues still`);
      const living = records.rotation.living(target, now);
      if (living > 0) throw notReady('target', `${living} certificates by ${target} can be used still`);
      return;
    }
    default: {
      const latest = deps.bundles.latest();
      if (latest !== undefined && !believes(plan, latest.content, plan.old, now)) break;
      throw notReady('old', `the newest trust bundle believes it still`);
    }
  }
  if (plan.kind !== 'root') return;
  const rollover = deps.rollovers().find(({ role, old }) => role === plan.target && old === plan.old);
  if (rollover === undefined || now < rollover.until.getTime()) {
    throw new KeysteadError('rotation.too-early', {
      field: 'roots.transitionSeconds',
      seen: `the old root is an anchor until ${rollover?.until.toISOString() ?? 'nobody knows when'}`,
    });
  }
  // Who knows the new root alone believes the old key by this certificate, which has been given to everybody.
  if (rollover.acrossUntil.getTime() <= now) return;
  throw new KeysteadError('rotation.too-early', {
    field: 'old with new',
    seen: `the new root certifies the old key until ${rollover.acrossUntil.toISOString()}`,
  });
}
