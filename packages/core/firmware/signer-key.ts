import type { DerSpki } from '../bytes/index.ts';
import { KEYS_FOR, SIGNATURE_OF } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { readCertificate } from '../x509/index.ts';
import type { FormatKey, SigningTerms } from './format.ts';

/** The key behind a certificate, for formats that know keys alone, and what it signs by. */
export interface SignerKey extends FormatKey {
  readonly spki: DerSpki;
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
export const described = ({ algorithm, scheme }: FormatKey): string =>
  scheme === SIGNATURE_OF[algorithm] ? algorithm : `${algorithm} by ${scheme}`;

export const unsuitable = (seen: string): KeysteadError =>
  new KeysteadError('firmware.key-unsuitable', { field: 'signer', seen });
