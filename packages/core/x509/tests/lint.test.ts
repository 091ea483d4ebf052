import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { DerCertificate, DerSpki, Serial } from '../../bytes/index.ts';
import { generateSoftwareKey } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { readCertificate } from '../certificate.ts';
import {
  bitString,
  booleanTrue,
  context,
  contextPrimitive,
  generalizedTime,
  integer,
  integerFromBytes,
  nullValue,
  octetString,
  oid,
  printableString,
  sequence,
  setOf,
  time,
  tlv,
  utf8String,
} from '../der/writer.ts';
import { generalNamesDer } from '../general-names.ts';
import { LINT_RULES, lintCertificate } from '../lint/certificate.ts';
import { lintValues } from '../lint/values.ts';
import { nameConstraintsDer } from '../name-constraints.ts';
import { nameDer } from '../names.ts';
import { KEY_OIDS } from '../oids.ts';
import type { Profile } from '../profile.ts';
import { CertificateTemplate } from '../template.ts';
import type { CertificateValues } from '../values.ts';
import {
  akiDer,
  crlDer,
  type Extensions,
  type Fields,
  goodFields,
  purposesDer,
  sign,
  usageDer,
} from './broken-certificate.ts';
import {
  type Ca,
  IDEVID,
  INTERMEDIATE,
  issue,
  NOW,
  newHierarchy,
  newSigner,
  profileOf,
  RESPONDER,
  ROOT,
  SERVER,
  URLS,
  valuesOf,
} from './profiles.ts';

const { root, ca } = await newHierarchy();
const other = (await newHierarchy()).ca;
/** May name what is of one unit of Acme, which no certificate here is. */
const constrained = await constrainedCa();
const p384 = (await newHierarchy('P-384', 'P-384')).ca;
const PROFILE = profileOf({ keyAlgorithms: ['P-256', 'RSA-2048'] });
const DEVICE = newSigner('P-256');
const values = valuesOf(PROFILE, { deviceId: 'pump-1' }, ca.signer, DEVICE.spki);
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);

async function constrainedCa(): Promise<Ca> {
  const profile: Profile = {
    ...INTERMEDIATE,
    ca: { pathLength: 0, permitted: { organization: 'Acme', organizationalUnit: 'berlin-1', hosts: true } },
  };
  const signer = newSigner('P-256');
  const template = new CertificateTemplate(profile, { certificate: root.certificate }, {});
  return { certificate: await issue(template, valuesOf(profile, {}, root.signer, signer.spki), root.signer), signer };
}

interface Case {
  readonly change?: Partial<Fields>;
  readonly extensions?: Extensions;
  /** Without any extension. */
  readonly bare?: true;
  readonly profile?: Profile;
  readonly issuer?: Ca;
  readonly by?: Ca;
}

const rdn = (type: string, value: Uint8Array) => sequence(setOf(sequence(oid(type), value)));
const rsa2048 = sequence(
  sequence(oid(KEY_OIDS.rsaEncryption), nullValue()),
  bitString(sequence(integerFromBytes(new Uint8Array(256).fill(0xff)), integer(65_537))),
) as DerSpki;
const p521 = sequence(sequence(oid(KEY_OIDS.ecPublicKey), oid('1.3.132.0.35')), bitString(new Uint8Array(133).fill(4)));
const offCurve = Uint8Array.from(DEVICE.spki);
offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;

const PERMITTED = { organization: 'Acme', organizationalUnit: 'berlin-1', hosts: false };

