import type { DerSpki } from '../bytes/index.ts';
import type { KeyAlgorithm } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { readCertificate } from '../x509/index.ts';
import type { SigningTerms } from './format.ts';

/** The key behind a certificate, for formats that know keys alone. */
export interface SignerKey {
  readonly spki: DerSpki;
  readonly algorithm: KeyAlgorithm;
}

/** @throws KeysteadError `firmware.key-unsuitable` for an algorithm that Keystead does not know. */
export function signerKey({ signer }: Pick<SigningTerms, 'signer'>): SignerKey {
  const { spki, keyAlgorithm } = readCertificate(signer);
  if (keyAlgorithm === undefined) throw unsuitable('an algorithm that is not known');
  return { spki, algorithm: keyAlgorithm };
}

export const unsuitable = (seen: string): KeysteadError =>
  new KeysteadError('firmware.key-unsuitable', { field: 'signer', seen });
