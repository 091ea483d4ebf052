import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import type { DerCertificate } from '../../bytes/index.ts';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';
import { ownerOf } from '../anchors/uefi-esl.ts';
import { ANCHOR_FORMATS, anchorSet, type ScopedKey, uefiCertificateLists } from '../index.ts';
import { newTestSigner } from './signers.ts';
import { SigningKey } from './signing-key.ts';

const keys = { a: new SigningKey('P-256'), b: new SigningKey('Ed25519'), rsa: new SigningKey('RSA-2048') };
after(() => {
  for (const { directory } of Object.values(keys)) rmSync(directory, { recursive: true });
});

const scoped = (id: string, algorithm: string, environment = 'production'): ScopedKey => ({
  id,
  algorithm,
  product: 'pump',
  environment,
  formats: ['mcuboot'],
});
const PRODUCTION = { product: 'pump', environment: 'production' };
const POLICY = [scoped('a', 'P-256'), scoped('b', 'Ed25519', 'development')];
const certificates = (...ids: (keyof typeof keys)[]): Map<string, DerCertificate> =>
  new Map(ids.map((id) => [id, keys[id].certificate]));

const refused = (code: ErrorCode, field: string, seen: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError, String(error));
  assert.deepEqual([error.code, error.field], [code, field]);
  assert.match(error.seen ?? '', seen);
  return true;
};

test('a device of production is given no key of development, and the other way round', () => {
  const both = certificates('a', 'b');
  assert.deepEqual(
    anchorSet(POLICY, both, PRODUCTION).anchors.map(({ id }) => id),
    ['a'],
  );
  const development = anchorSet(POLICY, both, { product: 'pump', environment: 'development' });
  assert.deepEqual(
    development.anchors.map(({ id }) => id),
    ['b'],
  );
  const text = ANCHOR_FORMATS['c-header'].write(anchorSet(POLICY, both, PRODUCTION));
  assert.doesNotMatch(text, /Ed25519/);
});

test('a key of the policy without a certificate is missed: a device without it would not boot what it signs', () => {
  assert.throws(
    () => anchorSet(POLICY, certificates('b'), PRODUCTION),
    refused('firmware.anchor-missing', 'a', /no certificate/),
  );
  assert.throws(
    () => anchorSet(POLICY, certificates('a'), { product: 'vent', environment: 'production' }),
    refused('firmware.anchor-missing', 'vent production', /no key/),
  );
});

test('a certificate of a key that the policy does not mean is refused, whichever way it got there', () => {
  assert.throws(
    () => anchorSet(POLICY, certificates('a', 'rsa'), PRODUCTION),
    refused('firmware.anchor-differs', 'rsa', /no key of the policy/),
  );
  assert.throws(
    () => anchorSet(POLICY, new Map([['a', keys.b.certificate]]), PRODUCTION),
    refused('firmware.anchor-differs', 'a', /Ed25519, the policy has P-256/),
  );
  const twice = [scoped('a', 'P-256'), scoped('b', 'P-256', 'development')];
  const same = new Map([
    ['a', keys.a.certificate],
    ['b', keys.a.certificate],
  ]);
  assert.throws(() => anchorSet(twice, same, PRODUCTION), refused('firmware.anchor-differs', 'b', /the key of a/));
});

