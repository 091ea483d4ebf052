import type { SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { transitionEnd } from '@keystead/core/lifecycle';
import type { Standing } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';
import { keyOf, type RootEnd } from './root-ends.ts';

type Rolled = Pick<KeydContext, 'policy' | 'hierarchy'>;

/** When each root of this house that has a successor ceases to be an anchor, seconds since 1970, by its key. */
function endsOf({ policy, hierarchy: { rollovers } }: Rolled): Map<SpkiSha256, number> {
  return new Map(
    rollovers.map(({ certificates }) => [
      readCertificate(certificates.old).spkiSha256,
      Math.floor(transitionEnd(policy, certificates).getTime() / 1000),
    ]),
  );
}

/**
 * What stands in the bundles, where an old root counts until its transition is over and no longer: a ceremony before
 * witnesses and the policy have decided that. A change that lets it end then takes nothing from anybody. REQ-KEY-ROT-02
 */
export function untilRolledOver(keyd: Rolled, standing: Standing): Standing {
  const ends = endsOf(keyd);
  const anchors = standing.anchors.map((anchor) => {
    const end = ends.get(keyOf(anchor));
    return end === undefined || end >= anchor.until ? anchor : { ...anchor, until: end };
  });
  return { ...standing, anchors };
}

/** What of them a bundle that nobody ordered must say of its anchors; undefined where there is nothing to say. */
export function endsFor(keyd: Rolled, standing: Standing): RootEnd[] | undefined {
  const { rollovers } = keyd.hierarchy;
  const ordered = new Set(standing.anchors.map(keyOf));
  const ends = [...endsOf(keyd)].flatMap(([key, until], index) => {
    const since = rollovers.slice(index).filter(({ role }) => role === rollovers[index]?.role);
    const followedBy = since.map(({ certificates }) => readCertificate(certificates.newWithOld).spkiSha256);
    return ordered.has(key) ? [{ spkiSha256: key, until, followedBy }] : [];
  });
  return ends.length === 0 ? undefined : ends;
}

/**
 * A root that was rolled over is no anchor of an order once its transition is over: devices that have let it go would take
 * it back, and whoever has its key by then would be believed. REQ-KEY-ROT-02
 * @param at seconds since 1970.
 * @throws KeysteadError `trust-order.root-ended`, whoever signs.
 */
export function requireLivingRoots(keyd: Rolled, { anchors }: Standing, at: number): void {
  const ends = endsOf(keyd);
  anchors.forEach((anchor, index) => {
    const key = keyOf(anchor);
    const end = ends.get(key);
    if (end === undefined || at < end) return;
    const seen = `the root ${key}, which counted until ${new Date(end * 1000).toISOString()}`;
    throw new KeysteadError('trust-order.root-ended', { field: `anchors[${index}]`, seen });
  });
}
