import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { DerCertificate } from '../../../bytes/index.ts';
import { CA_EXTENSIONS, type ForeignCertificate, OpensslPki } from '../../tests/openssl-pki.ts';
import { checkPath, type PathResult } from '../check.ts';
import type { PathOptions } from '../validate.ts';

const pki = new OpensslPki();
after(() => pki.remove());
const AKI = 'authorityKeyIdentifier=keyid';
const LEAF = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=clientAuth',
  AKI,
];
const SUB = [
  'basicConstraints=critical,CA:TRUE,pathlen:0',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
  AKI,
];

const root = pki.issue({ name: 'root', algorithm: 'P-384', digest: 'sha384', extensions: CA_EXTENSIONS, days: 3650 });
const sub = pki.issue({ name: 'sub', issuer: 'root', extensions: SUB, days: 365 });
const leaf = pki.issue({ name: 'leaf', issuer: 'sub', extensions: LEAF });
// Later certificates of this file begin after this line runs.
const now = new Date(Date.now() + 60_000);
const days = (n: number) => new Date(now.getTime() + n * 86_400_000);

let count = 0;
const make = (v: Omit<ForeignCertificate, 'name'>) => {
  count += 1;
  return pki.issue({ name: `made${count}`, ...v });
};
const last = () => `made${count}`;
/** What `openssl verify` says of the same path. */
function openssl(intermediates: readonly string[], name: string, ...args: string[]): boolean {
  const untrusted = intermediates.flatMap((one) => ['-untrusted', `${one}.pem`]);
  return (
    pki.try('openssl', 'verify', '-x509_strict', ...args, '-CAfile', 'root.pem', ...untrusted, `${name}.pem`).code === 0
  );
}
const check = (end: DerCertificate, via: DerCertificate[], options: Partial<PathOptions> = {}): PathResult =>
  checkPath(end, via, [root], { now, ...options });
const refused = (result: PathResult, rule: string, at?: string) => {
  assert.equal(result.ok, false);
  assert.equal(result.ok || result.rule, rule);
  if (at !== undefined) assert.equal(result.ok || result.at, at);
};

test('a path of a good leaf leads to its anchor, strangers among the intermediates notwithstanding', () => {
  const strangers = [make({ extensions: CA_EXTENSIONS }), leaf, root, new Uint8Array([1, 2, 3]) as DerCertificate];
  const result = check(leaf, [...strangers, sub], { extKeyUsage: 'clientAuth' });
  assert.ok(result.ok);
  assert.deepEqual(
    result.chain.map((one) => one.der),
    [leaf, sub, root],
  );
  assert.ok(openssl(['sub'], 'leaf', '-purpose', 'sslclient'));
});

test('without an anchor, or with an intermediate missing, there is no path', () => {
  refused(check(leaf, []), 'no-anchor', 'CN=leaf');
  refused(checkPath(leaf, [sub], [], { now }), 'no-anchor');
  refused(checkPath(leaf, [sub], [leaf], { now }), 'no-anchor');
  refused(check(root, [sub]), 'no-anchor');
  refused(checkPath(new Uint8Array([0x30, 0x80, 0, 0]) as DerCertificate, [sub], [root], { now }), 'malformed');
});

test('validity holds from notBefore to notAfter, of each certificate of the path', () => {
  refused(check(leaf, [sub], { now: days(-1) }), 'not-yet-valid');
  refused(check(leaf, [sub], { now: days(31) }), 'expired', 'CN=leaf');
  refused(check(leaf, [sub], { now: days(366) }), 'expired', 'CN=sub');
  refused(check(leaf, [sub], { now: days(3651) }), 'expired', 'CN=root');
});

test('a changed certificate, or one signed by a namesake with another key, does not verify', () => {
  const changed = new Uint8Array(leaf) as DerCertificate;
  changed[changed.length - 5] = (changed[changed.length - 5] ?? 0) ^ 1;
  refused(check(changed, [sub]), 'signature', 'CN=leaf');
  const namesake = make({
    subject: '/CN=root',
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign', 'subjectKeyIdentifier=none'],
  });
  const forged = make({ issuer: last(), extensions: ['basicConstraints=CA:FALSE'] });
  refused(check(forged, []), 'signature');
  assert.ok(
    checkPath(forged, [], [root, namesake], { now }).ok,
    'names alone choose among anchors where identifiers are missing',
  );
});

