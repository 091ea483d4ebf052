import { type DerCertificate, fromBase64, type Serial } from '@keystead/core/bytes';
import { verifySignature } from '@keystead/core/crypto';
import { type OnlineCa, ocspResponderProfile } from '@keystead/core/lifecycle';
import {
  lintCertificate,
  OcspIssuer,
  parseOcspResponse,
  readCertificate,
  readCrl,
  readRevocationList,
} from '@keystead/core/x509';
import type { Siege, Signed } from '../siege.ts';

const listOf = (issuer: OnlineCa, { op, params }: Signed): boolean => op === 'signCrl' && params.issuer === issuer;

/** CRLs in the order of their numbers: each number once, the times of the policy, and nothing that was taken back. */
export function lists({ bed, trust, signed, entries }: Siege, issuer: OnlineCa): string[] {
  const found: string[] = [];
  const released = releasedOf(entries, issuer);
  const crls = signed
    .filter((one) => listOf(issuer, one))
    .map((one) => readCrl(fromBase64(String(one.ok.crl))))
    .sort((a, b) => a.number - b.number);
  let before = new Set<Serial>();
  let number = 0;
  for (const crl of crls) {
    if (!crl.verify(trust.certificates[issuer] as DerCertificate))
      found.push(`CRL ${issuer} ${crl.number} does not verify`);
    if (crl.number <= number) found.push(`CRL ${issuer} has the number ${crl.number} twice`);
    number = crl.number;
    const life = (crl.nextUpdate.getTime() - crl.thisUpdate.getTime()) / 1000;
    if (life !== bed.policy.revocation.crlSeconds) found.push(`CRL ${issuer} ${number} lives ${life} s`);
    for (const serial of before) if (!crl.entries.has(serial)) found.push(`${serial} left the CRL of ${issuer}`);
    before = new Set(
      [...crl.entries].flatMap(([serial, { reason }]) =>
        reason === 'certificateHold' && released.has(serial) ? [] : [serial],
      ),
    );
  }
  return found;
}

/** The indirect CRL of the root: by its signer, each number once, and nothing on it, for nobody ordered anything. */
export function rootLists({ trust, signed }: Siege): string[] {
  const signer = readCertificate(trust.crlSigner ?? new Uint8Array());
  const numbers = new Set<bigint>();
  return signed
    .filter(({ op }) => op === 'signRootCrl')
    .flatMap(({ ok }) => {
      const list = readRevocationList(fromBase64(String(ok.crl)));
      const found: string[] = [];
      if (list.verify(signer).verdict !== 'valid') found.push(`list ${list.number} of the root does not verify`);
      if (list.point?.indirect !== true) found.push(`list ${list.number} of the root is not indirect`);
      if (numbers.has(list.number)) found.push(`list ${list.number} of the root twice`);
      if (list.size > 0) found.push(`list ${list.number} of the root names ${list.size}`);
      numbers.add(list.number);
      return found;
    });
}

/** What came off its hold by an order of operators. */
const releasedOf = (entries: Siege['entries'], issuer: OnlineCa): ReadonlySet<string> =>
  new Set(
    entries.flatMap((one) =>
      one.kind === 'release' ? one.released.flatMap(([of, serial]) => (of === issuer ? [serial] : [])) : [],
    ),
  );

/** OCSP: never good for what keyd did not issue or had listed before it was asked; signed by a responder by its profile. */
export function answers({ bed, trust, signed, entries, began }: Siege, issuer: OnlineCa): string[] {
  const found: string[] = [];
  const ca = trust.certificates[issuer] as DerCertificate;
  const names = new OcspIssuer(readCertificate(ca));
  const issued = new Set(
    entries.flatMap((one) => (one.kind === 'certificate' && one.issuer === issuer ? [one.serial] : [])),
  );
  if (issuer === 'server') issued.add(readCertificate(trust.evidenceSigner).serial);
  const released = releasedOf(entries, issuer);
  const listed = signed
    .filter((one) => listOf(issuer, one))
    .map(({ ok, answered }) => ({ answered, crl: readCrl(fromBase64(String(ok.crl))) }));
  for (const { op, params, ok, asked } of signed) {
    if (op !== 'signOcsp' || params.issuer !== issuer) continue;
    const answer = parseOcspResponse(fromBase64(String(ok.response)));
    const [der] = answer.certs;
    const signer = der === undefined ? undefined : readCertificate(der);
    if (
      der === undefined ||
      signer === undefined ||
      lintCertificate(der, ocspResponderProfile(bed.policy, issuer), ca).length > 0 ||
      answer.signatureAlgorithm === undefined ||
      !verifySignature(answer.signatureAlgorithm, signer.spki, answer.tbs, answer.signature)
    ) {
      found.push(`an OCSP answer of ${issuer} by no responder of it`);
      continue;
    }
    for (const { certId, status, thisUpdate, nextUpdate } of answer.singles) {
      const life = ((nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY) - thisUpdate.getTime()) / 1000;
      if (life !== bed.policy.revocation.ocspSeconds) found.push(`an OCSP answer lives ${life} s`);
      if (thisUpdate.getTime() < began - 1000) found.push(`an OCSP answer is dated ${thisUpdate.toISOString()}`);
      if (status === 'good') {
        if (!names.issued(certId) || !issued.has(certId.serial)) found.push(`good for ${certId.serial}, never issued`);
        const revoked = listed.some(
          ({ answered, crl }) =>
            answered < asked &&
            crl.entries.has(certId.serial) &&
            !(crl.entries.get(certId.serial)?.reason === 'certificateHold' && released.has(certId.serial)),
        );
        if (revoked) found.push(`good for ${certId.serial}, which was on a CRL`);
      }
    }
  }
  return found;
}
