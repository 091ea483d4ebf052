import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AuthorityInfoAccessSyntax,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CRLDistributionPoints,
  ExtendedKeyUsage,
  KeyUsage,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
} from '@peculiar/asn1-x509';
import { type DerCertificate, sameBytes, toHex, toPem } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readCertificate } from '../certificate.ts';
import { lintCertificate } from '../lint/certificate.ts';
import { EMPTY_NAME } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import type { Profile } from '../profile.ts';
import type { Named } from '../profile-names.ts';
import { rereadIssued } from '../reread.ts';
import { CertificateTemplate } from '../template.ts';
import {
  IDEVID,
  INTERMEDIATE,
  issue,
  NOW,
  newHierarchy,
  newSigner,
  OPERATOR,
  profileOf,
  RESPONDER,
  ROOT,
  SERVER,
  URLS,
  valuesOf,
} from './profiles.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-template-'));
after(() => rmSync(dir, { recursive: true }));

const { root, ca } = await newHierarchy();
const LDEVID = profileOf();
const CASES: readonly (readonly [Profile, Named])[] = [
  [LDEVID, { deviceId: 'pump-0001.A' }],
  [IDEVID, { deviceId: 'pump-0001.A' }],
  [SERVER, { hosts: ['localhost', 'keystead.example', '127.0.0.1', '::1', '2001:db8::8:800:200c:417a'] }],
  [OPERATOR, { person: 'ada.l' }],
  [RESPONDER, {}],
];

async function certificateOf(profile: Profile, named: Named): Promise<DerCertificate> {
  const template = new CertificateTemplate(profile, { certificate: ca.certificate }, URLS);
  return issue(template, valuesOf(profile, named, ca.signer, newSigner('P-256').spki), ca.signer);
}

const tool = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const write = (name: string, der: Uint8Array) => writeFileSync(join(dir, name), toPem('CERTIFICATE', der));

for (const [profile, named] of CASES) {
  test(`a certificate of ${profile.id} has no lint finding, OpenSSL verifies its chain strictly and GnuTLS reads it`, async () => {
    const der = await certificateOf(profile, named);
    assert.deepEqual(lintCertificate(der, profile, ca.certificate), []);
    write('root.pem', root.certificate);
    write('ca.pem', ca.certificate);
    write('leaf.pem', der);
    const at = String(Math.floor(NOW.getTime() / 1000));
    const options = ['-x509_strict', '-check_ss_sig', '-attime', at, '-policy_check'];
    tool('openssl', 'verify', ...options, '-CAfile', 'root.pem', '-untrusted', 'ca.pem', 'leaf.pem');
    assert.match(tool('certtool', '--certificate-info', '--infile', 'leaf.pem'), /Version: 3/);
  });

  test(`a full parse of a certificate of ${profile.id} by asn1-x509 gives what was asked for, and the same bytes again`, async () => {
    const der = await certificateOf(profile, named);
    const parsed = AsnConvert.parse(der, Certificate);
    assert.ok(sameBytes(new Uint8Array(AsnConvert.serialize(parsed)), der), 'DER has one encoding');
    const { tbsCertificate: tbs } = parsed;
    const info = readCertificate(der);
    assert.equal(tbs.version, 2);
    assert.equal(toHex(new Uint8Array(tbs.serialNumber)), info.serial);
    assert.equal(tbs.validity.notBefore.getTime().getTime(), info.notBefore.getTime());
    assert.equal(tbs.validity.notAfter.getTime().getTime(), info.notAfter.getTime());
    const extension = <T>(name: keyof typeof EXTENSIONS, type: new () => T): { critical: boolean; value: T } => {
      const found = tbs.extensions?.find(({ extnID }) => extnID === EXTENSIONS[name]);
      assert.ok(found, name);
      return { critical: found.critical, value: AsnConvert.parse(found.extnValue.buffer, type) };
    };
    const usage = extension('keyUsage', KeyUsage);
    assert.ok(usage.critical);
    assert.deepEqual(usage.value.toJSON(), profile.keyUsage);
    const purposes = extension('extKeyUsage', ExtendedKeyUsage);
    assert.ok(!purposes.critical);
    assert.equal(purposes.value.length, profile.extKeyUsage.length);
    const ski = extension('subjectKeyIdentifier', SubjectKeyIdentifier).value.buffer;
    assert.equal(toHex(new Uint8Array(ski)), toHex(sha256(info.keyBits).subarray(0, 20)));
    const aki = extension('authorityKeyIdentifier', AuthorityKeyIdentifier).value.keyIdentifier?.buffer;
    assert.equal(toHex(new Uint8Array(aki ?? new ArrayBuffer(0))), readCertificate(ca.certificate).ski);
    const [point] = extension('cRLDistributionPoints', CRLDistributionPoints).value;
    assert.equal(point?.distributionPoint?.fullName?.[0]?.uniformResourceIdentifier, URLS.crl);
    const access = extension('authorityInfoAccess', AuthorityInfoAccessSyntax).value;
    assert.deepEqual(
      Array.from(access, ({ accessLocation }) => accessLocation.uniformResourceIdentifier),
      [URLS.ocsp, URLS.caIssuers],
    );
    assert.equal(
      tbs.extensions?.some(({ extnID }) => extnID === EXTENSIONS.basicConstraints),
      false,
      'an end entity has no basicConstraints',
    );
    if (profile.san !== 'none') {
      const names = extension('subjectAltName', SubjectAlternativeName);
      assert.ok(!names.critical);
      const texts = Array.from(names.value, (name) =>
        name.uniformResourceIdentifier !== undefined
          ? `URI:${name.uniformResourceIdentifier}`
          : name.dNSName !== undefined
            ? `DNS:${name.dNSName}`
            : `IP:${name.iPAddress}`,
      );
      assert.deepEqual(texts, info.san);
    }
  });
}

