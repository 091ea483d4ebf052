import assert from 'node:assert/strict';
import { test } from 'node:test';
import { context, octetString, oid, sequence } from '../../der/writer.ts';
import { EXTENSIONS } from '../../oids.ts';
import { altNames, dn, extension, forge, generalName, NOW, nameConstraints, type Wish } from '../../tests/forge.ts';
import { checkPath } from '../check.ts';

type Case = readonly [what: string, subtrees: Parameters<typeof nameConstraints>[0], leaf: Wish, rule: string];
const san = (...names: string[]): Wish => ({ extensions: [altNames(...names)] });
const FOO = { subject: ['CN=foo'] };

/**
 * What x509-limbo (C2SP, Apache-2.0; limbo/testcases/rfc5280/nc.py) holds a verifier to, with certificates made here:
 * `root` with the constraints, then the leaf. The last column is Keystead's rule, or 'ok'.
 */
const LIMBO: readonly Case[] = [
  ['permitted-dns-mismatch', { permitted: ['DNS:example.com'] }, san('DNS:not-example.com'), 'name-permitted'],
  ['excluded-dns-match', { excluded: ['DNS:example.com'] }, san('DNS:example.com'), 'name-excluded'],
  ['permitted-dns-match', { permitted: ['DNS:example.com'] }, san('DNS:example.com'), 'ok'],
  ['permitted-dns-match-more', { permitted: ['DNS:example.com'] }, san('DNS:foo.bar.example.com'), 'ok'],
  [
    'excluded-dns-match-second',
    { excluded: ['DNS:no.example.com'] },
    san('DNS:example.com', 'DNS:no.example.com'),
    'name-excluded',
  ],
  ['permitted-ip-mismatch', { permitted: ['IP:192.0.2.0/255.255.255.0'] }, san('IP:192.0.3.1'), 'name-permitted'],
  ['excluded-ipv4-match', { excluded: ['IP:192.0.2.0/255.255.255.0'] }, san('IP:192.0.2.1'), 'name-excluded'],
  ['excluded-ipv6-match', { excluded: [`IP:::1/${'f'.repeat(32)}`] }, san('IP:::1'), 'name-excluded'],
  ['permitted-ipv4-match', { permitted: ['IP:192.0.2.0/255.255.255.0'] }, san('IP:192.0.2.1'), 'ok'],
  ['permitted-ipv6-match', { permitted: [`IP:::1/${'f'.repeat(32)}`] }, san('IP:::1'), 'ok'],
  [
    'permitted-dn-mismatch',
    { permitted: ['dir:CN=foo'] },
    { subject: ['CN=not-foo'], ...san('dir:CN=not-foo') },
    'name-permitted',
  ],
  ['excluded-dn-match', { excluded: ['dir:CN=foo'] }, { ...FOO, ...san('dir:CN=foo') }, 'name-excluded'],
  ['permitted-dn-match', { permitted: ['dir:CN=foo'] }, { ...FOO, ...san('dir:CN=foo') }, 'ok'],
  [
    'permitted-dn-match-subject-san-mismatch',
    { permitted: ['dir:CN=foo'] },
    { subject: ['CN=not-foo'], ...san('dir:CN=foo') },
    'name-permitted',
  ],
  [
    'excluded-dn-match-sub-mismatch',
    { excluded: ['dir:CN=foo'] },
    { ...FOO, ...san('dir:CN=not-foo') },
    'name-excluded',
  ],
  [
    'excluded-match-permitted-and-excluded',
    { permitted: ['DNS:example.com'], excluded: ['DNS:example.com'] },
    san('DNS:example.com'),
    'name-excluded',
  ],
  ['permitted-different-constraint-type', { permitted: ['IP:192.0.2.0/255.255.255.0'] }, san('DNS:example.com'), 'ok'],
  ['excluded-different-constraint-type', { excluded: ['IP:192.0.2.0/255.255.255.0'] }, san('DNS:example.com'), 'ok'],
  ['invalid-dnsname-wildcard', { permitted: ['DNS:*.example.com'] }, san('DNS:foo.example.com'), 'malformed'],
  ['invalid-dnsname-leading-period', { permitted: ['DNS:.example.com'] }, san('DNS:foo.example.com'), 'malformed'],
  ['invalid-ipv4-address', { permitted: ['IP:127.0.0.1'] }, san('IP:127.0.0.1'), 'malformed'],
  ['invalid-ipv6-address', { permitted: ['IP:::1'] }, san('IP:::1'), 'malformed'],
  [
    'invalid-email-address',
    { permitted: ['email:invalid@invalid@example.com'] },
    san('email:a@example.com'),
    'malformed',
  ],
  [
    'nc-permits-invalid-dns-san',
    { permitted: ['DNS:example.com'] },
    san('DNS:.example.com', 'DNS:foo.example.com'),
    'name-unprocessed',
  ],
  [
    'nc-permits-invalid-email-san',
    { permitted: ['email:example.com'] },
    san('email:a@example.com', 'email:a@b@example.com'),
    'name-unprocessed',
  ],
  ['nc-permits-email-exact', { permitted: ['email:foo@example.com'] }, san('email:foo@example.com'), 'ok'],
  ['nc-permits-email-domain', { permitted: ['email:example.com'] }, san('email:foo@example.com'), 'ok'],
  [
    'not-allowed-in-ee-critical',
    {},
    { extensions: [nameConstraints({ permitted: ['DNS:example.com'] })] },
    'name-unprocessed',
  ],
];

