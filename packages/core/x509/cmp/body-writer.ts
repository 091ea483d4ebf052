import { type DerCertificate, type DerCrl, type DerCsr, fromHex, type Serial } from '../../bytes/index.ts';
import {
  context,
  integer,
  integerFromBytes,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  utf8String,
} from '../der/writer.ts';
import { ATTRIBUTE_TYPES, KEY_OIDS } from '../oids.ts';
import { CMP_BODIES, type CmpBodyType, type CmpIssue } from './body.ts';
import { type CmpInfo, directoryName, infoDer } from './header.ts';
import { CONTROLS, HASH_OIDS } from './oids.ts';
import { type CmpStatusInfo, freeText, statusInfoDer } from './status.ts';

/** The DER of a PKIBody. */
const body = (type: CmpBodyType, content: Uint8Array): Uint8Array => context(CMP_BODIES[type], content);

/** certReqId: an id from 0 on, or -1 for a PKCS#10 request, which has none (RFC 9483 section 4.1.4). */
const certReqIdDer = (id: number): Uint8Array => (id === -1 ? Uint8Array.of(0x02, 0x01, 0xff) : integer(id));

/** A request in PKCS#10. */
export const p10crBody = (csr: DerCsr): Uint8Array => body('p10cr', csr);

/** A request in CRMF. @param request CertReqMsg, DER. */
export const requestBody = (type: 'ir' | 'cr' | 'kur', request: Uint8Array): Uint8Array =>
  body(type, sequence(request));

/** The answer to a request for a certificate. */
export function issueBody(type: 'ip' | 'cp' | 'kup', answer: CmpIssue): Uint8Array {
  const { certReqId, status, certificate, caPubs } = answer;
  const response = [certReqIdDer(certReqId), statusInfoDer(status)];
  if (certificate !== undefined) response.push(sequence(context(0, certificate)));
  const pubs = caPubs.length === 0 ? [] : [context(1, sequence(...caPubs))];
  return body(type, sequence(...pubs, sequence(sequence(...response))));
}

/** What a client says of a certificate: that it takes it, or why not. `hash` only in a message of version 3. */
export function certConfBody(v: {
  certReqId: number;
  certHash: Uint8Array;
  hash?: 'sha256' | 'sha384' | 'sha512';
  status?: CmpStatusInfo;
}): Uint8Array {
  const { certReqId, certHash, hash, status } = v;
  const parts = [octetString(certHash), certReqIdDer(certReqId)];
  if (status !== undefined) parts.push(statusInfoDer(status));
  const type = Object.entries(HASH_OIDS).find(([, name]) => name === hash)?.[0];
  if (type !== undefined) parts.push(context(0, sequence(oid(type))));
  return body('certConf', sequence(sequence(...parts)));
}

export const pkiConfBody = (): Uint8Array => body('pkiconf', nullValue());

export const pollReqBody = (certReqId: number): Uint8Array =>
  body('pollReq', sequence(sequence(certReqIdDer(certReqId))));

export const pollRepBody = (certReqId: number, checkAfterSeconds: number): Uint8Array =>
  body('pollRep', sequence(sequence(certReqIdDer(certReqId), integer(checkAfterSeconds))));

/** The answer to a request for revocation; names the certificate again where it was done. */
export function revocationBody(
  status: CmpStatusInfo,
  certificate?: { issuerDer: Uint8Array; serial: Serial },
): Uint8Array {
  const parts = [sequence(statusInfoDer(status))];
  if (certificate !== undefined) {
    const serial = integerFromBytes(fromHex(certificate.serial));
    parts.push(context(0, sequence(sequence(directoryName(certificate.issuerDer), serial))));
  }
  return body('rp', sequence(...parts));
}

export const generalBody = (type: 'genm' | 'genp', infos: readonly CmpInfo[]): Uint8Array =>
  body(type, sequence(...infos.map(infoDer)));

/** An error. @param details the stable code and what to do about it, for people. */
export const errorBody = (status: CmpStatusInfo, details?: string): Uint8Array =>
  body('error', sequence(statusInfoDer(status), ...(details === undefined ? [] : [freeText(details)])));

/** CACertSeq (RFC 9483 section 4.3.1). */
export const caCertsValue = (certificates: readonly DerCertificate[]): Uint8Array => sequence(...certificates);

/** SEQUENCE OF CertificateList (RFC 9483 section 4.3.4). */
export const crlsValue = (crls: readonly DerCrl[]): Uint8Array => sequence(...crls);

/** RootCaKeyUpdateContent (RFC 9483 section 4.3.2). */
export const rootUpdateValue = (v: {
  newWithNew: DerCertificate;
  newWithOld?: DerCertificate;
  oldWithNew?: DerCertificate;
}): Uint8Array =>
  sequence(
    v.newWithNew,
    ...(v.newWithOld === undefined ? [] : [context(0, v.newWithOld)]),
    ...(v.oldWithNew === undefined ? [] : [context(1, v.oldWithNew)]),
  );

/**
 * CertReqTemplateContent (RFC 9483 section 4.3.3): a subject in which the requester fills in the empty common name, and
 * a P-256 key.
 */
export function certReqTemplateValue(organization: string | undefined): Uint8Array {
  const attribute = (type: string, value: string): Uint8Array => setOf(sequence(oid(type), utf8String(value)));
  const subject = sequence(
    ...(organization === undefined ? [] : [attribute(ATTRIBUTE_TYPES.O, organization)]),
    attribute(ATTRIBUTE_TYPES.CN, ''),
  );
  const algorithm = sequence(oid(KEY_OIDS.ecPublicKey), oid(KEY_OIDS.prime256v1));
  return sequence(sequence(context(5, subject)), sequence(sequence(oid(CONTROLS.algId), algorithm)));
}

/** The time until which a certificate is to be confirmed, as a value of the header's generalInfo. */
export { generalizedTime as confirmWaitTimeValue } from '../der/writer.ts';

/** What a client asks for with id-it-crlStatusList: the CRL of this issuer, newer than `thisUpdate` where given. */
export const crlStatusListValue = (issuerDer: Uint8Array, thisUpdate?: Uint8Array): Uint8Array =>
  sequence(sequence(context(1, sequence(directoryName(issuerDer))), ...(thisUpdate === undefined ? [] : [thisUpdate])));
