import type { SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { transitionEnd } from '@keystead/core/lifecycle';
import { isIn, type Standing } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';

type Rolled = Pick<KeydContext, 'policy' | 'hierarchy'>;

const keyOf = ({ certificate }: Standing['anchors'][number]): SpkiSha256 => readCertificate(certificate).spkiSha256;

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

/** When a root ceases to be an anchor, whatever the order said that it stands in. */
export interface RootEnd {
  readonly spkiSha256: string;
  /** Seconds since 1970. */
  readonly until: number;
  /** The keys that the root has had since. */
  readonly followedBy: string[];
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
 * What stands in a bundle in which these roots end: each until then, and not at all when that is over at `at` (seconds since
 * 1970). Else a front end that holds the next order back could have a root named for ever whose key is anybody's by
 * then. In a role in which no key that came after it stands, it stays as it was ordered: to cut devices off takes people.
 * The same each time for the same. REQ-KEY-ROT-02
 */
export function withEnds(standing: Standing, ends: readonly RootEnd[] | undefined, at: number): Standing {
  if (ends === undefined) return standing;
  const endOf = new Map<string, RootEnd>(ends.map((end) => [end.spkiSha256, end]));
  const anchors = standing.anchors.flatMap((anchor) => {
    const end = endOf.get(keyOf(anchor));
    if (end === undefined || end.until >= anchor.until) return [anchor];
    const isFollowed = standing.anchors.some(
      (other) =>
        other.role === anchor.role && end.followedBy.includes(keyOf(other)) && isIn(other, Math.max(end.until, at)),
    );
    if (!isFollowed) return [anchor];
    return end.until > Math.max(at, anchor.from) ? [{ ...anchor, until: end.until }] : [];
  });
  return { ...standing, anchors };
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
