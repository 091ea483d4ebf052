import { sameBytes } from '@keystead/core/bytes';
import {
  type CmpBody,
  parseCertReqMsg,
  parseCmpMessage,
  readProtection,
  requireMessageTime,
  verifySigned,
} from '@keystead/core/cmp';
import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import type { Params } from './protocol.ts';

const unproven = (seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('requester.unproven', { field: 'requester.message', seen, cause });

/**
 * Verifies the CMP message in which a device signed its request: that the key of its certificate signed it, that it is
 * this request and no other, and that it is of now (its time, which CMP does not require, must be there where the policy
 * takes messages alone). So the front end, which saw the message, cannot ask for a device that
 * did not. The certificate itself is checked before. REQ-KEY-STO-03
 * @throws KeysteadError `requester.message-missing` where the policy wants a message; `requester.unproven`;
 *   `cmp.old-certificate`, `cmp.time-refused`.
 */
export function requireDeviceMessage(policy: Policy, { requester, csr, format }: Params<'issue'>, now: Date): void {
  const { message: der, certificate } = requester;
  if (der === undefined) {
    if (policy.deviceProof !== 'message') return;
    throw new KeysteadError('requester.message-missing', { field: 'requester.message', seen: requester.id });
  }
  if (certificate === undefined) throw unproven('no certificate');
  const signer = readCertificate(certificate);
  const body = signedBody(der, signer, now, policy.deviceProof === 'message');
  const crmf = body.type === 'ir' || body.type === 'cr' || body.type === 'kur';
  if (!crmf && body.type !== 'p10cr') throw unproven(`a message of the type ${body.type}`);
  if (crmf !== (format === 'crmf') || !sameBytes(body.request, csr)) throw unproven('a message with another request');
  if (body.type === 'kur') requireOldCertificate(body.request, signer);
}

/** @param timed whether the message must say when it was made: otherwise it would be a proof for ever. */
function signedBody(der: Uint8Array, signer: CertificateInfo, now: Date, timed: boolean): CmpBody {
  try {
    const message = parseCmpMessage(der);
    const { protectionAlg } = message.header;
    const protection = protectionAlg === undefined ? undefined : readProtection(protectionAlg);
    if (protection?.kind !== 'signature') throw unproven('a message that nobody signed');
    verifySigned(message, protection.algorithm, signer.spki);
    if (timed && message.header.messageTime === undefined) throw unproven('a message without a time');
    requireMessageTime(message.header, now);
    return message.body();
  } catch (cause) {
    if (!(cause instanceof KeysteadError) || !cause.code.startsWith('cmp.') || cause.code === 'cmp.time-refused')
      throw cause;
    throw unproven(cause.message, cause);
  }
}

/** A key update names the certificate that signs it (RFC 9483 section 4.1.3). @throws KeysteadError `cmp.old-certificate`. */
function requireOldCertificate(request: Uint8Array, { issuerDer, serial }: CertificateInfo): void {
  const old = parseCertReqMsg(request).oldCertId;
  if (old !== undefined && old.serial === serial && sameBytes(old.issuerDer, issuerDer)) return;
  throw new KeysteadError('cmp.old-certificate', { field: 'oldCertId', seen: old?.serial ?? 'none' });
}
