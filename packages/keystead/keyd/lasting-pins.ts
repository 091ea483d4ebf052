import { KeysteadError } from '@keystead/core/errors';
import { isIn, type Standing } from '@keystead/core/trust';

/**
 * That each pinned name has a current key and a backup for as long as the bundle of this order holds. Devices take no
 * bundle without: from the moment on at which the last current key ended, keyd could sign the same content no more, and
 * the fleet would have no newer filter, and in the end no bundle, until a quorum is found. REQ-KEY-ROT-03
 * @param expires the end of the bundle, seconds since 1970.
 * @throws KeysteadError `trust-bundle.rule`, whoever signs.
 */
export function requireLastingPins({ pins }: Pick<Standing, 'pins'>, expires: number): void {
  pins.forEach(({ role, keys }, index) => {
    for (const use of ['current', 'backup'] as const) {
      const named = keys.filter((key) => key.use === use);
      // Where there is none at all, the rules of every bundle say so.
      if (named.length === 0 || named.some((key) => isIn(key, expires))) continue;
      throw new KeysteadError('trust-bundle.rule', {
        field: `pins[${index}].keys`,
        seen: `no ${use} key of ${role} that is good when the bundle ends, ${new Date(expires * 1000).toISOString()}`,
      });
    }
  });
}
