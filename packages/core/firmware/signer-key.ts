import type { DerSpki } from '../bytes/index.ts';
import { KEYS_FOR, type KeyAlgorithm, SIGNATURE_OF, type SignatureScheme } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { readCertificate } from '../x509/index.ts';
import type { SigningTerms } from './format.ts';

/** The key behind a certificate, for formats that know keys alone, and what it signs by. */
export interface SignerKey {
  readonly spki: DerSpki;
  readonly algorithm: KeyAlgorithm;
  readonly scheme: SignatureScheme;
}

/**
 * @throws KeysteadError `firmware.key-unsuitable` for an algorithm that Keystead does not know, and a scheme of another
 *   family.
 */
export function signerKey({ signer, scheme }: Pick<SigningTerms, 'signer' | 'scheme'>): SignerKey {
  const { spki, keyAlgorithm: algorithm } = readCertificate(signer);
  if (algorithm === undefined) throw unsuitable('an algorithm that is not known');
  if (scheme !== undefined && !KEYS_FOR[scheme].includes(algorithm)) throw unsuitable(`${algorithm} by ${scheme}`);
  return { spki, algorithm, scheme: scheme ?? SIGNATURE_OF[algorithm] };
}

/** What a key signs by, for people: its kind alone where that says it all. */
export const described = ({ algorithm, scheme }: Pick<SignerKey, 'algorithm' | 'scheme'>): string =>
  scheme === SIGNATURE_OF[algorithm] ? algorithm : `${algorithm} by ${scheme}`;

export const unsuitable = (seen: string): KeysteadError =>
  new KeysteadError('firmware.key-unsuitable', { field: 'signer', seen });