test('GnuTLS verifies chains up to the root', async () => {
  // certtool takes no other time than that of the machine.
  const now = new Date();
  const hierarchy = await newHierarchy('P-384', 'P-256', now);
  for (const [profile, named] of CASES) {
    const template = new CertificateTemplate(profile, hierarchy.ca, URLS);
    const { signer } = hierarchy.ca;
    const leaf = await issue(template, valuesOf(profile, named, signer, newSigner('P-256').spki, now), signer);
    const chain = [leaf, hierarchy.ca.certificate, hierarchy.root.certificate];
    writeFileSync(join(dir, 'chain.pem'), chain.map((der) => toPem('CERTIFICATE', der)).join(''));
    const verdict = tool('certtool', '--verify-profile=medium', '--verify-chain', '--infile=chain.pem');
    assert.match(verdict, /Chain verification output: Verified/, profile.id);
  }
});

test('a device certificate carries the subject of IEEE 802.1AR, its URN, and for an IDevID no end', async () => {
  const read = new X509Certificate(await certificateOf(IDEVID, { deviceId: 'pump-1' }));
  assert.equal(read.subject, 'O=Acme Médical\nCN=pump-1\nserialNumber=pump-1');
  assert.equal(read.subjectAltName, 'URI:urn:keystead:device:pump-1');
  assert.equal(read.validTo, 'Dec 31 23:59:59 9999 GMT');
  const info = readCertificate(read.raw);
  assert.equal(info.notAfter.toISOString(), '9999-12-31T23:59:59.000Z');
  assert.equal(info.notBefore.toISOString(), '2026-11-24T12:30:15.000Z');
});

test('names are UTF8String, but country and serial number PrintableString, as RFC 5280 appendix A.1 says', async () => {
  write('names.pem', await certificateOf(IDEVID, { deviceId: 'pump-1' }));
  const dump = tool('openssl', 'asn1parse', '-in', 'names.pem');
  assert.match(dump, /UTF8STRING +:Acme M/);
  assert.match(dump, /:serialNumber\n.*PRINTABLESTRING +:pump-1/);
});

test('basicConstraints is critical in a CA and carries its path length', async () => {
  for (const [certificate, pathLength] of [
    [root.certificate, 1],
    [ca.certificate, 0],
  ] as const) {
    const parsed = AsnConvert.parse(certificate, Certificate);
    const found = parsed.tbsCertificate.extensions?.find(({ extnID }) => extnID === EXTENSIONS.basicConstraints);
    assert.ok(found?.critical);
    const value = AsnConvert.parse(found.extnValue.buffer, BasicConstraints);
    assert.deepEqual([value.cA, value.pathLenConstraint], [true, pathLength]);
  }
  assert.deepEqual(lintCertificate(root.certificate, { ...ROOT, keyAlgorithms: ['P-384'] }, 'self'), []);
  assert.deepEqual(lintCertificate(ca.certificate, INTERMEDIATE, root.certificate), []);
});

for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const) {
  test(`a CA with an ${algorithm} key signs what OpenSSL verifies, for keys of each algorithm`, async () => {
    const hierarchy = await newHierarchy(algorithm, algorithm);
    write('root.pem', hierarchy.root.certificate);
    write('ca.pem', hierarchy.ca.certificate);
    const template = new CertificateTemplate(LDEVID, { certificate: hierarchy.ca.certificate }, URLS);
    for (const subject of ['P-256', 'P-384', 'Ed25519'] as const) {
      const values = valuesOf(LDEVID, { deviceId: 'pump-1' }, hierarchy.ca.signer, newSigner(subject).spki);
      const der = await issue(template, values, hierarchy.ca.signer);
      assert.deepEqual(lintCertificate(der, LDEVID, hierarchy.ca.certificate), []);
      write('leaf.pem', der);
      const at = String(Math.floor(NOW.getTime() / 1000));
      tool(
        'openssl',
        'verify',
        '-x509_strict',
        '-attime',
        at,
        '-CAfile',
        'root.pem',
        '-untrusted',
        'ca.pem',
        'leaf.pem',
      );
      rereadIssued(der, values);
    }
  });
}

