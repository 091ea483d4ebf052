import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCertificate } from '../../certificate.ts';
import { readRevocationList } from '../../crl/list.ts';
import { context, contextPrimitive, ia5String, nullValue, oid, sequence, tlv } from '../../der/writer.ts';
import { EXTENSIONS } from '../../oids.ts';
import { checkRevocation } from '../../revocation/check.ts';
import { RevocationLists } from '../../revocation/lists.ts';
import {
  altNames,
  crlPoints,
  distributionPoint,
  extension,
  type ForgedCertificate,
  forge,
  forgeCrl,
  NOW,
  type Wish,
} from '../../tests/forge.ts';
import { CertificateBag } from '../build.ts';
import { checkPath } from '../check.ts';

/**
 * Cases of x509-limbo (C2SP, Apache-2.0) by their names there, with certificates made here: its own are in one file of
 * many megabytes. Those on name constraints and on rings of CAs are in the tests of these. Where Keystead differs, the
 * reason stands in the line.
 */
interface Chain {
  readonly root?: Wish;
  /** From the root down. */
  readonly via?: readonly Wish[];
  readonly leaf?: Wish;
}

const UNKNOWN = extension('1.3.6.1.4.1.55738.666.1', true, nullValue());
const AIA = (critical: boolean) => {
  const issuers = sequence(oid('1.3.6.1.5.5.7.48.2'), contextPrimitive(2, ia5String('example.com').subarray(2)));
  return extension(EXTENSIONS.authorityInfoAccess, critical, sequence(issuers));
};
const ca = (subject: string, wish: Wish = {}): Wish => ({ subject: [`CN=${subject}`], ca: true, ...wish });
const notCa = extension(EXTENSIONS.basicConstraints, true, sequence());

const PATHS: readonly (readonly [name: string, Chain, rule: string])[] = [
  ['pathlen::ee-with-intermediate-pathlen-0', { via: [ca('1', { pathLength: 0 })] }, 'ok'],
  ['pathlen::ee-with-intermediate-pathlen-1', { via: [ca('1', { pathLength: 1 })] }, 'ok'],
  [
    'pathlen::validation-ignores-pathlen-in-leaf',
    { via: [ca('1', { pathLength: 0 })], leaf: ca('2', { pathLength: 0 }) },
    'ok',
  ],
  [
    'pathlen::intermediate-violates-pathlen-0',
    { via: [ca('1', { pathLength: 0 }), ca('2', { pathLength: 0 })] },
    'path-length',
  ],
  [
    'pathlen::intermediate-pathlen-may-increase',
    { via: [ca('1', { pathLength: 1 }), ca('2', { pathLength: 2 })] },
    'ok',
  ],
  [
    'pathlen::intermediate-pathlen-too-long',
    { via: [ca('1', { pathLength: 1 }), ca('2', { pathLength: 0 }), ca('3', { pathLength: 0 })] },
    'path-length',
  ],
  [
    'pathlen::self-issued-certs-pathlen',
    { via: [ca('1', { pathLength: 1 }), ca('1', { pathLength: 1 }), ca('2', { pathLength: 0 })] },
    'ok',
  ],
  ['rfc5280::ca-empty-subject', { root: { ca: true } }, 'malformed'],
  ['rfc5280::unknown-critical-extension-ee', { leaf: { extensions: [UNKNOWN] } }, 'unknown-critical'],
  ['rfc5280::unknown-critical-extension-root', { root: ca('root', { extensions: [UNKNOWN] }) }, 'unknown-critical'],
  [
    'rfc5280::unknown-critical-extension-intermediate',
    { via: [ca('1', { extensions: [UNKNOWN] })] },
    'unknown-critical',
  ],
  ['rfc5280::intermediate-ca-without-ca-bit', { via: [ca('1', { ca: false, extensions: [notCa] })] }, 'not-ca'],
  ['rfc5280::intermediate-ca-missing-basic-constraints', { via: [ca('1', { ca: false })] }, 'not-ca'],
  ['rfc5280::root-missing-basic-constraints', { root: ca('root', { ca: false }) }, 'not-ca'],
  ['rfc5280::root-inconsistent-ca-extensions', { root: ca('root', { keyUsage: ['digitalSignature'] }) }, 'key-usage'],
  ['rfc5280::ica-ku-keycertsign', { via: [ca('1', { pathLength: 0, keyUsage: ['digitalSignature'] })] }, 'key-usage'],
  [
    'rfc5280::leaf-ku-keycertsign',
    { leaf: { keyUsage: ['digitalSignature', 'keyCertSign'], extensions: [notCa] } },
    'not-ca',
  ],
  ['rfc5280::ee-aia', { leaf: { extensions: [AIA(false)] } }, 'ok'],
  ['rfc5280::ee-critical-aia-invalid', { leaf: { extensions: [AIA(true)] } }, 'unknown-critical'],
  [
    'rfc5280::duplicate-extensions',
    { leaf: { extensions: [altNames('DNS:a.org'), altNames('DNS:a.org')] } },
    'malformed',
  ],
  ['rfc5280::no-keyusage', { leaf: { keyUsage: [] } }, 'ok'],
  ['rfc5280::no-basicconstraints', { leaf: {} }, 'ok'],
];

