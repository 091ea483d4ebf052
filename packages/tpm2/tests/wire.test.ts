import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '@keystead/core/bytes';
import { ecdsaSigValue, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import {
  agreementTemplate,
  ENDORSEMENT_KINDS,
  SRK_TEMPLATE,
  sealedTemplate,
  signingTemplate,
} from '../objects/templates.ts';
import { aesCfb, kdfa, kdfe } from '../session/kdf.ts';
import { decodeAttest } from '../wire/attest.ts';
import { decodePcrSelection, encodePcrSelection, pcrNumbers } from '../wire/pcr.ts';
import { decodePublic, encodePublic, nameOf, type PublicArea } from '../wire/public.ts';
import { WireReader } from '../wire/reader.ts';
import { decodeResponseCode, TpmRefusal } from '../wire/response-code.ts';
import { decodeSignature } from '../wire/signature.ts';
import { join, sized, u16, u32 } from '../wire/writer.ts';
import { run } from './swtpm.ts';

const malformed = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'tpm2.malformed';

/** Every decoder of what a TPM sends, or somebody in its name. */
const DECODERS: readonly (readonly [name: string, decode: (bytes: Uint8Array) => unknown])[] = [
  ['a public area', decodePublic],
  ['a statement', decodeAttest],
  ['a signature', decodeSignature],
  ['a PCR selection', (bytes) => decodePcrSelection(new WireReader(bytes))],
];

const TEMPLATES: readonly PublicArea[] = [
  SRK_TEMPLATE,
  ...ENDORSEMENT_KINDS.map(({ template }) => template),
  signingTemplate('P-384'),
  signingTemplate('RSA-3072'),
  agreementTemplate('P-256'),
  sealedTemplate(new Uint8Array(32)),
];

for (const [name, decode] of DECODERS) {
  test(`whatever bytes come, the decoder of ${name} takes them or says tpm2.malformed`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          assert.ok(malformed(error), String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
}

test('a public area with any octet changed, added or taken away is another one or malformed, never the same', () => {
  for (const area of TEMPLATES) {
    const bytes = encodePublic(area);
    assert.deepEqual(encodePublic(decodePublic(bytes)), bytes);
    assert.throws(() => decodePublic(join(bytes, u16(0))), malformed);
    for (let at = 0; at < bytes.length; at += 1) {
      assert.throws(() => decodePublic(bytes.subarray(0, at)), malformed, `cut at ${at}`);
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      try {
        assert.notDeepEqual(nameOf(decodePublic(changed)), nameOf(area), `octet ${at}`);
      } catch (error) {
        assert.ok(malformed(error), String(error));
      }
    }
  }
});

test('a statement without TPM_GENERATED_VALUE is none, whatever else it says', () => {
  const body = join(
    u16(0x8018),
    sized(new Uint8Array(34)),
    sized(new Uint8Array(32)),
    new Uint8Array(25),
    u32(0),
    sized(new Uint8Array(32)),
  );
  assert.equal(decodeAttest(join(u32(0xff544347), body)).kind, 'quote');
  assert.throws(() => decodeAttest(join(u32(0xff544348), body)), malformed);
});

test('PCR selections come back as they were written; numbers that no TPM has are refused', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { minLength: 1 }), (pcrs) => {
      const selection = { bank: 'sha256', pcrs: pcrNumbers(pcrs) } as const;
      assert.deepEqual(decodePcrSelection(new WireReader(encodePcrSelection(selection))), [selection]);
    }),
  );
  for (const pcrs of [[], [24], [-1], [1.5]]) {
    assert.throws(
      () => pcrNumbers(pcrs),
      (error) => error instanceof KeysteadError && error.code === 'tpm2.pcr-selection',
    );
  }
});

test('two numbers of a signature become the DER that OpenSSL verifies, also where they begin with zeros or a high bit', () => {
  for (const namedCurve of ['prime256v1', 'secp384r1', 'secp521r1']) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    for (let n = 0; n < 40; n += 1) {
      const raw = sign('sha256', Buffer.of(n), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      const half = raw.length / 2;
      const der = ecdsaSigValue(raw.subarray(0, half), raw.subarray(half));
      assert.ok(verify('sha256', Buffer.of(n), publicKey, der), namedCurve);
    }
  }
  assert.equal(toHex(ecdsaSigValue(fromHex('0001'), fromHex('80'))), '300702010102020080');
});

