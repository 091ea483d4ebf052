import { createPublicKey, type KeyObject } from 'node:crypto';
import { type DerSpki, toPem } from '../../bytes/index.ts';

/**
 * Public keys as OpenSSL holds them, by the very array that they were read from. Reading one costs as much as
 * verifying with it, and a request's key is checked, used for the proof of possession, and compared in the end.
 * Only arrays that a parser of this room copied for itself are kept: one that its owner writes to again would
 * answer with the key that it held before.
 */
const keys = new WeakMap<DerSpki, KeyObject | undefined>();
const ours = new WeakSet<DerSpki>();

/** Promises that nobody writes to `spki` any more, so that its key is read only once. */
export function keepPublicKey(spki: DerSpki): DerSpki {
  ours.add(spki);
  return spki;
}

/** The key, or undefined when OpenSSL does not take it: a point that is out of range or not on its curve. */
export function publicKeyOf(spki: DerSpki): KeyObject | undefined {
  if (!ours.has(spki)) return read(spki);
  if (!keys.has(spki)) keys.set(spki, read(spki));
  return keys.get(spki);
}

function read(spki: DerSpki): KeyObject | undefined {
  try {
    // PEM, because node:crypto first tries whether bytes are a key object or a CryptoKey, which takes as long again.
    return createPublicKey(toPem('PUBLIC KEY', spki));
  } catch {
    return undefined;
  }
}
