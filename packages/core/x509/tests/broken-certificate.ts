import type { DerCertificate } from '../../bytes/index.ts';
import { fromHex } from '../../bytes/index.ts';
import type { Signer } from '../../crypto/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { readCertificate } from '../certificate.ts';
import {
  bitString,
  booleanTrue,
  context,
  contextPrimitive,
  integer,
  integerFromBytes,
  namedBits,
  octetString,
  oid,
  sequence,
  time,
} from '../der/writer.ts';
import { generalNameDer, generalNamesDer } from '../general-names.ts';
import { keyIdentifier } from '../key-identifier.ts';
import { type DistinguishedName, nameDer } from '../names.ts';
import { ACCESS_METHODS, EXTENDED_KEY_USAGES, EXTENSIONS, type ExtensionName, KEY_USAGES } from '../oids.ts';
import { readSpki } from '../spki.ts';
import type { CertificateValues } from '../values.ts';
import { type Ca, URLS } from './profiles.ts';

/** One extension: whether it is critical, and its value; undefined leaves it out. */
export type Extensions = Partial<Record<ExtensionName | `1.${string}`, readonly [boolean, Uint8Array] | undefined>>;

/** The fields of a TBSCertificate, each DER. */
export interface Fields {
  version: Uint8Array;
  serial: Uint8Array;
  algorithm: Uint8Array;
  issuer: Uint8Array;
  notBefore: Uint8Array;
  notAfter: Uint8Array;
  subject: Uint8Array;
  spki: Uint8Array;
  uniqueIdentifiers: Uint8Array;
  extensions: Extensions;
}

export const usageDer = (...names: (typeof KEY_USAGES)[number][]): Uint8Array =>
  namedBits(names.map((name) => KEY_USAGES.indexOf(name)));
export const purposesDer = (...names: (keyof typeof EXTENDED_KEY_USAGES)[]): Uint8Array =>
  sequence(...names.map((name) => oid(EXTENDED_KEY_USAGES[name])));
export const akiDer = (hex: string): Uint8Array => sequence(contextPrimitive(0, fromHex(hex)));
export const crlDer = (url: string, crlIssuer?: DistinguishedName): Uint8Array =>
  sequence(
    sequence(
      context(0, context(0, generalNameDer(`URI:${url}`))),
      ...(crlIssuer === undefined ? [] : [context(2, context(4, nameDer(crlIssuer)))]),
    ),
  );

/** The fields of a certificate that keeps every rule of the device profile. */
export function goodFields(values: CertificateValues, ca: Ca): Fields {
  const issuer = readCertificate(ca.certificate);
  return {
    version: context(0, integer(2)),
    serial: integerFromBytes(fromHex(values.serial)),
    algorithm: signatureAlgorithmDer(values.signatureAlgorithm),
    issuer: issuer.subjectDer,
    notBefore: time(values.notBefore),
    notAfter: time(values.notAfter as Date),
    subject: nameDer(values.subject),
    spki: values.spki,
    uniqueIdentifiers: new Uint8Array(0),
    extensions: {
      keyUsage: [true, usageDer('digitalSignature')],
      extKeyUsage: [false, purposesDer('clientAuth')],
      subjectAltName: [false, generalNamesDer(values.san)],
      subjectKeyIdentifier: [false, octetString(keyIdentifier(readSpki(values.spki).keyBits))],
      authorityKeyIdentifier: [false, akiDer(issuer.ski ?? '')],
      cRLDistributionPoints: [false, crlDer(URLS.crl ?? '')],
      authorityInfoAccess: [
        false,
        sequence(sequence(oid(ACCESS_METHODS.ocsp), generalNameDer(`URI:${URLS.ocsp ?? ''}`))),
      ],
    },
  };
}

/** Signs what the fields make. */
export async function sign(fields: Fields, signer: Signer): Promise<DerCertificate> {
  const list = Object.entries(fields.extensions).flatMap(([name, extension]) => {
    if (extension === undefined) return [];
    const id = oid(Object.hasOwn(EXTENSIONS, name) ? EXTENSIONS[name as ExtensionName] : name);
    return [sequence(id, ...(extension[0] ? [booleanTrue()] : []), octetString(extension[1]))];
  });
  const tbs = sequence(
    fields.version,
    fields.serial,
    fields.algorithm,
    fields.issuer,
    sequence(fields.notBefore, fields.notAfter),
    fields.subject,
    fields.spki,
    fields.uniqueIdentifiers,
    list.length === 0 ? new Uint8Array(0) : context(3, sequence(...list)),
  );
  return sequence(tbs, fields.algorithm, bitString(await signer.sign(tbs))) as DerCertificate;
}
