import { fromHex, toHex } from '../../bytes/index.ts';
import { sha1Identifier } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';

/** The low 80 bits of a SHA-1. */
const WIDTH = 10;

/** RSA moduli that are known to be weak, to be looked up; it can be handed to another thread as it is. */
export interface WeakKeys {
  /** Fingerprints of ten octets each, in ascending order, one behind the other. */
  readonly sorted: Uint8Array;
}

export const NO_WEAK_KEYS: WeakKeys = { sorted: new Uint8Array() };

/**
 * Reads a list of weak RSA keys in the form of Debian's openssl-blacklist (`blacklist.RSA-2048` and its like, for the
 * keys of CVE-2008-0166): lines of 20 lowercase hex digits, the last 80 bits of the SHA-1 of `Modulus=`, the modulus in
 * capital hex digits, and a line feed, as `openssl rsa -modulus | sha1sum` has it. Lines that begin with `#` and empty
 * ones say nothing. The fingerprints of one size name no key of another: lists are joined as they come.
 * @param lists what each is called, and its text.
 * @throws KeysteadError `key-list.malformed` with the list, the line and what stands there.
 */
export function readWeakKeys(lists: readonly { readonly name: string; readonly text: string }[]): WeakKeys {
  const found = lists.flatMap(({ name, text }) => fingerprintsIn(name, text));
  // As text: hex digits sort as the octets do.
  return { sorted: fromHex([...new Set(found)].sort().join('')) };
}

function fingerprintsIn(name: string, text: string): string[] {
  const found: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const said = line.trimEnd();
    if (said === '' || said.startsWith('#')) continue;
    if (!/^[0-9a-f]{20}$/.test(said)) {
      const field = `${name} line ${index + 1}`;
      throw new KeysteadError('key-list.malformed', { field, seen: JSON.stringify(said.slice(0, 64)) });
    }
    found.push(said);
  }
  // Whoever puts a list there wants it to refuse something.
  if (found.length === 0) throw new KeysteadError('key-list.malformed', { field: name, seen: 'no fingerprint' });
  return found;
}

/** How many keys are known by their fingerprints. */
export const countWeakKeys = ({ sorted }: WeakKeys): number => sorted.length / WIDTH;

/** @param modulus unsigned big-endian, without leading zeros. */
export function isWeakModulus(modulus: Uint8Array, { sorted }: WeakKeys): boolean {
  if (sorted.length === 0) return false;
  const text = `Modulus=${toHex(modulus).toUpperCase()}\n`;
  const wanted = Buffer.from(sha1Identifier(Buffer.from(text, 'latin1'))).subarray(-WIDTH);
  let [from, to] = [0, sorted.length / WIDTH];
  while (from < to) {
    const middle = (from + to) >> 1;
    const order = wanted.compare(sorted, middle * WIDTH, (middle + 1) * WIDTH);
    if (order === 0) return true;
    if (order < 0) to = middle;
    else from = middle + 1;
  }
  return false;
}
