import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DerSpki, fromHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { bitString, integer, integerFromBytes, nullValue, oid, sequence } from '../der/writer.ts';
import {
  checkPublicKey,
  countWeakKeys,
  isWeakModulus,
  NO_WEAK_KEYS,
  readWeakKeys,
  rsaModulus,
} from '../goodkey/index.ts';
import { KEY_OIDS } from '../oids.ts';

/**
 * A modulus with its fingerprint as another reader of this form of list has it in its tests: Boulder, goodkey/weak_test.go.
 * Its full SHA-1 there is a3853d0c563765e504c18df20e6961a16398b85a.
 */
const MODULUS = fromHex(
  'd673252af6723c3f72529403eab7c30def3c52f97e799825f4a70191c616adcf1ece1113f1625971074c492c592025fdeadbdb146a081826bdf0d77c3c913dcf1b6f0b3b78f5108d2e493ad0eee8ca5c021711adc13d358e61133870fcd19c8e5c22403959782aa82e72aee53a3d491e3912ce27b27e1a85ea69c19a527d28f7934c9823b7e56fdd657dac83fdc65bb22a98d843df73238919781b714c81a5e2afec71f5c54aa2a27c590ad94c03c1062d50efcffac743e3c8a3ae056846a1d756eb862bf4224169d467c35215ade0afcc11e85fe629afb802c4786ff2e9c929bccf502b3d3b8876c6a11785cc398b389f1d86bdd9cb0bd4ec13956ec3fa270d',
);
const SUFFIX = '8df20e6961a16398b85a';
const list = (text: string) => readWeakKeys([{ name: 'blacklist.RSA-2048', text }]);
const malformed = (text: string, seen: RegExp) =>
  assert.throws(
    () => list(text),
    (error) =>
      error instanceof KeysteadError &&
      error.code === 'key-list.malformed' &&
      seen.test(`${error.field} ${error.seen}`),
  );

test('TEST-KEY-19 a modulus whose fingerprint stands on a list of the form of openssl-blacklist is refused, as another reader of such lists finds it', () => {
  const weak = list(`# known weak\n\n00005890bc78bcbee3ca\n${SUFFIX}\nffffffffffffffffffff\n`);
  assert.equal(countWeakKeys(weak), 3);
  assert.equal(isWeakModulus(MODULUS, weak), true);
  const spki = sequence(
    sequence(oid(KEY_OIDS.rsaEncryption), nullValue()),
    bitString(sequence(integerFromBytes(MODULUS), integer(65_537))),
  ) as DerSpki;
  assert.equal(checkPublicKey(spki, ['RSA-2048']), 'RSA-2048');
  assert.throws(
    () => checkPublicKey(spki, ['RSA-2048'], weak),
    (error) =>
      error instanceof KeysteadError && error.code === 'key.known-compromised' && /list/.test(error.seen ?? ''),
  );
  assert.equal(isWeakModulus(MODULUS, list('8df20e6961a16398b85b\n')), false);
  assert.equal(isWeakModulus(MODULUS, NO_WEAK_KEYS), false);
});

test('the fingerprint is that of openssl rsa -modulus and sha1sum', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const said = execFileSync('openssl', ['rsa', '-pubin', '-modulus', '-noout'], { input: pem });
  const suffix = createHash('sha1').update(said).digest('hex').slice(20);
  const modulus = rsaModulus(publicKey.export({ type: 'spki', format: 'der' }) as Uint8Array as DerSpki);
  assert.ok(modulus);
  assert.equal(isWeakModulus(modulus, list(`${suffix}\n`)), true);
});

test('lists of several sizes are joined, in whatever order, and each fingerprint is found in them once', () => {
  const digits = fc.uint8Array({ minLength: 10, maxLength: 10 }).map((bytes) => Buffer.from(bytes).toString('hex'));
  fc.assert(
    fc.property(fc.array(fc.array(digits, { minLength: 1 }), { minLength: 1, maxLength: 3 }), (lists) => {
      const all = [...lists.flat(), SUFFIX];
      const weak = readWeakKeys([...lists, [SUFFIX]].map((some, n) => ({ name: String(n), text: some.join('\n') })));
      assert.equal(countWeakKeys(weak), new Set(all).size);
      assert.equal(isWeakModulus(MODULUS, weak), true);
      const without = all.filter((one) => one !== SUFFIX);
      if (without.length === 0) return;
      assert.equal(isWeakModulus(MODULUS, list(without.join('\n'))), false);
    }),
  );
});

test('a list that is cut off, of another form or empty is refused with the line, and not read in part', () => {
  malformed(`${SUFFIX}\n8df20e6961`, /blacklist\.RSA-2048 line 2/);
  malformed(`${SUFFIX.toUpperCase()}\n`, /line 1/);
  malformed(`a3853d0c563765e504c1${SUFFIX}\n`, /line 1/);
  malformed('["8df20e6961a16398b85a"]\n', /line 1/);
  malformed('# nothing\n\n', /no fingerprint/);
  malformed('\u0000'.repeat(30), /line 1/);
});