/** For each rule, certificates that break it. */
const BROKEN: Readonly<Record<string, readonly Case[]>> = {
  version: [
    { bare: true, change: { version: context(0, integer(1)) } },
    { bare: true, change: { version: new Uint8Array(0) } },
  ],
  'serial-positive': [
    { change: { serial: tlv(2, Uint8Array.of(0x80, ...Array<number>(15).fill(1))) } },
    { change: { serial: integer(0) } },
  ],
  'serial-length': [{ change: { serial: tlv(2, new Uint8Array(21).fill(0x11)) } }],
  'serial-entropy': [{ change: { serial: integer(1234) } }],
  'signature-algorithm': [{ change: { algorithm: signatureAlgorithmDer('Ed25519') } }],
  'signature-strength': [{ issuer: p384, by: p384, change: { algorithm: signatureAlgorithmDer('ecdsa-with-SHA256') } }],
  'issuer-empty': [{ change: { issuer: sequence() } }],
  'issuer-name': [
    { change: { issuer: nameDer({ rdns: [{ type: 'CN', value: 'Other' }] }) } },
    // The same name for people, in another string type: a comparison by octets fails, as in many clients.
    {
      change: {
        issuer: sequence(
          setOf(sequence(oid('2.5.4.10'), printableString('Acme'))),
          setOf(sequence(oid('2.5.4.3'), printableString('Acme Operational'))),
        ),
      },
    },
  ],
  'issuer-is-subject': [{ change: { subject: readCertificate(ca.certificate).subjectDer } }],
  'validity-order': [{ change: { notAfter: time(later(-3600)) } }, { change: { notAfter: time(values.notBefore) } }],
  'validity-encoding': [
    { change: { notBefore: generalizedTime(NOW) } },
    { change: { notAfter: generalizedTime(later(60)) } },
  ],
  'validity-nesting': [{ change: { notAfter: time(later(6 * 365 * 86_400)) } }],
  'subject-empty': [
    { change: { subject: sequence() } },
    { change: { subject: sequence() }, extensions: { subjectAltName: undefined } },
    { change: { subject: sequence() }, extensions: { basicConstraints: [true, sequence(booleanTrue())] } },
  ],
  'name-string-type': [
    { change: { subject: rdn('2.5.4.5', utf8String('pump-1')) } },
    { change: { subject: rdn('2.5.4.3', tlv(0x14, Buffer.from('pump-1'))) } },
    { change: { subject: rdn('2.5.4.3', tlv(0x1e, Buffer.from('\0p\0u'))) } },
  ],
  'name-length': [
    { change: { subject: rdn('2.5.4.3', utf8String('p'.repeat(65))) } },
    { change: { subject: rdn('2.5.4.3', utf8String('')) } },
    { change: { subject: rdn('2.5.4.6', printableString('DEU')) } },
  ],
  'unique-identifiers': [
    { change: { uniqueIdentifiers: contextPrimitive(1, Uint8Array.of(0, 1)) } },
    { change: { uniqueIdentifiers: contextPrimitive(2, Uint8Array.of(0, 1)) } },
  ],
  'key-algorithm': [{ change: { spki: p521 } }],
  'key-strength': [{ change: { spki: rsa2048 } }],
  'key-of-issuer': [{ change: { spki: ca.signer.spki } }],
  'extension-critical-flag': [
    { extensions: { subjectKeyIdentifier: [true, octetString(new Uint8Array(20))] } },
    { extensions: { authorityKeyIdentifier: [true, akiDer(readCertificate(ca.certificate).ski ?? '')] } },
    { extensions: { cRLDistributionPoints: [true, crlDer(URLS.crl ?? '')] } },
  ],
  ski: [
    { extensions: { subjectKeyIdentifier: undefined } },
    { extensions: { subjectKeyIdentifier: [false, octetString(new Uint8Array(20))] } },
  ],
  aki: [
    { extensions: { authorityKeyIdentifier: undefined } },
    { extensions: { authorityKeyIdentifier: [false, akiDer('00'.repeat(20))] } },
    { extensions: { authorityKeyIdentifier: [false, sequence()] } },
    {
      extensions: {
        authorityKeyIdentifier: [
          false,
          sequence(
            contextPrimitive(0, Buffer.from(readCertificate(ca.certificate).ski ?? '', 'hex')),
            context(1, context(4, readCertificate(ca.certificate).issuerDer)),
            contextPrimitive(2, Uint8Array.of(5)),
          ),
        ],
      },
    },
  ],
  'key-usage': [
    { extensions: { keyUsage: undefined } },
    { extensions: { keyUsage: [false, usageDer('digitalSignature')] } },
  ],
  'key-usage-of-ca': [
    { extensions: { keyUsage: [true, usageDer('digitalSignature', 'keyCertSign')] } },
    { extensions: { basicConstraints: [true, sequence(booleanTrue())] } },
  ],
  'key-usage-of-key': [
    { extensions: { keyUsage: [true, usageDer('digitalSignature', 'keyEncipherment')] } },
    { extensions: { keyUsage: [true, usageDer('digitalSignature', 'dataEncipherment')] } },
  ],
  'basic-constraints': [
    { extensions: { basicConstraints: [true, sequence()] } },
    { extensions: { basicConstraints: [false, sequence(booleanTrue())], keyUsage: [true, usageDer('keyCertSign')] } },
  ],
  'name-constraints': [
    { extensions: { nameConstraints: [true, nameConstraintsDer(PERMITTED)] } },
    {
      extensions: {
        basicConstraints: [true, sequence(booleanTrue())],
        nameConstraints: [false, nameConstraintsDer(PERMITTED)],
      },
    },
  ],
  'names-permitted': [{ issuer: constrained, by: constrained }],
  'issuer-may-sign': [
    {
      extensions: {
        basicConstraints: [true, sequence(booleanTrue(), integer(0))],
        keyUsage: [true, usageDer('keyCertSign')],
      },
    },
    { extensions: { basicConstraints: [true, sequence(booleanTrue())], keyUsage: [true, usageDer('keyCertSign')] } },
  ],
  'alternative-name': [
    { extensions: { subjectAltName: [true, generalNamesDer(values.san)] } },
    { extensions: { subjectAltName: [false, sequence(contextPrimitive(2, Buffer.from('Pump_1')))] } },
    { extensions: { subjectAltName: [false, sequence(contextPrimitive(6, Buffer.from('relative')))] } },
    { extensions: { subjectAltName: [false, sequence(contextPrimitive(1, Buffer.from('a@b.example')))] } },
  ],
  'extended-key-usage': [
    { extensions: { keyUsage: [true, usageDer('nonRepudiation')] } },
    { extensions: { extKeyUsage: [false, sequence(oid('2.5.29.37.0'))] } },
    // RFC 3161 section 2.3: alone, and critical.
    { extensions: { extKeyUsage: [false, purposesDer('timeStamping')] } },
    { extensions: { extKeyUsage: [true, purposesDer('timeStamping', 'clientAuth')] } },
  ],
  'status-url': [
    { extensions: { cRLDistributionPoints: [false, crlDer('https://localhost/x.crl')] } },
    { extensions: { cRLDistributionPoints: [false, crlDer('http:x.crl')] } },
  ],
  'crl-issuer': [
    { extensions: { cRLDistributionPoints: [false, crlDer(URLS.crl ?? '', readCertificate(ca.certificate).subject)] } },
    { extensions: { cRLDistributionPoints: [false, crlDer(URLS.crl ?? '', { rdns: [] })] } },
    { extensions: { freshestCRL: [false, crlDer(URLS.crl ?? '', { rdns: [] })] } },
    {
      extensions: {
        cRLDistributionPoints: [
          false,
          sequence(sequence(context(2, contextPrimitive(6, Buffer.from('http://localhost/'))))),
        ],
      },
    },
  ],
  'ocsp-no-check': [
    { extensions: { ocspNoCheck: [false, nullValue()] } },
    { extensions: { ocspNoCheck: [false, integer(1)], extKeyUsage: [false, purposesDer('OCSPSigning')] } },
  ],
  'profile-issuer': [{ profile: { ...ROOT, keyAlgorithms: ['P-256'] } }],
  'profile-ca': [
    { extensions: { basicConstraints: [true, sequence(booleanTrue())] } },
    { profile: { ...PROFILE, ca: { pathLength: 0 } } },
  ],
  'profile-name-constraints': [
    { extensions: { nameConstraints: [true, nameConstraintsDer(PERMITTED)] } },
    { profile: { ...PROFILE, ca: { pathLength: 0, permitted: PERMITTED } } },
    {
      profile: { ...PROFILE, ca: { pathLength: 0, permitted: PERMITTED } },
      extensions: { nameConstraints: [true, nameConstraintsDer({ ...PERMITTED, hosts: true })] },
    },
  ],
  'profile-key-algorithm': [{ profile: { ...PROFILE, keyAlgorithms: ['P-384'] } }],
  'profile-key-usage': [{ extensions: { keyUsage: [true, usageDer('digitalSignature', 'keyAgreement')] } }],
  'profile-extended-key-usage': [
    { extensions: { extKeyUsage: undefined } },
    { extensions: { extKeyUsage: [false, purposesDer('clientAuth', 'serverAuth')] } },
  ],
  'profile-names': [
    { change: { subject: nameDer({ rdns: [{ type: 'CN', value: 'pump-1' }] }) } },
    { extensions: { subjectAltName: undefined } },
    { extensions: { subjectAltName: [false, generalNamesDer(['URI:urn:keystead:device:pump-2'])] } },
    { extensions: { subjectAltName: [false, generalNamesDer([...values.san, 'DNS:localhost'])] } },
    { profile: SERVER },
    { profile: RESPONDER },
  ],
  'profile-validity': [{ change: { notAfter: time(later(91)) } }, { profile: IDEVID }],
  'profile-ocsp-no-check': [
    { extensions: { ocspNoCheck: [false, nullValue()] } },
    { profile: { ...PROFILE, ocspNoCheck: true } },
  ],
  'profile-extension': [
    { extensions: { certificatePolicies: [false, sequence(sequence(oid('2.5.29.32.0')))] } },
    { extensions: { '1.2.3.4': [false, nullValue()] } },
  ],
  signature: [{ by: other }],
  'key-good': [{ change: { spki: offCurve } }],
};

