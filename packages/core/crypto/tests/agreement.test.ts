import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DerSpki } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  type AgreementGroup,
  type AgreementKey,
  agreementOctets,
  agreementSpki,
  EphemeralKey,
  generateAgreementKey,
  generateSoftwareKey,
  type KdfHash,
  oneStepKdf,
  requireAgreementKey,
  SecretBytes,
  softwareAgreement,
} from '../index.ts';
import {
  type CavpCase,
  cavp,
  fieldOf,
  headingOf,
  hex,
  inTemporaryDirectory,
  openssl,
  shown,
  wycheproof,
} from './support.ts';

const GROUPS = ['P-256', 'P-384', 'P-521', 'X25519'] as const;
const FIELD_BYTES = { 'P-256': 32, 'P-384': 48, 'P-521': 66, X25519: 32 } as const;

/** PrivateKeyInfo up to the scalar, and between scalar and public point (RFC 5915): what RFC 5915 leaves open is fixed here. */
const PKCS8 = {
  'P-256': ['308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420', 'a144034200'],
  'P-384': ['3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430', 'a164036200'],
  'P-521': ['3081ee020100301006072a8648ce3d020106052b810400230481d63081d30201010442', 'a1818903818600'],
} as const;

/** A number as long as a field element of the curve; vectors pad it or drop its zeros. */
function element(group: keyof typeof PKCS8, number: string): string {
  const digits = 2 * FIELD_BYTES[group];
  return number.replace(/^0+/, '').padStart(digits, '0').slice(-digits);
}

function ecPkcs8(group: keyof typeof PKCS8, scalar: string, x: string, y: string): SecretBytes {
  const [before, between] = PKCS8[group];
  const point = `04${element(group, x)}${element(group, y)}`;
  return SecretBytes.take(hex(`${before}${element(group, scalar)}${between}${point}`));
}

/** PrivateKeyInfo of a scalar alone, as Wycheproof gives it: OpenSSL works out the public half. */
function barePkcs8(group: 'P-256' | 'P-384', scalar: string): SecretBytes {
  const before = {
    'P-256': '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420',
    'P-384': '304e020100301006072a8648ce3d020106052b81040022043730350201010430',
  };
  return SecretBytes.take(hex(before[group] + element(group, scalar)));
}

const x25519Pkcs8 = (scalar: unknown): SecretBytes =>
  SecretBytes.take(hex(`302e020100300506032b656e04220420${String(scalar)}`));

for (const group of ['P-256', 'P-384'] as const) {
  const curve = group === 'P-256' ? 'secp256r1' : 'secp384r1';
  test(`TEST-KEY-06: Wycheproof: ${group} agrees on every valid secret and refuses every invalid public key`, () => {
    const count = { valid: 0, invalid: 0, acceptable: 0 };
    const own = softwareAgreement(group, generateAgreementKey(group).pkcs8);
    for (const { tests } of wycheproof(`ecdh_${curve}_test.json`)) {
      for (const { tcId, comment, result, public: peer, private: scalar, shared } of tests) {
        const name = `case ${tcId}: ${comment}`;
        const spki = hex(peer) as DerSpki;
        // 'Acceptable' are other encodings of good keys: explicit parameters, compressed points, BER. There is one encoding.
        if (result !== 'valid') {
          assert.throws(() => own.agree(spki), { code: 'agreement.key-invalid', field: 'public key' }, name);
        } else {
          assert.equal(shown(softwareAgreement(group, barePkcs8(group, String(scalar))).agree(spki)), shared, name);
        }
        count[result] += 1;
      }
    }
    assert.ok(count.valid > 300 && count.invalid > 40 && count.acceptable > 200, JSON.stringify(count));
  });
}

