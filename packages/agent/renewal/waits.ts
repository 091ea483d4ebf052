import { randomBytes } from '@keystead/core/crypto';

/** The longest wait of a device that is refused for good, seconds: a fleet of them must not ask every few minutes for ever. */
const MOST_REFUSED_SECONDS = 86_400;
/** Of the life that is left, the part that a wait after many failures takes. */
const LEFT_IN_A_WAIT = 1 / 16;

/** Where a renewal stands that has failed. */
export interface Trouble {
  /** Failures one after the other, this one among them. */
  readonly failures: number;
  /** Of these the last ones that were refusals for good; 0 where the last failure may pass. */
  readonly refusals: number;
  /** Of the life of the current credential, seconds; not above 0 without one that lives. */
  readonly leftSeconds: number;
  /** Whether it is a renewal of a credential that serves meanwhile, and nothing wants it sooner. */
  readonly isAtLeisure: boolean;
}

/** First and longest of the doubling waits, seconds. */
export interface Backoff {
  readonly firstSeconds: number;
  readonly mostSeconds: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstSeconds: 1, mostSeconds: 300 };

/**
 * How long to wait after a failure, seconds.
 *
 * Doubling waits, of which half is random. When they have reached their longest, the wait is a part of the life that is
 * left, where that is more: after a long outage all that became due in it would otherwise be asked for within minutes, and
 * nobody is in a hurry. So the catch-up is spread, and the waits shrink as the end comes near (docs/decisions/0066).
 * A refusal for good waits longest at once, and longer each time. While the current credential lives, no wait takes more
 * than a quarter of what is left of it.
 *
 * `isLong`: the wait is one of those by the life that is left.
 */
export function waitAfter(
  trouble: Trouble,
  { firstSeconds, mostSeconds }: Backoff,
): { seconds: number; isLong: boolean } {
  const { failures, refusals, leftSeconds, isAtLeisure } = trouble;
  const doubled = firstSeconds * 2 ** Math.min(failures - 1, 30);
  const long = isAtLeisure ? longWait(leftSeconds) : 0;
  const isLong = refusals === 0 && doubled > mostSeconds && long > mostSeconds;
  const passing = isLong ? long : Math.min(mostSeconds, doubled);
  const wanted =
    refusals === 0 ? passing : Math.min(MOST_REFUSED_SECONDS, mostSeconds * 2 ** Math.min(refusals - 1, 30));
  const most = leftSeconds > 0 ? Math.max(firstSeconds, leftSeconds / 4) : wanted;
  return { seconds: halfRandom(Math.min(wanted, most)), isLong };
}

/** The longest that a wait takes while nothing is in a hurry and so much of the credential's life is left, seconds. */
export const longWait = (leftSeconds: number): number => Math.max(0, leftSeconds) * LEFT_IN_A_WAIT;

/** Between half of `seconds` and all of it. */
export function halfRandom(seconds: number): number {
  const [random = 0] = new Uint32Array(Uint8Array.from(randomBytes(4)).buffer);
  return seconds / 2 + (seconds / 2) * (random / 2 ** 32);
}
