import type { SpkiSha256 } from '@keystead/core/bytes';
import { isIn, type Standing } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';

/** When a root ceases to be an anchor, whatever the order said that it stands in. */
export interface RootEnd {
  readonly spkiSha256: string;
  /** Seconds since 1970. */
  readonly until: number;
  /** The keys that the root has had since. */
  readonly followedBy: string[];
}

/** The key of an anchor. */
export const keyOf = ({ certificate }: Standing['anchors'][number]): SpkiSha256 =>
  readCertificate(certificate).spkiSha256;

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
