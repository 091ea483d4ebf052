import type { DerCertificate, Serial } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer } from '../der/strict.ts';
import { context, octetString, oid, sequence } from '../der/writer.ts';
import { findExtension, readExtensions } from '../extensions.ts';
import { readGeneralName } from '../general-names.ts';
import { type OcspCertId, OcspIssuer, readCertId } from './cert-id.ts';
import { type CertIdHash, NONCE_OCTETS, OCSP_OIDS } from './oids.ts';

/** A signed request with a chain of RSA certificates is under 8 KiB; a usual one has about 120 bytes. */
export const MAX_OCSP_REQUEST_BYTES = 8 * 1024;
/** One signature answers all certificates of a request: without a bound a small request would make a large answer. */
export const MAX_CERT_IDS = 16;

export interface ParsedOcspRequest {
  /** From 1 to 16. */
  readonly certIds: readonly OcspCertId[];
  /** From 1 to 128 octets (RFC 9654 section 2.1). */
  readonly nonce?: Uint8Array;
}

/**
 * Reads an OCSPRequest (RFC 6960 section 4.1), strictly and in linear time. The signature of a signed request is
 * passed over: the answers are public, so who asks makes no difference. REQ-KEY-REV-02
 * @throws KeysteadError `ocsp.malformed`, also for a critical extension that is not known (section 4.4);
 *   `ocsp.hash-unsupported` for a well-formed CertID of another hash.
 */
export function parseOcspRequest(der: Uint8Array): ParsedOcspRequest {
  if (der.length > MAX_OCSP_REQUEST_BYTES)
    throw new KeysteadError('ocsp.malformed', { field: 'request', seen: `${der.length} bytes` });
  try {
    return readRequest(readDer(der));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('ocsp.malformed', { field: 'request', seen: cause.message, cause });
    throw cause;
  }
}

function readRequest(root: DerNode): ParsedOcspRequest {
  root.expect(0x30, 'the request').counted(1, 2, 'the request');
  if (root.children.length === 2)
    root
      .child(1, 0xa0, 'the signature')
      .counted(1, 1, 'the signature')
      .child(0, 0x30, 'the signature')
      .counted(2, 3, 'the signature');
  const fields = [...root.child(0, 0x30, 'tbsRequest').counted(1, 3, 'tbsRequest').children];
  // The version [0] can only be v1, the default, which DER leaves out (X.690 section 11.5).
  if (fields[0]?.tag === 0xa1) {
    const name = fields.shift()?.counted(1, 1, 'requestorName').children[0];
    if (name !== undefined) readGeneralName(name, 'requestorName');
  }
  const list = fields.shift();
  if (list === undefined) throw new DerError('requestList is missing');
  const certIds = list.expect(0x30, 'requestList').counted(1, MAX_CERT_IDS, 'requestList').children.map(readSingle);
  const wrapper = fields.shift();
  if (fields.length > 0) throw new DerError('tbsRequest has an element of no known kind');
  return { certIds, nonce: wrapper === undefined ? undefined : readRequestExtensions(wrapper) };
}

function readSingle(node: DerNode): OcspCertId {
  node.expect(0x30, 'a request').counted(1, 2, 'a request');
  if (node.children.length === 2) {
    const wrapper = node.child(1, 0xa0, 'singleRequestExtensions').counted(1, 1, 'singleRequestExtensions');
    for (const { oid: id, critical } of readExtensions(wrapper.child(0, 0x30, 'extensions'), 'singleRequestExtensions'))
      if (critical) throw new DerError(`the critical extension ${id} is not known`);
  }
  return readCertId(node.child(0, 0x30, 'a CertID'));
}

function readRequestExtensions(wrapper: DerNode): Uint8Array | undefined {
  wrapper.expect(0xa2, 'requestExtensions').counted(1, 1, 'requestExtensions');
  const extensions = readExtensions(wrapper.child(0, 0x30, 'requestExtensions'), 'requestExtensions');
  for (const { oid: id, critical } of extensions)
    if (critical && id !== OCSP_OIDS.nonce) throw new DerError(`the critical extension ${id} is not known`);
  const nonce = findExtension(extensions, OCSP_OIDS.nonce);
  return nonce === undefined ? undefined : readNonce(nonce.value);
}

/** The Nonce inside its extension (RFC 9654 section 2.1). @throws DerError */
export function readNonce(value: Uint8Array): Uint8Array {
  const nonce = readDer(value).expect(0x04, 'the nonce').value;
  if (nonce.length < NONCE_OCTETS.min || nonce.length > NONCE_OCTETS.max)
    throw new DerError(`a nonce of ${nonce.length} octets`);
  return nonce;
}

/** The nonce extension; a responder copies the nonce as it is. */
export const nonceExtension = (nonce: Uint8Array): Uint8Array =>
  sequence(oid(OCSP_OIDS.nonce), octetString(octetString(nonce)));

/**
 * An OCSPRequest, DER, for one certificate. With a `nonce` (32 octets from `randomBytes`) the answer is made for
 * this request; without one, it may come from a cache. `hash` is that of the CertID, SHA-256 unless said otherwise.
 * @throws KeysteadError `cert.not-der` for the issuer.
 * @throws RangeError for a nonce that does not have from 1 to 128 octets.
 */
export function buildOcspRequest(v: {
  issuer: DerCertificate;
  serial: Serial;
  nonce?: Uint8Array;
  hash?: CertIdHash;
}): Uint8Array {
  if (v.nonce !== undefined && (v.nonce.length < NONCE_OCTETS.min || v.nonce.length > NONCE_OCTETS.max))
    throw new RangeError('a nonce has from 1 to 128 octets');
  const list = sequence(sequence(new OcspIssuer(v.issuer).certId(v.serial, v.hash)));
  return sequence(
    v.nonce === undefined ? sequence(list) : sequence(list, context(2, sequence(nonceExtension(v.nonce)))),
  );
}
