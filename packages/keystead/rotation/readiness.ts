import { KeysteadError } from '@keystead/core/errors';
import { caOf, isIssuerId } from '@keystead/core/lifecycle';
import type { CampaignState, Reader } from '../store/index.ts';
import type { RotationDeps } from './deps.ts';
import { type HeldFirmwareKey, isOldKilled, requireNextUsable, requireOldOut } from './held-firmware-keys.ts';
import { believes, believesNext } from './known-by-bundle.ts';
import type { Plan } from './plan.ts';
import type { DryRun } from './report.ts';

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
 * @param held the keys for firmware that keyd holds; nobody else is asked for them.
 * @throws KeysteadError `rotation.not-ready`, `rotation.backup-pin`.
 */
export function requireSwitched(plan: Plan, deps: Deps, held: readonly HeldFirmwareKey[] = []): void {
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
      if (!believes(plan, content, old, now))
        throw notReady('old', `trust bundle ${content.version} dropped it already`);
      if (believes(plan, content, backup, now)) return;
      throw new KeysteadError('rotation.backup-pin', { field: target, seen: `trust bundle ${content.version}` });
    }
    case 'firmware-keys': {
      const { content } = requireBelieved(plan, deps, now);
      // Of a key that was killed nobody is to believe anything: its end is not waited for.
      if (!believes(plan, content, old, now) && !isOldKilled(plan, held))
        throw notReady('old', `trust bundle ${content.version} dropped it already`);
      requireNextUsable(plan, held);
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
export function requireTakenBack(
  { kind, target, algorithm, old }: Plan,
  { policy, issuers, rollovers }: Pick<Deps, 'policy' | 'issuers' | 'rollovers'>,
): void {
  // What a ceremony changed keyd does not change back, whatever the campaign calls itself.
  if (kind === 'issuing-ca' && issuers().find(({ id }) => id === target)?.current !== true)
    throw notReady('target', `${target} issues no more: go on to its successor`);
  if (kind === 'root' && rollovers().some((one) => one.role === target && one.old === old))
    throw notReady('target', `the rollover of ${target} was imported: go on to the new key`);
  if (kind !== 'algorithm') return;
  const takes = policy.profiles.find(({ id }) => id === target)?.keyAlgorithms ?? [];
  if (takes.some((one) => one !== algorithm)) return;
  throw notReady('policy.profiles', `${target} takes ${takes.join(', ')} alone`);
}

/**
 * What must be so before the old one may be called retired: that it signs nothing and nobody needs it.
 * @throws KeysteadError `rotation.not-ready`, `rotation.too-early`.
 */
export function requireRetirable(
  plan: Plan,
  startedAt: number,
  deps: Deps,
  records: Reader,
  held: readonly HeldFirmwareKey[] = [],
): void {
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
    case 'server-keys':
    case 'firmware-keys':
      requireDropped(plan, deps, now);
      if (plan.kind === 'firmware-keys') requireOldOut(plan, held);
      return;
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

/** The newest bundle has the new key, not the old one, and of a server the backup still. */
function requireDropped(plan: Plan, deps: Deps, now: number): void {
  const { content } = requireBelieved(plan, deps, now);
  if (believes(plan, content, plan.old, now)) throw notReady('old', 'the newest trust bundle believes it still');
  if (plan.kind !== 'server-keys' || believes(plan, content, plan.backup, now)) return;
  throw new KeysteadError('rotation.backup-pin', { field: plan.target, seen: `trust bundle ${content.version}` });
}

/**
 * That no device goes by a trust bundle that believes the old key: it has a newer one, or its own has ended. Those that a
 * quorum gave up are not waited for. REQ-KEY-ROT-02
 * @throws KeysteadError `rotation.not-ready` with the first of them.
 */
export function requireOldTrustedByNobody({ oldTrusted }: DryRun, isGivenUp: (deviceId: string) => boolean): void {
  const left = oldTrusted.filter(({ deviceId }) => !isGivenUp(deviceId));
  const [first] = left;
  if (first === undefined) return;
  const last = new Date(left.reduce((latest, { until }) => Math.max(latest, until), 0)).toISOString();
  const who = `${left.length} devices, such as ${first.deviceId}`;
  throw notReady('old', `${who}, go by a trust bundle that believes it; the last until ${last}`);
}

/**
 * That what a campaign of the trust bundle would go back to is believed still, once the new one may be in use.
 * @throws KeysteadError `rotation.not-ready`.
 */
export function requireWayBack(plan: Plan, state: CampaignState, deps: Deps): void {
  if (state !== 'switched' || (plan.kind !== 'server-keys' && plan.kind !== 'firmware-keys')) return;
  const latest = deps.bundles.latest();
  if (latest === undefined || believes(plan, latest.content, plan.old, deps.clock.now().getTime())) return;
  throw notReady('old', `trust bundle ${latest.content.version} dropped it: go on, or sign it in once more first`);
}

/** What keyd holds for firmware, where the kind asks for it. */
export async function heldFirmwareKeys(
  deps: Pick<RotationDeps, 'firmwareKeys'>,
  { kind }: Pick<Plan, 'kind'>,
): Promise<readonly HeldFirmwareKey[]> {
  return kind === 'firmware-keys' ? deps.firmwareKeys() : [];
}