test('TEST-KEY-06: Wycheproof: X25519 agrees on every secret but zero, which is refused', () => {
  let [agreed, refused] = [0, 0];
  for (const { tests } of wycheproof('x25519_test.json')) {
    for (const { tcId, comment, public: peer, private: scalar, shared } of tests) {
      const key = softwareAgreement('X25519', x25519Pkcs8(scalar));
      const agree = (): SecretBytes => key.agree(agreementSpki('X25519', hex(peer)));
      if (shared === '00'.repeat(32)) {
        assert.throws(agree, { code: 'agreement.key-invalid', seen: 'a point of small order for X25519' }, `${tcId}`);
        refused += 1;
      } else {
        assert.equal(shown(agree()), shared, `case ${tcId}: ${comment}`);
        agreed += 1;
      }
    }
  }
  assert.deepEqual([agreed, refused], [487, 31]);
});

const GROUP_OF: Readonly<Record<string, keyof typeof PKCS8>> = { EC: 'P-256', ED: 'P-384', EE: 'P-521' };
const HASH_OF: Readonly<Record<string, KdfHash>> = { SHA256: 'sha256', SHA384: 'sha384', SHA512: 'sha512' };

/** NIST's judgements: which of a pair's parts it spoiled, or 0, 13, 14 for none. */
const PEER_SPOILED = ['1', '2'];
const OWN_SPOILED = ['5', '6', '7'];
const SECRET_SPOILED = ['8'];
const KEY_SPOILED = ['9', '10'];