test('tpm2_rc_decode gives every response code the name and place that we give it', () => {
  const fmt1 = [0x9a2, 0x98e, 0x1d5, 0x2c4, 0x18b, 0x921, 0x1df, 0x084, 0x9a3, 0x1da];
  const others = [
    0x101, 0x100, 0x120, 0x128, 0x143, 0x14c, 0x152, 0x902, 0x903, 0x907, 0x90a, 0x920, 0x921, 0x922, 0x923,
  ];
  for (const code of [...fmt1, ...others]) {
    const { name, part } = decodeResponseCode(code);
    const said = run('tpm2_rc_decode', [`0x${code.toString(16)}`]);
    assert.ok(name !== undefined, code.toString(16));
    const [, kind = '', number = ''] = /^(\w+) (\d+)$/.exec(part ?? '') ?? [];
    if (part !== undefined) assert.match(said, new RegExp(`${kind}\\(${number}\\)`), said);
    // The tool explains in words; those of one code are not those of another.
    const word = WORDS[name] ?? name.toLowerCase().replaceAll('_', ' ');
    assert.match(said.toLowerCase(), new RegExp(word), `${code.toString(16)} ${name}: ${said}`);
  }
});

/** Where the tool does not use the specification's name. */
const WORDS: Readonly<Record<string, string>> = {
  AUTH_FAIL: 'authorization hmac check failed and da counter',
  BAD_AUTH: 'authorization failure without da',
  SIZE: 'structure is the wrong size',
  VALUE: 'value is out of range',
  HANDLE: 'handle is not correct',
  INTEGRITY: 'integrity check failed',
  INSUFFICIENT: 'not enough octets',
  EXPIRED: 'expired',
  FAILURE: 'failure',
  INITIALIZE: 'not initialized',
  DISABLED: 'disabled',
  PCR_CHANGED: 'pcr have changed',
  COMMAND_CODE: 'command code not supported',
  NV_DEFINED: 'already defined',
  PARENT: 'parent',
  OBJECT_MEMORY: 'out of memory for object',
  SESSION_MEMORY: 'out of memory for session',
  LOCALITY: 'locality',
  TESTING: 'selftests',
  NV_RATE: 'rate limiting',
  LOCKOUT: 'da lockout mode',
  RETRY: 'not able to start',
  NV_UNAVAILABLE: 'writing of nv',
};

test('a code that nobody knows is shown in hex, with the part that it is about where it has one', () => {
  const refusal = new TpmRefusal('Sign', 0x1fe);
  assert.equal(refusal.code, 'tpm2.refused');
  assert.match(refusal.message, /TPM2_Sign.*unknown response code 0x1fe at parameter 1/);
  assert.match(new TpmRefusal('Sign', 0x80000500).message, /0x80000500/);
  assert.match(new TpmRefusal('Sign', 0x9ae).message, /unknown response code 0x9ae at session 1/);
});

test('every response code has a Keystead error, and each named bad state its own', () => {
  const codeOf = (code: number): string => new TpmRefusal('Sign', code).code;
  for (let code = 1; code < 0x1000; code += 1) assert.match(codeOf(code), /^tpm2\./);
  assert.equal(codeOf(0x921), 'tpm2.lockout');
  assert.equal(codeOf(0x101), 'tpm2.failure-mode');
  assert.equal(codeOf(0x98e), 'tpm2.auth-failed');
  assert.equal(codeOf(0x902), 'tpm2.full');
  assert.equal(codeOf(0x143), 'tpm2.unsupported');
  assert.equal(codeOf(0x922), 'tpm2.unavailable');
});

test('KDFa is the KBKDF of openssl, and KDFe one block of the concatenation KDF', () => {
  const key = SecretBytes.copy(Buffer.alloc(32, 7));
  const ours = kdfa('sha256', key, 'STORAGE', Buffer.from('u'), Buffer.from('v'), 32);
  const options = ['mac:HMAC', 'digest:SHA256', `hexkey:${'07'.repeat(32)}`, 'salt:STORAGE', 'info:uv'];
  const said = run('openssl', ['kdf', '-keylen', '32', ...options.flatMap((option) => ['-kdfopt', option]), 'KBKDF']);
  assert.equal(ours.use(toHex), said.trim().replaceAll(':', '').toLowerCase());

  const z = SecretBytes.copy(Buffer.alloc(32, 9));
  const block = kdfe('sha384', z, 'IDENTITY', Buffer.from('party u'), Buffer.from('party v'));
  const single = [
    'digest:SHA384',
    `hexkey:${'09'.repeat(32)}`,
    `hexinfo:${toHex(Buffer.from('IDENTITY\0party uparty v'))}`,
  ];
  const sskdf = run('openssl', ['kdf', '-keylen', '48', ...single.flatMap((option) => ['-kdfopt', option]), 'SSKDF']);
  assert.equal(block.use(toHex), sskdf.trim().replaceAll(':', '').toLowerCase());
});

test('AES in CFB mode gives the bytes of SP 800-38A, and takes them back', () => {
  // SP 800-38A section F.3.13, first two blocks.
  const key = SecretBytes.copy(fromHex('2b7e151628aed2a6abf7158809cf4f3c'));
  const iv = fromHex('000102030405060708090a0b0c0d0e0f');
  const plain = fromHex('6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51');
  const cipher = aesCfb('encrypt', key, iv, plain);
  assert.equal(toHex(cipher), '3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b');
  assert.deepEqual(aesCfb('decrypt', key, iv, cipher), plain);
});
