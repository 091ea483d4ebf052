import type { DerSpki } from '../../bytes/index.ts';
import type { KeyAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError } from '../der/strict.ts';
import { type PublicKeyParts, readSpki } from '../spki.ts';
import { ed25519Fault } from './ed25519.ts';
import { isKnownKey } from './known-keys.ts';
import { publicKeyOf } from './public-key.ts';
import { rsaFault } from './rsa.ts';
import { isWeakModulus, NO_WEAK_KEYS, type WeakKeys } from './weak-list.ts';

/**
 * Checks a public key before anything is certified for it: that it is of an allowed algorithm, that it is a valid
 * key of it (SP 800-56A section 5.6.2.3.3 for curves, SP 800-89 section 5.3.3 for RSA), and that its private half is
 * neither published nor easy to find. That no other device has it is for the store to say. REQ-KEY-PROV-03
 * @param spki SubjectPublicKeyInfo, DER.
 * @param weakKeys moduli of generators that are known to be broken, where a deployment has a list.
 * @returns the algorithm
 * @throws KeysteadError `key.algorithm-forbidden`, `key.known-compromised`, `key.weak` (with what is wrong in `seen`)
 */
export function checkPublicKey<A extends KeyAlgorithm>(
  spki: DerSpki,
  allowed: readonly A[],
  weakKeys: WeakKeys = NO_WEAK_KEYS,
): A {
  const parts = read(spki);
  const keyAlgorithm = allowed.find((one) => one === parts.keyAlgorithm);
  if (keyAlgorithm === undefined)
    throw new KeysteadError('key.algorithm-forbidden', { field: 'subjectPublicKeyInfo', seen: parts.described });
  if (isKnownKey(parts)) throw new KeysteadError('key.known-compromised', { field: 'subjectPublicKeyInfo' });
  if (parts.rsa !== undefined && isWeakModulus(parts.rsa.modulus, weakKeys)) {
    const seen = 'a key on a list of weak keys, as CVE-2008-0166 made them';
    throw new KeysteadError('key.known-compromised', { field: 'subjectPublicKeyInfo', seen });
  }
  const fault = faultOf(spki, parts);
  if (fault !== undefined) throw new KeysteadError('key.weak', { field: 'subjectPublicKeyInfo', seen: fault });
  return keyAlgorithm;
}

function read(spki: DerSpki): PublicKeyParts {
  try {
    return readSpki(spki);
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('key.weak', { field: 'subjectPublicKeyInfo', seen: cause.message, cause });
    throw cause;
  }
}

function faultOf(spki: DerSpki, parts: PublicKeyParts): string | undefined {
  const fault = parts.rsa === undefined ? undefined : rsaFault(parts.rsa.modulus, parts.rsa.exponent);
  if (fault !== undefined) return fault;
  if (parts.keyAlgorithm === 'Ed25519') return ed25519Fault(parts.keyBits);
  // OpenSSL checks that the coordinates are in range and on the curve; cofactor 1 makes that enough.
  return publicKeyOf(spki) === undefined ? 'a point that is not on its curve' : undefined;
}
