import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpkiSha256 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { diversifiedInput, kbkdf, keyCheckValue, SecretBytes } from '../index.ts';
import { hex, openssl, opensslKdf, secret, shown } from './support.ts';

const IDENTITY = 'ab'.repeat(32) as SpkiSha256;

test('TEST-KEY-04: openssl kdf KBKDF gives the same bytes as a device key by label and context of the page [openssl kdf: KBKDF counter mode]', () => {
  const master = '4b'.repeat(32);
  for (const [purpose, version, device, bytes] of [
    ['telemetry', 1, 'KS-0001', 32],
    ['telemetry', 2, 'KS-0001', 32],
    ['link', 1, 'KS-0001', 16],
    ['link', 1, 'KS-000100000000000000000000000000000000000000000000', 32],
  ] as const) {
    const { label, context } = diversifiedInput(purpose, version, IDENTITY, device);
    const expected = opensslKdf('KBKDF', bytes, {
      mac: 'HMAC',
      digest: 'SHA256',
      mode: 'counter',
      hexkey: master,
      // As the page has it, made here by hand.
      hexsalt: Buffer.from(`keystead device key 2 ${purpose}`).toString('hex'),
      hexinfo: `0000000${version}${IDENTITY}${Buffer.from(device).toString('hex')}`,
    });
    using key = kbkdf('sha256', secret(master), label, context, bytes);
    assert.equal(shown(key), expected);
  }
});

test('TEST-KEY-04: no two purposes, versions, identities or devices have one label and context', () => {
  const other = 'cd'.repeat(32) as SpkiSha256;
  const inputs = [
    diversifiedInput('a', 1, IDENTITY, 'KS-1'),
    diversifiedInput('b', 1, IDENTITY, 'KS-1'),
    diversifiedInput('a', 2, IDENTITY, 'KS-1'),
    diversifiedInput('a', 1, other, 'KS-1'),
    diversifiedInput('a', 1, IDENTITY, 'KS-11'),
    diversifiedInput('a', 1, IDENTITY, 'S-1'),
  ].map(({ label, context }) => Buffer.concat([label, Buffer.of(0), context]).toString('hex'));
  assert.equal(new Set(inputs).size, inputs.length);
});

test('what is no purpose, device or identity is refused', () => {
  for (const [purpose, identity, device, code] of [
    ['A', IDENTITY, 'KS-1', 'kdf.purpose-malformed'],
    ['a\0b', IDENTITY, 'KS-1', 'kdf.purpose-malformed'],
    ['a', IDENTITY, '', 'kdf.context-malformed'],
    ['a', IDENTITY, 'x'.repeat(256), 'kdf.context-malformed'],
    ['a', 'ab' as SpkiSha256, 'KS-1', 'kdf.context-malformed'],
  ] as const) {
    assert.throws(
      () => diversifiedInput(purpose, 1, identity, device),
      (error) => error instanceof KeysteadError && error.code === code,
    );
  }
});

test('the check value of a key is what openssl enc says of sixteen octets 0x01', () => {
  for (const bytes of [16, 32]) {
    const key = SecretBytes.random(bytes);
    const said = key.use((octets) =>
      openssl(
        ['enc', `-aes-${bytes * 8}-ecb`, '-nopad', '-K', Buffer.from(octets).toString('hex')],
        hex('01'.repeat(16)),
      ),
    );
    assert.equal(keyCheckValue(key), said.toString('hex').slice(0, 6).toUpperCase());
  }
  assert.throws(() => keyCheckValue(SecretBytes.random(24)), RangeError);
});
