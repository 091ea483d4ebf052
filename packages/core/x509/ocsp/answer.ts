import type { DerCertificate } from '../../bytes/index.ts';
import type { SignatureAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readSignatureAlgorithm } from '../algorithms.ts';
import { type CrlReason, reasonOf } from '../crl/reasons.ts';
import { DerError, type DerNode, readDer, readInteger, readOctetBits, readOid, readTime } from '../der/strict.ts';
import { findExtension, readExtensions } from '../extensions.ts';
import { type OcspCertId, readCertId } from './cert-id.ts';
import { OCSP_OIDS } from './oids.ts';
import { readNonce } from './request.ts';

/** An answer for 16 certificates with an RSA responder and its chain stays under it. */
export const MAX_OCSP_RESPONSE_BYTES = 64 * 1024;

/** What an answer tells of one certificate, as read from others. */
export interface OcspAnswerSingle {
  readonly certId: OcspCertId;
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly revokedAt?: Date;
  readonly reason?: CrlReason;
  readonly thisUpdate: Date;
  /** Absent when newer status is always to be had (RFC 6960 section 2.4). */
  readonly nextUpdate?: Date;
}

/** A successful OCSPResponse taken apart; nothing in it is verified. Byte fields are views of the DER. */
export interface OcspAnswer {
  /** The signed part: ResponseData. */
  readonly tbs: Uint8Array;
  /** The responder, by the DER of its name or the SHA-1 of its key. */
  readonly responder: { readonly nameDer: Uint8Array } | { readonly keyHash: Uint8Array };
  readonly producedAt: Date;
  readonly singles: readonly OcspAnswerSingle[];
  readonly nonce?: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Uint8Array;
  readonly certs: readonly DerCertificate[];
}

const STATUS_NAMES: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};

/**
 * Takes an OCSPResponse apart (RFC 6960 section 4.2), strictly. It verifies nothing: relying parties use
 * `readOcspResponse`; a server that caches answers uses this for their times.
 * @throws KeysteadError `ocsp.answer-malformed`; `ocsp.answer-refused` when the responder gave an error instead.
 */
export function parseOcspResponse(der: Uint8Array): OcspAnswer {
  if (der.length > MAX_OCSP_RESPONSE_BYTES)
    throw new KeysteadError('ocsp.answer-malformed', { field: 'answer', seen: `${der.length} bytes` });
  try {
    return readResponse(readDer(der));
  } catch (cause) {
    if (cause instanceof DerError || (cause instanceof KeysteadError && cause.code === 'ocsp.hash-unsupported'))
      throw new KeysteadError('ocsp.answer-malformed', { field: 'answer', seen: cause.message, cause });
    throw cause;
  }
}

function readResponse(root: DerNode): OcspAnswer {
  root.expect(0x30, 'the answer').counted(1, 2, 'the answer');
  const status = Number(readInteger(root.child(0, 0x0a, 'the status'), 'the status'));
  if (status !== 0)
    throw new KeysteadError('ocsp.answer-refused', {
      field: 'status',
      seen: STATUS_NAMES[status] ?? 'an unknown status',
    });
  const wrapper = root.child(1, 0xa0, 'responseBytes').counted(1, 1, 'responseBytes');
  const bytes = wrapper.child(0, 0x30, 'responseBytes').counted(2, 2, 'responseBytes');
  const type = readOid(bytes.children[0], 'the response type');
  if (type !== OCSP_OIDS.basic) throw new DerError(`the response type ${type} is not basic`);
  const basic = readDer(bytes.child(1, 0x04, 'the response').value).expect(0x30, 'the basic response');
  basic.counted(3, 4, 'the basic response');
  const tbs = basic.child(0, 0x30, 'tbsResponseData');
  return {
    ...readData(tbs),
    tbs: tbs.bytes,
    signatureAlgorithm: readSignatureAlgorithm(basic.child(1, 0x30, 'signatureAlgorithm'), 'signatureAlgorithm')
      .algorithm,
    signature: readOctetBits(basic.child(2, 0x03, 'the signature'), 'the signature'),
    certs: basic.children.length === 3 ? [] : readCerts(basic.child(3, 0xa0, 'certs')),
  };
}