test('with an empty subject the alternative name is critical, and OpenSSL verifies it strictly', async () => {
  const template = new CertificateTemplate(LDEVID, { certificate: ca.certificate }, URLS);
  const values = {
    ...valuesOf(LDEVID, { deviceId: 'pump-1' }, ca.signer, newSigner('P-256').spki),
    subject: EMPTY_NAME,
  };
  const der = await issue(template, values, ca.signer);
  assert.ok(readCertificate(der).extensions.find(({ oid }) => oid === EXTENSIONS.subjectAltName)?.critical);
  const rules = lintCertificate(der, LDEVID, ca.certificate).map(({ rule }) => rule);
  assert.deepEqual(rules, ['profile-names'], 'RFC 5280 allows it, the profile does not');
  write('root.pem', root.certificate);
  write('ca.pem', ca.certificate);
  write('leaf.pem', der);
  const at = String(Math.floor(NOW.getTime() / 1000));
  tool('openssl', 'verify', '-x509_strict', '-attime', at, '-CAfile', 'root.pem', '-untrusted', 'ca.pem', 'leaf.pem');
});

test('what OpenSSL reads from a signed certificate is compared field by field with what was meant', async () => {
  const template = new CertificateTemplate(LDEVID, { certificate: ca.certificate }, URLS);
  const values = valuesOf(LDEVID, { deviceId: 'pump-1' }, ca.signer, newSigner('P-256').spki);
  const der = await issue(template, values, ca.signer);
  rereadIssued(der, values);
  const other = valuesOf(LDEVID, { deviceId: 'pump-2' }, ca.signer, newSigner('P-256').spki);
  const later = new Date(NOW.getTime() + 1000);
  const differences = {
    serialNumber: { ...values, serial: other.serial },
    subjectPublicKeyInfo: { ...values, spki: other.spki },
    notBefore: { ...values, notBefore: later },
    notAfter: { ...values, notAfter: later },
    subject: { ...values, subject: other.subject },
  };
  for (const [field, meant] of Object.entries(differences))
    assert.throws(
      () => rereadIssued(der, meant),
      (error) => error instanceof KeysteadError && error.code === 'certificate.lint-failed' && error.field === field,
    );
  assert.throws(() => rereadIssued(der.subarray(1), values), KeysteadError);
});

test('a template is refused when it is made if any certificate of it would break a rule', async () => {
  const refused = (profile: Profile, certificate: DerCertificate | 'self', rule: string, urls = {}) =>
    assert.throws(
      () => new CertificateTemplate(profile, certificate === 'self' ? 'self' : { certificate }, urls),
      (error) => error instanceof KeysteadError && error.code === 'certificate.lint-failed' && error.field === rule,
      rule,
    );
  refused(LDEVID, 'self', 'issuer');
  refused(ROOT, ca.certificate, 'issuer');
  refused({ ...INTERMEDIATE, subject: { commonName: { fixed: 'Third' } } }, ca.certificate, 'issuer-may-sign');
  refused(LDEVID, await certificateOf(LDEVID, { deviceId: 'pump-1' }), 'issuer-may-sign');
  refused(LDEVID, ca.certificate, 'status-url', { crl: 'ldap://localhost/crl' });
  refused({ ...LDEVID, keyAlgorithms: ['RSA-2048'] }, ca.certificate, 'key-strength');
});

test('RFC 3161 section 2.3: the certificate of a TSA has timeStamping alone and critical, and openssl takes it for one', async () => {
  const tsa = profileOf({ ...RESPONDER, id: 'tsa-signer', ocspNoCheck: false, extKeyUsage: ['timeStamping'] });
  const der = await certificateOf(tsa, {});
  assert.deepEqual(lintCertificate(der, tsa, ca.certificate), []);
  const info = readCertificate(der);
  assert.deepEqual(info.extKeyUsage, ['timeStamping']);
  const usage = info.extensions.find(({ oid }) => oid === EXTENSIONS.extKeyUsage);
  assert.equal(usage?.critical, true);
  // Of every other purpose RFC 5280 leaves it open, and it is not.
  const other = readCertificate(await certificateOf(RESPONDER, {}));
  assert.equal(other.extensions.find(({ oid }) => oid === EXTENSIONS.extKeyUsage)?.critical, false);
  write('tsa.pem', der);
  assert.match(tool('openssl', 'x509', '-in', 'tsa.pem', '-noout', '-purpose'), /Time Stamp signing : Yes/);
});
