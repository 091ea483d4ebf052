import { spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readCertificate } from '../../x509/index.ts';
import type { Standing } from './content.ts';
import { isIn } from './rules.ts';

/** Something that a change takes from devices which go by what stood before. */
export interface Stranded {
  readonly field: string;
  readonly seen: string;
}

/**
 * What a change would take from devices at once, before its time is over: an anchor, a pinned name, or the way to a server
 * whose key they have never heard of. Windows end by themselves; whoever lets them end strands nobody. REQ-KEY-ROT-03
 * @param at seconds since 1970.
 */
export function strandedBy(before: Standing, after: Standing, at: number): Stranded[] {
  return [...lostAnchors(before, after, at), ...lostPins(before, after, at)];
}

function lostAnchors(before: Standing, after: Standing, at: number): Stranded[] {
  const nameOf = ({ role, certificate }: Standing['anchors'][number]): string =>
    `${role} ${spkiSha256(readCertificate(certificate).spki)}`;
  const kept = new Map(after.anchors.map((anchor) => [nameOf(anchor), anchor]));
  return before.anchors.flatMap((anchor, index) => {
    if (anchor.until <= at) return [];
    const now = kept.get(nameOf(anchor));
    if (now !== undefined && now.from <= Math.max(anchor.from, at) && now.until >= anchor.until) return [];
    const seen = `${nameOf(anchor)} ${now === undefined ? 'is left out' : 'is cut short'}, good until ${iso(anchor.until)}`;
    return [{ field: `anchors[${index}]`, seen }];
  });
}

/** A server shows one of its current keys: who has not seen the change must know it already. */
function lostPins(before: Standing, after: Standing, at: number): Stranded[] {
  return before.pins.flatMap(({ role, keys }) => {
    const pin = after.pins.find((one) => one.role === role);
    if (pin === undefined) return [{ field: 'pins', seen: `${role} is left out` }];
    const known = new Set(keys.filter((key) => isIn(key, at)).map((key) => key.spkiSha256));
    const strange = pin.keys.filter((key) => key.use === 'current' && isIn(key, at) && !known.has(key.spkiSha256));
    return strange.map((key) => ({
      field: 'pins',
      seen: `${role} becomes ${key.spkiSha256}, which no device has been told of`,
    }));
  });
}

/**
 * What devices refuse whoever says so: the least firmware never goes back, and no product is left out.
 * @throws KeysteadError `trust-bundle.firmware-rolled-back`.
 */
export function requireFirmwareForward(
  before: { readonly firmware: readonly Pick<Standing['firmware'][number], 'product' | 'minimumSecurityCounter'>[] },
  after: Pick<Standing, 'firmware'>,
): void {
  for (const { product, minimumSecurityCounter: least } of before.firmware) {
    const next = after.firmware.find((one) => one.product === product)?.minimumSecurityCounter;
    if (next !== undefined && next >= least) continue;
    throw new KeysteadError('trust-bundle.firmware-rolled-back', {
      field: `firmware ${product}`,
      seen: `${next ?? 'none'}, after ${least}`,
    });
  }
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
