import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import type { Block } from './block.ts';
import { buildBlock, type IssuedSerials } from './build-block.ts';
import { encodeFilter, filterSha256 } from './file.ts';
import { CarriedFilter } from './revocation-filter.ts';

/** From what a filter is built: everything that was issued until `date`, has not ended, and is revoked or is not. */
export interface FilterSource {
  readonly issuers: readonly IssuedSerials[];
  /** When the records were read; fractions of a second are cut off. */
  readonly date: Date;
  /**
   * By how much notBefore may lie before the moment of issue, seconds: certificates that begin later than `date` less
   * this may be missing, and are not covered.
   */
  readonly backdateSeconds: number;
  readonly expires: Date;
}

interface Times {
  readonly date: number;
  readonly through: number;
  readonly expires: number;
}

/**
 * Builds a filter that stands alone. The same source gives the same bytes. REQ-KEY-REV-04
 * @throws KeysteadError `filter.unsolvable` for a serial number with two answers.
 */
export function buildFilter(source: FilterSource): Uint8Array {
  const times = timesOf(source);
  const blocks = inOrder(source.issuers).map((issued) => covering(issued, times, buildBlock(issued)));
  return encodeFilter({ base: undefined, ...times, blocks });
}

/**
 * Builds what makes the filter `base`, with the deltas that it has had, say what the source says: it lists the
 * certificates of which they say something else, among them those that they do not cover yet.
 * @throws KeysteadError `filter.*` as {@link buildFilter} and `CarriedFilter.open` do.
 */
export function buildDelta(source: FilterSource, base: Uint8Array, deltas: readonly Uint8Array[] = []): Uint8Array {
  const carried = CarriedFilter.open(base, deltas);
  const changed = ({ issuerSpkiSha256, serials, isRevoked }: IssuedSerials): IssuedSerials => ({
    issuerSpkiSha256,
    serials,
    isRevoked: (serial: Serial) => isRevoked(serial) !== (carried.says(issuerSpkiSha256, serial) ?? false),
  });
  const times = timesOf(source);
  const blocks = inOrder(source.issuers).map((issued) => covering(issued, times, buildBlock(changed(issued))));
  return encodeFilter({ base: filterSha256(deltas.at(-1) ?? base), ...times, blocks });
}

/** A block with the `through` of its own that it has where its issuer's certificates are known until an earlier time. */
function covering({ through }: IssuedSerials, times: Times, block: Block): Block {
  if (through === undefined) return block;
  const own = Math.max(0, Math.floor(through.getTime() / 1000));
  return own < times.through ? { ...block, through: own } : block;
}

function timesOf({ date, backdateSeconds, expires }: FilterSource): Times {
  const seconds = Math.floor(date.getTime() / 1000);
  return { date: seconds, through: seconds - backdateSeconds, expires: Math.floor(expires.getTime() / 1000) };
}

const inOrder = (issuers: readonly IssuedSerials[]): IssuedSerials[] => {
  const key = ({ issuerSpkiSha256 }: { issuerSpkiSha256: SpkiSha256 }) => issuerSpkiSha256;
  return [...issuers].sort((a, b) => (key(a) < key(b) ? -1 : 1));
};
