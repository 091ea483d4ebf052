import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type DerCertificate, type DerSpki, fromHex } from '@keystead/core/bytes';
import {
  assembleSigned,
  booleanTrue,
  context,
  contextPrimitive,
  type DistinguishedName,
  integer,
  integerFromBytes,
  nameDer,
  namedBits,
  newSerial,
  octetString,
  oid,
  readCertificate,
  sequence,
  time,
} from '@keystead/core/x509';

/**
 * A certificate authority for tests that owes nothing to the product's issuing path: it writes what it is told,
 * also what no profile allows.
 */
export interface CertificateWish {
  readonly subject: DistinguishedName;
  readonly spki: DerSpki;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** For example `6` and a URI, `2` and a DNS name, `7` and four octets. */
  readonly san?: readonly (readonly [tag: 2 | 6, value: string])[];
  readonly ca?: boolean;
  readonly extKeyUsage?: readonly string[];
  readonly ocspUrl?: string;
  readonly ocspNoCheck?: boolean;
}

export const USAGE = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
} as const;

export const cn = (value: string): DistinguishedName => ({ rdns: [{ type: 'CN', value }] });

const extension = (id: string, critical: boolean, value: Uint8Array): Uint8Array =>
  sequence(oid(id), ...(critical ? [booleanTrue()] : []), octetString(value));

export interface TestKey {
  readonly privateKey: KeyObject;
  readonly spki: DerSpki;
}

export function testKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return { privateKey, spki: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })) as DerSpki };
}

export class TestCa {
  readonly key: TestKey;
  readonly certificate: DerCertificate;
  readonly chain: readonly DerCertificate[];

  private constructor(key: TestKey, certificate: DerCertificate, chain: readonly DerCertificate[]) {
    this.key = key;
    this.certificate = certificate;
    this.chain = chain;
  }

  static root(name: string, notBefore: Date, notAfter: Date): TestCa {
    const key = testKey();
    const wish = { subject: cn(name), spki: key.spki, notBefore, notAfter, ca: true };
    return new TestCa(key, write(wish, key, cn(name)), []);
  }

  /** An intermediate CA below this one. */
  below(name: string): TestCa {
    const key = testKey();
    const { notBefore, notAfter } = readCertificate(this.certificate);
    const certificate = this.issue({ subject: cn(name), spki: key.spki, notBefore, notAfter, ca: true });
    return new TestCa(key, certificate, [certificate]);
  }

  issue(wish: CertificateWish): DerCertificate {
    return write(wish, this.key, readCertificate(this.certificate).subject, this.certificate);
  }

  sign(data: Uint8Array): Uint8Array {
    return sign('sha256', data, this.key.privateKey);
  }
}

/** The key identifier of RFC 5280 section 4.2.1.2, method 1. */
export function keyId(spki: DerSpki): Uint8Array {
  // The 65 octets of an uncompressed P-256 point stand at the end.
  return new Uint8Array(createHash('sha1').update(spki.subarray(-65)).digest());
}

function write(
  wish: CertificateWish,
  key: TestKey,
  issuer: DistinguishedName,
  issuerDer?: DerCertificate,
): DerCertificate {
  const issuerSpki = issuerDer === undefined ? wish.spki : readCertificate(issuerDer).spki;
  const names = (wish.san ?? []).map(([tag, value]) => contextPrimitive(tag, Buffer.from(value, 'latin1')));
  const extensions = [
    extension('2.5.29.19', true, sequence(...(wish.ca ? [booleanTrue()] : []))),
    extension('2.5.29.15', true, namedBits(wish.ca ? [5, 6] : [0])),
    extension('2.5.29.14', false, octetString(keyId(wish.spki))),
    extension('2.5.29.35', false, sequence(contextPrimitive(0, keyId(issuerSpki)))),
    ...(wish.extKeyUsage === undefined ? [] : [extension('2.5.29.37', false, sequence(...wish.extKeyUsage.map(oid)))]),
    ...(names.length === 0 ? [] : [extension('2.5.29.17', false, sequence(...names))]),
    ...(wish.ocspUrl === undefined
      ? []
      : [
          extension(
            '1.3.6.1.5.5.7.1.1',
            false,
            sequence(sequence(oid('1.3.6.1.5.5.7.48.1'), contextPrimitive(6, Buffer.from(wish.ocspUrl, 'latin1')))),
          ),
        ]),
    ...(wish.ocspNoCheck ? [extension('1.3.6.1.5.5.7.48.1.5', false, Uint8Array.of(5, 0))] : []),
  ];
  const tbs = sequence(
    context(0, integer(2)),
    integerFromBytes(fromHex(newSerial())),
    sequence(oid('1.2.840.10045.4.3.2')),
    nameDer(issuer),
    sequence(time(wish.notBefore), time(wish.notAfter)),
    nameDer(wish.subject),
    wish.spki,
    context(3, sequence(...extensions)),
  );
  return assembleSigned(tbs, 'ecdsa-with-SHA256', sign('sha256', tbs, key.privateKey)) as DerCertificate;
}

/** A server key and certificate for `localhost`. */
export function serverCertificate(
  ca: TestCa,
  notBefore: Date,
  notAfter: Date,
  host = 'localhost',
): { key: TestKey; certificate: DerCertificate; chain: readonly DerCertificate[] } {
  const key = testKey();
  const certificate = ca.issue({
    subject: cn(host),
    spki: key.spki,
    notBefore,
    notAfter,
    san: [[2, host]],
    extKeyUsage: [USAGE.serverAuth],
  });
  return { key, certificate, chain: ca.chain };
}

export const pkcs8Of = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }));
