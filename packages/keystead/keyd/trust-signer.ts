import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type TrustKey, trustKeystoreId, trustPolicy } from '@keystead/core/lifecycle';
import { isIn, type Standing } from '@keystead/core/trust';
import type { KeydContext } from './context.ts';

/** Whether a key of the policy signs bundles now. @throws KeysteadError `key.*`, `keystore.key-missing`. */
export function requireTrustKey(keyd: KeydContext, { id, algorithm }: TrustKey, now: Date): Signer {
  const name = trustKeystoreId(id);
  const signer = keyd.signerOf(name);
  if (signer.keyAlgorithm !== algorithm)
    throw new KeysteadError('key.algorithm-forbidden', { field: name, seen: signer.keyAlgorithm });
  keyd.ledger.require(name, 'protect', now);
  return signer;
}

/** A key of keyd's that devices believe now. */
export interface BundleSigner {
  readonly signer: Signer;
  readonly name: string;
  /** Until when devices believe it, seconds since 1970. */
  readonly until: number;
}

/**
 * Those of keyd's keys that may sign now and stand among `signers` at `at` (seconds since 1970), the one that devices
 * believe longest first: who is away for long can take its bundle still.
 */
export function signersAmong(
  keyd: KeydContext,
  signers: Standing['signers'],
  at: number,
  now: Date,
): readonly BundleSigner[] {
  const found = trustPolicy(keyd.policy).keys.flatMap((key): BundleSigner[] => {
    const signer = usable(() => requireTrustKey(keyd, key, now));
    if (signer === undefined) return [];
    const ours = spkiSha256(signer.spki);
    const told = signers.find(({ spki }) => spkiSha256(spki) === ours);
    if (told === undefined || !isIn(told, at)) return [];
    return [{ signer, name: trustKeystoreId(key.id), until: told.until }];
  });
  return found.sort((a, b) => b.until - a.until);
}

function usable<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof KeysteadError) return undefined;
    throw error;
  }
}
