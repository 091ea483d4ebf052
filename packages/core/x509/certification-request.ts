import type { Signer } from '../crypto/index.ts';
import { assembleSigned } from './assemble.ts';
import { context, integer, sequence } from './der/writer.ts';
import { nameDer } from './names.ts';

/**
 * A PKCS#10 request (RFC 2986) for the key of `signer`, signed by itself, DER. The subject is CN=`name` alone: the
 * ceremony's policy gives the certificate's real subject.
 */
export async function certificationRequest(name: string, signer: Signer): Promise<Uint8Array> {
  const subject = nameDer({ rdns: [{ type: 'CN', value: name }] });
  const info = sequence(integer(0), subject, signer.spki, context(0));
  return assembleSigned(info, signer.signatureAlgorithm, await signer.sign(info));
}
