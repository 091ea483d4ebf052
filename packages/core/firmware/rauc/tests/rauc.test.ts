import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '../../../crypto/index.ts';
import { mutated } from '../../../x509/tests/mutate.ts';
import { imageOf } from '../../image.ts';
import { collected, rejection, SigningPki } from '../../tests/cms-signing.ts';
import { rauc } from '../index.ts';

const KEYS = { p256: 'P-256', rsa2048: 'RSA-2048', rsa3072: 'RSA-3072' } as const;
const pki = new SigningPki({ ...KEYS, p384: 'P-384' });
after(() => pki.remove());

/** A bundle as `rauc bundle` makes it, without its signature: u-boot as the one image. */
const uboot = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
mkdirSync(pki.path('content'));
pki.write('content/uboot.img', uboot);
pki.write(
  'content/manifest.raucm',
  [
    ...['[update]', 'compatible=keystead-pump', 'version=2.4.1', '', '[bundle]', 'format=plain', ''],
    ...['[image.bootloader]', 'filename=uboot.img', `size=${uboot.length}`],
    ...[`sha256=${Buffer.from(sha256(uboot)).toString('hex')}`, ''],
  ].join('\n'),
);
const SQUASH = ['-all-root', '-noappend', '-quiet', '-no-progress'];
function bundle(...more: string[]): Uint8Array {
  pki.run('mksquashfs', 'content', 'content.squashfs', ...SQUASH, ...more);
  return pki.read('content.squashfs');
}
const plain = bundle();
/** RAUC asks for a certificate for S/MIME unless its configuration says that it shall be for code signing. */
pki.write(
  'system.conf',
  '[system]\ncompatible=keystead-pump\nbootloader=noop\n\n[keyring]\npath=root.pem\ncheck-purpose=codesign\n',
);
const info = (file: string, keyring = 'root.pem') =>
  pki.try('rauc', '-c', 'system.conf', 'info', `--keyring=${keyring}`, file);

for (const name of Object.keys(KEYS)) {
  test(`rauc info takes a bundle that a ${name} key signed, for code signing and by its chain, and reads its manifest [rauc: RAUC bundle plain]`, async () => {
    const signed = await pki.sign(rauc, imageOf(plain), name);
    pki.write('update.raucb', signed);
    const { code, output } = info('update.raucb');
    assert.equal(code, 0, output);
    assert.match(output, /Compatible:\s+'keystead-pump'/);
    assert.match(output, /Version:\s+'2\.4\.1'/);
    assert.match(output, /Verified (inline|detached) signature/);
    assert.deepEqual(signed.subarray(0, plain.length), Buffer.from(plain));
  });
}

test('rauc refuses the bundle under another root, and when an octet of it is another', async () => {
  pki.issue({ name: 'foreign', extensions: ['basicConstraints=critical,CA:TRUE'] });
  const signed = await pki.sign(rauc, imageOf(plain), 'p256');
  pki.write('update.raucb', signed);
  assert.equal(info('update.raucb').code, 0);
  assert.notEqual(info('update.raucb', 'foreign.pem').code, 0);
  signed[5000] = (signed[5000] ?? 0) ^ 1;
  pki.write('update.raucb', signed);
  assert.notEqual(info('update.raucb').code, 0);
});

test('a bundle is taken whatever it is compressed with, padded or not', async () => {
  for (const [more, shown] of [
    [['-comp', 'xz'], 'xz'],
    [['-comp', 'zstd'], 'zstd'],
    [['-comp', 'gzip', '-nopad'], 'gzip'],
  ] as const) {
    const image = bundle(...more);
    const reading = await rauc.read(imageOf(image));
    assert.ok(reading.shown.some(({ name, value }) => name === 'compression' && value === shown));
    pki.write('update.raucb', await pki.sign(rauc, imageOf(image), 'p256'));
    const { code, output } = info('update.raucb');
    assert.equal(code, 0, `${shown}: ${output}`);
  }
});

test('a bundle that is signed already is refused, ours and that of rauc itself', async () => {
  pki.run(
    'rauc',
    ...['-c', 'system.conf', '--intermediate=intermediate.pem', 'bundle', '--cert=p256.pem', '--key=p256.key'],
    'content',
    'theirs.raucb',
  );
  for (const signed of [await pki.sign(rauc, imageOf(plain), 'p256'), pki.read('theirs.raucb')])
    assert.equal(await rejection(() => rauc.read(imageOf(signed))), 'firmware.signed-already');
});

test('what is no whole squashfs, or has something after it, is refused', async () => {
  const version = Uint8Array.from(plain, (octet, at) => (at === 28 ? 3 : octet));
  const bad: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    'a bootloader': uboot,
    cut: plain.subarray(0, plain.length - 8192),
    'a superblock alone': plain.subarray(0, 96),
    'squashfs 3': version,
    'a page after it': Buffer.concat([plain, Buffer.alloc(4096)]),
    'an octet after it': Buffer.concat([plain, Buffer.alloc(1)]),
  };
  for (const [what, image] of Object.entries(bad))
    assert.equal(await rejection(() => rauc.read(imageOf(image))), 'firmware.malformed', what);
});

test('a bundle that was swapped after it was read ends with an error, and a P-384 key is refused', async () => {
  const { subject } = await rauc.read(imageOf(plain));
  const made = await pki.made(rauc, subject, 'p256');
  const other = Uint8Array.from(plain, (octet, at) => (at === 9000 ? octet ^ 1 : octet));
  assert.equal(await rejection(() => collected(rauc.assemble(imageOf(other), subject, [made]))), 'firmware.malformed');
  assert.equal(await rejection(() => pki.made(rauc, subject, 'p384')), 'firmware.key-unsuitable');
});

test('whatever is changed in a bundle, it is read or refused with the code of the format', async () => {
  await fc.assert(
    fc.asyncProperty(mutated([plain.subarray(0, 200), bundle('-comp', 'zstd').subarray(0, 8192)]), async (bytes) => {
      const code = await rejection(() => rauc.read(imageOf(bytes)));
      assert.ok(['nothing', 'firmware.malformed', 'firmware.signed-already'].includes(code), code);
    }),
    { numRuns: 1000 },
  );
});
