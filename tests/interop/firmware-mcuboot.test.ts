import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import { SigningKey, wholeOf } from '../../packages/core/firmware/tests/signing-key.ts';
import { ok, run } from './foreign.ts';

const READER = fileURLToPath(new URL('mcuboot_reader.py', import.meta.url));
const OPENSBI = '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin';
const UBOOT = '/usr/lib/u-boot/qemu_arm/u-boot.bin';
const directory = mkdtempSync(join(tmpdir(), 'keystead-mcuboot-'));
const keys: SigningKey[] = [];
after(() => {
  for (const folder of [directory, ...keys.map((key) => key.directory)]) rmSync(folder, { recursive: true });
});

const keyOf = (algorithm: SigningKey['algorithm'], scheme?: SigningKey['scheme']): SigningKey => {
  const key = new SigningKey(algorithm, scheme);
  keys.push(key);
  return key;
};

/** What the reader in Python says of a signed image; the signature by `key` that it found is checked by openssl. */
async function verified(signed: Uint8Array, key: SigningKey): Promise<Record<string, unknown>> {
  const [image, spki, out] = ['image.bin', 'spki.der', 'out'].map((name) => join(directory, name));
  assert.ok(image && spki && out);
  writeFileSync(image, signed);
  if (key.algorithm.startsWith('RSA')) {
    const pkcs1 = ['-RSAPublicKey_out', '-outform', 'DER', '-out', spki];
    await ok('openssl', ['rsa', '-pubin', '-in', key.file('dev.pub'), ...pkcs1]);
  } else writeFileSync(spki, key.spki);
  const said = await ok('python3', [READER, image, spki, out]);
  const verify =
    key.algorithm === 'Ed25519'
      ? ['pkeyutl', '-verify', '-pubin', '-inkey', key.file('dev.pub'), '-rawin', '-in', `${out}.message`]
      : ['dgst', ...key.opensslOptions, '-verify', key.file('dev.pub')];
  const signature =
    key.algorithm === 'Ed25519'
      ? ['-sigfile', `${out}.signature`]
      : ['-signature', `${out}.signature`, `${out}.message`];
  assert.match(
    await ok('openssl', [...verify, ...signature]),
    /Verified (OK|Successfully)|Signature Verified Successfully/,
  );
  return JSON.parse(said) as Record<string, unknown>;
}

const zeros = '00'.repeat(32);
const PARAMETERS = {
  version: '2.10.3+77',
  'header-size': '0x200',
  'load-addr': '0x20001000',
  'security-counter': '42',
  'boot-record': 'NSPE',
  dependencies: '(1, 1.4.0+9), (2, 3.0)',
};

for (const [algorithm, file, tlvs, scheme] of [
  ['P-256', UBOOT, [0x10, 0x01, 0x22], undefined],
  ['P-384', OPENSBI, [0x11, 0x01, 0x22], undefined],
  ['Ed25519', OPENSBI, [0x10, 0x01, 0x24], undefined],
  // IMAGE_TLV_RSA2048_PSS and IMAGE_TLV_RSA3072_PSS.
  ['RSA-2048', OPENSBI, [0x10, 0x01, 0x20], 'RSASSA-PSS-SHA256'],
  ['RSA-3072', UBOOT, [0x10, 0x01, 0x23], 'RSASSA-PSS-SHA256'],
] as const) {
  test(`an MCUboot image of real firmware, signed with ${algorithm}, says to a reader of the published layout what was asked, and openssl takes the signature [python3: MCUboot read] [openssl: MCUboot ${algorithm} verify]`, async () => {
    const [key, raw] = [keyOf(algorithm, scheme), new Uint8Array(readFileSync(file))];
    const prepared = await MCUBOOT.prepare?.(imageOf(raw), PARAMETERS);
    assert.ok(prepared);
    const { subject, version, securityCounter } = await MCUBOOT.read(prepared);
    assert.deepEqual([version, securityCounter], ['2.10.3+77', 42]);
    const made = key.made(MCUBOOT, subject);
    const signed = await wholeOf(MCUBOOT.assemble(prepared, subject, [made]));
    const said = await verified(signed, key);
    assert.deepEqual(said, {
      load: 0x20001000,
      header: 0x200,
      size: raw.length,
      flags: 0x20,
      version: '2.10.3+77',
      pad: 0,
      padding: [0xff],
      code: createHash('sha256').update(raw).digest('hex'),
      dependencies: [
        [1, '1.4.0+9'],
        [2, '3.0.0+0'],
      ],
      counter: 42,
      record: ['a5', '01644e535045', '0466322e31302e33', '055820', zeros, '0666534841323536', '025820', zeros].join(''),
      protected: [0x50, 0x60, 0x40, 0x40],
      tlvs: [...tlvs],
    });
  });
}

test('an image with two signatures, as in a rotation, holds for a bootloader that has either key [python3: MCUboot read] [openssl: MCUboot P-256 verify]', async () => {
  const both = [keyOf('P-256'), keyOf('P-256')];
  const prepared = await MCUBOOT.prepare?.(imageOf(new Uint8Array(readFileSync(OPENSBI))), { version: '1' });
  assert.ok(prepared);
  const { subject } = await MCUBOOT.read(prepared);
  const made = both.map((key) => key.made(MCUBOOT, subject));
  const signed = await wholeOf(MCUBOOT.assemble(prepared, subject, made));
  for (const key of both) {
    assert.deepEqual((await verified(signed, key)).tlvs, [0x10, 0x01, 0x22, 0x01, 0x22]);
  }
});

test('an image is not signed by keys of two kinds, which no bootloader would take: each knows the TLVs of one', async () => {
  const [p256, p384, ed25519] = [keyOf('P-256'), keyOf('P-384'), keyOf('Ed25519')];
  const prepared = await MCUBOOT.prepare?.(imageOf(new Uint8Array(3000)), { version: '1' });
  assert.ok(prepared);
  const { subject } = await MCUBOOT.read(prepared);
  for (const other of [p384, ed25519]) {
    const made = [p256, other].map((key) => key.made(MCUBOOT, subject));
    await assert.rejects(wholeOf(MCUBOOT.assemble(prepared, subject, made)), { code: 'firmware.key-unsuitable' });
  }
});

test('the reader in Python refuses an image of which an octet of header, code or protected TLVs was changed, and one that is cut off', async () => {
  const key = keyOf('P-256');
  const prepared = await MCUBOOT.prepare?.(imageOf(new Uint8Array(4000).fill(7)), PARAMETERS);
  assert.ok(prepared);
  const { subject } = await MCUBOOT.read(prepared);
  const signed = await wholeOf(MCUBOOT.assemble(prepared, subject, [key.made(MCUBOOT, subject)]));
  const [image, spki] = [join(directory, 'bad.bin'), join(directory, 'bad.der')];
  writeFileSync(spki, key.spki);
  const read = (bytes: Uint8Array) => {
    writeFileSync(image, bytes);
    return run('python3', [READER, image, spki, join(directory, 'bad')]);
  };
  assert.equal((await read(signed)).status, 0);
  // Load address, version, padding of the header, code, the value of the last protected TLV.
  for (const place of [4, 20, 100, 3000, subject.length - 1]) {
    const { status, stderr } = await read(signed.map((octet, at) => (at === place ? octet ^ 1 : octet)));
    assert.deepEqual([status, stderr.trim()], [1, 'digest'], `${place}`);
  }
  assert.equal((await read(signed.subarray(0, -1))).status, 1);
});
