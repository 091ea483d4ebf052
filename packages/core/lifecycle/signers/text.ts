import { toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { isHeldInHardware, spkiOfSigner } from './keys.ts';
import type { OperatorSigner } from './schema.ts';

const KIND: Readonly<Record<OperatorSigner['kind'], string>> = {
  ssh: 'SSH key',
  webauthn: 'passkey',
  pkcs11: 'key on a token',
};

/** A key of an operator for people: what it is, where it holds, and the beginning of the SHA-256 of its public half. */
export function signerText(signer: OperatorSigner): string {
  const held = signer.kind === 'ssh' && isHeldInHardware(signer) ? 'SSH key in a security key' : KIND[signer.kind];
  const where = signer.kind === 'webauthn' ? ` of ${signer.rpId}` : '';
  const verified = signer.kind !== 'pkcs11' && signer.verify === true ? ', with PIN or fingerprint' : '';
  return `${held}${where} ${toHex(sha256(spkiOfSigner(signer))).slice(0, 16)}${verified}`;
}
