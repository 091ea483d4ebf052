import { KeysteadError } from '@keystead/core/errors';
import { issuerKeyId } from '@keystead/core/lifecycle';
import {
  type CertStatus,
  type OcspCertId,
  ocspResponse,
  parseOcspRequest,
  sequence,
  tbsOcspResponse,
} from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { requireListedHere } from '../factory/listed-here.ts';
import type { Params, Result } from '../protocol.ts';
import { requireRevocationTime } from '../revocation.ts';

type Answer = Params<'signOcsp'>['responses'][number];

/**
 * Signs the status of certificates of one CA with its delegated responder. The times are keyd's: an answer can
 * neither be dated back nor last longer than the policy says; what keyd has not issued is never good, and what once
 * stood on a CRL is never good again, but for a hold that an order of operators has released. REQ-KEY-REV-02
 * @throws KeysteadError `issuer.unknown`, `key.use-forbidden`, also for good of a CA that is compromised; `ocsp.malformed`,
 *   `ocsp.hash-unsupported`, `ocsp.issuer-differs`, `ocsp.never-issued`, `revocation.undone`, `revocation.malformed`,
 *   `clock.went-back`.
 */
export async function signOcsp(keyd: KeydContext, params: Params<'signOcsp'>): Promise<Result<'signOcsp'>> {
  const now = keyd.now();
  const { issuer, responses, nonce } = params;
  const authority = keyd.authority(issuer);
  requireListedHere(keyd, issuer);
  keyd.ledger.require(issuerKeyId(issuer), 'process', now);
  const compromised = keyd.ledger.isCompromised(issuer);
  const certIds = readCertIds(responses.map((one) => one.certId));
  const thisUpdate = new Date(Math.floor(now.getTime() / 1000) * 1000);
  const nextUpdate = new Date(thisUpdate.getTime() + keyd.policy.revocation.ocspSeconds * 1000);
  const answers = responses.map((answer, index) => {
    const certId = certIds[index];
    const foreign = certId === undefined || !authority.ocsp.issued(certId);
    // Of another CA's certificate, asked for beside one of this CA, this one says only that it does not know it.
    if (certId === undefined || (foreign && answer.status !== 'unknown')) {
      throw new KeysteadError('ocsp.issuer-differs', { field: `responses[${index}].certId`, seen: `not of ${issuer}` });
    }
    // RFC 6960 section 2.7: whoever holds the key of a CA can have made any of its certificates.
    if (!foreign && answer.status === 'good' && compromised) {
      throw new KeysteadError('key.use-forbidden', { field: `responses[${index}]`, seen: `good, of a compromised CA` });
    }
    if (!foreign && answer.status !== 'revoked' && keyd.state.isListed(issuer, certId.serial)) {
      throw new KeysteadError('revocation.undone', { field: `responses[${index}]`, seen: certId.serial });
    }
    if (answer.status === 'good' && !keyd.state.isIssued(issuer, certId.serial)) {
      throw new KeysteadError('ocsp.never-issued', { field: `responses[${index}]`, seen: certId.serial });
    }
    return { certId, status: statusOf(answer, now, index), thisUpdate, nextUpdate };
  });
  const responder = await keyd.responder(issuer).at(now);
  const tbs = tbsOcspResponse({
    responderKeyHash: responder.keyHash,
    producedAt: thisUpdate,
    responses: answers,
    nonce,
  });
  const { signatureAlgorithm } = responder.signer;
  const signature = await responder.signer.sign(tbs);
  return {
    response: ocspResponse(tbs, signatureAlgorithm, signature, [responder.certificate]),
    thisUpdate,
    nextUpdate,
  };
}

/** Read as the request that they came in, by the one strict reader of requests. */
function readCertIds(ders: readonly Uint8Array[]): readonly OcspCertId[] {
  return parseOcspRequest(sequence(sequence(sequence(...ders.map((der) => sequence(der)))))).certIds;
}

function statusOf({ status, revokedAt, reason }: Answer, now: Date, index: number): CertStatus {
  const field = `responses[${index}]`;
  if (status !== 'revoked') {
    if (revokedAt !== undefined || reason !== undefined) {
      throw new KeysteadError('revocation.malformed', { field, seen: `${status}, with a time or reason` });
    }
    return { status };
  }
  return { status, revokedAt: requireRevocationTime(revokedAt, now, field), reason };
}
