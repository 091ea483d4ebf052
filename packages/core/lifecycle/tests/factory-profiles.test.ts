import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, type Signer, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  caProfile,
  certify,
  checkFactoryCa,
  checkFactoryPolicy,
  checkPolicy,
  demoPolicy,
  type FactoryCa,
  factoryCaProfile,
  factoryProfile,
  type Policy,
  profileOf,
} from '@keystead/core/lifecycle';
import {
  assembleSigned,
  CertificateTemplate,
  checkPath,
  type Named,
  namesFor,
  newSerial,
  type Profile,
} from '@keystead/core/x509';

const NOW = new Date('2026-11-28T08:00:00Z');
const newSigner = (algorithm: 'P-256' | 'P-384' = 'P-256'): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);

const policy = demoPolicy({ operators: [], issued: NOW, factory: {} });
const dir = mkdtempSync(join(tmpdir(), 'keystead-factory-profiles-'));
after(() => rmSync(dir, { recursive: true, force: true }));

interface Ca {
  readonly certificate: DerCertificate;
  readonly signer: Signer;
}

let root: Ca;
let above: { manufacturing: Ca; server: Ca };
let berlin: { manufacturing: Ca; server: Ca };

async function caOf(profile: Profile, issuer: Ca | 'self', key: Signer = newSigner()): Promise<Ca> {
  const certificate = await certify({
    profile,
    issuer: issuer === 'self' ? 'self' : issuer.certificate,
    signer: issuer === 'self' ? key : issuer.signer,
    spki: key.spki,
    urls: {},
    now: NOW,
  });
  return { certificate, signer: key };
}

before(async () => {
  root = await caOf(caProfile(policy, 'root'), 'self', newSigner('P-384'));
  above = {
    manufacturing: await caOf(caProfile(policy, 'manufacturing'), root),
    server: await caOf(caProfile(policy, 'server'), root),
  };
  berlin = {
    manufacturing: await caOf(
      factoryCaProfile(policy, 'manufacturing', 'berlin-1', 86_400, HOSTS),
      above.manufacturing,
    ),
    server: await caOf(factoryCaProfile(policy, 'server', 'berlin-1', 86_400, HOSTS), above.server),
  };
});

/** What the servers of the factory are called. */
const HOSTS = ['berlin-1.example', '192.0.2.1'];

/** What whoever holds the key of a sub-CA may sign: as if there were no constraints in its certificate. */
async function forged(profile: Profile, named: Named, ca: 'manufacturing' | 'server'): Promise<DerCertificate> {
  const { signer } = berlin[ca];
  const loose = { ...factoryCaProfile(policy, ca, 'berlin-1', 86_400, HOSTS), ca: { pathLength: 0 } };
  const { certificate } = await caOf(loose, above[ca], signer);
  const tbs = new CertificateTemplate(profile, { certificate }, {}).tbs({
    ...namesFor(profile, named),
    serial: newSerial(),
    notBefore: NOW,
    notAfter: profile.validity.seconds === 'none' ? 'none' : new Date(NOW.getTime() + 3_600_000),
    spki: newSigner().spki,
    signatureAlgorithm: signer.signatureAlgorithm,
  });
  return assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
}

function opensslVerifies(leaf: DerCertificate, ca: FactoryCa): boolean {
  const pem = (name: string, ...ders: DerCertificate[]): string => {
    const path = join(dir, name);
    writeFileSync(path, ders.map((der) => toPem('CERTIFICATE', der)).join(''));
    return path;
  };
  const args = [
    ...['verify', '-x509_strict', '-attime', String(NOW.getTime() / 1000 + 60)],
    ...[
      '-CAfile',
      pem('root.pem', root.certificate),
      '-untrusted',
      pem('cas.pem', berlin[ca].certificate, above[ca].certificate),
    ],
    pem('leaf.pem', leaf),
  ];
  try {
    execFileSync('openssl', args, { stdio: 'pipe' });
    return true;
  } catch (error) {
    const { stderr, stdout } = error as { stderr: Buffer; stdout: Buffer };
    assert.match(`${stderr}${stdout}`, /permitted subtree violation|excluded subtree violation/);
    return false;
  }
}