/** Agrees as a CAVP case says, and tells how NIST judged it. */
function judged(one: CavpCase): string {
  const group = GROUP_OF[headingOf(one, 'SET')] ?? 'P-256';
  const name = `${headingOf(one, 'SET')} ${headingOf(one, 'SHA')} COUNT=${fieldOf(one, 'COUNT')}`;
  const verdict = /\((\d+) - /.exec(fieldOf(one, 'Result'))?.[1] ?? '';
  const own = (): AgreementKey =>
    softwareAgreement(group, ecPkcs8(group, fieldOf(one, 'dsIUT'), fieldOf(one, 'QsIUTx'), fieldOf(one, 'QsIUTy')));
  const point = `04${element(group, fieldOf(one, 'QsCAVSx'))}${element(group, fieldOf(one, 'QsCAVSy'))}`;
  const peer = (): DerSpki => agreementSpki(group, hex(point));
  if (PEER_SPOILED.includes(verdict)) {
    assert.throws(peer, { code: 'agreement.key-invalid' }, name);
    return verdict;
  }
  if (OWN_SPOILED.includes(verdict)) {
    const codes = ['key.malformed', 'agreement.key-invalid', 'key.inconsistent'];
    assert.throws(own, (error) => error instanceof KeysteadError && codes.includes(error.code), name);
    return verdict;
  }
  const z = own().agree(peer());
  assert.equal(shown(z) === element(group, fieldOf(one, 'Z')), !SECRET_SPOILED.includes(verdict), name);
  const dkm = one.fields.get('DKM');
  if (dkm === undefined || SECRET_SPOILED.includes(verdict)) return verdict;
  const h = { function: 'hash', hash: HASH_OF[headingOf(one, 'SHA')] ?? 'sha256' } as const;
  const derived = shown(oneStepKdf(h, z, hex(fieldOf(one, 'OI')), dkm.length / 2));
  assert.equal(derived === dkm, !KEY_SPOILED.includes(verdict), name);
  return verdict;
}

test('TEST-KEY-06: CAVP: key pairs of P-256, P-384 and P-521 and their secrets are judged as NIST judges them', () => {
  const verdicts = cavp('kas_ecc_zz.fax').map(judged);
  assert.equal(verdicts.length, 90);
  assert.deepEqual([...new Set(verdicts)].sort(), ['0', '1', '13', '2', '5', '6', '7', '8']);
});

test('TEST-KEY-06: CAVP: secrets and the keys derived from them in one step are judged as NIST judges them', () => {
  const verdicts = cavp('kas_ecc_concat_kdf.fax').map(judged);
  assert.equal(verdicts.length, 180);
  // 11 and 12 spoil a key confirmation, which is the protocol's.
  assert.deepEqual([...new Set(verdicts)].sort(), [
    '0',
    '1',
    '10',
    '11',
    '12',
    '13',
    '14',
    '2',
    '5',
    '6',
    '7',
    '8',
    '9',
  ]);
});

for (const group of GROUPS) {
  test(`TEST-KEY-06: openssl pkeyutl -derive gives the same secret in ${group}, and reads the keys`, async () => {
    await inTemporaryDirectory((dir) => {
      const [key, peer] = [join(dir, 'key.der'), join(dir, 'peer.der')];
      const make = group === 'X25519' ? ['X25519'] : ['EC', '-pkeyopt', `ec_paramgen_curve:${group}`];
      openssl(['genpkey', '-algorithm', ...make, '-outform', 'DER', '-out', key]);
      const theirs = new Uint8Array(openssl(['pkey', '-in', key, '-inform', 'DER', '-pubout', '-outform', 'DER']));
      const ephemeral = EphemeralKey.generate(group);
      const kept = generateAgreementKey(group);
      const agreed: [DerSpki, SecretBytes][] = [
        [ephemeral.spki, ephemeral.agree(theirs as DerSpki)],
        [kept.spki, softwareAgreement(group, kept.pkcs8).agree(theirs as DerSpki)],
      ];
      for (const [spki, z] of agreed) {
        writeFileSync(peer, spki);
        const files = ['-inkey', key, '-keyform', 'DER', '-peerkey', peer, '-peerform', 'DER'];
        assert.equal(openssl(['pkeyutl', '-derive', ...files]).toString('hex'), shown(z));
        assert.equal(z.length, FIELD_BYTES[group]);
      }
    });
  });
}

test('TEST-KEY-06: an ephemeral key agrees once, and once only also with a key that is refused', () => {
  for (const group of GROUPS) {
    const [alice, bob] = [EphemeralKey.generate(group), EphemeralKey.generate(group)];
    assert.equal(shown(alice.agree(bob.spki)), shown(bob.agree(alice.spki)));
    assert.throws(() => alice.agree(bob.spki), { code: 'agreement.key-used', seen: group });
    const carol = EphemeralKey.generate(group);
    assert.throws(() => carol.agree(new Uint8Array(91) as DerSpki), { code: 'agreement.key-invalid' });
    assert.throws(() => carol.agree(bob.spki), { code: 'agreement.key-used' });
    using dave = EphemeralKey.generate(group);
    dave.wipe();
    assert.throws(() => dave.agree(bob.spki), { code: 'agreement.key-used' });
  }
});

/** The coordinates of a point of P-256 with a small x, which can also be written as x + p in 32 bytes. */
function smallPoint(): { x: bigint; y: string } {
  for (let x = 1n; ; x += 1n) {
    const compressed = `02${x.toString(16).padStart(64, '0')}`;
    const der = hex(`3039301306072a8648ce3d020106082a8648ce3d030107032200${compressed}`);
    try {
      const key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
      return { x, y: Buffer.from(key.export({ format: 'jwk' }).y ?? '', 'base64url').toString('hex') };
    } catch {
      // Half of all x are of no point.
    }
  }
}

test('TEST-KEY-06: full validation: each rule of SP 800-56A section 5.6.2.3.3 refuses what breaks it alone', () => {
  const good = agreementOctets('P-256', EphemeralKey.generate('P-256').spki);
  const refused = (octets: Uint8Array, why: RegExp): void => {
    assert.throws(() => agreementSpki('P-256', octets), { code: 'agreement.key-invalid', seen: why });
  };
  refused(Uint8Array.of(0), /1 bytes/);
  refused(new Uint8Array(65), /no uncompressed point/);
  refused(Uint8Array.of(4, ...new Uint8Array(64)), /off the curve/);
  refused(good.subarray(0, 64), /64 bytes/);
  refused(Uint8Array.of(...good, 0), /66 bytes/);
  refused(Uint8Array.of(6 + ((good[64] ?? 0) & 1), ...good.subarray(1)), /no uncompressed point/);
  refused(Uint8Array.of(...good.subarray(0, 64), (good[64] ?? 0) ^ 1), /off the curve/);
  // The same point with x + p for x.
  const { x, y } = smallPoint();
  const written = (number: bigint): Uint8Array => hex(`04${number.toString(16).padStart(64, '0')}${y}`);
  requireAgreementKey('P-256', agreementSpki('P-256', written(x)));
  const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  refused(written(x + p), /off the curve/);
});

test('TEST-KEY-06: infinity, a compressed point and a key of another group are refused as SubjectPublicKeyInfo too', () => {
  const good = EphemeralKey.generate('P-256').spki;
  const infinity = hex('3019301306072a8648ce3d020106082a8648ce3d03010703020000') as DerSpki;
  // OpenSSL reads it: what refuses it is ours.
  assert.equal(createPublicKey({ key: Buffer.from(infinity), format: 'der', type: 'spki' }).asymmetricKeyType, 'ec');
  const compressed = hex(`3039301306072a8648ce3d020106082a8648ce3d030107032200${'02'.padEnd(66, '5a')}`) as DerSpki;
  for (const bad of [
    infinity,
    compressed,
    new Uint8Array() as DerSpki,
    Buffer.concat([good, Buffer.of(0)]) as Uint8Array as DerSpki,
  ]) {
    assert.throws(() => requireAgreementKey('P-256', bad), { code: 'agreement.key-invalid' });
  }
  // Keys of other algorithms whose encodings are as long: SM2 for P-256, Ed25519 for X25519.
  const sm2 = generateKeyPairSync('ec', { namedCurve: 'SM2' }).publicKey.export({ format: 'der', type: 'spki' });
  assert.equal(sm2.length, good.length);
  const foreign: [AgreementGroup, Uint8Array][] = [
    ['P-256', sm2],
    ['X25519', generateSoftwareKey('Ed25519').spki],
  ];
  for (const [group, spki] of foreign) {
    assert.throws(() => requireAgreementKey(group, spki as DerSpki), { code: 'agreement.key-invalid' });
  }
  for (const one of GROUPS) {
    for (const other of GROUPS) {
      const { spki } = EphemeralKey.generate(other);
      if (one === other) requireAgreementKey(one, spki);
      else assert.throws(() => requireAgreementKey(one, spki), { code: 'agreement.key-invalid' });
    }
  }
});

test('whatever bytes come as a public key, it is a point or agreement.key-invalid', () => {
  const good = EphemeralKey.generate('P-384').spki;
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Uint8Array.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ change;
      assert.throws(() => requireAgreementKey('P-384', bytes as DerSpki), { code: 'agreement.key-invalid' });
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom<AgreementGroup>(...GROUPS), (bytes, group) => {
      assert.throws(() => requireAgreementKey(group, bytes as DerSpki), { code: 'agreement.key-invalid' });
    }),
  );
});

