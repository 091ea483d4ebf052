import { createHash } from 'node:crypto';
import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import {
  type CmpConfirmation,
  type CmpHeader,
  type CmpInfo,
  type CmpMessage,
  confirmWaitTimeValue,
  INFO_TYPES,
  issueBody,
  pollRepBody,
  readCertProfile,
} from '@keystead/core/cmp';
import { DIGEST_OF } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import type { CmpDomain, CmpOutcome, CmpRequester } from './domain.ts';

/** What an answer says, before it is protected. */
export interface Reply {
  readonly body: Uint8Array;
  readonly generalInfo?: readonly CmpInfo[];
  readonly chain?: readonly DerCertificate[];
}

/** How the body that answers a request is called. */
export const ANSWER_OF = { ir: 'ip', cr: 'cp', p10cr: 'cp', kur: 'kup' } as const;
const NULL = Uint8Array.of(0x05, 0x00);

/** What became of an order: the certificate, or when to ask again. */
export function issuedReply(
  outcome: CmpOutcome,
  { header, bodyType }: CmpMessage,
  requester: CmpRequester,
  domain: Pick<CmpDomain, 'caCertificates'>,
): Reply {
  const { certReqId } = outcome;
  const type = isAnswered(outcome.kind) ? ANSWER_OF[outcome.kind] : 'ip';
  if ('retryAfterSeconds' in outcome) {
    if (bodyType === 'pollReq') return { body: pollRepBody(certReqId, outcome.retryAfterSeconds) };
    return { body: issueBody(type, { certReqId, status: { status: 'waiting' }, caPubs: [] }) };
  }
  const { certificate, chain, confirmUntil } = outcome;
  const generalInfo: CmpInfo[] = [];
  if (confirmUntil !== undefined) {
    generalInfo.push({ type: INFO_TYPES.confirmWaitTime, value: confirmWaitTimeValue(confirmUntil) });
  } else if (asksImplicit(header)) {
    generalInfo.push({ type: INFO_TYPES.implicitConfirm, value: NULL });
  }
  // Who shares a secret with us, and nothing else yet, may learn the root by it (RFC 9483 section 4.1.5).
  const caPubs = requester.kind === 'authorisation' && type === 'ip' ? domain.caCertificates().slice(0, 1) : [];
  return {
    body: issueBody(type, { certReqId, status: { status: 'accepted' }, certificate, caPubs }),
    generalInfo,
    chain,
  };
}

const isAnswered = (kind: string): kind is keyof typeof ANSWER_OF => Object.hasOwn(ANSWER_OF, kind);

/** Whether the client asks that nothing need be confirmed (RFC 9810 section 5.1.1.1). */
export const asksImplicit = ({ generalInfo }: CmpHeader): boolean =>
  generalInfo.some(({ type }) => type === INFO_TYPES.implicitConfirm);

/** The one profile that a header names. @throws KeysteadError `cmp.malformed`, `cmp.profile-differs` for several. */
export function profileIn({ generalInfo }: CmpHeader): string | undefined {
  const info = generalInfo.find(({ type }) => type === INFO_TYPES.certProfile);
  if (info === undefined) return undefined;
  const [name, ...more] = readCertProfile(info.value);
  if (more.length > 0) throw new KeysteadError('cmp.profile-differs', { field: 'certProfile', seen: 'several' });
  return name;
}

/** certHash is by the hash of the certificate's signature, unless it says otherwise (RFC 9810 section 5.3.18). */
export function isHashOf({ certHash, hash, status }: CmpConfirmation, certificate: DerCertificate): boolean {
  if (certHash.length === 0) return status.status === 'rejection';
  const { signatureAlgorithm } = readCertificate(certificate);
  const digest = hash ?? (signatureAlgorithm === undefined ? null : DIGEST_OF[signatureAlgorithm]);
  // Ed25519 has no hash of its own: RFC 9481 section 3.3 says SHA-512.
  return sameBytes(
    createHash(digest ?? 'sha512')
      .update(certificate)
      .digest(),
    certHash,
  );
}