test('an issuer is a CA whose key is meant to sign certificates', () => {
  const byLeaf = make({ issuer: 'leaf', extensions: ['basicConstraints=CA:FALSE'] });
  refused(check(byLeaf, [sub, leaf]), 'not-ca', 'CN=leaf');
  make({
    issuer: 'root',
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,cRLSign', 'subjectKeyIdentifier=hash'],
  });
  const signless = pki.certificate(last());
  refused(check(make({ issuer: last(), extensions: LEAF }), [signless]), 'key-usage');
});

test('a path length of 0 allows no CA below, save one that issued itself', () => {
  const below = make({ issuer: 'sub', extensions: [...CA_EXTENSIONS, AKI] });
  const belowName = last();
  const end = make({ issuer: belowName, extensions: LEAF });
  refused(check(end, [sub, below]), 'path-length', `CN=${belowName}`);
  assert.equal(openssl(['sub', belowName], last()), false);
  const renewed = make({ subject: '/CN=sub', issuer: 'sub', extensions: SUB });
  const renewedName = last();
  const underRenewed = make({ issuer: renewedName, extensions: LEAF });
  assert.ok(check(underRenewed, [sub, renewed]).ok);
  assert.ok(openssl(['sub', renewedName], last()));
});

test('a leaf is only good for the purposes that it names', () => {
  refused(check(leaf, [sub], { extKeyUsage: 'serverAuth' }), 'ext-key-usage', 'CN=leaf');
  const none = make({ issuer: 'sub', extensions: ['basicConstraints=CA:FALSE', AKI] });
  refused(check(none, [sub], { extKeyUsage: 'clientAuth' }), 'ext-key-usage');
  assert.ok(check(none, [sub]).ok);
  const any = make({
    issuer: 'sub',
    extensions: ['basicConstraints=CA:FALSE', 'extendedKeyUsage=anyExtendedKeyUsage', AKI],
  });
  refused(check(any, [sub], { extKeyUsage: 'clientAuth' }), 'ext-key-usage');
  const agree = make({
    issuer: 'sub',
    extensions: [...LEAF.filter((line) => !line.startsWith('keyUsage')), 'keyUsage=critical,keyAgreement'],
  });
  refused(check(agree, [sub], { extKeyUsage: 'clientAuth' }), 'key-usage');
});

test('a CA with purposes gives no others', () => {
  const narrow = make({ issuer: 'root', extensions: [...SUB, 'extendedKeyUsage=serverAuth'] });
  const name = last();
  refused(
    check(make({ issuer: name, extensions: LEAF }), [narrow], { extKeyUsage: 'clientAuth' }),
    'ext-key-usage',
    `CN=${name}`,
  );
});

test('a critical extension that is not processed refuses the path, wherever it stands', () => {
  const unknown = '1.2.3.4.5=critical,DER:0500';
  refused(check(make({ issuer: 'sub', extensions: [...LEAF, unknown] }), [sub]), 'unknown-critical');
  const ca = make({ issuer: 'root', extensions: [...SUB, unknown] });
  const name = last();
  refused(check(make({ issuer: name, extensions: LEAF }), [ca]), 'unknown-critical', `CN=${name}`);
  assert.ok(
    check(make({ issuer: 'sub', extensions: [...LEAF, '1.2.3.4.5=DER:0500'] }), [sub]).ok,
    'when it is not critical, it is passed over',
  );
});

test('constraints on names and policies that OpenSSL writes are held to as OpenSSL holds to them', () => {
  // Without -policy OpenSSL accepts no policy at all, where RFC 5280 would have any.
  const judged = (constraint: string, leafLine: string): string => {
    const ca = make({ issuer: 'root', extensions: [...SUB, constraint] });
    const name = last();
    const end = make({ issuer: name, extensions: [...LEAF, leafLine] });
    const result = check(end, [ca]);
    assert.equal(openssl([name], last(), '-policy_check', '-policy', '2.5.29.32.0'), result.ok, constraint);
    return result.ok ? 'ok' : result.rule;
  };
  const permitted = 'nameConstraints=critical,permitted;DNS:example.org';
  assert.equal(judged(permitted, 'subjectAltName=DNS:a.example.org'), 'ok');
  assert.equal(judged(permitted, 'subjectAltName=DNS:a.example.com'), 'name-permitted');
  assert.equal(judged('nameConstraints=excluded;IP:10.0.0.0/255.0.0.0', 'subjectAltName=IP:10.1.2.3'), 'name-excluded');
  const explicit = 'policyConstraints=critical,requireExplicitPolicy:0';
  assert.equal(judged(explicit, 'certificatePolicies=1.2.3.4'), 'explicit-policy');
  assert.equal(judged(`${explicit}\ncertificatePolicies=1.2.3.4`, 'certificatePolicies=1.2.3.4'), 'ok');
  assert.equal(judged('inhibitAnyPolicy=critical,0', 'subjectAltName=DNS:a.example.org'), 'ok');
});