const made = async ({ change, extensions, bare, by = ca }: Case): Promise<DerCertificate> => {
  const good = goodFields(values, by === other ? ca : by);
  return sign({ ...good, ...change, extensions: bare ? {} : { ...good.extensions, ...extensions } }, by.signer);
};

const hit = new Set<string>();
after(() => {
  const never = LINT_RULES.filter(({ rule }) => !hit.has(rule)).map(({ rule }) => rule);
  assert.deepEqual(never, [], 'a rule that no certificate here breaks is not tested');
});

test('the certificate that all others here are changed from breaks no rule', async () => {
  assert.deepEqual(lintCertificate(await made({}), PROFILE, ca.certificate), []);
});

for (const [rule, cases] of Object.entries(BROKEN))
  for (const [index, broken] of cases.entries())
    test(`a certificate that breaks ${rule} is found, with its source (${index + 1})`, async () => {
      const der = await made(broken);
      const findings = lintCertificate(der, broken.profile ?? PROFILE, (broken.issuer ?? ca).certificate);
      const finding = findings.find((found) => found.rule === rule);
      assert.ok(finding, `found only ${findings.map((found) => found.rule).join(', ') || 'nothing'}`);
      assert.match(finding.source, /^(RFC \d+|SP 800-|CA\/B|profile)/);
      assert.notEqual(finding.detail, '');
      hit.add(rule);
    });

