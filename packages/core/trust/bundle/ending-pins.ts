import type { SpkiSha256 } from '../../bytes/index.ts';
import type { Standing } from './content.ts';
import { isIn } from './rules.ts';

/** A pinned name that soon has no current key any more, or has none. Times are seconds since 1970. */
export interface EndingPin {
  readonly role: string;
  /** The current keys after which there is none, by SHA-256 of their SubjectPublicKeyInfo. */
  readonly keys: readonly SpkiSha256[];
  /** `due`: the next content is to be published by `publishBy`. `overdue`: it was not. */
  readonly level: 'due' | 'overdue';
  /** From then on the name has no current key. */
  readonly until: number;
  /** The last moment at which a bundle with this content can be signed: before the first of its names ends. */
  readonly lastRefresh: number;
  readonly publishBy: number;
  /** What comes of it, and what is to be done. */
  readonly why: string;
}

/** In lives of a bundle: {@link endingPins}. */
const LEAD = 2;

/**
 * The pinned names whose last current key ends within two lives of a bundle, or has ended; the first to end comes first. A
 * backup lasts as long as all others (`checkContent`), so a content ends with its current keys: no bundle is signed then.
 *
 * The second life is for the fleet. A device goes by a bundle for so long, so that one which took the last bundle of the
 * old content has no key under that name while its bundle still holds, unless the next content stood a life before the end;
 * from then on no order is taken either that leaves the pin as it is. The first life is for people: a quorum is to be
 * found, and within it the successor can still be announced as `next` beside a pin that lasts. REQ-KEY-ROT-03
 * @param bundleSeconds how long a bundle holds.
 * @param at seconds since 1970.
 */
export function endingPins({ pins }: Pick<Standing, 'pins'>, bundleSeconds: number, at: number): EndingPin[] {
  const ends = pins.flatMap(({ role, keys }) => {
    const current = keys.filter(({ use }) => use === 'current');
    const until = endOf(current, at);
    if (until === undefined) return [];
    return [{ role, until, keys: current.filter((key) => key.until === until).map((key) => key.spkiSha256) }];
  });
  const lastRefresh = Math.min(...ends.map(({ until }) => until)) - 1;
  return ends
    .filter(({ until }) => until - LEAD * bundleSeconds <= at)
    .toSorted((a, b) => a.until - b.until)
    .map((end) => {
      const publishBy = end.until - bundleSeconds;
      const times = { ...end, lastRefresh, publishBy };
      return { ...times, level: publishBy > at ? 'due' : 'overdue', why: whyOf(times, at) };
    });
}

/** The first moment, at or after `at` where it can be, from which no current key is good. Undefined where there is none. */
function endOf(current: Standing['pins'][number]['keys'], at: number): number | undefined {
  let end = at;
  for (;;) {
    const good = current.filter((key) => isIn(key, end));
    if (good.length === 0) break;
    end = Math.max(...good.map(({ until }) => until));
  }
  if (end > at) return end;
  const ended = current.map(({ until }) => until).filter((until) => until <= at);
  return ended.length === 0 ? undefined : Math.max(...ended);
}

function whyOf({ role, until, lastRefresh, publishBy }: Omit<EndingPin, 'level' | 'why'>, at: number): string {
  const next = `a content in which ${role} has a current key and a backup that last`;
  if (until <= at)
    return `its last current key ended ${iso(until)}, and keyd signs no bundle with this content any more: publish ${next}`;
  const told = `its last current key ends ${iso(until)}, and keyd signs bundles with this content until ${iso(lastRefresh)}`;
  return publishBy > at
    ? `${told}: by ${iso(publishBy)} publish ${next}`
    : `${told}: publish ${next} now, for bundles that are out outlast it`;
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