test('a private key that is malformed, of another group or out of its range is refused when it is opened', () => {
  const signing = generateSoftwareKey('P-384');
  assert.throws(() => softwareAgreement('P-256', signing.pkcs8), { code: 'key.algorithm-mismatch' });
  assert.throws(() => softwareAgreement('P-256', generateSoftwareKey('Ed25519').pkcs8), {
    code: 'key.algorithm-mismatch',
  });
  assert.throws(() => softwareAgreement('P-256', SecretBytes.random(40)), { code: 'key.malformed' });
  const one = '1'.padStart(64, '0');
  const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
  const orderLess1 = order.replace(/1$/, '0');
  const open = (scalar: string) => () => softwareAgreement('P-256', barePkcs8('P-256', scalar));
  for (const scalar of ['00'.repeat(32), order]) assert.throws(open(scalar), { code: 'agreement.key-invalid' }, scalar);
  for (const scalar of [order.replace(/1$/, '2'), 'ff'.repeat(32)]) {
    assert.throws(open(scalar), { code: 'key.malformed', seen: 'a scalar out of range for P-256' }, scalar);
  }
  for (const scalar of [one, orderLess1]) assert.equal(open(scalar)().group, 'P-256');
});

test('the private half of a kept key is the PKCS#8 that every tool reads, and stays with the caller', () => {
  for (const group of GROUPS) {
    const { pkcs8, spki } = generateAgreementKey(group);
    const key = pkcs8.use((bytes) => createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' }));
    const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
    assert.equal(publicKey.toString('hex'), Buffer.from(spki).toString('hex'));
    softwareAgreement(group, pkcs8).agree(spki).wipe();
    assert.equal(pkcs8.wiped, false);
  }
});
