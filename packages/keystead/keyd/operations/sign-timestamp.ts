import { DIGEST_OF } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { TSA_ACCURACY_SECONDS, TSA_KEY, TSA_POLICY, tsaProfile } from '@keystead/core/lifecycle';
import { newSerial, timestampAttributes, timestampToken, tstInfo } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { requireHeadquarters } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';
import { signVerified } from '../sign-verified.ts';

/**
 * Signs a time stamp (RFC 3161). keyd composes all of it: its own clock, which never goes back, a serial number from its
 * random source, the one policy. So a front end that lies can have any digest stamped, but never with another time.
 * @throws KeysteadError `tsp.off` where there is no key, no profile or its certificate is revoked; `tsp.policy-unknown`,
 *   `tsp.malformed`, `key.use-forbidden`, `key.cryptoperiod-ended`, `clock.went-back`, `keyd.journal-failed`,
 *   `keyd.signature-faulty`, and as `CertificateAuthority.issue` does.
 */
export async function signTimestamp(
  keyd: KeydContext,
  params: Params<'signTimestamp'>,
): Promise<Result<'signTimestamp'>> {
  const now = keyd.stampTime();
  requireHeadquarters(keyd.hierarchy.node, 'timestamp', 'a time stamp');
  if (tsaProfile(keyd.policy) === undefined || !keyd.ledger.has(TSA_KEY))
    throw new KeysteadError('tsp.off', { field: TSA_KEY });
  const { hash, imprint, nonce, certReq } = params;
  if (params.policy !== undefined && params.policy !== TSA_POLICY)
    throw new KeysteadError('tsp.policy-unknown', { field: 'policy', seen: params.policy });
  keyd.ledger.require(TSA_KEY, 'protect', now);
  const serial = newSerial();
  const time = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const facts = { policy: TSA_POLICY, hash, imprint, nonce, serial, time, accuracySeconds: TSA_ACCURACY_SECONDS };
  const info = tstInfo(facts);
  const { issuer, certificate } = await keyd.tsa.at(keyd, now);
  await keyd.tsa.mark(keyd, now);
  keyd.tsa.floor.pass(now);
  // An order that came while the journal was written holds too.
  keyd.ledger.require(TSA_KEY, 'protect', now);
  const key = keyd.signerOf(TSA_KEY);
  const signer = {
    certificate,
    algorithm: key.signatureAlgorithm,
    digest: DIGEST_OF[key.signatureAlgorithm] ?? 'sha256',
  };
  const signature = await signVerified(key, timestampAttributes(info, signer));
  const certificates = certReq ? [certificate.der, keyd.authority(issuer).certificate] : [];
  return { token: timestampToken(info, signer, signature, certificates), serial, time };
}
