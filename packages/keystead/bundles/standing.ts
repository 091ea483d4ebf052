import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { sha256 } from '@keystead/core/crypto';
import { type BundleContent, parseBundle } from '@keystead/core/trust';
import type { Store } from '../store/index.ts';
import type { BundleFiles } from './files.ts';

interface From {
  readonly store: Pick<Store, 'read'>;
  readonly clock: Clock;
  readonly files: Pick<BundleFiles, 'bundleNow'>;
}

/**
 * What devices go by that have this version, at once: for who reads it in a transaction. Undefined for one that was never
 * published, and for one that is over and kept no more. Of one in force that is not kept it is told by the first with its
 * content: what keyd has ended since, in bundles that nobody ordered, counts there still. REQ-KEY-ROT-02
 */
export function standingNow(
  { store, clock, files }: From,
  version: number,
): { readonly content: BundleContent; readonly sha256: string } | undefined {
  const file = files.bundleNow(version);
  if (file !== undefined) {
    const { content, signed } = parseBundle(file);
    return { content, sha256: toHex(sha256(signed)) };
  }
  const { row, first } = store.read(({ trustBundles }) => {
    const found = trustBundles.bundle(version);
    return { row: found, first: found === undefined ? undefined : trustBundles.firstOf(found.change) };
  });
  const kept = first === undefined ? undefined : files.bundleNow(first);
  if (row === undefined || kept === undefined || row.expiresAt <= clock.now().getTime()) return undefined;
  const times = { issuedAt: Math.floor(row.issuedAt / 1000), expires: Math.floor(row.expiresAt / 1000) };
  const { content } = parseBundle(kept);
  return { content: { ...content, version, ...times, filterSha256: row.filterSha256 }, sha256: row.sha256 };
}
