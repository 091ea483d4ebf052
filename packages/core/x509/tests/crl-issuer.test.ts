import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { DerCertificate } from '../../bytes/index.ts';
import { toPem } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { assembleSigned } from '../assemble.ts';
import { readCertificate } from '../certificate.ts';
import type { RevokedEntry } from '../crl/entries.ts';
import { readDistributionPoints } from '../crl/points.ts';
import { tbsCertList } from '../crl/tbs.ts';
import { findExtension } from '../extensions.ts';
import { lintCertificate } from '../lint/certificate.ts';
import { type DistinguishedName, formatName, nameDer } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import { type Profile, ProfileSchema } from '../profile.ts';
import { CertificateTemplate } from '../template.ts';
import { OpensslPki } from './openssl-pki.ts';
import { INTERMEDIATE, issue, newHierarchy, newSigner, profileOf, ROOT, valuesOf } from './profiles.ts';

const pki = new OpensslPki();
after(() => pki.remove());

const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const url = 'http://crl.example/crl/root-indirect.crl';
const SIGNER: Profile = profileOf({
  ...INTERMEDIATE,
  id: 'root-crl-signer',
  subject: { commonName: { fixed: 'Acme Root CRL Signer' }, organization: 'Acme' },
  keyUsage: ['cRLSign'],
  ca: false,
  requesters: [],
});
const crlIssuer: DistinguishedName = {
  rdns: [
    { type: 'O', value: 'Acme' },
    { type: 'CN', value: 'Acme Root CRL Signer' },
  ],
};
const { root } = await newHierarchy('P-384', 'P-256', now);
const rootCa = { certificate: root.certificate };
const signer = newSigner('P-256');
const own = new CertificateTemplate(SIGNER, rootCa, { crl: 'http://crl.example/crl/root.crl' });
const signerCertificate = await issue(own, valuesOf(SIGNER, {}, root.signer, signer.spki, now), root.signer);

async function caNaming(urls: ConstructorParameters<typeof CertificateTemplate>[2]): Promise<DerCertificate> {
  const template = new CertificateTemplate(INTERMEDIATE, rootCa, urls);
  const values = valuesOf(INTERMEDIATE, {}, root.signer, newSigner('P-256').spki, now);
  return issue(template, values, root.signer);
}

async function indirectCrl(entries: readonly RevokedEntry[]): Promise<string> {
  const tbs = tbsCertList({
    ...{ issuer: signerCertificate, signatureAlgorithm: signer.signatureAlgorithm, number: 1 },
    ...{ thisUpdate: new Date(now.getTime() - 60_000), nextUpdate: new Date(now.getTime() + 3_600_000) },
    ...{ indirect: true, point: url, entries },
  });
  return toPem('X509 CRL', assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)));
}

test('a distribution point names who signs the CRL, in the very octets in which the CRL does', async () => {
  const info = readCertificate(await caNaming({ crl: url, crlIssuer }));
  assert.deepEqual(info.crlUrls, [], 'nothing that the issuer signs itself');
  assert.deepEqual(info.indirectCrls, [{ issuer: crlIssuer, urls: [url] }]);
  const value = findExtension(info.extensions, EXTENSIONS.cRLDistributionPoints)?.value ?? new Uint8Array(0);
  const { subjectDer } = readCertificate(signerCertificate);
  assert.ok(Buffer.from(value).includes(Buffer.from(subjectDer)));
  assert.equal(readDistributionPoints(value).length, 1);
  const alone = readCertificate(await caNaming({ crlIssuer }));
  assert.deepEqual(alone.indirectCrls, [{ issuer: crlIssuer, urls: [] }]);
  assert.equal(formatName(alone.indirectCrls[0]?.issuer ?? { rdns: [] }), 'CN=Acme Root CRL Signer,O=Acme');
});

test('TEST-KEY-08 openssl follows a distribution point with cRLIssuer to the indirect CRL, and without it finds none [openssl: CRL indirect]', async () => {
  const [kept, revoked] = [await caNaming({ crl: url, crlIssuer }), await caNaming({ crl: url, crlIssuer })];
  pki.write('root.pem', toPem('CERTIFICATE', root.certificate));
  pki.write('signer.pem', toPem('CERTIFICATE', signerCertificate));
  pki.write('kept.pem', toPem('CERTIFICATE', kept));
  pki.write('revoked.pem', toPem('CERTIFICATE', revoked));
  pki.write('direct.pem', toPem('CERTIFICATE', await caNaming({ crl: url })));
  const { serial, issuerDer } = readCertificate(revoked);
  const entry = { serial, revokedAt: now, reason: 'cACompromise' as const, certificateIssuer: issuerDer };
  pki.write('indirect.pem', await indirectCrl([entry]));
  const verify = (name: string, ...more: string[]) =>
    pki.try(
      'openssl',
      ...['verify', '-x509_strict', '-crl_check', ...more, '-CAfile', 'root.pem', '-untrusted', 'signer.pem'],
      ...['-CRLfile', 'indirect.pem', `${name}.pem`],
    );
  assert.match(verify('kept', '-extended_crl').output, /kept\.pem: OK/);
  assert.match(verify('revoked', '-extended_crl').output, /certificate revoked/);
  assert.match(verify('direct', '-extended_crl').output, /different CRL scope/);
  assert.match(verify('kept').output, /unable to get certificate CRL/);
  assert.match(pki.run('openssl', 'x509', '-in', 'kept.pem', '-noout', '-text'), /CRL Issuer:\s+DirName:\s?O = Acme/);
});

test('the lint refuses a cRLIssuer that is the issuer itself, is empty, or is beside reasons', async () => {
  const rules = (der: DerCertificate) => lintCertificate(der, INTERMEDIATE, root.certificate).map(({ rule }) => rule);
  assert.deepEqual(rules(await caNaming({ crl: url, crlIssuer })), []);
  const failed = (urls: ConstructorParameters<typeof CertificateTemplate>[2], field: string) =>
    assert.throws(
      () => new CertificateTemplate(INTERMEDIATE, rootCa, urls),
      (error) => error instanceof KeysteadError && error.code === 'certificate.lint-failed' && error.field === field,
    );
  failed({ crl: url, crlIssuer: readCertificate(root.certificate).subject }, 'crl-issuer');
  failed({ crl: url, crlIssuer: { rdns: [] } }, 'crl-issuer');
  failed({ crl: 'ldap://crl.example/cn=crl', crlIssuer }, 'status-url');
  assert.ok(nameDer(crlIssuer).length > 0);
});

test('a profile without CA signs CRLs for the root alone, and nothing but CRLs', () => {
  const refused = (changes: Partial<Profile>, message: RegExp) => {
    const { success, error } = ProfileSchema.safeParse({ ...SIGNER, ...changes });
    assert.equal(success, false);
    assert.match(error?.message ?? '', message);
  };
  assert.ok(ProfileSchema.safeParse(SIGNER).success);
  refused({ issuer: 'operational' }, /only a CA, or who signs for the root/);
  refused({ issuer: 'signing-root' }, /only a CA, or who signs for the root/);
  refused({ keyUsage: ['cRLSign', 'digitalSignature'] }, /does nothing else/);
  refused({ extKeyUsage: ['clientAuth'] }, /does nothing else/);
  refused({ requesters: ['device'] }, /certified in ceremonies/);
  refused({ validity: { seconds: 'none', backdateSeconds: 0 } }, /for a time/);
  refused({ subject: { commonName: 'host' }, san: 'host' }, /has one name/);
  assert.ok(ProfileSchema.safeParse(ROOT).success);
});