test('what is not a certificate gives one finding', () => {
  assert.deepEqual(
    lintCertificate(Uint8Array.of(0x30, 0) as DerCertificate, PROFILE, ca.certificate).map(({ rule }) => rule),
    ['der'],
  );
});

const template = new CertificateTemplate(
  { ...PROFILE, keyAlgorithms: ['P-256'] },
  { certificate: ca.certificate },
  URLS,
);
const endless = new CertificateTemplate(IDEVID, { certificate: ca.certificate }, URLS);
const BROKEN_VALUES: readonly (readonly [
  rule: string,
  change: Partial<CertificateValues>,
  template?: CertificateTemplate,
])[] = [
  ['serial-positive', { serial: '00' as Serial }],
  ['serial-positive', { serial: '' as Serial }],
  ['serial-positive', { serial: `-${'11'.repeat(16)}` as Serial }],
  ['serial-positive', { serial: 'AB'.repeat(16) as Serial }],
  ['serial-length', { serial: '11'.repeat(21) as Serial }],
  ['serial-length', { serial: 'ff'.repeat(20) as Serial }],
  ['serial-entropy', { serial: '11'.repeat(7) as Serial }],
  ['validity-order', { notAfter: values.notBefore }],
  ['validity-order', { notBefore: new Date(Number.NaN) }],
  ['validity-order', { notAfter: new Date(Number.NaN) }],
  ['validity-ceiling', { notAfter: later(92) }],
  ['validity-ceiling', { notAfter: 'none' }],
  ['validity-ceiling', { notAfter: later(60) }, endless],
  ['validity-nesting', { notAfter: later(6 * 365 * 86_400) }],
  ['key-algorithm', { spki: generateSoftwareKey('P-384').spki }],
  ['key-algorithm', { spki: Uint8Array.of(0x30, 0) as DerSpki }],
  ['key-strength', { spki: rsa2048 }],
  ['key-of-issuer', { spki: ca.signer.spki }],
  ['signature-algorithm', { signatureAlgorithm: 'Ed25519' }],
  ['signature-algorithm', { signatureAlgorithm: 'sha256WithRSAEncryption' }],
  ['subject-empty', { subject: { rdns: [] }, san: [] }],
  ['names', { subject: { rdns: [] } }],
  ['names', { san: [] }],
  ['names', { san: ['URI:urn:keystead:device:pump-2'] }],
  ['names', { san: [...values.san, 'DNS:localhost'] }],
  ['names', { san: [...values.san, ...values.san] }],
  ['names', { subject: { rdns: values.subject.rdns.slice(0, 2) } }],
  ['names', { subject: { rdns: [...values.subject.rdns].reverse() } }],
  ['names', { subject: { rdns: values.subject.rdns.map((each) => ({ ...each, value: 'pump_1' })) } }],
];

for (const [rule, change, by = template] of BROKEN_VALUES)
  test(`values that break ${rule} are never encoded: ${Object.keys(change).join(', ')} (${JSON.stringify(Object.values(change)[0])?.slice(0, 50)})`, () => {
    const bad = { ...values, ...change };
    assert.ok(lintValues(by, bad).some((finding) => finding.rule === rule));
    assert.throws(
      () => by.tbs(bad),
      (error) => error instanceof KeysteadError && error.code === 'certificate.lint-failed',
    );
  });

test('a P-384 CA signs with SHA-384 and nothing less', () => {
  const strong = new CertificateTemplate(
    { ...PROFILE, keyAlgorithms: ['P-256'] },
    { certificate: p384.certificate },
    URLS,
  );
  strong.tbs({ ...values, signatureAlgorithm: 'ecdsa-with-SHA384' });
  assert.deepEqual(
    lintValues(strong, values).map(({ rule }) => rule),
    ['signature-strength'],
  );
});

test('good values are encoded, also of an identity without end under a CA that ends', () => {
  template.tbs(values);
  endless.tbs({ ...values, notAfter: 'none' });
  assert.ok(readCertificate(root.certificate).ca);
});