test('keys and signatures of other makes are accepted from 112 bits on', () => {
  const keys = new Map<string, string>();
  const made = (generate: string[], digest: string[], ok: boolean, rule?: string): void => {
    const name = `other${count}`;
    count += 1;
    const kind = generate.join(' ');
    // One RSA key for all that are signed with such a one: to make it takes longest.
    const key = keys.get(kind) ?? `${name}.key`;
    if (!keys.has(kind)) pki.run('openssl', 'genpkey', ...generate, '-out', key);
    keys.set(kind, key);
    pki.write(`${name}.ext`, CA_EXTENSIONS.join('\n'));
    pki.run('openssl', 'req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    const self = ['-req', '-in', `${name}.csr`, '-signkey', key, '-extfile', `${name}.ext`, '-days', '30'];
    pki.run('openssl', 'x509', ...self, ...digest, '-out', `${name}.pem`);
    pki.write('leaf.ext', 'basicConstraints=CA:FALSE');
    const by = ['-CA', `${name}.pem`, '-CAkey', key, '-CAcreateserial', '-extfile', 'leaf.ext'];
    pki.run('openssl', 'x509', '-req', '-in', 'leaf.csr', ...by, ...digest, '-out', `${name}-leaf.pem`);
    const result = checkPath(pki.certificate(`${name}-leaf`), [], [pki.certificate(name)], { now });
    assert.equal(result.ok, ok, `${generate.join(' ')} ${digest.join(' ')}: ${result.ok ? 'accepted' : result.detail}`);
    if (!result.ok) assert.equal(result.rule, rule);
  };
  const rsa = (bits: number) => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`];
  const ec = (curve: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`];
  const pss = (hash: string) => [`-${hash}`, '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];
  made(rsa(2048), ['-sha512'], true);
  made(rsa(2048), pss('sha256'), true);
  made(rsa(2048), pss('sha1'), false, 'algorithm');
  made(rsa(2304), ['-sha256'], true);
  made(ec('P-521'), ['-sha512'], true);
  made(ec('P-224'), ['-sha224'], true);
  made(ec('secp192k1'), ['-sha256'], false, 'algorithm');
  made(ec('secp256k1'), ['-sha256'], false, 'algorithm');
  made(['-algorithm', 'ED448'], [], true);
});

test('SHA-1 signatures and short keys are refused', () => {
  refused(check(make({ issuer: 'sub', digest: 'sha1', extensions: LEAF }), [sub]), 'algorithm');
  pki.run('openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024', '-out', 'short.key');
  refused(check(make({ issuer: 'sub', keyOf: 'short', extensions: LEAF }), [sub]), 'algorithm');
});

test('of two CAs with one name and different keys, the key identifiers choose the one that signed', () => {
  const twin = make({ subject: '/CN=sub', issuer: 'root', extensions: SUB });
  const end = make({ issuer: last(), extensions: LEAF });
  for (const pool of [
    [sub, twin],
    [twin, sub],
  ]) {
    const result = check(end, pool);
    assert.ok(result.ok);
    assert.deepEqual(result.chain[1]?.der, twin);
  }
});

test('a hostile crowd of crossed CAs ends the search, not the process', () => {
  const names = Array.from({ length: 16 }, (_, i) => `x${i}`);
  const bare = ['basicConstraints=critical,CA:TRUE', 'subjectKeyIdentifier=none'];
  const crowd = names.map((name) => pki.issue({ name, subject: '/CN=crowd', extensions: bare }));
  const end = make({ issuer: 'x0', extensions: ['basicConstraints=CA:FALSE'] });
  const bridge = pki.issue({ name: 'bridge', subject: '/CN=root', extensions: bare });
  const started = performance.now();
  refused(check(end, [...crowd, bridge]), 'no-anchor');
  assert.ok(performance.now() - started < 1000);
});
