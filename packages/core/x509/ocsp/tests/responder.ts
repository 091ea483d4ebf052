import type { DerCertificate } from '../../../bytes/index.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../tests/openssl-pki.ts';
import { responderKeyHash } from '../cert-id.ts';
import { type ParsedOcspRequest, parseOcspRequest } from '../request.ts';
import { type CertStatus, ocspResponse, tbsOcspResponse } from '../response.ts';

export const RESPONDER_EXTENSIONS = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=critical,OCSPSigning',
  'noCheck=ignored',
  'authorityKeyIdentifier=keyid',
];

/** A CA that OpenSSL made, with two end entities and a delegated responder. */
export function makeOcspPki(): { pki: OpensslPki; ca: DerCertificate; responder: DerCertificate } {
  const pki = new OpensslPki();
  const ca = pki.issue({ name: 'ca', subject: '/O=Keystead test/CN=OCSP CA', extensions: CA_EXTENSIONS });
  const extensions = ['basicConstraints=CA:FALSE', 'authorityKeyIdentifier=keyid'];
  pki.issue({ name: 'kept', issuer: 'ca', serial: '7a01', extensions });
  pki.issue({ name: 'stolen', issuer: 'ca', serial: 'fa02', extensions });
  const responder = pki.issue({ name: 'responder', issuer: 'ca', serial: '7a03', extensions: RESPONDER_EXTENSIONS });
  return { pki, ca, responder };
}

export interface Answering {
  readonly key: string;
  readonly certs: readonly DerCertificate[];
  readonly keyHash: Uint8Array;
  readonly now: Date;
  readonly seconds?: number;
  readonly nonce?: Uint8Array | 'copied';
}

/** Answers a request as keyd would. */
export async function answer(
  pki: OpensslPki,
  request: ParsedOcspRequest,
  statusOf: (serial: string) => CertStatus,
  by: Answering,
): Promise<Uint8Array> {
  const signer = pki.signer(by.key);
  const tbs = tbsOcspResponse({
    responderKeyHash: by.keyHash,
    producedAt: by.now,
    responses: request.certIds.map((certId) => ({
      certId,
      status: statusOf(certId.serial),
      thisUpdate: by.now,
      nextUpdate: new Date(by.now.getTime() + (by.seconds ?? 600) * 1000),
    })),
    nonce: by.nonce === 'copied' || by.nonce === undefined ? request.nonce : by.nonce,
  });
  return ocspResponse(tbs, signer.signatureAlgorithm, await signer.sign(tbs), by.certs);
}

/** By the delegated responder, its certificate in the answer. */
export const delegated = (responder: DerCertificate, now: Date): Answering => ({
  key: 'responder',
  certs: [responder],
  keyHash: responderKeyHash(responder),
  now,
});

/** A request that OpenSSL makes. `args` name the certificates, such as `-cert kept.pem`. */
export function opensslRequest(pki: OpensslPki, file: string, ...args: string[]): ParsedOcspRequest {
  pki.run('openssl', 'ocsp', ...args, '-reqout', file);
  return parseOcspRequest(pki.read(file));
}
