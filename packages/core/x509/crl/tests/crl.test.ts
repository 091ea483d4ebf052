import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { type DerCertificate, type Serial, toPem } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { assembleSigned } from '../../assemble.ts';
import { readCertificate } from '../../certificate.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../tests/openssl-pki.ts';
import type { RevokedEntry } from '../entries.ts';
import { readCrl } from '../read.ts';
import { REVOCATION_REASONS, type RevocationReason } from '../reasons.ts';
import { tbsCertList } from '../tbs.ts';
import { readCrlWindow } from '../window.ts';

const pki = new OpensslPki();
after(() => pki.remove());
const ca = pki.issue({ name: 'ca', subject: '/O=Keystead test/CN=Issuing CA', extensions: CA_EXTENSIONS });
const other = pki.issue({ name: 'other', subject: '/O=Keystead test/CN=Issuing CA', extensions: CA_EXTENSIONS });
const bare = pki.issue({
  name: 'bare',
  extensions: ['basicConstraints=critical,CA:TRUE', 'subjectKeyIdentifier=none'],
});

const thisUpdate = new Date(Math.floor(Date.now() / 1000) * 1000);
const nextUpdate = new Date(thisUpdate.getTime() + 3_600_000);
const hour = (n: number) => new Date(thisUpdate.getTime() - n * 3_600_000);
const serial = (hex: string) => hex as Serial;

async function makeCrl(entries: Iterable<RevokedEntry>, number = 7, issuer: DerCertificate = ca, key = 'ca') {
  const signer = pki.signer(key);
  const signatureAlgorithm = signer.signatureAlgorithm;
  const tbs = tbsCertList({ issuer, signatureAlgorithm, thisUpdate, nextUpdate, number, entries });
  return assembleSigned(tbs, signatureAlgorithm, await signer.sign(tbs));
}

const oneOfEach: RevokedEntry[] = (Object.keys(REVOCATION_REASONS) as RevocationReason[]).map((reason, i) => ({
  serial: serial(`${(0x70 + i * 3).toString(16)}00112233445566778899aabbccddeeff00${(16 + i).toString(16)}`),
  revokedAt: hour(i),
  reason,
}));

test('TEST-KEY-08: OpenSSL accepts a full CRL and finds every entry, its time and its reason', async () => {
  pki.write('all.crl', await makeCrl(oneOfEach));
  const seen = pki.try('openssl', 'crl', '-inform', 'DER', '-in', 'all.crl', '-CAfile', 'ca.pem', '-noout', '-text');
  assert.equal(seen.code, 0, seen.output);
  assert.match(seen.output, /verify OK/);
  assert.match(seen.output, /Version 2 \(0x1\)/);
  assert.match(seen.output, /X509v3 CRL Number:\s+7\n/);
  assert.match(seen.output, /X509v3 Authority Key Identifier/);
  for (const { serial: id } of oneOfEach) assert.match(seen.output, new RegExp(`Serial Number: ${id}`, 'i'));
  for (const reason of [
    'Key Compromise',
    'CA Compromise',
    'Affiliation Changed',
    'Superseded',
    'Cessation Of Operation',
    'Certificate Hold',
  ])
    assert.match(seen.output, new RegExp(reason), reason);
  // `unspecified` is left out, so OpenSSL does not print it (RFC 5280 section 5.3.1).
  assert.doesNotMatch(seen.output, /Unspecified/);
});

test('TEST-KEY-08: GnuTLS accepts a full CRL, with and without entries', async () => {
  for (const [name, entries] of [
    ['some', oneOfEach],
    ['none', []],
  ] as const) {
    pki.write(`${name}.crl`, await makeCrl(entries));
    const info = pki.run('certtool', '--crl-info', '--inder', '--infile', `${name}.crl`);
    assert.match(info, /CRL Number[^\n]*:\s*07/);
    assert.match(
      info,
      entries.length === 0 ? /No revoked certificates/ : new RegExp(`Revoked certificates \\(${entries.length}\\)`),
    );
    pki.write(`${name}.crl.pem`, toPem('X509 CRL', await makeCrl(entries)));
    assert.match(
      pki.run('certtool', '--verify-crl', '--load-ca-certificate', 'ca.pem', '--infile', `${name}.crl.pem`),
      /Verified\.|not revoked|verified/i,
    );
  }
});

test('TEST-KEY-08: a revoked serial is in the CRL, so that openssl verify -crl_check_all refuses the certificate and no other', async () => {
  const extensions = ['basicConstraints=CA:FALSE', 'authorityKeyIdentifier=keyid'];
  pki.issue({ name: 'kept', issuer: 'ca', extensions, serial: '0badcafe01' });
  pki.issue({ name: 'stolen', issuer: 'ca', extensions, serial: '0badcafe02' });
  const crl = await makeCrl([{ serial: serial('0badcafe02'), revokedAt: hour(0), reason: 'keyCompromise' }]);
  pki.write('current.crl.pem', toPem('X509 CRL', crl));
  const verify = (name: string) =>
    pki.try('openssl', 'verify', '-crl_check_all', '-CAfile', 'ca.pem', '-CRLfile', 'current.crl.pem', `${name}.pem`);
  assert.equal(verify('kept').code, 0, verify('kept').output);
  assert.notEqual(verify('stolen').code, 0);
  assert.match(verify('stolen').output, /certificate revoked/);
});

