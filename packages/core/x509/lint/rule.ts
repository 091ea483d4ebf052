import type { CertificateInfo } from '../certificate.ts';
import { readDer, readInteger, readOid } from '../der/strict.ts';
import { ATTRIBUTE_TYPES, EXTENSIONS, nameOf } from '../oids.ts';
import type { Issuance } from '../values.ts';

/** A certificate with what it is held against. */
export interface LintCase extends Issuance {
  readonly info: CertificateInfo;
  readonly raw: RawFields;
}

/** One rule. `check` returns what is wrong, or undefined. */
export interface Rule {
  readonly rule: string;
  readonly source: string;
  readonly check: (lintCase: LintCase) => string | undefined;
}

/** How some fields are encoded, where reading them loses it. */
export interface RawFields {
  readonly version: number;
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array;
  readonly notBeforeTag: number;
  readonly notAfterTag: number;
  readonly subject: readonly { readonly type: string; readonly tag: number }[];
  readonly uniqueIdentifiers: boolean;
  readonly akiNamesIssuer: boolean;
}

/** The raw fields of a certificate that `readCertificate` has read. @throws DerError never for such a one */
export function rawFields(info: CertificateInfo): RawFields {
  const tbs = readDer(info.der).child(0, 0x30, 'tbsCertificate');
  const versioned = tbs.children[0]?.tag === 0xa0;
  const at = versioned ? 1 : 0;
  const validity = tbs.child(at + 3, 0x30, 'the validity');
  const aki = info.extensions.find((extension) => extension.oid === EXTENSIONS.authorityKeyIdentifier);
  return {
    version: versioned
      ? Number(readInteger(tbs.child(0, 0xa0, 'the version').child(0, 0x02, 'v'), 'the version')) + 1
      : 1,
    serial: tbs.child(at, 0x02, 'the serial number').value,
    notBeforeTag: validity.children[0]?.tag ?? 0,
    notAfterTag: validity.children[1]?.tag ?? 0,
    subject: tbs.child(at + 4, 0x30, 'the subject').children.flatMap((rdn) =>
      rdn.children.map((attribute) => ({
        type: nameOf(ATTRIBUTE_TYPES, readOid(attribute.children[0], 'a type')),
        tag: attribute.children[1]?.tag ?? 0,
      })),
    ),
    uniqueIdentifiers: tbs.children.slice(at + 6).some((child) => child.tag === 0x81 || child.tag === 0x82),
    akiNamesIssuer: aki !== undefined && readDer(aki.value).children.some((child) => child.tag !== 0x80),
  };
}
