import assert from 'node:assert/strict';
import { createHash, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { jwsOf, rawKey } from '../../../acme/tests/raw-client.ts';
import { publicJwk, verifies } from '../jwk.ts';
import { headerKey, parseJws, parseJwsBody, requireSignature } from '../jws.ts';

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

test('RFC 7638 section 3.1: the thumbprint of its key', () => {
  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
  const key = publicJwk({ kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' });
  assert.equal(key.thumbprint, 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
});

test('RFC 8037 appendix A: its Ed25519 signature verifies; its key, which is published, is none for an account', () => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
  assert.throws(() => publicJwk(jwk), fails('acme.bad-public-key', /known-compromised/));
  const key = { algorithm: 'EdDSA', key: createPublicKey({ key: jwk, format: 'jwk' }) } as const;
  const data = Buffer.from('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc', 'ascii');
  const signature = Buffer.from(
    'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    'base64url',
  );
  assert.equal(verifies(key, data, signature), true);
  signature[0] = (signature[0] ?? 0) ^ 1;
  assert.equal(verifies(key, data, signature), false);
});

test('ES256, ES384, EdDSA and RS256 verify, each for its own kind of key only', () => {
  for (const kind of ['ES256', 'ES384', 'EdDSA', 'RS256'] as const) {
    const key = rawKey(kind);
    const header = { alg: kind, nonce: 'AAAA', url: 'https://a/b', jwk: key.jwk };
    const jws = parseJws(jwsOf(header, {}, key));
    requireSignature(jws, headerKey(jws));
    for (const other of ['ES256', 'ES384', 'EdDSA', 'RS256']) {
      if (other === kind) continue;
      const crossed = parseJws(jwsOf({ ...header, alg: other }, {}, key));
      assert.throws(() => requireSignature(crossed, headerKey(crossed)), fails('acme.bad-signature-algorithm'));
    }
  }
});

test('no algorithm, a MAC, SHA-1 and unknown names are refused, whatever the signature', () => {
  const key = rawKey();
  for (const alg of ['none', 'None', 'HS256', 'HS512', 'RS1', 'PS256', 'ES512', 'ES256K', '', '__proto__']) {
    const jws = parseJws(jwsOf({ alg, nonce: 'AAAA', url: 'https://a/b', jwk: key.jwk }, {}, key));
    assert.throws(() => requireSignature(jws, headerKey(jws)), fails('acme.bad-signature-algorithm'), alg);
  }
});

test('a key that is private, symmetric, too small, too large, off its curve, known or of another kind is refused', () => {
  const { jwk } = rawKey('ES256');
  const flipped = Buffer.from(String(jwk.y), 'base64url');
  flipped[31] = (flipped[31] ?? 0) ^ 1;
  const rsa = (bits: number, e = 'AQAB'): unknown => {
    const n = Buffer.alloc(bits / 8, 0xc3);
    n[0] = 0xc1;
    return { kty: 'RSA', n: n.toString('base64url'), e };
  };
  const bad: Record<string, unknown> = {
    'no object': 'jwk',
    'a private key': { ...rawKey().privateKey.export({ format: 'jwk' }) },
    'a symmetric key': { kty: 'oct', k: 'AAAA' },
    'a point off the curve': { ...jwk, y: flipped.toString('base64url') },
    'P-521': { kty: 'EC', crv: 'P-521', x: 'AA', y: 'AA' },
    secp256k1: { kty: 'EC', crv: 'secp256k1', x: 'AA', y: 'AA' },
    X25519: { kty: 'OKP', crv: 'X25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
    'the neutral point of Ed25519': { kty: 'OKP', crv: 'Ed25519', x: 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' },
    'RSA-1024': rsa(1024),
    'RSA-2040': rsa(2040),
    'RSA-8192': rsa(8192),
    'RSA with an exponent of 1': rsa(2048, 'AQ'),
    'RSA with an even modulus': { kty: 'RSA', n: Buffer.alloc(256, 0xc2).toString('base64url'), e: 'AQAB' },
    'padded base64': { ...jwk, x: `${String(jwk.x)}=` },
  };
  for (const [what, value] of Object.entries(bad)) {
    assert.throws(() => publicJwk(value), fails('acme.bad-public-key'), what);
  }
});

test('a JWS with a wrong form is refused with the field that is wrong', () => {
  const key = rawKey();
  const header = { alg: 'ES256', nonce: 'AAAA', url: 'https://a/b', jwk: key.jwk };
  const good = jwsOf(header, {}, key);
  parseJws(good);
  const head = (value: unknown): unknown => ({
    ...good,
    protected: Buffer.from(JSON.stringify(value)).toString('base64url'),
  });
  const bad: Record<string, [unknown, RegExp]> = {
    'an array': [[good], /JWS/],
    null: [null, /JWS/],
    'the general form': [{ payload: '', signatures: [] }, /JWS/],
    'an unprotected header': [{ ...good, header: { kid: 'a' } }, /JWS/],
    'no signature': [{ protected: good.protected, payload: '' }, /signature/],
    'a padded payload': [{ ...good, payload: 'e30=' }, /payload/],
    'another spelling of base64url': [{ ...good, payload: 'e31' }, /payload/],
    'a header that is no JSON': [{ ...good, protected: 'AAAA' }, /protected/],
    'both jwk and kid': [head({ ...header, kid: 'https://a/account/1' }), /both jwk and kid/],
    'neither jwk nor kid': [head({ ...header, jwk: undefined }), /neither/],
    'no url': [head({ ...header, url: undefined }), /url/],
    'an unencoded payload (RFC 7797)': [head({ ...header, b64: false }), /b64/],
    'a critical extension': [head({ ...header, crit: ['b64'] }), /crit/],
    'a nonce with blanks': [head({ ...header, nonce: 'A A' }), /nonce/],
  };
  for (const [what, [value, seen]] of Object.entries(bad)) {
    assert.throws(() => parseJws(value), fails('acme.malformed', seen), what);
  }
  assert.throws(() => parseJwsBody(undefined), fails('acme.malformed'));
  assert.throws(() => parseJwsBody(Buffer.from([0x22, 0xff, 0x22])), fails('acme.malformed', /UTF-8/));
});

test('whatever bytes come, and however a good request is changed, the reader says what is wrong in its own words', () => {
  const key = rawKey();
  const text = JSON.stringify(jwsOf({ alg: 'ES256', nonce: 'AAAA', url: 'https://a/b', jwk: key.jwk }, { a: 1 }, key));
  const orAcme = (act: () => unknown): void => {
    try {
      act();
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code.startsWith('acme.'), String(error));
    }
  };
  const read = (bytes: Uint8Array): void =>
    orAcme(() => {
      const jws = parseJwsBody(bytes);
      requireSignature(jws, headerKey(jws));
    });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), read), { numRuns: 300 });
  fc.assert(
    fc.property(fc.jsonValue(), (value) => read(Buffer.from(JSON.stringify(value) ?? ''))),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const bytes = Buffer.from(text);
      bytes[at] = (bytes[at] ?? 0) ^ by;
      read(bytes);
    }),
    { numRuns: 300 },
  );
});

test('a change anywhere in what was signed, or in the signature, is found', () => {
  const key = rawKey();
  const jws = jwsOf({ alg: 'ES256', nonce: 'AAAA', url: 'https://a/b', jwk: key.jwk }, { a: 1 }, key);
  const publicKey = publicJwk(key.jwk);
  fc.assert(
    fc.property(fc.constantFrom('payload', 'signature'), fc.nat(1000), (field, where) => {
      const bytes = Buffer.from(jws[field] ?? '', 'base64url');
      const at = where % bytes.length;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      const parsed = parseJws({ ...jws, [field]: bytes.toString('base64url') });
      assert.throws(() => requireSignature(parsed, publicKey), fails('acme.signature-invalid'));
    }),
    { numRuns: 60 },
  );
  assert.equal(createHash('sha256').update(publicKey.canonical).digest('base64url'), publicKey.thumbprint);
});