test('the CRL that is read is the CRL that was written, and only its issuer verifies it', async () => {
  const crl = await makeCrl(oneOfEach, 123_456_789_012);
  const read = readCrl(crl);
  assert.equal(read.number, 123_456_789_012);
  assert.deepEqual(read.thisUpdate, thisUpdate);
  assert.deepEqual(read.nextUpdate, nextUpdate);
  assert.deepEqual(
    [...read.entries].map(([id, { revokedAt, reason }]) => ({
      serial: id,
      revokedAt,
      reason: reason ?? 'unspecified',
    })),
    oneOfEach.map((entry) => ({ ...entry })),
  );
  assert.deepEqual(readCrlWindow(crl.subarray(0, 400), crl.length), { thisUpdate, nextUpdate });
  assert.equal(read.verify(ca), true);
  assert.equal(read.verify(other), false, 'a CA of the same name with another key');
  const forged = new Uint8Array(crl);
  forged[forged.length - 3] = (forged[forged.length - 3] ?? 0) ^ 1;
  assert.equal(readCrl(forged).verify(ca), false);
});

test('a CA whose key usage does not allow it does not verify a CRL', async () => {
  const signless = pki.issue({
    name: 'signless',
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign', 'subjectKeyIdentifier=hash'],
  });
  assert.equal(readCrl(await makeCrl([], 1, signless, 'signless')).verify(signless), false);
});

test('a CRL that OpenSSL made is read, and verifies', () => {
  pki.write(
    'index.txt',
    `R\t301231000000Z\t261124010203Z,superseded\t00FACE\tunknown\t/CN=x\nR\t301231000000Z\t261124010203Z\tBEEF00\tunknown\t/CN=y\n`,
  );
  pki.write('crlnumber', '1F\n');
  pki.write(
    'ca.cnf',
    '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n',
  );
  pki.run(
    'openssl',
    'ca',
    '-config',
    'ca.cnf',
    '-gencrl',
    '-cert',
    'ca.pem',
    '-keyfile',
    'ca.key',
    '-out',
    'foreign.pem',
  );
  pki.run('openssl', 'crl', '-in', 'foreign.pem', '-outform', 'DER', '-out', 'foreign.crl');
  const read = readCrl(pki.read('foreign.crl'));
  assert.equal(read.number, 0x1f);
  assert.equal(read.verify(ca), true);
  assert.deepEqual(read.entries.get(serial('face')), {
    revokedAt: new Date('2026-11-24T01:02:03Z'),
    reason: 'superseded',
  });
  assert.equal(read.entries.get(serial('beef00'))?.reason, undefined);
});

test('delta, indirect and partitioned CRLs are refused, not taken for full ones', () => {
  for (const [name, line] of [
    ['delta', '2.5.29.27=critical,DER:020101'],
    ['indirect', 'issuingDistributionPoint=critical,@idp\n[idp]\nindirectCRL=TRUE'],
    ['partitioned', 'issuingDistributionPoint=critical,@idp\n[idp]\nfullname=URI:http://localhost/1.crl'],
  ] as const) {
    pki.write('index.txt', '');
    pki.write('crlnumber', '01\n');
    pki.write(
      'x.cnf',
      `[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n${line}\n`,
    );
    pki.run('openssl', 'ca', '-config', 'x.cnf', '-gencrl', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-out', 'x.pem');
    pki.run('openssl', 'crl', '-in', 'x.pem', '-outform', 'DER', '-out', 'x.crl');
    assert.throws(() => readCrl(pki.read('x.crl')), { code: 'crl.unsupported' }, name);
  }
});

test('an issuer without a subject key identifier, and serials that are none, are refused', async () => {
  await assert.rejects(makeCrl([], 1, bare, 'bare'), { code: 'crl.issuer-unfit' });
  for (const bad of ['', 'xyz', '0', '00ff', `01${'00'.repeat(20)}`, '-12'])
    await assert.rejects(makeCrl([{ serial: serial(bad), revokedAt: hour(0) }]), RangeError, bad);
  await assert.rejects(makeCrl([{ serial: serial('01'), revokedAt: new Date(Number.NaN) }]), RangeError);
});

test('any set of entries comes back as it went in', async () => {
  const anEntry = fc.record({
    serial: fc.bigInt({ min: 1n, max: (1n << 159n) - 1n }).map((n) => {
      const hex = n.toString(16);
      return serial(hex.length % 2 === 0 ? hex : `0${hex}`);
    }),
    revokedAt: fc.integer({ min: -631_152_000, max: 253_402_300_799 }).map((seconds) => new Date(seconds * 1000)),
    reason: fc.option(fc.constantFrom(...(Object.keys(REVOCATION_REASONS) as RevocationReason[])), { nil: undefined }),
  });
  const signer = pki.signer('ca');
  const entriesOf = fc.uniqueArray(anEntry, { selector: (entry) => entry.serial, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(entriesOf, async (entries) => {
      const tbs = tbsCertList({
        issuer: ca,
        signatureAlgorithm: signer.signatureAlgorithm,
        thisUpdate,
        nextUpdate,
        number: 1,
        entries,
      });
      const read = readCrl(assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)));
      assert.deepEqual(
        [...read.entries].map(([id, { revokedAt, reason }]) => [id, revokedAt.getTime(), reason]),
        entries.map((entry) => [
          entry.serial,
          entry.revokedAt.getTime(),
          entry.reason === 'unspecified' ? undefined : entry.reason,
        ]),
      );
    }),
    { numRuns: 50 },
  );
});