/** What RFC 5280 section 4.2.1.10 says besides. */
const RFC5280: readonly Case[] = [
  ['the empty DNS subtree holds all names', { excluded: ['DNS:'] }, san('DNS:example.com'), 'name-excluded'],
  [
    'a wildcard lies within what all its names lie within',
    { permitted: ['DNS:example.com'] },
    san('DNS:*.example.com'),
    'ok',
  ],
  [
    'a wildcard does not lie within what one of its names lies within',
    { permitted: ['DNS:foo.example.com'] },
    san('DNS:*.example.com'),
    'name-permitted',
  ],
  [
    'a wildcard that stands for an excluded name is excluded',
    { excluded: ['DNS:foo.example.com'] },
    san('DNS:*.example.com'),
    'name-excluded',
  ],
  ['a wildcard stands for one label only', { excluded: ['DNS:a.foo.example.com'] }, san('DNS:*.example.com'), 'ok'],
  [
    'a DNS name is compared without regard to case',
    { excluded: ['DNS:Example.COM'] },
    san('DNS:FOO.eXample.com'),
    'name-excluded',
  ],
  [
    'a mailbox of a host below is not of the host',
    { permitted: ['email:example.com'] },
    san('email:a@mail.example.com'),
    'name-permitted',
  ],
  [
    'a leading dot is for the hosts below',
    { permitted: ['email:.example.com'] },
    san('email:a@mail.example.com'),
    'ok',
  ],
  [
    'a leading dot is not for the host itself',
    { permitted: ['email:.example.com'] },
    san('email:a@example.com'),
    'name-permitted',
  ],
  [
    'the local part is compared with regard to case',
    { excluded: ['email:Foo@example.com'] },
    san('email:foo@EXAMPLE.com'),
    'ok',
  ],
  [
    'a mailbox in the subject counts where no other is',
    { permitted: ['email:example.com'] },
    { subject: ['emailAddress=a@other.org'] },
    'name-permitted',
  ],
  [
    'a mailbox in the subject is passed over where another is',
    { permitted: ['email:example.com'] },
    { subject: ['emailAddress=a@other.org'], ...san('email:a@example.com') },
    'ok',
  ],
  ['a URI by its host', { permitted: ['URI:example.com'] }, san('URI:https://user@EXAMPLE.com:8443/path'), 'ok'],
  [
    'a URI by its host, not by what looks like it',
    { permitted: ['URI:example.com'] },
    san('URI:https://evil.org/@example.com'),
    'name-permitted',
  ],
  ['a URI of a host below', { permitted: ['URI:.example.com'] }, san('URI:https://a.example.com/'), 'ok'],
  [
    'a URI without a host',
    { excluded: ['URI:example.com'] },
    san('URI:urn:keystead:device:pump-1'),
    'name-unprocessed',
  ],
  ['a URI with an address', { excluded: ['URI:example.com'] }, san('URI:https://192.0.2.1/'), 'name-unprocessed'],
  ['IPv6 where only IPv4 is permitted', { permitted: ['IP:192.0.2.0/255.255.255.0'] }, san('IP:::1'), 'name-permitted'],
  ['a mask with a hole', { permitted: ['IP:192.0.2.0/255.0.255.0'] }, san('IP:192.0.2.1'), 'malformed'],
  ['a name that begins with the subtree', { permitted: ['dir:O=a,OU=b'] }, { subject: ['O=A', 'OU=B ', 'CN=c'] }, 'ok'],
  [
    'a name that has the subtree in another order',
    { permitted: ['dir:O=a,OU=b'] },
    { subject: ['OU=b', 'O=a'] },
    'name-permitted',
  ],
  ['a name that ends before the subtree does', { permitted: ['dir:O=a,OU=b'] }, { subject: ['O=a'] }, 'name-permitted'],
  ['no names at all', { permitted: ['dir:O=a', 'DNS:example.com'] }, {}, 'ok'],
  ['a form that is not processed, where none has it', { permitted: ['RID:1.2.3'] }, san('DNS:example.com'), 'ok'],
  [
    'a form that is not processed, where a name has it',
    { permitted: ['RID:1.2.3'] },
    san('RID:1.2.3'),
    'name-unprocessed',
  ],
];

