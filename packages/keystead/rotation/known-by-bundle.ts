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
 * Which bundles that devices report believe the old key still: to the end of the bundle, or of the pin's window, and no
 * longer. A root ends by its own window, which the policy sets: of it nobody is asked. REQ-KEY-ROT-02
 */
export function holdingOld(plan: Plan, bundles: PublishedBundles, at: number): BundleHoldsOld {
  const { kind, target, old } = plan;
  if (kind !== 'server-keys' && kind !== 'firmware-keys') return () => undefined;
  const known = new Map<number, { sha256: string; until: number } | undefined>();
  const untilOf = (content: BundleContent): number => {
    if (!believes(plan, content, old, at)) return at;
    const pin = content.pins.find(({ role }) => role === target)?.keys.find(({ spkiSha256 }) => spkiSha256 === old);
    return Math.min(content.expires, kind === 'server-keys' ? (pin?.until ?? 0) : content.expires) * 1000;
  };
  return ({ version, sha256 }) => {
    if (!known.has(version)) {
      const published = bundles.version(version);
      known.set(version, published && { sha256: published.sha256, until: untilOf(published.content) });
    }
    const found = known.get(version);
    return found?.sha256 === sha256 && found.until > at ? found.until : undefined;
  };
}
