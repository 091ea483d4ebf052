import { createHash } from 'node:crypto';

/*
 * RFC 6962 section 2.1 word for word: recursive, slow, and sharing no code with the room that it checks.
 */
const sha256 = (...parts: Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** MTH(D[n]) over entries. */
export function naiveRoot(entries: readonly Uint8Array[]): Uint8Array {
  const [first] = entries;
  if (first === undefined) return sha256();
  if (entries.length === 1) return sha256(Uint8Array.of(0), first);
  const k = naiveSplit(entries.length);
  return sha256(Uint8Array.of(1), naiveRoot(entries.slice(0, k)), naiveRoot(entries.slice(k)));
}

/** PATH(m, D[n]). */
export function naivePath(m: number, entries: readonly Uint8Array[]): Uint8Array[] {
  if (entries.length <= 1) return [];
  const k = naiveSplit(entries.length);
  return m < k
    ? [...naivePath(m, entries.slice(0, k)), naiveRoot(entries.slice(k))]
    : [...naivePath(m - k, entries.slice(k)), naiveRoot(entries.slice(0, k))];
}

/** PROOF(m, D[n]). */
export const naiveProof = (m: number, entries: readonly Uint8Array[]): Uint8Array[] => subproof(m, entries, true);

function subproof(m: number, entries: readonly Uint8Array[], b: boolean): Uint8Array[] {
  if (m === entries.length) return b ? [] : [naiveRoot(entries)];
  const k = naiveSplit(entries.length);
  return m <= k
    ? [...subproof(m, entries.slice(0, k), b), naiveRoot(entries.slice(k))]
    : [...subproof(m - k, entries.slice(k), false), naiveRoot(entries.slice(0, k))];
}

function naiveSplit(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