const ruleOf = (subtrees: Case[1], leaf: Wish, critical = true): string => {
  const none = Object.keys(subtrees).length === 0;
  const root = forge({ subject: ['CN=root'], ca: true, extensions: none ? [] : [nameConstraints(subtrees, critical)] });
  const result = checkPath(forge({ ...leaf, by: root }).der, [], [root.der], { now: NOW });
  return result.ok ? 'ok' : result.rule;
};

for (const [what, subtrees, leaf, rule] of LIMBO)
  test(`x509-limbo rfc5280::nc::${what}: ${rule}`, () => assert.equal(ruleOf(subtrees, leaf), rule));
for (const [what, subtrees, leaf, rule] of RFC5280)
  test(`name constraints, RFC 5280 section 4.2.1.10, ${what}: ${rule}`, () =>
    assert.equal(ruleOf(subtrees, leaf), rule));

test('constraints hold as well when they are not critical', () => {
  assert.equal(ruleOf({ permitted: ['DNS:example.com'] }, san('DNS:other.org'), false), 'name-permitted');
  assert.equal(ruleOf({ permitted: ['DNS:example.com'] }, san('DNS:example.com'), false), 'ok');
});

test('a SmtpUTF8Mailbox (RFC 9598) is not processed where mailboxes are constrained', () => {
  const mailbox = context(0, oid('1.3.6.1.5.5.7.8.9'), context(0, octetString(Buffer.from('a@example.com'))));
  const leaf = { extensions: [extension(EXTENSIONS.subjectAltName, false, sequence(mailbox))] };
  assert.equal(ruleOf({ permitted: ['email:example.com'] }, leaf), 'name-unprocessed');
  assert.equal(ruleOf({ permitted: ['DNS:example.com'] }, leaf), 'ok');
});

test('minimum and maximum, empty lists and empty constraints are malformed', () => {
  const bad = [
    sequence(),
    sequence(context(0)),
    sequence(context(0, sequence(generalName('DNS:a.org'), Uint8Array.of(0x81, 1, 3)))),
    sequence(context(1, sequence(generalName('DNS:a.org'))), context(0, sequence(generalName('DNS:b.org')))),
  ];
  for (const value of bad) {
    const root = forge({
      subject: ['CN=root'],
      ca: true,
      extensions: [extension(EXTENSIONS.nameConstraints, true, value)],
    });
    const result = checkPath(forge({ by: root }).der, [], [root.der], { now: NOW });
    assert.equal(result.ok || result.rule, 'malformed');
  }
});

