import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { encode } from 'cborg';
import fc from 'fast-check';
import { toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { randomBytes } from '../index.ts';
import {
  decodeAssertion,
  encodeAssertion,
  readAuthenticatorData,
  readCoseKey,
  readWebauthnRegistration,
  verifyWebauthnAssertion,
} from '../webauthn/index.ts';
import { Authenticator, type Change } from './authenticator.ts';
import { hex } from './support.ts';

interface Vector {
  readonly name: string;
  readonly refused?: string;
  readonly registration: Readonly<Record<string, string>>;
  readonly authentication?: Readonly<Record<string, string>>;
}
const W3C: { rpId: string; origin: string; vectors: Vector[] } = JSON.parse(
  readFileSync(new URL('../../../../vectors/webauthn/w3c-level-3.json', import.meta.url), 'utf8'),
);
const HOUSE = { rpId: 'keystead.example', origins: ['https://keystead.example'], userVerification: false };

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KeysteadError) return error.code;
    throw error;
  }
  return 'none';
}

for (const { name, refused, registration, authentication } of W3C.vectors) {
  test(`the vector ${name} of WebAuthn level 3 is read as it says (TEST-KEY-23)`, () => {
    const expected = {
      rpId: W3C.rpId,
      origins: [W3C.origin],
      userVerification: false,
      challenge: hex(registration.challenge),
    };
    const answer = {
      clientDataJson: hex(registration.clientDataJSON),
      attestationObject: hex(registration.attestationObject),
    };
    if (refused !== undefined) {
      assert.equal(
        codeOf(() => readWebauthnRegistration(answer, expected)),
        refused,
      );
      return;
    }
    const credential = readWebauthnRegistration(answer, expected);
    assert.equal(toHex(credential.credentialId), registration.credentialId);
    assert.equal(toHex(credential.aaguid), registration.aaguid);
    assert.equal(credential.backupEligible, true);
    const assertion = {
      credentialId: credential.credentialId,
      authenticatorData: hex(authentication?.authenticatorData),
      clientDataJson: hex(authentication?.clientDataJSON),
      signature: hex(authentication?.signature),
    };
    const challenge = hex(authentication?.challenge);
    const { backupEligible, userVerified } = verifyWebauthnAssertion(credential, challenge, assertion);
    assert.deepEqual([backupEligible, userVerified], [true, false]);
    assert.equal(
      codeOf(() => verifyWebauthnAssertion(credential, randomBytes(32), assertion)),
      'webauthn.challenge-differs',
    );
    const strict = { ...credential, userVerification: true };
    assert.equal(
      codeOf(() => verifyWebauthnAssertion(strict, challenge, assertion)),
      'webauthn.user-unverified',
    );
  });
}

for (const kind of ['P-256', 'Ed25519', 'RSA-3072'] as const) {
  test(`a credential of ${kind} is registered and its assertion verified, with no attestation and with its own`, async () => {
    const one = new Authenticator(kind);
    const challenge = randomBytes(32);
    for (const fmt of ['none', 'packed']) {
      const credential = readWebauthnRegistration(await one.register(challenge, {}, fmt), { ...HOUSE, challenge });
      assert.equal(toHex(credential.key.spki), toHex(one.spki));
      const assertion = await one.assert(challenge);
      const again = decodeAssertion(encodeAssertion(assertion));
      assert.deepEqual(verifyWebauthnAssertion(credential, challenge, again), {
        userVerified: true,
        backupEligible: false,
        backedUp: false,
        signCount: 7,
      });
    }
  });
}

/** What an assertion that is signed in earnest may say, and is refused for. */
const REFUSED: readonly (readonly [what: string, code: string, change: Change])[] = [
  ['another type', 'webauthn.type-differs', { client: { type: 'webauthn.create' } }],
  ['another challenge', 'webauthn.challenge-differs', { client: { challenge: 'AAAA' } }],
  ['a challenge with padding', 'webauthn.challenge-differs', { client: { challenge: `${'A'.repeat(43)}=` } }],
  ['another origin', 'webauthn.origin-foreign', { client: { origin: 'https://keystead.example.evil' } }],
  ['an origin in plain HTTP', 'webauthn.origin-foreign', { client: { origin: 'http://keystead.example' } }],
  ['a frame in another page', 'webauthn.origin-foreign', { client: { crossOrigin: true } }],
  ['a top origin', 'webauthn.origin-foreign', { client: { topOrigin: 'https://evil.example' } }],
  ['crossOrigin as text', 'webauthn.origin-foreign', { client: { crossOrigin: 'false' } }],
  ['a token binding', 'webauthn.malformed', { client: { tokenBinding: { status: 'present', id: 'x' } } }],
  ['an origin that is no text', 'webauthn.malformed', { client: { origin: ['https://keystead.example'] } }],
  ['another relying party', 'webauthn.relying-party-foreign', { rpId: 'evil.example' }],
  ['nobody present', 'webauthn.user-absent', { flags: 0x04 }],
  ['a copy of what may not be copied', 'webauthn.malformed', { flags: 0x11 }],
  ['bytes behind the end', 'webauthn.malformed', { tail: Uint8Array.of(0) }],
  ['extensions that are no map', 'webauthn.malformed', { flags: 0x85, tail: Uint8Array.of(0x80) }],
  ['attested data that is cut off', 'webauthn.malformed', { flags: 0x45, tail: new Uint8Array(17) }],
  ['a remark that is too long', 'webauthn.malformed', { client: { remark: 'x'.repeat(3000) } }],
];

