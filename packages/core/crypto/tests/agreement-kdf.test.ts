import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Agreement,
  agreementInfo,
  agreementSpki,
  type OneStepFunction,
  oneStepKdf,
  SecretBytes,
  softwareAgreement,
  twoStepKdf,
} from '../index.ts';
import { ascii, openssl, opensslKdf, secret, shown } from './support.ts';

const HASHES = ['sha256', 'sha384', 'sha512'] as const;
const info = (text: string): string => Buffer.from(text).toString('hex');

for (const hash of HASHES) {
  test(`TEST-KEY-06: openssl kdf SSKDF gives the same SP 800-56C one-step keys with ${hash} and with HMAC`, () => {
    const salt = ascii('a salt that both parties know');
    const functions: [OneStepFunction, Record<string, string>][] = [
      [{ function: 'hash', hash }, {}],
      [{ function: 'hmac', hash }, { mac: 'HMAC' }],
      [
        { function: 'hmac', hash, salt },
        { mac: 'HMAC', hexsalt: Buffer.from(salt).toString('hex') },
      ],
    ];
    for (const [h, options] of functions) {
      for (const length of [1, 32, 100]) {
        const z = SecretBytes.random(48);
        const theirs = opensslKdf('SSKDF', length, {
          digest: hash.toUpperCase(),
          hexkey: shown(z),
          hexinfo: info('A256GCM for pump-1'),
          ...options,
        });
        assert.equal(shown(oneStepKdf(h, z, ascii('A256GCM for pump-1'), length)), theirs, JSON.stringify(h));
      }
    }
  });

  test(`TEST-KEY-06: openssl mac and openssl kdf KBKDF give the same SP 800-56C two-step keys with ${hash}`, () => {
    const digest = hash.toUpperCase();
    for (const salt of [undefined, ascii('a salt')]) {
      const z = SecretBytes.random(32);
      // Without a salt: zeros as long as the hash's input block.
      const hexkey = salt === undefined ? '00'.repeat(hash === 'sha256' ? 64 : 128) : info('a salt');
      const input = Buffer.from(shown(z), 'hex');
      const options = ['-digest', digest, '-macopt', `hexkey:${hexkey}`, '-in', '-', 'HMAC'];
      const kdk = openssl(['mac', ...options], input)
        .toString()
        .trim();
      const theirs = opensslKdf('KBKDF', 40, { mac: 'HMAC', digest, hexkey: kdk, salt: 'label', info: 'context' });
      assert.equal(shown(twoStepKdf(hash, z, salt, ascii('label'), ascii('context'), 40)), theirs);
    }
  });
}

test('TEST-KEY-06: an empty salt is the default one', () => {
  using z = SecretBytes.random(32);
  const derive = (salt?: Uint8Array): string => shown(twoStepKdf('sha256', z, salt, ascii('a'), ascii('b'), 32));
  assert.equal(derive(new Uint8Array()), derive());
  assert.notEqual(derive(ascii('salt')), derive());
});

test('TEST-KEY-06: ECDH, FixedInfo and one-step derivation together give the key of RFC 7518 appendix C', () => {
  const alice = {
    kty: 'EC',
    crv: 'P-256',
    x: 'gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0',
    y: 'SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps',
    d: '0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo',
  };
  const bob = ['weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ', 'e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck'];
  const pkcs8 = createPrivateKey({ key: alice, format: 'jwk' }).export({ format: 'der', type: 'pkcs8' });
  const key = softwareAgreement('P-256', SecretBytes.copy(pkcs8));
  const point = Buffer.concat([Buffer.of(4), ...bob.map((coordinate) => Buffer.from(coordinate, 'base64url'))]);
  using z = key.agree(agreementSpki('P-256', point));
  const fixedInfo = agreementInfo({ algorithm: 'A128GCM', partyU: 'Alice', partyV: 'Bob' }, 16);
  assert.equal(
    Buffer.from(fixedInfo).toString('hex'),
    `00000007${info('A128GCM')}00000005${info('Alice')}00000003${info('Bob')}00000080`,
  );
  const derived = oneStepKdf({ function: 'hash', hash: 'sha256' }, z, fixedInfo, 16);
  assert.equal(
    derived.use((bytes) => Buffer.from(bytes).toString('base64url')),
    'VqqN6vgjbSBcIijNcacQGg',
  );
});

test('TEST-KEY-06: no two agreements and lengths have the same FixedInfo', () => {
  const part = fc.stringMatching(/^[ab\0]{1,3}$/);
  const agreement = fc.record({
    algorithm: part,
    partyU: part,
    partyV: part,
    supplement: fc.stringMatching(/^[ab\0]{0,3}$/),
    length: fc.constantFrom(16, 32),
  });
  const written = ({ length, ...parts }: Agreement & { length: number }): string =>
    Buffer.from(agreementInfo(parts, length)).toString('hex');
  fc.assert(
    fc.property(agreement, agreement, (one, two) => {
      assert.equal(written(one) === written(two), JSON.stringify(one) === JSON.stringify(two));
    }),
    { numRuns: 500 },
  );
});

test('a FixedInfo without parties or out of bounds is refused by name', () => {
  const whole = { algorithm: 'A256GCM', partyU: 'pump-1', partyV: 'backend' };
  for (const field of ['algorithm', 'partyU', 'partyV'] as const) {
    for (const part of ['', new Uint8Array(), 'x'.repeat(65_536), '\udc00']) {
      const refused = { code: 'kdf.context-malformed', field };
      assert.throws(() => agreementInfo({ ...whole, [field]: part }, 32), refused);
    }
  }
  assert.throws(() => agreementInfo({ ...whole, supplement: new Uint8Array(65_536) }, 32), { field: 'supplement' });
});

test('one-step and two-step derivations out of bounds are refused by name', () => {
  using z = SecretBytes.random(32);
  const h = { function: 'hash', hash: 'sha256' } as const;
  for (const length of [0, -1, 0.5, 8161]) {
    assert.throws(() => oneStepKdf(h, z, ascii('info'), length), { code: 'kdf.length' });
    assert.throws(() => twoStepKdf('sha256', z, undefined, ascii('a'), ascii('b'), length), { code: 'kdf.length' });
  }
  const short = secret('00'.repeat(13));
  assert.throws(() => oneStepKdf(h, short, ascii('info'), 32), { code: 'kdf.master-too-short' });
  const twoStep = (label: string) => () => twoStepKdf('sha256', z, undefined, ascii(label), ascii('b'), 32);
  assert.throws(() => twoStepKdf('sha256', short, undefined, ascii('a'), ascii('b'), 32), {
    code: 'kdf.master-too-short',
  });
  assert.throws(twoStep('a\0'), { code: 'kdf.label-malformed' });
  assert.throws(twoStep(''), { code: 'kdf.label-malformed' });
});

test('the secret stays with the caller', () => {
  using z = SecretBytes.random(32);
  const before = shown(z);
  oneStepKdf({ function: 'hmac', hash: 'sha384' }, z, ascii('info'), 32).wipe();
  twoStepKdf('sha512', z, undefined, ascii('a'), ascii('b'), 32).wipe();
  assert.equal(shown(z), before);
});