function readCerts(wrapper: DerNode): DerCertificate[] {
  const list = wrapper.counted(1, 1, 'certs').child(0, 0x30, 'certs').counted(0, 16, 'certs');
  return list.children.map((node) => node.expect(0x30, 'a certificate').bytes as DerCertificate);
}

function readData(data: DerNode): Pick<OcspAnswer, 'responder' | 'producedAt' | 'singles' | 'nonce'> {
  const [id, producedAt, list, wrapper] = data.counted(3, 4, 'tbsResponseData').children;
  if (id === undefined || list === undefined) throw new DerError('tbsResponseData ends early');
  const singles = list.expect(0x30, 'responses').counted(1, 256, 'responses').children.map(readSingle);
  if (producedAt?.tag !== 0x18) throw new DerError('producedAt is not a GeneralizedTime');
  return {
    responder: readResponder(id),
    producedAt: readTime(producedAt, 'producedAt'),
    singles,
    nonce: readAnswerNonce(wrapper),
  };
}

function readResponder(id: DerNode): OcspAnswer['responder'] {
  id.counted(1, 1, 'the responder');
  if (id.tag === 0xa1) return { nameDer: id.child(0, 0x30, 'the name of the responder').bytes };
  return { keyHash: id.expect(0xa2, 'the responder').child(0, 0x04, 'the key hash of the responder').value };
}

function readAnswerNonce(wrapper: DerNode | undefined): Uint8Array | undefined {
  if (wrapper === undefined) return undefined;
  const list = wrapper.expect(0xa1, 'responseExtensions').counted(1, 1, 'responseExtensions');
  const extensions = readExtensions(list.child(0, 0x30, 'responseExtensions'), 'responseExtensions');
  for (const { oid, critical } of extensions)
    if (critical && oid !== OCSP_OIDS.nonce) throw new DerError(`the critical extension ${oid} is not known`);
  const nonce = findExtension(extensions, OCSP_OIDS.nonce);
  return nonce === undefined ? undefined : readNonce(nonce.value);
}

function readSingle(node: DerNode): OcspAnswerSingle {
  const rest = [...node.expect(0x30, 'a response').counted(3, 5, 'a response').children];
  const [id, status, thisUpdate] = rest.splice(0, 3);
  if (id === undefined || status === undefined || thisUpdate?.tag !== 0x18) throw new DerError('a response ends early');
  const next = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  const extensions = rest.shift();
  if (rest.length > 0) throw new DerError('a response has an element of no known kind');
  if (extensions !== undefined) {
    const list = extensions.expect(0xa1, 'singleExtensions').counted(1, 1, 'singleExtensions');
    for (const { oid, critical } of readExtensions(list.child(0, 0x30, 'singleExtensions'), 'singleExtensions'))
      if (critical) throw new DerError(`the critical extension ${oid} is not known`);
  }
  return {
    certId: readCertId(id),
    ...readStatus(status),
    thisUpdate: readTime(thisUpdate, 'thisUpdate'),
    nextUpdate:
      next === undefined
        ? undefined
        : readTime(next.counted(1, 1, 'nextUpdate').child(0, 0x18, 'nextUpdate'), 'nextUpdate'),
  };
}

function readStatus(node: DerNode): Pick<OcspAnswerSingle, 'status' | 'revokedAt' | 'reason'> {
  if (node.tag === 0x80 && node.value.length === 0) return { status: 'good' };
  if (node.tag === 0x82 && node.value.length === 0) return { status: 'unknown' };
  node.expect(0xa1, 'the certificate status').counted(1, 2, 'the certificate status');
  const revokedAt = readTime(node.child(0, 0x18, 'revocationTime'), 'revocationTime');
  if (node.children.length === 1) return { status: 'revoked', revokedAt };
  const code = node
    .child(1, 0xa0, 'revocationReason')
    .counted(1, 1, 'revocationReason')
    .child(0, 0x0a, 'revocationReason');
  const reason = reasonOf(Number(readInteger(code, 'revocationReason')));
  if (reason === undefined) throw new DerError('the revocation reason has no meaning');
  return { status: 'revoked', revokedAt, reason };
}