test('each CA narrows what those above it left, and none widens it', () => {
  const root = forge({ subject: ['CN=root'], ca: true });
  const below = (first: string[], second: string[], name: string): string => {
    const one = forge({ subject: ['CN=1'], ca: true, by: root, extensions: [nameConstraints({ permitted: first })] });
    const two = forge({ subject: ['CN=2'], ca: true, by: one, extensions: [nameConstraints({ permitted: second })] });
    const result = checkPath(forge({ by: two, ...san(name) }).der, [two.der, one.der], [root.der], { now: NOW });
    return result.ok ? 'ok' : result.rule;
  };
  const [foo, bar] = ['DNS:foo.example.com', 'DNS:bar.example.com'];
  assert.equal(below([foo, bar], [bar], foo), 'name-permitted');
  assert.equal(below([bar], [foo, bar], foo), 'name-permitted');
  assert.equal(below([foo, bar], [bar], bar), 'ok');
});

test('a self-issued CA is not held to constraints, a self-issued leaf is, and a CA with a forbidden name refuses', () => {
  const constrained = { ca: true, extensions: [nameConstraints({ permitted: ['DNS:example.com'] })] };
  const root = forge({ subject: ['CN=other.org'], ...constrained });
  const renewed = forge({ subject: ['CN=other.org'], ca: true, by: root, extensions: [altNames('DNS:other.org')] });
  const good = forge({ by: renewed, ...san('DNS:example.com') });
  assert.ok(checkPath(good.der, [renewed.der], [root.der], { now: NOW }).ok);
  const leaf = forge({ subject: ['CN=other.org'], by: root, ...san('DNS:other.org') });
  const refused = checkPath(leaf.der, [], [root.der], { now: NOW });
  assert.equal(refused.ok || refused.rule, 'name-permitted');
  const ca = forge({ subject: ['CN=ca'], ca: true, by: root, extensions: [altNames('DNS:other.org')] });
  const below = checkPath(forge({ by: ca, ...san('DNS:example.com') }).der, [ca.der], [root.der], { now: NOW });
  assert.deepEqual(!below.ok && [below.rule, below.depth, below.at], ['name-permitted', 1, 'CN=ca']);
  assert.ok(dn('CN=ca'));
});

test('x509-limbo nc-forbids-alternate-chain-ica: of two paths the one that the constraints allow is found', () => {
  const stranger = forge({ subject: ['CN=stranger'], ca: true });
  const root = forge({ subject: ['CN=root'], ca: true });
  const a = forge({
    subject: ['CN=a'],
    ca: true,
    by: root,
    extensions: [nameConstraints({ permitted: ['DNS:yes.example.com'], excluded: ['DNS:no.example.com'] })],
  });
  const forbidden = forge({ subject: ['CN=b'], ca: true, by: stranger, extensions: [altNames('DNS:no.example.com')] });
  const allowed = forge({ subject: ['CN=b'], ca: true, by: a, key: forbidden.key });
  const worse = forge({
    subject: ['CN=b'],
    ca: true,
    by: a,
    key: forbidden.key,
    extensions: [altNames('DNS:no.example.com')],
  });
  const leaf = forge({ by: allowed, ...san('DNS:yes.example.com') });
  for (const bag of [
    [a, forbidden, worse, allowed],
    [allowed, worse, forbidden, a],
  ])
    assert.ok(
      checkPath(
        leaf.der,
        bag.map(({ der }) => der),
        [root.der],
        { now: NOW },
      ).ok,
    );
});

test('names times subtrees is bounded work, whatever a CA and its leaf list (CVE-2021-44533 and its kin)', () => {
  const many = (n: number, of: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => of(i));
  const root = forge({
    subject: ['CN=root'],
    ca: true,
    extensions: [nameConstraints({ excluded: many(1200, (i) => `DNS:x${i}.example.org`) })],
  });
  const leaf = forge({ by: root, ...san(...many(250, (i) => `DNS:n${i}.example.com`)) });
  const started = performance.now();
  const result = checkPath(leaf.der, [], [root.der], { now: NOW });
  assert.equal(result.ok || result.rule, 'search-bound');
  assert.ok(performance.now() - started < 2000);
});
