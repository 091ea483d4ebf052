import type { DerCertificate, DerCsr, Serial } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { reasonOf } from '../crl/reasons.ts';
import { DerError, type DerNode, readDer, readInteger, readOid } from '../der/strict.ts';
import { findExtension, readExtensions } from '../extensions.ts';
import { EXTENSIONS } from '../oids.ts';
import { serialOf } from '../serial.ts';
import { fieldsOf, readCertReqId } from './certificate-request.ts';
import { type CmpInfo, readInfo } from './header.ts';
import { HASH_OIDS } from './oids.ts';
import { type CmpStatusInfo, readFreeText, readStatusInfo } from './status.ts';

/** The bodies that are read here, by the number of their choice in PKIBody (RFC 9810 section 5.1.2). */
export const CMP_BODIES = {
  ir: 0,
  ip: 1,
  cr: 2,
  cp: 3,
  p10cr: 4,
  kur: 7,
  kup: 8,
  rr: 11,
  rp: 12,
  pkiconf: 19,
  genm: 21,
  genp: 22,
  error: 23,
  certConf: 24,
  pollReq: 25,
  pollRep: 26,
} as const;
export type CmpBodyType = keyof typeof CMP_BODIES;

/** The answer to a request for a certificate. */
export interface CmpIssue {
  readonly certReqId: number;
  readonly status: CmpStatusInfo;
  readonly certificate?: DerCertificate;
  /** Roots that come along; information, and no trust by itself. */
  readonly caPubs: readonly DerCertificate[];
}

/** What a client says of a certificate that it was given (RFC 9810 section 5.3.18). */
export interface CmpConfirmation {
  readonly certReqId: number;
  /** Empty when the client never got the certificate. */
  readonly certHash: Uint8Array;
  /** Where it is not the hash of the certificate's signature (RFC 9810 section 5.3.18). */
  readonly hash?: 'sha1' | 'sha256' | 'sha384' | 'sha512';
  readonly status: CmpStatusInfo;
}

export type CmpBody =
  /** A CertReqMsg, DER. */
  | { readonly type: 'ir' | 'cr' | 'kur'; readonly request: DerCsr }
  /** PKCS#10, DER. */
  | { readonly type: 'p10cr'; readonly request: DerCsr }
  | ({ readonly type: 'ip' | 'cp' | 'kup' } & CmpIssue)
  | { readonly type: 'rr'; readonly issuerDer: Uint8Array; readonly serial: Serial; readonly reason: string }
  | { readonly type: 'rp'; readonly status: CmpStatusInfo }
  | { readonly type: 'pkiconf' }
  | { readonly type: 'genm' | 'genp'; readonly infos: readonly CmpInfo[] }
  | { readonly type: 'error'; readonly status: CmpStatusInfo; readonly details?: string }
  /** No confirmation at all refuses every certificate. */
  | { readonly type: 'certConf'; readonly confirmation?: CmpConfirmation }
  | { readonly type: 'pollReq'; readonly certReqId: number }
  | { readonly type: 'pollRep'; readonly certReqId: number; readonly checkAfterSeconds: number };

/** The type of a body by its tag. @throws KeysteadError `cmp.body-unsupported`, also for what is no body at all. */
export function bodyTypeOf(node: DerNode): CmpBodyType {
  for (const [type, number] of Object.entries(CMP_BODIES) as [CmpBodyType, number][])
    if (node.tag === (0xa0 | number)) return type;
  throw new KeysteadError('cmp.body-unsupported', { field: 'body', seen: `[${node.tag & 0x1f}]` });
}

/**
 * Reads a PKIBody. One message is about one certificate (RFC 9483 section 4.1).
 * @throws DerError
 * @throws KeysteadError `cmp.body-unsupported`, `cmp.one-request`, `cmp.template-refused`.
 */
export function readBody(node: DerNode): CmpBody {
  const type = bodyTypeOf(node);
  const content = node.counted(1, 1, type).children[0];
  if (content === undefined) throw new DerError(`${type} is empty`);
  switch (type) {
    case 'ir':
    case 'cr':
    case 'kur':
      return { type, request: only(content, type).expect(0x30, 'CertReqMsg').bytes as DerCsr };
    case 'p10cr':
      return { type, request: content.expect(0x30, type).bytes as DerCsr };
    case 'ip':
    case 'cp':
    case 'kup':
      return { type, ...readIssue(content, type) };
    case 'rr':
      return readRevocation(content);
    case 'rp':
      return { type, status: readStatusInfo(only(content.counted(1, 3, type).child(0, 0x30, 'status'), 'status')) };
    case 'pkiconf':
      content.expect(0x05, type);
      return { type };
    case 'genm':
    case 'genp':
      return { type, infos: content.expect(0x30, type).counted(0, 16, type).children.map(readInfo) };
    case 'error':
      return readError(content);
    case 'certConf':
      return { type, confirmation: readConfirmation(content) };
    case 'pollReq': {
      const poll = only(content, type).expect(0x30, 'a poll').counted(1, 1, 'a poll');
      return { type, certReqId: readCertReqId(poll.children[0]) };
    }
    case 'pollRep': {
      const poll = only(content, type).expect(0x30, 'a poll').counted(2, 3, 'a poll');
      const seconds = Number(readInteger(poll.child(1, 0x02, 'checkAfter'), 'checkAfter'));
      return { type, certReqId: readCertReqId(poll.children[0]), checkAfterSeconds: Math.max(0, seconds) };
    }
  }
}

