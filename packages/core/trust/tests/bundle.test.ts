import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { before, test } from 'node:test';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { sign1Structure } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BundleContent,
  checkContent,
  isPinned,
  parseBundle,
  requireCurrent,
  signBundle,
  signBundleJws,
  type TrustState,
  takeBundle,
  takeBundles,
  verifyBundleJws,
} from '@keystead/core/trust';
import { encode } from 'cborg';
import fc from 'fast-check';
import { contentWith, DAY, NOW, newRoot, newSigner, pin, SECOND } from './bundle-source.ts';
import { headerOf, rawOf, unsealed } from './raw-bundle.ts';

const signer = newSigner();
let root: DerCertificate;
before(async () => {
  root = await newRoot();
});

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const content = (more: Partial<BundleContent> = {}) => contentWith(signer, root, more);
const known = (more: Partial<TrustState> = {}): TrustState => ({
  fleet: 'pumps',
  version: 6,
  sha256: '',
  signers: [{ spki: signer.spki, from: SECOND - 30 * DAY, until: SECOND + 365 * DAY }],
  firmware: [{ product: 'pump-a', minimumSecurityCounter: 3 }],
  ...more,
});

test('TEST-KEY-10 a bundle is taken once and stays what it is, by each kind of signer, in less than 4 KiB', async () => {
  for (const algorithm of ['P-256', 'P-384', 'Ed25519'] as const) {
    const one = newSigner(algorithm);
    const bytes = await signBundle(contentWith(one, root), one);
    assert.ok(bytes.length < 4096);
    const signers = [{ spki: one.spki, from: 0, until: SECOND + DAY }];
    const taken = takeBundle(bytes, known({ signers }), NOW);
    assert.equal(taken.repeated, false);
    assert.deepEqual(taken.content, contentWith(one, root));
    const again = takeBundle(bytes, taken.state, NOW);
    assert.equal(again.repeated, true);
    assert.deepEqual(again.state, taken.state);
  }
});

test('TEST-KEY-10 what an attacker may hold back, replay or put together is refused, each by its name', async () => {
  const taken = takeBundle(await signBundle(content(), signer), known(), NOW).state;
  const refusals: readonly (readonly [string, Partial<BundleContent>, TrustState])[] = [
    ['trust-bundle.rolled-back', { version: 6 }, taken],
    ['trust-bundle.forked', { expires: SECOND + 31 * DAY }, taken],
    ['trust-bundle.fleet-differs', { fleet: 'monitors' }, known()],
    ['trust-bundle.not-yet-valid', { issuedAt: SECOND + 301 }, known()],
    ['trust-bundle.expired', { issuedAt: SECOND - 3600, expires: SECOND }, known()],
    [
      'trust-bundle.firmware-rolled-back',
      { firmware: [{ product: 'pump-a', signers: [pin('firmware')], minimumSecurityCounter: 2 }] },
      known(),
    ],
    ['trust-bundle.firmware-rolled-back', { firmware: [] }, known()],
    ['trust-bundle.signer-retired', { issuedAt: SECOND - 31 * DAY }, known()],
    [
      'trust-bundle.signer-retired',
      { issuedAt: SECOND - 2 * DAY },
      known({ signers: [{ spki: signer.spki, from: 0, until: SECOND }] }),
    ],
    ['trust-bundle.signer-unknown', {}, known({ signers: [{ spki: newSigner().spki, from: 0, until: SECOND + DAY }] })],
  ];
  for (const [expected, more, state] of refusals) {
    const bytes = await signBundle(content(more), signer);
    assert.throws(() => takeBundle(bytes, state, NOW), code(expected), expected);
  }
});

