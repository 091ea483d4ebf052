import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import type { Block } from './block.ts';
import { buildBlock, type IssuedSerials, unsolvable } from './build-block.ts';
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
  const blocks = inOrder(source.issuers).map((issued) =>
    covering(issued, times, issued.allRevoked === true ? everyOne(issued, true) : buildBlock(issued)),
  );
  return encodeFilter({ base: undefined, ...times, blocks });
}

/**
 * Builds what makes the filter `base`, with the deltas that it has had, say what the source says: it lists the
 * certificates of which they say something else, among them those that they do not cover yet.
 * @throws KeysteadError `filter.*` as {@link buildFilter} and `CarriedFilter.open` do; `filter.unsolvable` also where all of
 *   an issuer is revoked and some of it was before (`CarriedFilter.saysOfAll`): that takes one that stands alone.
 */
export function buildDelta(source: FilterSource, base: Uint8Array, deltas: readonly Uint8Array[] = []): Uint8Array {
  const carried = CarriedFilter.open(base, deltas);
  const changed = ({ issuerSpkiSha256, serials, isRevoked }: IssuedSerials): IssuedSerials => ({
    issuerSpkiSha256,
    serials,
    isRevoked: (serial: Serial) => isRevoked(serial) !== (carried.says(issuerSpkiSha256, serial) ?? false),
  });
  const block = (issued: IssuedSerials): Block => {
    if (issued.allRevoked !== true) return buildBlock(changed(issued));
    const said = carried.saysOfAll(issued.issuerSpkiSha256);
    if (said === undefined) throw unsolvable('a delta by which all of an issuer is revoked');
    return everyOne(issued, !said);
  };
  const times = timesOf(source);
  const blocks = inOrder(source.issuers).map((issued) => covering(issued, times, block(issued)));
  return encodeFilter({ base: filterSha256(deltas.at(-1) ?? base), ...times, blocks });
}

/** The same of every serial number. */
const everyOne = ({ issuerSpkiSha256 }: IssuedSerials, listed: boolean): Block => ({
  ...{ issuerSpkiSha256, inverted: listed, form: { kind: 'none' } },
});

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
