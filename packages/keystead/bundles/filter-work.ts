import { Worker } from 'node:worker_threads';
import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { buildDelta, buildFilter, CarriedFilter, decodeFilter } from '@keystead/core/trust';
import type { FilterChain } from './files.ts';
import type { CollectedSource } from './filter-source.ts';
import { PackedSerials } from './packed-serials.ts';

/** More are built on a thread of their own: requests would wait. */
const MOST_HERE = 20_000;

export interface FilterWork {
  readonly source: CollectedSource;
  /** What a delta is to change; none for a filter that stands alone. */
  readonly chain: FilterChain;
}

/**
 * Whether a delta can follow: it goes forward in time, and is of the very issuers that all before it are of. Where all of
 * one is revoked, nothing of it may have been, or all.
 */
export function follows(chain: FilterChain, { date, backdateSeconds, issuers }: CollectedSource): boolean {
  const [base, ...deltas] = chain;
  if (base === undefined) return false;
  const carried = CarriedFilter.open(base, deltas);
  const ended = issuers.filter(({ allRevoked }) => allRevoked);
  if (ended.some(({ issuerSpkiSha256 }) => carried.saysOfAll(issuerSpkiSha256) === undefined)) return false;
  const wanted = issuers.map(({ issuerSpkiSha256 }) => issuerSpkiSha256).sort();
  return chain.map(decodeFilter).every((file) => {
    const told = file.blocks.map(({ issuerSpkiSha256 }) => issuerSpkiSha256);
    const forward = file.date <= date / 1000 && file.through <= date / 1000 - backdateSeconds;
    return forward && told.join() === wanted.join();
  });
}

/** Builds a filter. @throws KeysteadError `filter.*`. */
export function buildOf({ source, chain: [base, ...deltas] }: FilterWork): Uint8Array {
  const { issuers, date, backdateSeconds, expires } = source;
  const from = {
    issuers: issuers.map(({ issuerSpkiSha256, serials, revoked, through, allRevoked }) => {
      const listed = new Set(new PackedSerials(revoked));
      return {
        ...{ issuerSpkiSha256, allRevoked },
        serials: new PackedSerials(serials),
        isRevoked: (serial: Serial) => listed.has(serial),
        ...(through === undefined ? {} : { through: new Date(through) }),
      };
    }),
    date: new Date(date),
    backdateSeconds,
    expires: new Date(expires),
  };
  return base === undefined ? buildFilter(from) : buildDelta(from, base, deltas);
}

/** The same without holding anybody up; the source is given away. @throws KeysteadError `filter.unsolvable`. */
export async function buildAside(work: FilterWork): Promise<Uint8Array> {
  const { issuers } = work.source;
  const total = issuers.reduce((sum, { count }) => sum + count, 0);
  if (total <= MOST_HERE) return buildOf(work);
  const transferList = issuers.flatMap(({ serials, revoked }) => [...serials, ...revoked].map(({ buffer }) => buffer));
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./filter-thread.ts', import.meta.url), { workerData: work, transferList });
    thread.once('message', (bytes: Uint8Array) => resolve(bytes));
    thread.once('error', (cause) => reject(new KeysteadError('filter.unsolvable', { field: 'serials', cause })));
    thread.once('exit', (code) => {
      if (code !== 0) reject(new KeysteadError('filter.unsolvable', { field: 'serials', seen: `exit ${code}` }));
    });
  });
}