function weVerify(leaf: DerCertificate, ca: FactoryCa): string {
  const path = checkPath(leaf, [berlin[ca].certificate, above[ca].certificate], [root.certificate], {
    now: new Date(NOW.getTime() + 60_000),
  });
  return path.ok ? 'ok' : path.rule;
}

test('an IDevID of the factory verifies with the whole chain, by openssl and by us; one of another factory by neither (TEST-KEY-17) [openssl: X.509 verify chain of a factory]', async () => {
  const idevid = profileOf(policy, 'idevid');
  const own = await forged(factoryProfile(idevid, 'berlin-1'), { deviceId: 'B1-0001' }, 'manufacturing');
  assert.equal(opensslVerifies(own, 'manufacturing'), true);
  assert.equal(weVerify(own, 'manufacturing'), 'ok');
  for (const profile of [
    factoryProfile(idevid, 'lyon-2'),
    idevid,
    factoryProfile({ ...idevid, subject: { ...idevid.subject, organization: 'Other' } }, 'berlin-1'),
  ]) {
    const stolen = await forged(profile, { deviceId: 'B1-0001' }, 'manufacturing');
    assert.equal(opensslVerifies(stolen, 'manufacturing'), false);
    assert.equal(weVerify(stolen, 'manufacturing'), 'name-permitted');
  }
});

test('a manufacturing sub-CA whose key was stolen makes no server: every host and address is excluded', async () => {
  const tls = factoryProfile(profileOf(policy, 'tls-server'), 'berlin-1');
  for (const hosts of [['berlin-1.example'], ['line.berlin-1.example', '192.0.2.1']]) {
    const stolen = await forged(tls, { hosts }, 'manufacturing');
    assert.equal(opensslVerifies(stolen, 'manufacturing'), false);
    assert.equal(weVerify(stolen, 'manufacturing'), 'name-excluded');
    const meant = await forged(tls, { hosts }, 'server');
    assert.equal(opensslVerifies(meant, 'server'), true);
    assert.equal(weVerify(meant, 'server'), 'ok');
  }
});

test('a server sub-CA whose key was stolen makes servers of its own factory and of nobody else, least of all of headquarters', async () => {
  const tls = factoryProfile(profileOf(policy, 'tls-server'), 'berlin-1');
  for (const hosts of [['hq.example'], ['berlin-1.example', '192.0.2.2'], ['berlin-1.example', '2001:db8::1']]) {
    const stolen = await forged(tls, { hosts }, 'server');
    assert.equal(opensslVerifies(stolen, 'server'), false);
    assert.equal(weVerify(stolen, 'server'), 'name-permitted');
  }
  // Where it has names alone, or addresses alone, none of the other form is permitted.
  for (const [names, hosts] of [
    [['berlin-1.example'], ['berlin-1.example', '192.0.2.1']],
    [['192.0.2.1'], ['192.0.2.1', 'berlin-1.example']],
  ] as const) {
    const ca = await caOf(factoryCaProfile(policy, 'server', 'berlin-1', 86_400, names), above.server);
    const before = berlin.server;
    berlin.server = { ...ca, signer: ca.signer };
    const stolen = await forged(tls, { hosts }, 'server');
    assert.equal(opensslVerifies(stolen, 'server'), false);
    assert.equal(weVerify(stolen, 'server'), 'name-excluded');
    berlin.server = before;
  }
});

const code = (expected: string, field?: RegExp) => (error: unknown) =>
  error instanceof KeysteadError && error.code === expected && (field === undefined || field.test(error.field ?? ''));