test('TEST-KEY-16 a bundle that would leave a device without a way on is refused, whoever signed it', () => {
  const until = SECOND + 365 * DAY;
  const [pins] = content().pins;
  assert.ok(pins);
  const keys = (all: (typeof pins)['keys']) => ({ pins: [{ role: 'update-server', keys: all }] });
  const broken: readonly Partial<BundleContent>[] = [
    keys(pins.keys.filter(({ use }) => use !== 'backup')),
    keys(pins.keys.filter(({ use }) => use !== 'current')),
    keys(pins.keys.map((key) => (key.use === 'backup' ? { ...key, until: SECOND + 100 * DAY } : key))),
    keys(pins.keys.map((key) => (key.use === 'backup' ? { ...key, from: SECOND + DAY } : key))),
    keys(pins.keys.map((key) => ({ ...key, spkiSha256: pin('one and the same') }))),
    { pins: [pins, pins] },
    { signers: [] },
    { signers: [{ spki: signer.spki, from: 0, until: SECOND + 30 * DAY }] },
    { expires: SECOND },
    { anchors: [{ role: 'server', certificate: root, from: until, until }] },
    { anchors: [{ role: 'server', certificate: root, from: 0, until: SECOND + 100 * 365 * DAY }] },
  ];
  for (const [index, more] of broken.entries()) {
    assert.throws(() => checkContent(content(more)), code('trust-bundle.rule'), `${index}`);
  }
  checkContent(content());
});

test('TEST-KEY-16 through a transition the old pin and the new one hold, each in its window', () => {
  const at = (days: number, name: string) =>
    isPinned(content(), 'update-server', pin(name), new Date(NOW.getTime() + days * DAY * 1000));
  assert.deepEqual([at(0, 'now'), at(0, 'then'), at(0, 'safe'), at(0, 'other')], [true, false, true, false]);
  assert.deepEqual([at(55, 'now'), at(55, 'then'), at(55, 'safe')], [true, true, true]);
  assert.deepEqual([at(61, 'now'), at(61, 'then')], [false, true]);
  assert.equal(isPinned(content(), 'another', pin('now'), NOW), undefined);
});

test('TEST-KEY-10 signers change by a bundle that the old one signs; who was away takes it on the way', async () => {
  const next = newSigner('Ed25519');
  const window = { from: SECOND - DAY, until: SECOND + 365 * DAY };
  const change = content({
    issuedAt: SECOND - 20 * DAY,
    expires: SECOND - DAY,
    signers: [{ spki: next.spki, ...window, from: SECOND - 21 * DAY }],
    pins: [],
  });
  const passed = await signBundle(change, signer);
  const newest = await signBundle(contentWith(next, root, { version: 9 }), next);
  assert.throws(() => takeBundle(newest, known(), NOW), code('trust-bundle.signer-unknown'));
  assert.throws(() => takeBundle(passed, known(), NOW), code('trust-bundle.expired'));
  assert.equal(takeBundles([passed, newest], known(), NOW).state.version, 9);
  assert.throws(() => takeBundles([newest, passed], known(), NOW), code('trust-bundle.signer-unknown'));
  const state = takeBundles([passed, newest], known(), NOW).state;
  // The old signer is nobody now.
  const late = await signBundle(content({ version: 10 }), signer);
  assert.throws(() => takeBundle(late, state, NOW), code('trust-bundle.signer-unknown'));
  assert.throws(() => takeBundles([], known(), NOW), code('trust-bundle.expired'));
});

test('TEST-KEY-10 a bundle that has expired is gone by no more', () => {
  requireCurrent(content(), NOW);
  assert.throws(() => requireCurrent(content(), new Date((SECOND + 30 * DAY) * 1000)), code('trust-bundle.expired'));
  assert.throws(() => requireCurrent(content(), new Date(Number.NaN)), code('trust-bundle.expired'));
});

test('TEST-KEY-10 a bundle is gone by at no time that lies further before its issuing than clocks may differ', () => {
  requireCurrent(content(), new Date((SECOND - 300) * 1000));
  for (const at of [SECOND - 301, 0, -1])
    assert.throws(() => requireCurrent(content(), new Date(at * 1000)), code('trust-bundle.not-yet-valid'));
});

