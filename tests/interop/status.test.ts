import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, ok, openssl, run } from './foreign.ts';

/** Revocation as outsiders see it: two devices, of which one is reported stolen on the way. */
let bench: Bench;
let good: ForeignDevice;
let stolen: ForeignDevice;
/** LDevIDs of the two. */
let goodLdevid: ForeignDevice;
let stolenLdevid: ForeignDevice;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  good = await bench.provision('TRY-0004');
  stolen = await bench.provision('TRY-0005');
  goodLdevid = await bench.enrol(good, 'simpleenroll', 'good');
  stolenLdevid = await bench.enrol(stolen, 'simpleenroll', 'stolen');
  // Before the revocation everything is good, also in whatever keeps answers on the way.
  for (const one of [goodLdevid, stolenLdevid]) assert.match(await askOpenssl(one.certificate), /: good$/m);
  assert.equal((await verifyWithCrls(stolenLdevid.certificate, 'operational')).status, 0);
  const revocation = bench.write('revoke.json', JSON.stringify({ deviceId: stolen.id, reason: 'keyCompromise' }));
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${revocation}`];
  const { status, body } = await bench.curlAs('pki', `${bench.api}/revocations`, json);
  assert.equal(status, 200, body);
  // At once: what follows sees it without a pause.
  await fetchCrls('after');
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

type Issuer = 'operational' | 'manufacturing';

const responder = (issuer: Issuer): string => bench.url(`/ocsp/${issuer}`);

/** What `openssl ocsp` says of a certificate; that it verified the answer is asserted. */
async function askOpenssl(certificate: string, issuer: Issuer = 'operational', ...more: string[]): Promise<string> {
  const ca = ['-issuer', bench.ca(issuer), '-CAfile', bench.root];
  const { status, stdout, stderr } = await run('openssl', [
    'ocsp',
    ...ca,
    '-cert',
    certificate,
    '-url',
    responder(issuer),
    ...more,
  ]);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stderr, /^Response verify OK$/m);
  assert.equal(/WARNING: no nonce/.test(stderr), false);
  return stdout;
}

/** What `ocsptool` says of a certificate; that it verified the answer is asserted. */
async function askGnutls(certificate: string, issuer: Issuer = 'operational', ...more: string[]): Promise<string> {
  const files = ['--load-cert', certificate, '--load-issuer', bench.ca(issuer), '--load-trust', bench.ca(issuer)];
  const printed = await ok('ocsptool', [`--ask=${responder(issuer)}`, ...files, ...more]);
  assert.match(printed, /Verifying OCSP Response: Success\./);
  return printed;
}

const ROLES = ['root', 'operational', 'manufacturing', 'server', 'operator'] as const;

/** Fetches the CRL of every CA by curl, in DER, and turns them into one file of PEM. */
async function fetchCrls(name: string): Promise<string> {
  const pem: string[] = [];
  for (const role of ROLES) {
    const der = bench.path(`${name}-${role}.crl`);
    await ok('curl', ['--silent', '--show-error', '--fail', '--output', der, bench.url(`/crl/${role}.crl`)]);
    pem.push(await openssl('crl', '-inform', 'DER', '-in', der));
  }
  return bench.write(`${name}.pem`, pem.join(''));
}

/** `openssl verify -crl_check_all` with the CRLs of this moment. */
async function verifyWithCrls(certificate: string, issuer: Issuer): ReturnType<typeof run> {
  const chain = ['-CAfile', bench.root, '-untrusted', bench.ca(issuer), '-CRLfile', await fetchCrls('now')];
  return run('openssl', ['verify', '-x509_strict', '-crl_check_all', ...chain, certificate]);
}

/** A certificate with a serial number that the CA never gave, under the CA's name. */
async function neverIssued(): Promise<string> {
  const caKey = await bench.key('impostor-ca');
  const key = await bench.key('impostor');
  const ca = bench.path('impostor-ca.pem');
  const name = '/O=Keystead/CN=Keystead operational CA';
  await openssl('req', '-x509', '-new', '-key', caKey, '-subj', name, '-days', '1', '-utf8', '-out', ca);
  const csr = await bench.csr('impostor', 'TRY-0006', key);
  const out = bench.path('impostor.pem');
  const serial = ['-set_serial', '0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a'];
  await openssl('x509', '-req', '-in', csr, '-CA', ca, '-CAkey', caKey, ...serial, '-days', '1', '-out', out);
  return out;
}

for (const [how, flags] of [
  ['with a nonce', []],
  ['without a nonce', ['-no_nonce']],
] as const) {
  test(`TEST-KEY-09 openssl ocsp ${how}: good, revoked with its reason, unknown [openssl ocsp: OCSP good, OCSP revoked, OCSP unknown]`, async () => {
    assert.match(await askOpenssl(goodLdevid.certificate, 'operational', ...flags), /: good$/m);
    assert.match(await askOpenssl(good.certificate, 'manufacturing', ...flags), /: good$/m);
    for (const [certificate, issuer] of [
      [stolenLdevid.certificate, 'operational'],
      [stolen.certificate, 'manufacturing'],
    ] as const) {
      const revoked = await askOpenssl(certificate, issuer, ...flags);
      assert.match(revoked, /: revoked$/m);
      assert.match(revoked, /Reason: keyCompromise/);
    }
    assert.match(await askOpenssl(await neverIssued(), 'operational', ...flags), /: unknown$/m);
  });
}

test('TEST-KEY-09 openssl ocsp with certificate ids by SHA-256: good and revoked [openssl ocsp: OCSP CertID by SHA-256]', async () => {
  // The digest counts for the certificates named after it.
  const ask = (certificate: string): Promise<string> =>
    askOpenssl(goodLdevid.certificate, 'operational', '-sha256', '-cert', certificate);
  assert.equal((await ask(stolenLdevid.certificate)).match(/: (good|revoked)$/gm)?.join(), ': good,: revoked');
});

for (const flag of ['--nonce', '--no-nonce']) {
  test(`TEST-KEY-09 ocsptool ${flag}: good, revoked, unknown [GnuTLS ocsptool: OCSP good, OCSP revoked, OCSP unknown]`, async () => {
    assert.match(await askGnutls(goodLdevid.certificate, 'operational', flag), /Certificate Status: good/);
    assert.match(await askGnutls(good.certificate, 'manufacturing', flag), /Certificate Status: good/);
    const revoked = await askGnutls(stolenLdevid.certificate, 'operational', flag);
    assert.match(revoked, /Certificate Status: revoked/);
    assert.match(revoked, /Revocation time: /);
    assert.match(await askGnutls(await neverIssued(), 'operational', flag), /Certificate Status: unknown/);
    assert.equal(/^\s+Nonce: /m.test(revoked), flag === '--nonce');
  });
}

test('TEST-KEY-09 by GET with curl, as RFC 5019 writes the path: openssl verifies good and revoked, and caches may keep it [curl and openssl: OCSP GET]', async () => {
  for (const [certificate, status] of [
    [goodLdevid.certificate, 'good'],
    [stolenLdevid.certificate, 'revoked'],
  ] as const) {
    const request = bench.path('get.req');
    const about = ['-issuer', bench.ca('operational'), '-cert', certificate];
    await openssl('ocsp', ...about, '-no_nonce', '-reqout', request);
    const path = encodeURIComponent(bench.read('get.req').toString('base64'));
    const answer = bench.path('get.resp');
    const head = await ok('curl', [
      ...['--silent', '--show-error', '--fail', '--dump-header', '-', '--output', answer],
      `${responder('operational')}/${path}`,
    ]);
    assert.match(head, /^content-type: application\/ocsp-response/im);
    assert.match(head, /^cache-control: .*max-age=\d+/im);
    assert.match(head, /^etag: /im);
    const { stdout, stderr } = await run('openssl', ['ocsp', ...about, '-respin', answer, '-CAfile', bench.root]);
    assert.match(stderr, /Response verify OK/);
    assert.match(stdout, new RegExp(`: ${status}$`, 'm'));
  }
});

test('TEST-KEY-09 the signer is a delegated responder: issued by the CA itself for OCSP signing only, and short-lived', async () => {
  for (const issuer of ['operational', 'manufacturing'] as const) {
    const answer = bench.path(`${issuer}.resp`);
    const certificate = issuer === 'operational' ? goodLdevid.certificate : good.certificate;
    await askOpenssl(certificate, issuer, '-respout', answer);
    const printed = await openssl('ocsp', '-respin', answer, '-resp_text', '-noverify');
    const signer = bench.write('signer.pem', printed.slice(printed.indexOf('-----BEGIN CERTIFICATE-----')));
    const text = await openssl('x509', '-in', signer, '-noout', '-text');
    assert.match(text, new RegExp(`Issuer: O = Keystead, CN = Keystead ${issuer} CA\n`));
    assert.match(text, /X509v3 Extended Key Usage: \n\s+OCSP Signing\n/);
    assert.match(text, /OCSP No Check/);
    const strict = ['-x509_strict', '-purpose', 'ocsphelper', '-CAfile', bench.root, '-untrusted', bench.ca(issuer)];
    await openssl('verify', ...strict, signer);
    // It cannot be revoked (no-check), so it must not live long: gone in two days.
    const { status } = await run('openssl', ['x509', '-in', signer, '-noout', '-checkend', String(2 * 86_400)]);
    assert.equal(status, 1);
  }
});

test('an OCSP answer of one CA says nothing good of the certificate of another', async () => {
  const about = ['-issuer', bench.ca('manufacturing'), '-cert', good.certificate, '-CAfile', bench.root];
  const { stdout, stderr } = await run('openssl', ['ocsp', ...about, '-url', responder('operational')]);
  assert.equal(/: good/.test(stdout + stderr), false, stdout + stderr);
});

test('TEST-KEY-08 openssl crl verifies the full CRL of every CA, and the time of the next one is to come [openssl: CRL full]', async () => {
  for (const role of ROLES) {
    const crl = ['-inform', 'DER', '-in', bench.path(`after-${role}.crl`)];
    const { status, stderr } = await run('openssl', ['crl', ...crl, '-CAfile', bench.ca(role), '-noout']);
    assert.equal(status, 0);
    assert.match(stderr, /verify OK/);
    const text = await openssl('crl', ...crl, '-noout', '-text');
    assert.match(text, /Version 2/);
    assert.match(text, /X509v3 Authority Key Identifier/);
    assert.match(text, /X509v3 CRL Number/);
    const next = /Next Update: (.+)/.exec(text)?.[1] ?? '';
    assert.ok(Date.parse(next) > Date.now(), `${role}: ${next}`);
  }
});

test('TEST-KEY-08 the revoked serial numbers are in the CRLs as soon as the revocation is answered, with the reason', async () => {
  for (const [certificate, role] of [
    [stolenLdevid.certificate, 'operational'],
    [stolen.certificate, 'manufacturing'],
  ] as const) {
    const text = await openssl('crl', '-inform', 'DER', '-in', bench.path(`after-${role}.crl`), '-noout', '-text');
    const entries = text.split('Serial Number: ').slice(1);
    const serial = (await bench.serial(certificate)).toUpperCase();
    const entry = entries.find((one) => one.startsWith(serial));
    assert.ok(entry !== undefined, text);
    assert.match(entry, /Key Compromise/);
  }
});

test('TEST-KEY-08 openssl verify -crl_check_all with every CRL of the chain: good passes, revoked does not [openssl: X.509 path validation, X.509 revocation by CRL]', async () => {
  for (const [certificate, issuer] of [
    [goodLdevid.certificate, 'operational'],
    [good.certificate, 'manufacturing'],
  ] as const) {
    const { status, stderr } = await verifyWithCrls(certificate, issuer);
    assert.equal(status, 0, stderr);
  }
  for (const [certificate, issuer] of [
    [stolenLdevid.certificate, 'operational'],
    [stolen.certificate, 'manufacturing'],
  ] as const) {
    const { status, stderr } = await verifyWithCrls(certificate, issuer);
    assert.notEqual(status, 0);
    assert.match(stderr, /error 23 at 0 depth lookup: certificate revoked/);
  }
});

test('TEST-KEY-08 certtool verifies the CRLs, and the chain of a good device but not of a revoked one [GnuTLS certtool: CRL full, X.509 path validation, X.509 revocation by CRL]', async () => {
  for (const role of ROLES) {
    const crl = bench.write('one.pem', await openssl('crl', '-inform', 'DER', '-in', bench.path(`after-${role}.crl`)));
    const printed = await ok('certtool', ['--verify-crl', '--load-ca-certificate', bench.ca(role), '--infile', crl]);
    assert.match(printed, /Verification output: Verified\. The certificate is trusted\./);
  }
  const issuer = await openssl('x509', '-in', bench.ca('operational'));
  const chainOf = async (certificate: string): ReturnType<typeof run> => {
    const chain = bench.write('chain.pem', (await openssl('x509', '-in', certificate)) + issuer);
    const trust = ['--load-ca-certificate', bench.root, '--load-crl', bench.path('after.pem')];
    return run('certtool', ['--verify', ...trust, '--infile', chain]);
  };
  const passed = await chainOf(goodLdevid.certificate);
  assert.equal(passed.status, 0, passed.stdout);
  const refused = await chainOf(stolenLdevid.certificate);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stdout, /revoked/);
});

test('TEST-KEY-08 strongSwan verifies a chain with the CRL of the CA: good passes, revoked does not [strongSwan pki: X.509 revocation by CRL]', async () => {
  const verify = (certificate: string): ReturnType<typeof run> => {
    const trust = ['--cacert', bench.root, '--cacert', bench.ca('operational')];
    const crls = ['--crl', bench.path('after-operational.crl'), '--crl', bench.path('after-root.crl')];
    return run('pki', ['--verify', '--in', certificate, ...trust, ...crls]);
  };
  const passed = await verify(goodLdevid.certificate);
  assert.match(passed.stdout, /certificate trusted, lifetimes valid, certificate not revoked/);
  assert.equal(passed.status, 0);
  const refused = await verify(stolenLdevid.certificate);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stdout + refused.stderr, /revoked/);
});

test('who holds the current CRL fetches nothing; a broken download goes on where it stopped', async () => {
  const url = bench.url('/crl/operational.crl');
  const head = await ok('curl', ['--silent', '--head', url]);
  const etag = /^etag: (.+)\r$/im.exec(head)?.[1] ?? '';
  const status = ['--silent', '--output', bench.path('again'), '--write-out', '%{http_code}'];
  assert.equal(await ok('curl', [...status, '--header', `If-None-Match: ${etag}`, url]), '304');
  const part = bench.write('part.crl', bench.read('after-operational.crl').subarray(0, 100));
  await ok('curl', ['--silent', '--show-error', '--fail', '--continue-at', '-', '--output', part, url]);
  assert.deepEqual(bench.read('part.crl'), bench.read('after-operational.crl'));
});

test('the stolen device gets nothing more, with either certificate; the other one goes on', async () => {
  for (const [shown, operation] of [
    [stolenLdevid, 'simplereenroll'],
    [stolen, 'simpleenroll'],
    [stolen, 'simplereenroll'],
  ] as const) {
    const csr = await bench.csr('more', stolen.id, await bench.key('more'));
    const { status, body } = await bench.estPost(shown, operation, csr);
    assert.ok(status === 401 || status === 403, `${status} ${body}`);
  }
  await bench.enrol(goodLdevid, 'simplereenroll', 'goes-on');
});
