import { type Signer, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/**
 * A signature that was verified before it leaves keyd, as those of certificates are in `CheckPool`: a faulty processor or
 * token must not put its mistakes under a name that others trust.
 * @throws KeysteadError `keyd.signature-faulty`, and what the signer throws.
 */
export async function signVerified(signer: Signer, data: Uint8Array): Promise<Uint8Array> {
  const signature = await signer.sign(data);
  if (verifySignature(signer.signatureAlgorithm, signer.spki, data, signature)) return signature;
  throw new KeysteadError('keyd.signature-faulty', { field: 'signature', seen: signer.signatureAlgorithm });
}
