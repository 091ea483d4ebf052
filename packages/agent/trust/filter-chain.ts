import { KeysteadError } from '@keystead/core/errors';
import { decodeFilter, filterSha256 } from '@keystead/core/trust';
import type { TrustSource } from './trust-source.ts';

/** A filter with what it stands on. */
export interface FoundFilter {
  /** SHA-256 of each file, hex: the one that stands alone first. */
  readonly hashes: readonly string[];
  readonly base: Uint8Array;
  readonly deltas: readonly Uint8Array[];
  /** Those that are not held yet, by hash. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Who publishes makes a whole filter long before so many deltas: each makes every look-up slower. */
const MOST_DELTAS = 64;

/**
 * Finds a filter by its hash, walking from delta to delta back to one that is held or that stands alone. Each file is
 * known by the hash that the one after it names, and the first by the bundle's, which is signed.
 * @param held hashes of the files at hand, the base first; @param read gives one of them.
 * @throws KeysteadError `trust.filter-differs` for other bytes than were named, `filter.malformed`,
 *   `filter.base-differs` where the deltas have no end; what `source` throws.
 */
export async function findFilter(
  wanted: string,
  held: readonly string[],
  read: (hash: string) => Uint8Array,
  source: Pick<TrustSource, 'filter'>,
): Promise<FoundFilter> {
  const fetched: { hash: string; bytes: Uint8Array }[] = [];
  let next: string | undefined = wanted;
  while (next !== undefined) {
    const at = held.indexOf(next);
    const before = at < 0 ? undefined : readable(held.slice(0, at + 1), read);
    if (before !== undefined) return chainOf([...before, ...fetched.reverse()], fetched);
    if (fetched.length > MOST_DELTAS) {
      throw new KeysteadError('filter.base-differs', { field: 'base', seen: `more than ${MOST_DELTAS} deltas` });
    }
    const bytes = await source.filter(next);
    const hash = filterSha256(bytes);
    if (hash !== next) throw new KeysteadError('trust.filter-differs', { field: next, seen: hash });
    fetched.push({ hash, bytes });
    next = decodeFilter(bytes).base;
  }
  return chainOf(fetched.reverse(), fetched);
}

/** The held files; undefined when one is damaged: then they are fetched. */
function readable(
  hashes: readonly string[],
  read: (hash: string) => Uint8Array,
): { hash: string; bytes: Uint8Array }[] | undefined {
  try {
    return hashes.map((hash) => ({ hash, bytes: read(hash) }));
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'state.damaged') return undefined;
    throw error;
  }
}

function chainOf(
  chain: readonly { readonly hash: string; readonly bytes: Uint8Array }[],
  fetched: readonly { readonly hash: string; readonly bytes: Uint8Array }[],
): FoundFilter {
  const [base, ...deltas] = chain.map(({ bytes }) => bytes);
  if (base === undefined) throw new KeysteadError('filter.base-differs', { field: 'base', seen: 'none' });
  return {
    hashes: chain.map(({ hash }) => hash),
    base,
    deltas,
    files: new Map(fetched.map(({ hash, bytes }) => [hash, bytes])),
  };
}
