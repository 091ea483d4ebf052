import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ia5String, oid, sequence } from '../../der/writer.ts';
import { ANY_POLICY, EXTENSIONS } from '../../oids.ts';
import {
  extension,
  type ForgedCertificate,
  forge,
  inhibitAnyPolicy,
  mappings,
  NOW,
  policies,
  policyConstraints,
} from '../../tests/forge.ts';
import { checkPath } from '../check.ts';
import type { PathOptions } from '../validate.ts';

const [A, B, C] = ['1.3.6.1.4.1.32473.10.1', '1.3.6.1.4.1.32473.10.2', '1.3.6.1.4.1.32473.10.3'];

/** A path of CAs, each with these extensions, below a root without any; the last is the leaf. */
function path(...levels: readonly (readonly Uint8Array[])[]): {
  leaf: ForgedCertificate;
  via: ForgedCertificate[];
  root: ForgedCertificate;
} {
  const root = forge({ subject: ['CN=root'], ca: true });
  const via: ForgedCertificate[] = [];
  for (const [i, extensions] of levels.slice(0, -1).entries())
    via.push(forge({ subject: [`CN=ca${i}`], ca: true, by: via.at(-1) ?? root, extensions }));
  return { leaf: forge({ by: via.at(-1) ?? root, extensions: levels.at(-1) }), via, root };
}

/** The policies under which the path is valid, or the rule that refused it. */
function judged({ leaf, via, root }: ReturnType<typeof path>, options: Partial<PathOptions> = {}): string[] | string {
  const result = checkPath(
    leaf.der,
    via.map(({ der }) => der),
    [root.der],
    { now: NOW, ...options },
  );
  return result.ok ? [...result.policies].sort() : result.rule;
}

test('a path is valid under the policies that all its certificates have', () => {
  assert.deepEqual(judged(path([policies(A, B)], [policies(B, C)])), [B]);
  assert.deepEqual(judged(path([policies(A, ANY_POLICY)], [policies(C)])), [C]);
  assert.deepEqual(judged(path([policies(ANY_POLICY)], [policies(ANY_POLICY)])), [ANY_POLICY]);
  assert.deepEqual(judged(path([policies(A)], [])), [], 'valid, under no policy');
  assert.equal(judged(path([policies(A)], []), { requireExplicitPolicy: true }), 'explicit-policy');
});

test('where a policy is wanted, the path must be valid under it', () => {
  const chain = path([policies(A, B)], [policies(A)]);
  const required = { requireExplicitPolicy: true };
  assert.deepEqual(judged(chain, { ...required, policies: [A, C] }), [A]);
  assert.equal(judged(chain, { ...required, policies: [B] }), 'explicit-policy');
  assert.deepEqual(judged(path([policies(ANY_POLICY)], [policies(ANY_POLICY)]), { ...required, policies: [B] }), [B]);
});

test('a mapped policy is one of the domain of the CA that maps it', () => {
  const mapped = path([policies(A), mappings([A, B])], [policies(B)]);
  assert.deepEqual(judged(mapped, { requireExplicitPolicy: true, policies: [A] }), [A]);
  assert.equal(judged(mapped, { requireExplicitPolicy: true, policies: [B] }), 'explicit-policy');
  assert.equal(judged(mapped, { requireExplicitPolicy: true, inhibitPolicyMapping: true }), 'explicit-policy');
  assert.equal(judged(path([policies(A), mappings([ANY_POLICY, B])], [policies(B)])), 'policy-mapping');
  assert.equal(judged(path([policies(A), mappings([A, ANY_POLICY])], [policies(B)])), 'policy-mapping');
});

test('constraints count the certificates that they skip, self-issued ones not', () => {
  assert.equal(judged(path([policyConstraints(0)], [policies(A)])), 'explicit-policy');
  assert.deepEqual(judged(path([policyConstraints(3)], [], [])), []);
  assert.equal(judged(path([policyConstraints(1), policies(A)], [policies(A)], [])), 'explicit-policy');
  assert.deepEqual(judged(path([inhibitAnyPolicy(1), policies(A)], [policies(ANY_POLICY)], [policies(A)])), [A]);
  assert.deepEqual(judged(path([inhibitAnyPolicy(0), policies(A)], [policies(ANY_POLICY)], [policies(A)])), []);
});

test('what an anchor says of policies holds (RFC 5937)', () => {
  const root = forge({ subject: ['CN=root'], ca: true, extensions: [policies(A), policyConstraints(0)] });
  const check = (id: string) =>
    checkPath(forge({ by: root, extensions: [policies(id)] }).der, [], [root.der], { now: NOW });
  assert.ok(check(A).ok);
  const other = check(B);
  assert.equal(other.ok || other.rule, 'explicit-policy');
});

test('CAs that map two policies to two, ten times over, cost no more than what they list (CVE-2023-0464)', () => {
  const ids = Array.from({ length: 20 }, (_, i) => `1.3.6.1.4.1.32473.11.${i}`);
  const all = ids.flatMap((from) => ids.map((to) => [from, to] as const));
  const level = [policies(...ids), mappings(...all)];
  const deep = path(...Array.from({ length: 8 }, () => level), [policies(...ids)]);
  const started = performance.now();
  const valid = judged(deep, { requireExplicitPolicy: true });
  assert.ok(performance.now() - started < 2000);
  assert.deepEqual(valid, [...ids].sort());
});

test('policies that are malformed refuse: one that stands twice, an empty list, a negative count', () => {
  const bad = [
    policies(A, A),
    extension(EXTENSIONS.certificatePolicies, false, sequence()),
    extension(EXTENSIONS.policyConstraints, true, sequence()),
    extension(EXTENSIONS.policyConstraints, true, sequence(Uint8Array.of(0x80, 1, 0xff))),
    extension(EXTENSIONS.inhibitAnyPolicy, true, Uint8Array.of(2, 1, 0xff)),
    extension(EXTENSIONS.policyMappings, true, sequence()),
  ];
  for (const one of bad) assert.equal(judged(path([one], [])), 'malformed');
});

test('a qualifier of an unknown kind refuses only where policies are critical', () => {
  const qualified = (critical: boolean, kind: string) =>
    extension(
      EXTENSIONS.certificatePolicies,
      critical,
      sequence(sequence(oid(A), sequence(sequence(oid(kind), ia5String('x'))))),
    );
  assert.equal(judged(path([policies(A)], [qualified(true, '1.2.3')])), 'unknown-critical');
  assert.deepEqual(judged(path([policies(A)], [qualified(false, '1.2.3')])), [A]);
  assert.deepEqual(judged(path([policies(A)], [qualified(true, '1.3.6.1.5.5.7.2.1')])), [A]);
});