for (const [what, code, change] of REFUSED) {
  test(`an assertion with ${what} is refused with ${code}`, async () => {
    const one = new Authenticator();
    const challenge = randomBytes(32);
    const assertion = await one.assert(challenge, change);
    assert.equal(
      codeOf(() => verifyWebauthnAssertion(one.credential(), challenge, assertion)),
      code,
    );
  });
}

test('an assertion without UV is taken where presence is enough, and refused where the person must be verified', async () => {
  const one = new Authenticator();
  const challenge = randomBytes(32);
  const touched = await one.assert(challenge, { flags: 0x01 });
  assert.equal(verifyWebauthnAssertion(one.credential(), challenge, touched).userVerified, false);
  assert.equal(
    codeOf(() => verifyWebauthnAssertion(one.credential({ userVerification: true }), challenge, touched)),
    'webauthn.user-unverified',
  );
});

test('extensions that nobody asked for are passed over, and so is a member that the browser adds', async () => {
  const one = new Authenticator();
  const challenge = randomBytes(32);
  const change = { flags: 0x85, tail: encode(new Map([['credProtect', 2]])), client: { remark: 'of tomorrow' } };
  const assertion = await one.assert(challenge, change);
  assert.equal(verifyWebauthnAssertion(one.credential(), challenge, assertion).userVerified, true);
});

test('an assertion of another credential, or by another key under its id, is refused', async () => {
  const [one, other] = [new Authenticator(), new Authenticator()];
  const challenge = randomBytes(32);
  const assertion = await other.assert(challenge);
  assert.equal(
    codeOf(() => verifyWebauthnAssertion(one.credential(), challenge, assertion)),
    'webauthn.credential-differs',
  );
  const claimed = { ...assertion, credentialId: one.credentialId };
  assert.equal(
    codeOf(() => verifyWebauthnAssertion(one.credential(), challenge, claimed)),
    'webauthn.signature-invalid',
  );
});

test('no byte of an assertion can be another', async () => {
  const one = new Authenticator('Ed25519');
  const challenge = randomBytes(32);
  const good = await one.assert(challenge);
  for (const part of ['authenticatorData', 'clientDataJson', 'signature'] as const) {
    for (let at = 0; at < good[part].length; at += 1) {
      const bytes = Uint8Array.from(good[part]);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      assert.notEqual(
        codeOf(() => verifyWebauthnAssertion(one.credential(), challenge, { ...good, [part]: bytes })),
        'none',
        `${part}[${at}]`,
      );
    }
  }
});

test('an attestation that is not of the two kinds, or of another key, is refused', async () => {
  const [one, other] = [new Authenticator(), new Authenticator()];
  const challenge = randomBytes(32);
  const expected = { ...HOUSE, challenge };
  const packed = await one.register(challenge, {}, 'packed');
  const read = (object: Map<string, unknown>) => {
    const attestationObject = encode(object);
    return codeOf(() => readWebauthnRegistration({ ...packed, attestationObject }, expected));
  };
  const authData = authDataOf(packed.attestationObject);
  const sig = await other.sign(authData, packed.clientDataJson);
  const good = await one.sign(authData, packed.clientDataJson);
  const object = (fmt: string, statement: [string, unknown][]) =>
    new Map<string, unknown>([
      ['fmt', fmt],
      ['attStmt', new Map(statement)],
      ['authData', authData],
    ]);
  const alg: [string, unknown] = ['alg', -7];
  assert.equal(read(object('packed', [alg, ['sig', good]])), 'none');
  for (const refused of [
    object('packed', [alg, ['sig', sig]]),
    object('packed', [
      ['alg', -8],
      ['sig', good],
    ]),
    object('packed', [alg, ['sig', good], ['x5c', [new Uint8Array(4)]]]),
    object('packed', [alg]),
    object('none', [alg]),
    object('tpm', []),
    object('fido-u2f', []),
  ]) {
    assert.equal(read(refused), 'webauthn.attestation-refused');
  }
  const asserted = await one.assert(challenge);
  assert.equal(
    codeOf(() => readWebauthnRegistration({ ...packed, clientDataJson: asserted.clientDataJson }, expected)),
    'webauthn.type-differs',
  );
});

