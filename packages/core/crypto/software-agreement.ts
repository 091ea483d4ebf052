import { diffieHellman } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { algorithmOf, importPrivateKey, importPublicKey, spkiOf } from './key.ts';
import { SecretBytes } from './secret.ts';

/** The algorithms of keys that agree on secrets. */
export type AgreementAlgorithm = 'P-256' | 'P-384';

/** A private key in memory that agrees on secrets (SP 800-56A r3, ECC CDH). */
export interface SoftwareKeyAgreement {
  readonly keyAlgorithm: AgreementAlgorithm;
  readonly spki: DerSpki;
  /**
   * The shared secret Z: the x-coordinate, as long as the field.
   * @param peer a public key on the same curve. OpenSSL refuses one that is off the curve, out of range or infinity,
   *   and the curve has no small subgroup: full validation (SP 800-56A section 5.6.2.3.3).
   * @throws KeysteadError `key.weak`, `key.algorithm-mismatch`.
   */
  agree(peer: DerSpki): Promise<SecretBytes>;
}

/** @param pkcs8 stays with the caller; OpenSSL keeps a copy until the agreement is collected. */
export function softwareKeyAgreement(keyAlgorithm: AgreementAlgorithm, pkcs8: SecretBytes): SoftwareKeyAgreement {
  const privateKey = importPrivateKey(keyAlgorithm, pkcs8);
  return {
    keyAlgorithm,
    spki: spkiOf(privateKey),
    async agree(peer) {
      const publicKey = peerOf(peer);
      const seen = algorithmOf(publicKey);
      if (seen !== keyAlgorithm) {
        throw new KeysteadError('key.algorithm-mismatch', {
          field: 'peer',
          seen: `${seen ?? 'another'} for ${keyAlgorithm}`,
        });
      }
      return SecretBytes.take(diffieHellman({ privateKey, publicKey }));
    },
  };
}

function peerOf(spki: DerSpki): ReturnType<typeof importPublicKey> {
  try {
    return importPublicKey(spki);
  } catch {
    throw new KeysteadError('key.weak', { field: 'peer', seen: 'no point on its curve' });
  }
}
