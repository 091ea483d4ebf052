import assert from 'node:assert/strict';
import { test } from 'node:test';
import { END, type ForgedCertificate, Forger, forge, NOW, START, type Wish } from '../../tests/forge.ts';
import { checkPath } from '../check.ts';
import type { PathOptions } from '../validate.ts';

const root = forge({ subject: ['CN=root'], ca: true });
const ca = (wish: Wish): ForgedCertificate => forge({ ca: true, ...wish });
const ders = (certificates: readonly ForgedCertificate[]) => certificates.map(({ der }) => der);

function judged(
  leaf: ForgedCertificate,
  bag: readonly ForgedCertificate[],
  anchors: readonly ForgedCertificate[] = [root],
  options: Partial<PathOptions> = {},
): string {
  const result = checkPath(leaf.der, ders(bag), ders(anchors), { now: NOW, ...options });
  return result.ok ? `ok ${result.chain.length}` : result.rule;
}

test('x509-limbo pathological::multiple-chains-expired-intermediate: an expired cross-certificate hides no good path', () => {
  const old = ca({ subject: ['CN=old root'] });
  const crossed = ca({
    subject: ['CN=root'],
    key: root.key,
    by: old,
    notBefore: START,
    notAfter: new Date('2026-02-01'),
  });
  const leaf = forge({ by: root });
  assert.equal(judged(leaf, [crossed], [root, old]), 'ok 2');
  assert.equal(judged(leaf, [crossed], [old]), 'expired', 'and without the good one it says why');
});

test('x509-limbo pathological::intermediate-cycle-*: CAs that certify each other in a ring lead nowhere', () => {
  const [one, two] = [new Forger(), new Forger()];
  const start = ca({ subject: ['CN=1'], key: one });
  const second = ca({ subject: ['CN=2'], key: two, by: start });
  const first = ca({ subject: ['CN=1'], key: one, by: second });
  assert.equal(judged(forge({ by: first }), [first, second]), 'no-anchor');
  const same = ca({ subject: ['CN=ring'], key: two, by: ca({ subject: ['CN=ring'], key: one }) });
  const other = ca({ subject: ['CN=ring'], key: one, by: same });
  assert.equal(judged(forge({ by: other }), [same, other]), 'no-anchor');
});

test('a root rollover works from both sides: old leaf under the new root, new leaf under the old root', () => {
  const next = ca({ subject: ['CN=root'] });
  // RFC 9810 section 4.4: OldWithNew and NewWithOld.
  const oldWithNew = ca({ subject: ['CN=root'], key: root.key, by: next });
  const newWithOld = ca({ subject: ['CN=root'], key: next.key, by: root });
  const bag = [oldWithNew, newWithOld];
  assert.equal(judged(forge({ by: root }), bag, [next]), 'ok 3');
  assert.equal(judged(forge({ by: next }), bag, [root]), 'ok 3');
  assert.equal(judged(forge({ by: root }), bag, [root, next]), 'ok 2', 'the shorter of two');
  assert.equal(judged(forge({ by: next }), [], [root]), 'signature');
});

test('a bridge of crossed hierarchies leads from the leaf of one to the anchor of another', () => {
  const bridge = ca({ subject: ['CN=bridge'] });
  const far = ca({ subject: ['CN=far root'] });
  const farByBridge = ca({ subject: ['CN=far root'], key: far.key, by: bridge });
  const bridgeByRoot = ca({ subject: ['CN=bridge'], key: bridge.key, by: root });
  const bridgeByFar = ca({ subject: ['CN=bridge'], key: bridge.key, by: far });
  const sub = ca({ subject: ['CN=far sub'], by: far });
  const bag = [bridgeByFar, sub, farByBridge, bridge, far, bridgeByRoot];
  assert.equal(judged(forge({ by: sub }), bag), 'ok 5');
});

test('key identifiers put issuers in order and exclude none: a wrong or missing one is no refusal', () => {
  const sub = ca({ subject: ['CN=sub'], by: root });
  const unmarked = ca({ subject: ['CN=sub'], key: sub.key, by: root, identifiers: false });
  const leaf = forge({ by: sub });
  assert.equal(judged(leaf, [unmarked]), 'ok 3');
  const twins = Array.from({ length: 20 }, () => ca({ subject: ['CN=sub'], by: root }));
  assert.equal(judged(leaf, [...twins, sub]), 'ok 3');
  assert.equal(judged(forge({ by: { ...sub, key: sub.key }, identifiers: false }), [...twins, sub]), 'ok 3');
});

test('of several anchors the one that leads to a path that holds is found', () => {
  const strict = ca({ subject: ['CN=top'], pathLength: 0 });
  const free = ca({ subject: ['CN=top'], key: strict.key });
  const sub = ca({ subject: ['CN=sub'], by: free });
  for (const anchors of [
    [strict, free],
    [free, strict],
  ])
    assert.equal(judged(forge({ by: sub }), [sub], anchors), 'ok 3');
  assert.equal(judged(forge({ by: sub }), [sub], [strict]), 'path-length');
});