for (const [name, chain, rule] of PATHS)
  test(`x509-limbo ${name}: ${rule}`, () => {
    const root = forge(chain.root ?? ca('root'));
    const via: ForgedCertificate[] = [];
    for (const wish of chain.via ?? []) via.push(forge({ by: via.at(-1) ?? root, ...wish }));
    const leaf = forge({ by: via.at(-1) ?? root, ...chain.leaf });
    const result = checkPath(
      leaf.der,
      via.map(({ der }) => der),
      [root.der],
      { now: NOW },
    );
    assert.equal(result.ok ? 'ok' : result.rule, rule, result.ok ? '' : result.detail);
  });

test('x509-limbo rfc5280::chain-untrusted-root: no-anchor', () => {
  const root = forge(ca('root'));
  const via = forge({ by: root, ...ca('1') });
  const result = checkPath(forge({ by: via }).der, [root.der, via.der], [forge(ca('unrelated')).der], { now: NOW });
  assert.equal(result.ok || result.rule, 'no-anchor');
});

const URI = 'http://example.com/cdp.crl';
const named = (url: string): Uint8Array => context(0, context(0, contextPrimitive(6, Buffer.from(url, 'latin1'))));
const only = (tag: number): Uint8Array => tlv(tag, Uint8Array.of(0xff));
const CDP = { extensions: [crlPoints(distributionPoint({ url: URI }))] };

const LISTS: readonly (readonly [name: string, leaf: Wish, point: readonly Uint8Array[] | undefined, rule: string])[] =
  [
    ['crl::idp-cdp-scope-mismatch', CDP, [named('http://example.com/other.crl')], 'status-unavailable'],
    ['crl::idp-cdp-scope-match', CDP, [named(URI)], 'ok'],
    ['crl::idp-only-contains-ca-certs-ee-target', {}, [only(0x82)], 'status-unavailable'],
    ['crl::idp-present-certificate-missing-cdp', {}, [named(URI)], 'status-unavailable'],
    ['crl::idp-only-contains-attribute-certs', {}, [only(0x85)], 'status-unavailable'],
  ];

for (const [name, wish, point, rule] of LISTS)
  test(`x509-limbo ${name}: ${rule}`, () => {
    const root = forge(ca('root'));
    const path = checkPath(forge({ by: root, ...wish }).der, [], [root.der], { now: NOW });
    assert.ok(path.ok);
    const lists = new RevocationLists([readRevocationList(forgeCrl({ by: root, point }))]);
    const bag = new CertificateBag([readCertificate(root.der)]);
    const result = checkRevocation(path.chain, { lists }, { now: NOW, bag });
    assert.equal(result.ok ? 'ok' : result.rule, rule);
  });
