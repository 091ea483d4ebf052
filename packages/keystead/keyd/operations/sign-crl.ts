import type { DerCrl } from '@keystead/core/bytes';
import { issuerKeyId } from '@keystead/core/lifecycle';
import { assembleSigned, tbsCertList } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import { forgetBefore, requireRevocationTime } from '../revocation.ts';
import { signVerified } from '../sign-verified.ts';

/**
 * Signs a full CRL. keyd remembers what it has listed, in its journal, and lists it again by itself: a front end can
 * add to a list, but never take a revocation back by leaving it out, nor a hold: that takes the signed order of
 * `releaseHold`. REQ-KEY-REV-01
 * @throws KeysteadError `issuer.unknown`, `key.use-forbidden`, `crl.number-used` and `crl.number-skips` with the last number, `revocation.malformed`, `clock.went-back`,
 *   `keyd.journal-failed`.
 */
export async function signCrl(keyd: KeydContext, params: Params<'signCrl'>): Promise<Result<'signCrl'>> {
  const now = keyd.now();
  const { issuer, number } = params;
  const authority = keyd.authority(issuer);
  keyd.ledger.require(issuerKeyId(issuer), 'process', now);
  for (const { serial, revokedAt } of params.entries) requireRevocationTime(revokedAt, now, serial);
  const { signer } = authority;
  const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const nextUpdate = new Date(thisUpdate.getTime() + keyd.policy.revocation.crlSeconds * 1000);
  const { all, fresh, undo } = keyd.state.list(
    issuer,
    params.number,
    params.entries,
    forgetBefore(keyd.policy, authority.role, now),
  );
  const tbs = tbsCertList({
    issuer: authority.certificate,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate,
    nextUpdate,
    number,
    entries: all,
  });
  await keyd.journal
    .append({
      time: now.toISOString(),
      kind: 'crl',
      issuer,
      number,
      revoked: fresh.map(({ serial, revokedAt, reason }) => [serial, revokedAt.getTime(), reason ?? 'unspecified']),
    })
    .catch((error: unknown) => {
      undo();
      throw error;
    });
  const crl = assembleSigned(tbs, signer.signatureAlgorithm, await signVerified(signer, tbs)) as DerCrl;
  return { crl, number, thisUpdate, nextUpdate };
}