test('a path may be no longer than the verifier allows', () => {
  const cas = [root];
  for (let i = 0; i < 12; i += 1) cas.push(ca({ subject: [`CN=${i}`], by: cas.at(-1) }));
  const leafAt = (n: number): ForgedCertificate => forge({ by: cas[n] });
  assert.equal(judged(leafAt(8), cas), 'ok 10');
  assert.equal(judged(leafAt(9), cas), 'path-too-long');
  assert.equal(judged(leafAt(12), cas, [root], { maxPathLength: 14 }), 'ok 14');
  assert.equal(judged(leafAt(3), cas, [root], { maxPathLength: 4 }), 'path-too-long');
});

test('CAs that all certify each other end the search at its bound, in bounded time', () => {
  const keys = Array.from({ length: 10 }, (_, i) => ca({ subject: [`CN=mesh ${i}`] }));
  const mesh = keys.flatMap((by) =>
    keys.filter((of) => of !== by).map((of) => ca({ subject: [`CN=mesh ${keys.indexOf(of)}`], key: of.key, by })),
  );
  const [first] = keys;
  const leaf = forge({ by: first });
  const started = performance.now();
  assert.equal(judged(leaf, mesh), 'search-bound');
  assert.ok(performance.now() - started < 2000);
  // Below an anchor the mesh is found to be too deep for its path length, again within the bound.
  const anchored = ca({ subject: ['CN=mesh 9'], key: keys[9]?.key, by: root, pathLength: 0, notAfter: END });
  assert.match(judged(leaf, [...mesh, anchored]), /^(path-length|search-bound)$/);
});

test('namesakes with other keys are passed over, and a thousand of them refuse in bounded time', () => {
  const sub = ca({ subject: ['CN=sub'], by: root, identifiers: false });
  const key = new Forger();
  const crowd = Array.from({ length: 400 }, (_, i) =>
    ca({ subject: ['CN=sub'], by: root, key, identifiers: false, serial: 50_000 + i }),
  );
  const started = performance.now();
  assert.equal(judged(forge({ by: sub, identifiers: false }), [...crowd.slice(0, 60), sub]), 'ok 3');
  assert.match(judged(forge({ by: sub, identifiers: false }), crowd), /^(signature|search-bound)$/);
  assert.ok(performance.now() - started < 4000);
});

test('the refusal names rule, source, certificate and its place in the path', () => {
  const sub = ca({ subject: ['CN=sub'], by: root, notAfter: new Date('2026-03-01') });
  const result = checkPath(forge({ subject: ['CN=leaf'], by: sub }).der, [sub.der], [root.der], { now: NOW });
  assert.deepEqual(result, {
    ok: false,
    rule: 'expired',
    source: 'RFC 5280 6.1.3 (a)(2)',
    at: 'CN=sub',
    depth: 1,
    detail: '2026-03-01T00:00:00.000Z',
  });
});

test('what is remembered of a CA is its bytes under one key, and never that it is good', () => {
  const sub = ca({ subject: ['CN=remembered'], by: root });
  const leaf = forge({ by: sub });
  assert.equal(judged(leaf, [sub]), 'ok 3');
  assert.equal(judged(leaf, [sub]), 'ok 3', 'by what is remembered');
  assert.equal(judged(leaf, [sub], [root], { now: new Date(END.getTime() + 1000) }), 'expired');
  // A namesake of the root with another key signed nothing of this.
  assert.equal(judged(leaf, [sub], [forge({ subject: ['CN=root'], ca: true })]), 'signature');
  // One bit of the signature is another: other bytes, and so another certificate.
  const bent = { ...sub, der: Uint8Array.from(sub.der) as typeof sub.der };
  const last = bent.der.length - 1;
  bent.der[last] = (bent.der[last] ?? 0) ^ 1;
  assert.notEqual(judged(leaf, [bent]), 'ok 3');
  // Whoever changes the bytes that he gave has changed nothing of what is remembered.
  const given = { ...sub, der: Uint8Array.from(sub.der) as typeof sub.der };
  assert.equal(judged(leaf, [given]), 'ok 3');
  given.der.fill(0);
  assert.equal(judged(leaf, [sub]), 'ok 3');
});

test('a hundred strangers push a CA out of what is remembered, and it is judged anew', () => {
  const sub = ca({ subject: ['CN=pushed out'], by: root });
  const leaf = forge({ by: sub });
  assert.equal(judged(leaf, [sub]), 'ok 3');
  const strangers = Array.from({ length: 100 }, (_, at) => ca({ subject: [`CN=stranger ${at}`], by: root }));
  for (const stranger of strangers) assert.equal(judged(forge({ by: stranger }), [stranger]), 'ok 3');
  assert.equal(judged(leaf, [sub]), 'ok 3');
});
