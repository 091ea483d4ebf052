import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DerCertificate } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { readCertificate } from '../../certificate.ts';
import { readRevocationList } from '../../crl/list.ts';
import { readDistributionPoints, readIssuingPoint } from '../../crl/points.ts';
import { DerError } from '../../der/strict.ts';
import { context, tlv } from '../../der/writer.ts';
import { checkRevocation } from '../../revocation/check.ts';
import { RevocationLists } from '../../revocation/lists.ts';
import { ocspStatus } from '../../revocation/ocsp-status.ts';
import {
  altNames,
  crlPoints,
  distributionPoint,
  forge,
  forgeCrl,
  mappings,
  NOW,
  nameConstraints,
  policies,
  policyConstraints,
} from '../../tests/forge.ts';
import { mutated } from '../../tests/mutate.ts';
import { CertificateBag } from '../build.ts';
import { checkPath } from '../check.ts';
import { readPolicies, readPolicyConstraints, readPolicyMappings } from '../policies.ts';

const root = forge({ subject: ['CN=root'], ca: true });
const ca = forge({
  subject: ['CN=ca'],
  ca: true,
  by: root,
  extensions: [
    nameConstraints({ permitted: ['DNS:example.org', 'dir:CN=leaf'] }),
    policies('1.2.3.1'),
    mappings(['1.2.3.1', '1.2.3.2']),
    policyConstraints(0),
    crlPoints(distributionPoint({ url: 'http://crl.example.org/root.crl' })),
  ],
});
const leaf = forge({ subject: ['CN=leaf'], by: ca, extensions: [altNames('DNS:a.example.org'), policies('1.2.3.2')] });
const rootList = forgeCrl({ by: root });
const list = forgeCrl({
  by: ca,
  revoked: [
    { serial: 7, reason: 1 },
    { serial: 8, issuer: ca.subject },
  ],
  point: [
    context(0, context(0, tlv(0x86, Buffer.from('http://crl.example.org/ca.crl')))),
    tlv(0x84, Uint8Array.of(0xff)),
  ],
});
const changed = (seed: Uint8Array) => mutated([seed]).filter((bytes) => Buffer.compare(bytes, seed) !== 0);

test('the chain that is mutated below is good', () => {
  assert.ok(checkPath(leaf.der, [ca.der], [root.der], { now: NOW }).ok);
});

test('no mutation of a certificate of a good chain is ever accepted', () => {
  fc.assert(
    fc.property(changed(leaf.der), (der) => {
      assert.equal(checkPath(der as DerCertificate, [ca.der], [root.der], { now: NOW }).ok, false);
    }),
    { numRuns: 1500 },
  );
  fc.assert(
    fc.property(changed(ca.der), (der) => {
      assert.equal(checkPath(leaf.der, [der as DerCertificate], [root.der], { now: NOW }).ok, false);
    }),
    { numRuns: 1500 },
  );
});

test('no mutation of a CRL tells a status', () => {
  const bag = new CertificateBag([root, ca].map(({ der }) => readCertificate(der)));
  const path = checkPath(leaf.der, [ca.der], [root.der], { now: NOW });
  assert.ok(path.ok);
  const plain = forgeCrl({ by: ca });
  const judged = (crl: Uint8Array) =>
    checkRevocation(
      path.chain,
      { lists: new RevocationLists([rootList, crl].map(readRevocationList)) },
      { now: NOW, bag },
    );
  assert.ok(judged(plain).ok);
  fc.assert(
    fc.property(changed(plain), (der) => {
      try {
        assert.equal(judged(der).ok, false);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'crl.malformed', String(error));
      }
    }),
    { numRuns: 1500 },
  );
});

test('a reader of what a peer sends reads it or says what is wrong, in bounded time, whatever the bytes', () => {
  const extensionsOf = (der: DerCertificate) => readCertificate(der).extensions.map(({ value }) => value);
  const seeds = [...extensionsOf(ca.der), ...extensionsOf(leaf.der)];
  const point = readRevocationList(list).point?.der ?? new Uint8Array(0);
  const readers = [readPolicies, readPolicyConstraints, readPolicyMappings, readDistributionPoints, readIssuingPoint];
  const bytes = fc.oneof(mutated([...seeds, point]), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(bytes, fc.constantFrom(...readers), (value, read) => {
      try {
        read(value);
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.oneof(mutated([list, rootList]), fc.uint8Array({ maxLength: 300 })), (der) => {
      try {
        readRevocationList(der);
      } catch (error) {
        assert.ok(error instanceof KeysteadError && error.code === 'crl.malformed', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('an OCSP answer of any bytes is a verdict, never an exception', () => {
  fc.assert(
    fc.property(fc.oneof(mutated([list]), fc.uint8Array({ maxLength: 300 })), (answer) => {
      const said = ocspStatus(readCertificate(leaf.der), readCertificate(ca.der), [answer], NOW);
      assert.equal(said.status, 'undetermined');
    }),
    { numRuns: 500 },
  );
});

test('hostile sizes are read in bounded time: 60 KB of policies, of points, of constraints', () => {
  const many = (n: number, of: (i: number) => Uint8Array): Uint8Array[] => Array.from({ length: n }, (_, i) => of(i));
  const started = performance.now();
  const crowded = [
    policies(...Array.from({ length: 1200 }, (_, i) => `1.3.6.1.4.1.32473.${i}`)),
    crlPoints(...many(64, (i) => distributionPoint({ url: `http://${'x'.repeat(800)}${i}.org/` }))),
    nameConstraints({ excluded: Array.from({ length: 1200 }, (_, i) => `DNS:${i}.${'y'.repeat(30)}.org`) }),
  ];
  for (const one of crowded) {
    const strange = forge({ subject: ['CN=strange'], ca: true, by: root, extensions: [one] });
    checkPath(forge({ by: strange }).der, [strange.der], [root.der], { now: NOW });
  }
  assert.ok(performance.now() - started < 3000);
});
