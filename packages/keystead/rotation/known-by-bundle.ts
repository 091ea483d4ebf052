import { type BundleContent, isIn } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { PublishedBundles } from './deps.ts';
import type { BundleKnows } from './dry-run.ts';
import type { Plan } from './plan.ts';

/** Whether a bundle believes a key in a role of the campaign, at a time (ms). */
export function believes({ kind, target }: Plan, content: BundleContent, key: string | undefined, at: number): boolean {
  const seconds = Math.floor(at / 1000);
  switch (kind) {
    case 'root':
      return content.anchors.some(
        (anchor) =>
          (anchor.role === 'firmware') === (target === 'signing-root') &&
          isIn(anchor, seconds) &&
          readCertificate(anchor.certificate).spkiSha256 === key,
      );
    case 'server-keys':
      return content.pins.some(
        ({ role, keys }) => role === target && keys.some((pin) => pin.spkiSha256 === key && isIn(pin, seconds)),
      );
    case 'firmware-keys':
      return content.firmware.some(
        ({ product, signers }) => product === target && signers.some((signer) => signer === key),
      );
    default:
      return false;
  }
}

/**
 * Whether a bundle believes the key that comes, at a time (ms): a root in every role in which it believes the old one.
 * A device that takes servers by the old root alone would be cut off when they have certificates by the new one.
 */
export function believesNext(plan: Plan, content: BundleContent, at: number): boolean {
  if (plan.kind !== 'root') return believes(plan, content, plan.next, at);
  const rolesOf = (key: string | undefined): Set<string> => {
    const of = content.anchors.filter((anchor) => believes(plan, { ...content, anchors: [anchor] }, key, at));
    return new Set(of.map(({ role }) => role));
  };
  const next = rolesOf(plan.next);
  return next.size > 0 && [...rolesOf(plan.old)].every((role) => next.has(role));
}

/** Whether the bundle that a device reports knows the key that comes; each version is read once. */
export function knowing(plan: Plan, bundles: PublishedBundles, at: number): BundleKnows {
  const known = new Map<number, { sha256: string; knows: boolean } | undefined>();
  return ({ version, sha256 }) => {
    if (!known.has(version)) {
      const published = bundles.version(version);
      known.set(version, published && { sha256: published.sha256, knows: believesNext(plan, published.content, at) });
    }
    const found = known.get(version);
    return found === undefined || found.sha256 !== sha256 ? undefined : found.knows;
  };
}

/** Until when (ms) a device that reports this bundle believes the old key; undefined where it does not now. */
export type BundleHoldsOld = (bundle: { version: number; sha256: string }) => number | undefined;

/**
 * Which bundles that devices report believe the old key still: to the end of the bundle or of the key's own window in it,
 * and no longer. That the newest bundle does not is not enough: a key is believed until the last device goes by a bundle
 * without it, or by none that holds. REQ-KEY-ROT-02
 */
export function holdingOld(plan: Plan, bundles: PublishedBundles, at: number): BundleHoldsOld {
  const known = new Map<number, { sha256: string; until: number } | undefined>();
  return ({ version, sha256 }) => {
    if (!known.has(version)) {
      const published = bundles.version(version);
      known.set(version, published && { sha256: published.sha256, until: oldUntil(plan, published.content, at) });
    }
    const found = known.get(version);
    return found?.sha256 === sha256 && found.until > at ? found.until : undefined;
  };
}

/** Until when (ms) a bundle believes the old key; `at` where it does not. */
function oldUntil(plan: Plan, content: BundleContent, at: number): number {
  if (!believes(plan, content, plan.old, at)) return at;
  const { kind, target, old } = plan;
  const ends =
    kind === 'root'
      ? content.anchors
          .filter((one) => believes(plan, { ...content, anchors: [one] }, old, at))
          .map(({ until }) => until)
      : content.pins
          .filter(({ role }) => role === target)
          .flatMap(({ keys }) => keys.filter(({ spkiSha256 }) => spkiSha256 === old).map(({ until }) => until));
  return Math.min(content.expires, kind === 'firmware-keys' ? content.expires : Math.max(...ends)) * 1000;
}