test('no bytes make the CRL reader fail in another way than by its own errors', async () => {
  const good = await makeCrl(oneOfEach);
  const mutated = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = new Uint8Array(good);
    bytes[at] = value;
    return bytes;
  });
  const cut = fc.nat(good.length).map((length) => good.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(mutated, cut, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      for (const reader of [readCrl, (der: Uint8Array) => readCrlWindow(der, good.length)]) {
        try {
          reader(bytes);
        } catch (error) {
          assert.ok(error instanceof KeysteadError, String(error));
        }
      }
    }),
    { numRuns: 3000 },
  );
});

// How long it takes is for the bench to say (crl-100000-vs-openssl): a test shares its cores with others.
test('a CRL of 100,000 entries is built, and OpenSSL reads all of it', async () => {
  const entries = Array.from(
    { length: 100_000 },
    (_, i): RevokedEntry => ({
      serial: serial(`5a${(i + 0x1000000).toString(16).padStart(8, '0')}${'c3'.repeat(15)}`),
      revokedAt: new Date(thisUpdate.getTime() - i * 60_000),
      reason: 'keyCompromise',
    }),
  );
  const signer = pki.signer('ca');
  const tbs = tbsCertList({
    issuer: ca,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate,
    nextUpdate,
    number: 9,
    entries,
  });
  const crl = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs));
  pki.write('large.crl', crl);
  assert.match(
    pki.try('openssl', 'crl', '-inform', 'DER', '-in', 'large.crl', '-CAfile', 'ca.pem', '-noout').output,
    /verify OK/,
  );
  assert.equal(readCrl(crl).entries.size, 100_000);
});

test('TEST-KEY-08 an indirect CRL of a signer that the root certified: openssl goes by the issuer that stands with each entry [openssl: CRL indirect]', async () => {
  const root = pki.issue({ name: 'iroot', subject: '/O=Keystead test/CN=Root', extensions: CA_EXTENSIONS });
  const signer = pki.issue({
    ...{ name: 'isigner', issuer: 'iroot', subject: '/O=Keystead test/CN=CRL signer' },
    extensions: [
      'basicConstraints=critical,CA:FALSE',
      'keyUsage=critical,cRLSign',
      'subjectKeyIdentifier=hash',
      'authorityKeyIdentifier=keyid',
    ],
  });
  const url = 'http://crl.example/roots.crl';
  const points = [
    'crlDistributionPoints=cdp',
    '[cdp]',
    `fullname=URI:${url}`,
    'CRLissuer=dirName:signer',
    '[signer]',
    'O=Keystead test',
    'CN=CRL signer',
  ];
  for (const [name, serialNumber] of [
    ['isub', '0a11'],
    ['ikept', '0a12'],
  ] as const)
    pki.issue({
      name,
      issuer: 'iroot',
      serial: serialNumber,
      subject: `/O=Keystead test/CN=${name}`,
      extensions: ['basicConstraints=critical,CA:FALSE', 'authorityKeyIdentifier=keyid', ...points],
    });
  const key = pki.signer('isigner');
  const certificateIssuer = readCertificate(root).subjectDer;
  // The second entry has the issuer of the first (RFC 5280 section 5.3.3).
  const entries = [
    { serial: serial('0a11'), revokedAt: hour(1), reason: 'cACompromise' as const, certificateIssuer },
    { serial: serial('0a13'), revokedAt: hour(1) },
  ];
  const head = { issuer: signer, signatureAlgorithm: key.signatureAlgorithm, thisUpdate, nextUpdate, number: 3 };
  const tbs = tbsCertList({ ...head, point: url, indirect: true, entries });
  const crl = assembleSigned(tbs, key.signatureAlgorithm, await key.sign(tbs));
  pki.write('indirect.pem', toPem('X509 CRL', crl));
  const text = pki.run('openssl', 'crl', '-in', 'indirect.pem', '-noout', '-text');
  assert.match(text, /Indirect CRL/);
  assert.match(text, /X509v3 Certificate Issuer: critical/);
  const verify = (name: string) =>
    pki.try(
      'openssl',
      'verify',
      '-crl_check',
      '-extended_crl',
      '-CAfile',
      'iroot.pem',
      '-untrusted',
      'isigner.pem',
      '-CRLfile',
      'indirect.pem',
      `${name}.pem`,
    );
  assert.match(verify('isub').output, /certificate revoked/);
  assert.match(verify('ikept').output, /OK/);
});
