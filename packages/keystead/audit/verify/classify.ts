import { sameBytes, toHex } from '@keystead/core/bytes';
import type { Finding } from './faults.ts';

/** Leaf hash number `index`, or undefined when there is none. */
export type LeafReader = (index: number) => Promise<Uint8Array | undefined>;

/** How far around a bad entry its hash is looked for. */
const NEIGHBOURHOOD = 256;

/**
 * Says what was done at `index`, the first place where the entries are not what was signed.
 * @param entries leaf hashes of the entries as they are now.
 * @param signed leaf hashes as they were signed.
 * @param by by what the signed hashes are known, for people.
 */
export async function classify(index: number, entries: LeafReader, signed: LeafReader, by: string): Promise<Finding> {
  const [now, then] = [await entries(index), await signed(index)];
  const found = (fault: Finding['fault'], what: string): Finding => ({
    fault,
    index,
    detail: `${what} (known by ${by})`,
  });
  const is = async (leaf: Uint8Array | undefined, reader: LeafReader, at: number): Promise<boolean> => {
    const other = leaf === undefined ? undefined : await reader(at);
    return leaf !== undefined && other !== undefined && sameBytes(leaf, other);
  };
  if (now === undefined) return found('entry-missing', 'its bundle is missing, cut or unreadable');
  if (then === undefined) return found('entry-inserted', 'nothing was signed at this place');
  // Where is what stands here now in the signed order, and where is what should stand here?
  const origin = await search(now, signed, index, is);
  const moved = await search(then, entries, index, is);
  if (origin === undefined) {
    if (moved !== undefined) return found('entry-inserted', `the signed entry ${index} now stands at ${moved}`);
    return found('entry-altered', `its leaf hash is ${toHex(now)}, signed was ${toHex(then)}`);
  }
  if (origin < index) return found('entry-duplicated', `it is entry ${origin} once more`);
  if (moved !== undefined) {
    return found('entry-reordered', `entry ${origin} stands here, and entry ${index} at ${moved}`);
  }
  return found('entry-dropped', `entry ${origin} stands in its place`);
}

async function search(
  leaf: Uint8Array,
  reader: LeafReader,
  index: number,
  is: (leaf: Uint8Array, reader: LeafReader, at: number) => Promise<boolean>,
): Promise<number | undefined> {
  for (let step = 1; step <= NEIGHBOURHOOD; step++) {
    if (await is(leaf, reader, index + step)) return index + step;
    if (index - step >= 0 && (await is(leaf, reader, index - step))) return index - step;
  }
  return undefined;
}