test('a sub-CA that lacks a constraint is refused, each with the rule that it breaks', async () => {
  const expected = {
    policy,
    ca: 'manufacturing',
    factory: 'berlin-1',
    serverNames: HOSTS,
    issuer: above.manufacturing.certificate,
  } as const;
  checkFactoryCa(berlin.manufacturing.certificate, expected);
  const good = factoryCaProfile(policy, 'manufacturing', 'berlin-1', 86_400, HOSTS);
  const permitted = { organization: 'Keystead', organizationalUnit: 'berlin-1', hosts: false };
  const cases: readonly [Profile, RegExp][] = [
    [{ ...good, ca: { pathLength: 0 } }, /profile-name-constraints/],
    [
      { ...good, ca: { pathLength: 0, permitted: { ...permitted, organizationalUnit: 'lyon-2' } } },
      /profile-name-constraints/,
    ],
    [{ ...good, ca: { pathLength: 0, permitted: { ...permitted, hosts: true } } }, /profile-name-constraints/],
    [factoryCaProfile(policy, 'manufacturing', 'lyon-2', 86_400, HOSTS), /profile-names|profile-name-constraints/],
    [{ ...good, validity: { ...good.validity, seconds: 91 * 86_400 } }, /profile-validity/],
  ];
  for (const [profile, rule] of cases) {
    const { certificate } = await caOf(profile, above.manufacturing);
    assert.throws(() => checkFactoryCa(certificate, expected), code('factory.constraint-missing', rule));
  }
  const server = berlin.server.certificate;
  assert.throws(() => checkFactoryCa(server, expected), code('factory.constraint-missing'));
});

test('a sub-CA that may have CAs below it cannot even be certified', async () => {
  const good = factoryCaProfile(policy, 'manufacturing', 'berlin-1', 86_400, HOSTS);
  const permitted = { organization: 'Keystead', organizationalUnit: 'berlin-1', hosts: false };
  const profile = { ...good, ca: { pathLength: 1, permitted } };
  await assert.rejects(caOf(profile, above.manufacturing), code('certificate.lint-failed'));
});

test('a policy can neither set the factory of a subject nor permitted names, and with factories it needs longer paths', () => {
  const edited = (edit: (policy: Policy) => void): Policy => {
    const copy = structuredClone(policy);
    edit(copy);
    return copy;
  };
  const set = (id: string, change: (profile: Profile) => void) =>
    edited(({ profiles }) => {
      const profile = profiles.find((one) => one.id === id);
      if (profile !== undefined) change(profile);
    });
  const permitted = { organization: 'Keystead', organizationalUnit: 'x', hosts: true };
  const refused: readonly [Policy, string][] = [
    [
      set('idevid', (profile) => Object.assign(profile.subject, { organizationalUnit: 'berlin-1' })),
      'policy.hierarchy',
    ],
    [set('server-ca', (profile) => Object.assign(profile, { ca: { pathLength: 1, permitted } })), 'policy.hierarchy'],
    [set('server-ca', (profile) => Object.assign(profile, { ca: { pathLength: 0 } })), 'policy.factory-hierarchy'],
    [set('root-ca', (profile) => Object.assign(profile, { ca: { pathLength: 1 } })), 'policy.factory-hierarchy'],
    [set('operator-ca', (profile) => Object.assign(profile, { ca: { pathLength: 1 } })), 'policy.hierarchy'],
    [edited((copy) => Reflect.deleteProperty(copy, 'factory')), 'policy.hierarchy'],
  ];
  checkPolicy(policy);
  for (const [changed, expected] of refused) assert.throws(() => checkPolicy(changed), code(expected));
});

test('a policy without a section for factories, or that names another organization, is none to work by at a node', () => {
  checkFactoryPolicy(policy);
  assert.throws(
    () => checkFactoryPolicy(demoPolicy({ operators: [], issued: NOW })),
    code('policy.factory-missing', /factory/),
  );
  const profiles = policy.profiles.map((profile) =>
    profile.id === 'idevid' ? { ...profile, subject: { ...profile.subject, organization: 'Other' } } : profile,
  );
  assert.throws(() => checkFactoryPolicy({ ...policy, profiles }), code('policy.factory-names', /idevid/));
});