test('a certificate of an algorithm that nothing here knows is not taken for that of the policy', () => {
  const args = ['req', '-new', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521', '-nodes'];
  const der = execFileSync('openssl', [...args, '-keyout', '/dev/null', '-subj', '/CN=a', '-outform', 'DER'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.throws(
    () => anchorSet(POLICY, new Map([['a', new Uint8Array(der) as DerCertificate]]), PRODUCTION),
    refused('firmware.anchor-differs', 'a', /another algorithm, the policy has P-256/),
  );
  assert.throws(
    () => anchorSet([scoped('a', 'P-521')], new Map([['a', new Uint8Array(der) as DerCertificate]]), PRODUCTION),
    refused('firmware.anchor-differs', 'a', /another algorithm, the policy has P-521/),
  );
});

test('an anchor for ML-DSA is one of the key that the policy has, as for any other algorithm', async () => {
  const { key, terms } = await newTestSigner('ML-DSA-65');
  const certificate = new Map([['a', terms.signer]]);
  const { anchors } = anchorSet([scoped('a', 'ML-DSA-65')], certificate, PRODUCTION);
  assert.deepEqual(
    anchors.map(({ algorithm, spki }) => [algorithm, spki]),
    [['ML-DSA-65', key.spki]],
  );
  assert.throws(
    () => anchorSet([scoped('a', 'ML-DSA-87')], certificate, PRODUCTION),
    refused('firmware.anchor-differs', 'a', /for ML-DSA-65, the policy has ML-DSA-87/),
  );
});

test('a key that a boot chain does not take is refused by its id, and so is a set without one for it', () => {
  const policy = [scoped('rsa', 'RSA-2048')];
  const set = anchorSet(policy, certificates('rsa'), PRODUCTION);
  assert.throws(() => ANCHOR_FORMATS.mcuboot.write(set), refused('firmware.key-unsuitable', 'rsa', /MCUboot/));
  assert.throws(
    () => ANCHOR_FORMATS['u-boot'].write(set),
    refused('firmware.anchor-missing', 'pump production', /signs fit/),
  );
});

test('a name from a policy ends no comment and no string of C or of a device tree', () => {
  const evil = '*/ int x; /* "\\\n';
  const policy = [{ ...scoped(evil, 'P-256'), product: evil, formats: ['mcuboot', 'fit'] as const }];
  const set = anchorSet(policy, new Map([[evil, keys.a.certificate]]), { ...PRODUCTION, product: evil });
  for (const [name, { write }] of Object.entries(ANCHOR_FORMATS)) {
    if (name === 'u-boot')
      assert.throws(() => write(set), refused('firmware.key-unsuitable', '__ int x_ __ ___', /node/));
    else if (name === 'uefi-esl')
      assert.throws(() => write(set), refused('firmware.anchor-missing', `${evil} production`, /authenticode/));
    else assert.doesNotMatch(String(write(set)), /int x;|\\$/m);
  }
});

test('TEST-KEY-15 in a transition both keys are trusted and the file says which one signs; a retired key is in no anchors', () => {
  const policy = [{ ...scoped('a', 'P-256'), use: 'trusted' as const }, scoped('b', 'Ed25519')];
  const set = anchorSet(policy, certificates('a', 'b'), PRODUCTION);
  assert.deepEqual(
    set.anchors.map(({ id, use }) => [id, use]),
    [
      ['a', 'trusted'],
      ['b', 'signs'],
    ],
  );
  for (const { write } of [
    ANCHOR_FORMATS.pem,
    ANCHOR_FORMATS['c-header'],
    ANCHOR_FORMATS.mbedtls,
    ANCHOR_FORMATS.mcuboot,
  ]) {
    assert.match(write(set), /a, P-256, trusted: nothing is signed by it now/);
    assert.match(write(set), /b, Ed25519(\n| \*\/)/);
  }
  const later = [{ ...scoped('a', 'P-256'), use: 'retired' as const }, scoped('b', 'Ed25519')];
  const retired = anchorSet(later, certificates('a', 'b'), PRODUCTION);
  assert.deepEqual(
    retired.anchors.map(({ id }) => id),
    ['b'],
  );
  assert.doesNotMatch(ANCHOR_FORMATS.pem.write(retired), /P-256/);
});

test('the list for db has the certificates of the keys that sign Authenticode, and one owner for each product', () => {
  const policy = [{ ...scoped('a', 'P-256'), formats: ['authenticode'] as const }, scoped('b', 'Ed25519')];
  const list = ANCHOR_FORMATS['uefi-esl'].write(anchorSet(policy, certificates('a', 'b'), PRODUCTION));
  const owner = ownerOf(PRODUCTION);
  assert.match(owner, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(list, uefiCertificateLists([keys.a.certificate], owner));
  assert.notEqual(owner, ownerOf({ ...PRODUCTION, environment: 'development' }));
});

test('the same policy gives the same file', () => {
  for (const { write } of [
    ANCHOR_FORMATS.pem,
    ANCHOR_FORMATS['c-header'],
    ANCHOR_FORMATS.mbedtls,
    ANCHOR_FORMATS.mcuboot,
  ]) {
    const texts = [1, 2].map(() => write(anchorSet(POLICY, certificates('a', 'b'), PRODUCTION)));
    assert.equal(texts[0], texts[1]);
  }
});
