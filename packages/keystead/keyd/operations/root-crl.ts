import type { DerCertificate } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  caRevocationSha256,
  parseCaRevocation,
  ROOT_CRL_KEY,
  ROOT_CRL_LIST,
  rootCrlSignerUrl,
  rootCrlUrl,
  verifyCaRevocation,
} from '@keystead/core/lifecycle';
import { assembleSigned, readCertificate, readCrl, tbsCertList } from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import type { CaRevocationJournalEntry } from '../revocation-entries.ts';
import { signVerified } from '../sign-verified.ts';

/**
 * Signs the indirect CRL of the root (RFC 5280 section 5.2.5): what the ceremonies have revoked, and the CAs that a
 * quorum revoked since. All of it follows from what keyd verified itself. The list ends with the certificate of its
 * signer at the latest. REQ-KEY-REV-01
 * @throws KeysteadError `crl.no-root-signer` where no ceremony has certified a signer, or its certificate has ended;
 *   `key.use-forbidden`, `key.cryptoperiod-ended`, `clock.went-back`, `keyd.journal-failed`, `keyd.signature-faulty`.
 */
export async function signRootCrl(keyd: KeydContext): Promise<Result<'signRootCrl'>> {
  return keyd.state.rootList.turnstile.alone(async () => {
    const now = keyd.now();
    const issuer = requireSigner(keyd, now);
    keyd.ledger.require(ROOT_CRL_KEY, 'protect', now);
    const { rootList } = keyd.state;
    const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000);
    const end = thisUpdate.getTime() + keyd.policy.revocation.crlSeconds * 1000;
    const nextUpdate = new Date(Math.min(end, readCertificate(issuer).notAfter.getTime()));
    const number = rootList.nextNumber(thisUpdate);
    await keyd.journal.append({
      time: now.toISOString(),
      kind: 'root-crl',
      number,
      nextUpdate: nextUpdate.toISOString(),
    });
    // After the journal: an order that came meanwhile stands on the list.
    const entries = rootList.entries(keyd.hierarchy, keyd.ceremonyRevocations);
    const signer = keyd.signerOf(ROOT_CRL_KEY);
    const { signatureAlgorithm } = signer;
    const tbs = tbsCertList({
      ...{ issuer, signatureAlgorithm, thisUpdate, nextUpdate, number, entries },
      indirect: true,
      // RFC 5280 section 5.2.5: without addresses the list is known by the name of its signer alone.
      point: rootCrlUrl(keyd.policy),
      caIssuers: rootCrlSignerUrl(keyd.policy),
    });
    const crl = assembleSigned(
      tbs,
      signatureAlgorithm,
      await signVerified(signer, tbs),
    ) as Result<'signRootCrl'>['crl'];
    const digest = toHex(sha256(crl));
    return { crl, bytes: crl.length, sha256: digest, number, thisUpdate, nextUpdate, entries: entries.length };
  });
}

/**
 * Revokes a CA of keyd between ceremonies. keyd verifies each operator's signature, that there are as many as the policy
 * asks for, and that they mean this very key. From the moment that it is durable the CA issues nothing, and what it
 * issued proves nobody; the next indirect CRL of the root has each of its certificates. The same order again has the
 * answer of the first time and no further effect. REQ-KEY-REV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `crl.no-root-signer`, `revocation-request.*`, `issuer.unknown`, `ca.revoked`,
 *   `clock.went-back`, `keyd.journal-failed`; nothing is revoked then.
 */
export async function revokeCa(keyd: KeydContext, params: Params<'revokeCa'>): Promise<Result<'revokeCa'>> {
  const now = keyd.now();
  const { statements, requestId } = params;
  const asked = caRevocationSha256(parseCaRevocation(statements[0] ?? '').content.order);
  const before = [...keyd.state.rootList.revoked.values()].find(({ orderSha256 }) => orderSha256 === asked);
  if (before !== undefined) return caRevoked(before);
  requireSigner(keyd, now);
  const { order, orderSha256, proposer, approvers } = verifyCaRevocation(statements, keyd.policy, now);
  const { certificate } = keyd.authority(order.ca);
  const seen = spkiSha256(readCertificate(certificate).spki);
  // After a restore a name may stand for another key than the one that people saw.
  if (seen !== order.spkiSha256) throw new KeysteadError('issuer.unknown', { field: 'order.spkiSha256', seen });
  if (keyd.hierarchy.pins.revoked.includes(order.ca))
    throw new KeysteadError('ca.revoked', { field: 'order.ca', seen: order.ca });
  const entry = {
    time: now.toISOString(),
    kind: 'ca-revocation' as const,
    ca: order.ca,
    spkiSha256: order.spkiSha256,
    reason: order.reason,
    ...(order.invalidityDate === undefined ? {} : { invalidityDate: order.invalidityDate }),
    order: order.id,
    orderSha256,
    by: proposer,
    approvers: [...approvers],
    requestId,
  };
  await keyd.journal.append(entry);
  keyd.caRevoked({ n: 1, ...entry });
  return caRevoked({ n: 1, ...entry });
}

/** @throws KeysteadError `crl.no-root-signer` */
function requireSigner({ hierarchy, ceremonyRevocations }: KeydContext, now: Date): DerCertificate {
  const { crlSigner } = hierarchy;
  const none = (seen: string) => new KeysteadError('crl.no-root-signer', { field: ROOT_CRL_LIST, seen });
  if (crlSigner === undefined) throw none('none');
  const { notAfter, serial } = readCertificate(crlSigner);
  if (notAfter <= now) throw none(`one until ${notAfter.toISOString()}`);
  if (ceremonyRevocations.rootCrls.some(({ crl }) => readCrl(crl).entries.has(serial)))
    throw none('one that the root has revoked');
  return crlSigner;
}

/** As others are told of it. */
export const caRevoked = (entry: CaRevocationJournalEntry): Result<'revokeCa'> => ({
  ca: entry.ca,
  reason: entry.reason,
  ...(entry.invalidityDate === undefined ? {} : { invalidityDate: new Date(entry.invalidityDate) }),
  order: entry.order,
  at: new Date(entry.time),
  by: entry.by,
  approvers: entry.approvers,
});