/** The one member of a SEQUENCE OF. @throws KeysteadError `cmp.one-request` for several. */
function only(list: DerNode, what: string): DerNode {
  const [member, ...more] = list.expect(0x30, what).children;
  if (member === undefined) throw new DerError(`${what} is empty`);
  if (more.length > 0) throw new KeysteadError('cmp.one-request', { field: what, seen: `${more.length + 1} requests` });
  return member;
}

function readIssue(content: DerNode, type: string): CmpIssue {
  const parts = [...content.expect(0x30, type).counted(1, 2, type).children];
  const pubs = parts[0]?.tag === 0xa1 ? parts.shift() : undefined;
  const responses = parts.shift();
  if (responses === undefined || parts.length > 0) throw new DerError(`${type} has no response`);
  const response = only(responses, 'response').expect(0x30, 'a response').counted(2, 4, 'a response');
  return {
    certReqId: readCertReqId(response.children[0]),
    status: readStatusInfo(response.child(1, 0x30, 'status')),
    certificate: readKeyPair(response.children[2]),
    caPubs: pubs === undefined ? [] : certificatesIn(pubs.counted(1, 1, 'caPubs').child(0, 0x30, 'caPubs'), 'caPubs'),
  };
}

function readKeyPair(pair: DerNode | undefined): DerCertificate | undefined {
  if (pair === undefined || pair.tag !== 0x30) return undefined;
  const choice = pair.counted(1, 3, 'certifiedKeyPair').children[0];
  if (choice?.tag !== 0xa0)
    throw new KeysteadError('cmp.body-unsupported', { field: 'certOrEncCert', seen: 'encrypted' });
  return choice.counted(1, 1, 'certificate').child(0, 0x30, 'certificate').bytes as DerCertificate;
}

/** A list of certificates. @throws DerError */
export const certificatesIn = (list: DerNode, what: string): DerCertificate[] =>
  list
    .expect(0x30, what)
    .counted(1, 16, what)
    .children.map((node) => node.expect(0x30, `a certificate of ${what}`).bytes as DerCertificate);

/** RFC 9483 section 4.2: issuer and serial number in the template, the reason in the extensions of the entry. */
function readRevocation(content: DerNode): CmpBody & { type: 'rr' } {
  const details = only(content, 'rr').expect(0x30, 'RevDetails').counted(1, 2, 'RevDetails');
  const template = fieldsOf(details.child(0, 0x30, 'certDetails'), {});
  const issuer = template.get(3)?.counted(1, 1, 'the issuer').child(0, 0x30, 'the issuer');
  const serial = template.get(1);
  if (issuer === undefined || serial === undefined || serial.value.length === 0)
    throw new KeysteadError('cmp.template-refused', { field: 'certDetails', seen: 'no issuer or no serial number' });
  return { type: 'rr', issuerDer: issuer.bytes, serial: serialOf(serial.value), reason: reasonIn(details.children[1]) };
}

function reasonIn(extensions: DerNode | undefined): string {
  if (extensions === undefined) return 'unspecified';
  const found = findExtension(readExtensions(extensions, 'crlEntryDetails'), EXTENSIONS.reasonCode);
  if (found === undefined) return 'unspecified';
  const code = Number(readInteger(readDer(found.value).expect(0x0a, 'reasonCode'), 'reasonCode'));
  return reasonOf(code) ?? String(code);
}

function readError(content: DerNode): CmpBody & { type: 'error' } {
  const parts = content.expect(0x30, 'error').counted(1, 3, 'error').children;
  const details = parts.find((node, index) => index > 0 && node.tag === 0x30);
  return {
    type: 'error',
    status: readStatusInfo(content.child(0, 0x30, 'pKIStatusInfo')),
    details: details === undefined ? undefined : readFreeText(details),
  };
}

function readConfirmation(content: DerNode): CmpConfirmation | undefined {
  if (content.expect(0x30, 'certConf').children.length === 0) return undefined;
  const status = only(content, 'certConf').expect(0x30, 'CertStatus').counted(2, 4, 'CertStatus');
  const rest = [...status.children.slice(2)];
  const info = rest[0]?.tag === 0x30 ? rest.shift() : undefined;
  const algorithm = rest.shift();
  if (rest.length > 0) throw new DerError('CertStatus has an element of no known kind');
  return {
    certHash: status.child(0, 0x04, 'certHash').value,
    certReqId: readCertReqId(status.children[1]),
    status: info === undefined ? { status: 'accepted' } : readStatusInfo(info),
    hash: algorithm === undefined ? undefined : hashIn(algorithm),
  };
}

function hashIn(node: DerNode): CmpConfirmation['hash'] {
  const algorithm = node
    .expect(0xa0, 'hashAlg')
    .counted(1, 1, 'hashAlg')
    .child(0, 0x30, 'hashAlg')
    .counted(1, 2, 'hashAlg');
  const type = readOid(algorithm.children[0], 'hashAlg');
  const hash = (HASH_OIDS as Readonly<Record<string, CmpConfirmation['hash']>>)[type];
  if (hash === undefined) throw new KeysteadError('cmp.algorithm-unsupported', { field: 'hashAlg', seen: type });
  return hash;
}
