import { type SignatureScheme, type Signer, signBy, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/**
 * A signature that was verified before it leaves keyd, as those of certificates are in `CheckPool`: a faulty processor or
 * token must not put its mistakes under a name that others trust.
 * @param scheme by which it is made.
 * @throws KeysteadError `keyd.signature-faulty`, and what the signer throws.
 */
export async function signVerified(
  signer: Signer,
  data: Uint8Array,
  scheme: SignatureScheme = signer.signatureAlgorithm,
): Promise<Uint8Array> {
  const signature = await signBy(signer, scheme, data);
  if (verifySignature(scheme, signer.spki, data, signature)) return signature;
  throw new KeysteadError('keyd.signature-faulty', { field: 'signature', seen: scheme });
}