/** The authenticator data of what `register` made: it is the last member, with a head of two or three octets. */
function authDataOf(object: Uint8Array): Uint8Array {
  const at = Buffer.from(object).indexOf('authData') + 'authData'.length;
  return object.subarray(at + (object[at] === 0x58 ? 2 : 3));
}

test('a COSE key is exactly what its algorithm has, in the one encoding', () => {
  const { publicKey } = new Authenticator();
  const members = (change: [number, unknown][], without: readonly number[] = []) => {
    const x = publicKey.subarray(10, 42);
    const y = publicKey.subarray(45);
    const all: [number, unknown][] = [[1, 2], [3, -7], [-1, 1], [-2, x], [-3, y], ...change];
    return encode(new Map(all.filter(([member]) => !without.includes(member))));
  };
  assert.equal(toHex(members([])), toHex(publicKey));
  for (const [code, bytes] of [
    ['webauthn.malformed', members([[4, 1]])],
    ['webauthn.malformed', members([], [-3])],
    ['webauthn.malformed', members([[-3, true]])],
    ['webauthn.malformed', members([[-3, new Uint8Array(33)]])],
    ['webauthn.malformed', members([[1, 1]])],
    ['webauthn.malformed', Buffer.concat([publicKey, Uint8Array.of(0)])],
    ['webauthn.malformed', publicKey.subarray(0, 60)],
    ['webauthn.malformed', Buffer.from(toHex(publicKey).replace('0102', '011802'), 'hex')],
    ['webauthn.malformed', Buffer.from(toHex(publicKey).replace('01020326', '03260102'), 'hex')],
    ['webauthn.algorithm-forbidden', members([[3, -35]])],
    ['webauthn.algorithm-forbidden', members([], [3])],
    ['webauthn.algorithm-forbidden', members([[-1, 2]])],
    ['key.weak', members([[-3, new Uint8Array(32)]])],
  ] as const) {
    assert.equal(
      codeOf(() => readCoseKey(bytes)),
      code,
      toHex(bytes),
    );
  }
});

test('whatever bytes come, a reader gives a value or a refusal of its own', () => {
  const seeds = W3C.vectors.map(({ registration }) => hex(registration.attestationObject));
  const cut = fc.tuple(fc.constantFrom(...seeds), fc.nat(220), fc.uint8Array({ maxLength: 8 }));
  const spoilt = cut.map(([seed, at, bytes]) => {
    const copy = Uint8Array.from(seed);
    copy.set(bytes.subarray(0, Math.max(0, copy.length - at)), Math.min(at, copy.length));
    return copy;
  });
  const any = fc.oneof(fc.uint8Array({ maxLength: 300 }), spoilt);
  const expected = { ...HOUSE, challenge: new Uint8Array(32) };
  const client = Buffer.from(
    JSON.stringify({ type: 'webauthn.create', challenge: 'A'.repeat(43), origin: HOUSE.origins[0] }),
  );
  const good = /^(webauthn|key)\.|^none$/;
  fc.assert(
    fc.property(any, (bytes) => {
      assert.match(
        codeOf(() => readAuthenticatorData(bytes)),
        good,
      );
      assert.match(
        codeOf(() => readCoseKey(bytes)),
        good,
      );
      assert.match(
        codeOf(() => decodeAssertion(bytes)),
        good,
      );
      for (const clientDataJson of [client, bytes]) {
        const answer = { clientDataJson, attestationObject: bytes };
        assert.match(
          codeOf(() => readWebauthnRegistration(answer, expected)),
          good,
        );
      }
    }),
    { numRuns: 2000 },
  );
  // Nesting as deep as the bound on size allows.
  for (const head of [0x81, 0xa1, 0xc1]) {
    assert.equal(
      codeOf(() => readCoseKey(new Uint8Array(4096).fill(head))),
      'webauthn.malformed',
    );
  }
  assert.equal(
    codeOf(() => readCoseKey(new Uint8Array(4097))),
    'webauthn.malformed',
  );
});