test('TEST-KEY-10 a bundle that is cut short at any byte, or of which one is changed, is refused', async () => {
  const bytes = await signBundle(content(), signer);
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => takeBundle(bytes.subarray(0, length), known(), NOW), code('trust-bundle.malformed'));
  }
  assert.throws(() => parseBundle(Buffer.concat([bytes, Buffer.alloc(1)])), code('trust-bundle.malformed'));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ by;
      try {
        takeBundle(changed, known(), NOW);
      } catch (error) {
        return error instanceof KeysteadError && /^trust-bundle\./.test(error.code);
      }
      return false;
    }),
    { numRuns: 400 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      assert.throws(() => parseBundle(noise), code('trust-bundle.malformed'));
    }),
  );
});

test('TEST-KEY-10 a signature under the algorithm of another curve is none, also by the right key', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })) as DerSpki;
  const signers = [{ spki, from: 0, until: SECOND + 365 * DAY }];
  const payload = encode(rawOf(content({ signers })));
  const sealedAs = (algorithm: string, digest: string, octets: number) => {
    const header = headerOf(spki, algorithm);
    const signature = sign(digest, sign1Structure(header, payload), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    const number = (at: number) => Buffer.concat([Buffer.alloc(octets - 32), signature.subarray(at, at + 32)]);
    return unsealed(payload, header, new Uint8Array(Buffer.concat([number(0), number(32)])));
  };
  assert.equal(takeBundle(sealedAs('P-256', 'sha256', 32), known({ signers }), NOW).state.version, 7);
  const crossed = sealedAs('P-384', 'sha384', 48);
  assert.throws(() => takeBundle(crossed, known({ signers }), NOW), code('trust-bundle.signature-invalid'));
});

test('TEST-KEY-10 certificates, keys and the name of the signer have the bounds of the page, to the byte', async () => {
  const [anchor, one] = [content().anchors[0], content().signers[0]];
  assert.ok(anchor && one);
  const of = (more: Partial<BundleContent>) => unsealed(encode(rawOf(content(more))), headerOf(signer.spki, 'P-256'));
  const certificate = (length: number) => ({
    anchors: [{ ...anchor, certificate: new Uint8Array(length) as DerCertificate }],
  });
  const key = (length: number) => ({ signers: [{ ...one, spki: new Uint8Array(length) as DerSpki }] });
  for (const good of [certificate(1), certificate(4096), key(1), key(1024)]) parseBundle(of(good));
  for (const bad of [certificate(0), certificate(4097), certificate(4098), key(0), key(1025), key(1026)])
    assert.throws(() => parseBundle(of(bad)), code('trust-bundle.malformed'));
  for (const length of [0, 31, 33]) {
    const header = headerOf(signer.spki, 'P-256', [[4, new Uint8Array(length)]]);
    assert.throws(() => parseBundle(unsealed(encode(rawOf(content())), header)), code('trust-bundle.malformed'));
  }
});

test('the same content as JWS verifies by its signer, is the same, and is refused when anything is changed', async () => {
  for (const algorithm of ['P-256', 'P-384', 'Ed25519'] as const) {
    const one = newSigner(algorithm);
    const text = await signBundleJws(contentWith(one, root), one);
    assert.deepEqual(verifyBundleJws(text, one.spki), contentWith(one, root));
    assert.throws(() => verifyBundleJws(text, signer.spki), code('trust-bundle.signature-invalid'));
  }
  const text = await signBundleJws(content(), signer);
  fc.assert(
    fc.property(fc.nat(text.length - 2), fc.integer({ min: 1, max: 127 }), (at, by) => {
      const changed = Buffer.from(text, 'latin1');
      changed[at] = ((changed[at] ?? 0) + by) % 128;
      try {
        verifyBundleJws(changed.toString('latin1'), signer.spki);
      } catch (error) {
        return error instanceof KeysteadError && /^trust-bundle\./.test(error.code);
      }
      return false;
    }),
    { numRuns: 300 },
  );
});
