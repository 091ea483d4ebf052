import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../bytes/index.ts';
import { mutated } from '../../../x509/tests/mutate.ts';
import { imageOf } from '../../image.ts';
import { collected, rejection, SigningPki } from '../../tests/cms-signing.ts';
import { HashTree } from '../hash-tree.ts';
import { rauc } from '../index.ts';
import { readRaucManifest } from '../manifest.ts';
import { raucVerity } from '../verity.ts';

const KEYS = { p256: 'P-256', rsa3072: 'RSA-3072' } as const;
const pki = new SigningPki({ ...KEYS, p384: 'P-384', build: 'P-256' });
after(() => pki.remove());

/** A bundle as the build makes it, by `rauc bundle` with a key of its own. */
const uboot = readFileSync('/usr/lib/u-boot/qemu_arm64/u-boot.bin');
mkdirSync(pki.path('content'));
pki.write('content/uboot.img', uboot);
const MANIFEST = ['[update]', 'compatible=keystead-pump', 'version=2.4.1', '', '[bundle]', 'format=verity', ''];
pki.write('content/manifest.raucm', [...MANIFEST, '[image.bootloader]', 'filename=uboot.img', ''].join('\n'));
pki.write(
  'system.conf',
  '[system]\ncompatible=keystead-pump\nbootloader=noop\n\n[keyring]\npath=root.pem\ncheck-purpose=codesign\n',
);
pki.run(
  'rauc',
  ...['-c', 'system.conf', '--intermediate=intermediate.pem', 'bundle', '--cert=build.pem', '--key=build.key'],
  ...['content', 'build.raucb'],
);
const build = new Uint8Array(pki.read('build.raucb'));
const ofRauc = (command: 'info' | 'extract', file: string, keyring = 'root.pem') => {
  rmSync(pki.path('extracted'), { recursive: true, force: true });
  const to = command === 'extract' ? ['extracted'] : [];
  return pki.try('rauc', '-c', 'system.conf', command, `--keyring=${keyring}`, file, ...to);
};
/** The octets of the squashfs, and all of the signature. */
const payload = build.length - 8 - Number(Buffer.from(build).readBigUInt64BE(build.length - 8));
const changed = (at: number): Uint8Array =>
  Uint8Array.from(build, (octet, index) => (index === at ? octet ^ 1 : octet));

for (const name of Object.keys(KEYS)) {
  test(`rauc takes a verity bundle that a ${name} key signed in the place of the build's, reads its manifest and extracts it by its hash tree [rauc: RAUC bundle verity, RAUC extract verity]`, async () => {
    const signed = await pki.sign(raucVerity, imageOf(build), name);
    pki.write('update.raucb', signed);
    const { code, output } = ofRauc('info', 'update.raucb');
    assert.equal(code, 0, output);
    assert.match(output, /Compatible:\s+'keystead-pump'[\s\S]*Version:\s+'2\.4\.1'[\s\S]*Bundle Format:\s+verity/);
    assert.match(output, new RegExp(`Verified inline signature by '[^']*CN ?= ?${name}`));
    const extracted = ofRauc('extract', 'update.raucb');
    assert.equal(extracted.code, 0, extracted.output);
    assert.deepEqual(readFileSync(pki.path('extracted/uboot.img')), uboot);
    assert.deepEqual(signed.subarray(0, payload), Buffer.from(build.subarray(0, payload)));
  });
}

test('rauc refuses a verity bundle under another root, and one of which an octet of the squashfs or of its tree is another', async () => {
  pki.issue({ name: 'foreign', extensions: ['basicConstraints=critical,CA:TRUE'] });
  const signed = await pki.sign(raucVerity, imageOf(build), 'p256');
  pki.write('update.raucb', signed);
  assert.notEqual(ofRauc('info', 'update.raucb', 'foreign.pem').code, 0);
  for (const at of [5000, payload - 5]) {
    pki.write(
      'altered.raucb',
      Uint8Array.from(signed, (octet, index) => (index === at ? octet ^ 1 : octet)),
    );
    const { code, output } = ofRauc('extract', 'altered.raucb');
    assert.notEqual(code, 0);
    assert.match(output, /payload is corrupted/);
    assert.equal(existsSync(pki.path('extracted/uboot.img')), false);
  }
});

test('a device whose keyring is the certificate of one key takes the bundles of that key, and of no other under the same root', async () => {
  pki.write(
    'one-key.conf',
    '[system]\ncompatible=keystead-pump\nbootloader=noop\n\n[keyring]\npath=p256.pem\ncheck-purpose=codesign\nallow-partial-chain=true\n',
  );
  for (const [name, taken] of [
    ['p256', true],
    ['rsa3072', false],
  ] as const) {
    pki.write('update.raucb', await pki.sign(raucVerity, imageOf(build), name));
    const { code, output } = pki.try('rauc', '-c', 'one-key.conf', 'info', 'update.raucb');
    assert.equal(code === 0, taken, output);
  }
});

test('people see every line of the manifest, and an order must say its product and its version', async () => {
  const reading = await raucVerity.read(imageOf(build));
  assert.deepEqual([reading.product, reading.version, reading.securityCounter], ['keystead-pump', '2.4.1', null]);
  const shown = new Map(reading.shown.map(({ name, value }) => [name, value]));
  assert.equal(shown.get('image.bootloader: filename'), 'uboot.img');
  assert.equal(shown.get('image.bootloader: sha256'), createHash('sha256').update(uboot).digest('hex'));
  assert.equal(Buffer.from(reading.subject).toString().startsWith('[update]\ncompatible=keystead-pump\n'), true);
  assert.deepEqual(raucVerity.claims(reading.subject), {
    product: 'keystead-pump',
    version: '2.4.1',
    securityCounter: null,
  });
});

test('a bundle whose squashfs or tree is another than its manifest says is not read, though the signature of the build is good', async () => {
  for (const [what, at] of [
    ['the squashfs', 5000],
    ['the tree', payload - 4096],
    ['zeros at the end of the tree', payload - 1],
    ['the size', build.length - 1],
  ] as const)
    assert.equal(await rejection(() => raucVerity.read(imageOf(changed(at)))), 'firmware.malformed', what);
});

test('a bundle that was swapped after it was read ends with an error before its signature, and a P-384 key is refused', async () => {
  const { subject } = await raucVerity.read(imageOf(build));
  const made = await pki.made(raucVerity, subject, 'p256');
  const pieces: Uint8Array[] = [];
  const swapped = async (): Promise<void> => {
    for await (const piece of raucVerity.assemble(imageOf(changed(9000)), subject, [made])) pieces.push(piece);
  };
  assert.equal(await rejection(swapped), 'firmware.malformed');
  assert.ok(pieces.reduce((sum, { length }) => sum + length, 0) < payload);
  const other = Buffer.from(Buffer.from(subject).toString().replace('2.4.1', '2.4.2'));
  const another = [await pki.made(raucVerity, other, 'p256')];
  assert.equal(
    await rejection(() => collected(raucVerity.assemble(imageOf(build), other, another))),
    'firmware.malformed',
  );
  assert.equal(await rejection(() => pki.made(raucVerity, subject, 'p384')), 'firmware.key-unsuitable');
});

test('each of the two formats of RAUC refuses the bundles of the other', async () => {
  pki.run('mksquashfs', 'content', 'plain.squashfs', '-all-root', '-noappend', '-quiet', '-no-progress');
  const plain = imageOf(pki.read('plain.squashfs'));
  assert.equal(await rejection(() => rauc.read(imageOf(build))), 'firmware.signed-already');
  assert.equal(await rejection(() => raucVerity.read(plain)), 'firmware.malformed');
  const signed = imageOf(await pki.sign(rauc, plain, 'p256'));
  await assert.rejects(raucVerity.read(signed), { code: 'firmware.malformed', message: /format plain/ });
});

test('keyd signs no manifest that a device could read in another way than people did', async () => {
  const { subject } = await raucVerity.read(imageOf(build));
  const text = Buffer.from(subject).toString();
  const with_ = (from: string | RegExp, to: string): string => text.replace(from, to);
  const bad: Record<string, string> = {
    'a key twice': with_('version=2.4.1', 'version=2.4.1\nversion=1.0'),
    'a group twice': `${text}\n[update]\nbuild=7\n`,
    'an escape': with_('keystead-pump', 'keystead\\spump'),
    'a space before a value': with_('compatible=', 'compatible= '),
    'a space after a value': with_('keystead-pump', 'keystead-pump '),
    'a comment': `# for the other device\n${text}`,
    'a line before any group': `compatible=other\n${text}`,
    'a line that is cut off': `${text}sha`,
    'a carriage return': with_('2.4.1', '2.4.1\r'),
    'letters that run backwards': with_('2.4.1', '2.4.1\u202e'),
    'a zero': with_('2.4.1', '2.4.1\0'),
    'no compatible': with_(/compatible=.*\n/, ''),
    'another format': with_('format=verity', 'format=plain'),
    'an encrypted one': with_('format=verity', 'format=crypt'),
    'no hash of a tree': with_(/verity-hash=.*\n/, ''),
    'a short salt': with_(/verity-salt=../, 'verity-salt='),
    'a tree of nothing': with_(/verity-size=.*/, 'verity-size=0'),
    'a tree in parts of blocks': with_(/verity-size=.*/, 'verity-size=4097'),
    'too many lines': `${text}[meta.x]\n${Array.from({ length: 260 }, (_, at) => `k${at}=1`).join('\n')}\n`,
    'too many octets': `${text}[meta.x]\nk=${'x'.repeat(33_000)}\n`,
    nothing: '',
  };
  for (const [what, manifest] of Object.entries(bad)) {
    const bytes = Buffer.from(manifest);
    assert.equal(await rejection(async () => raucVerity.claims(bytes)), 'firmware.malformed', what);
    assert.equal(await rejection(() => pki.made(raucVerity, bytes, 'p256')), 'firmware.malformed', what);
  }
  const latin1 = Buffer.from(text.replace('2.4.1', '2.4.é'), 'latin1');
  assert.equal(await rejection(async () => raucVerity.claims(latin1)), 'firmware.malformed');
  assert.equal(readRaucManifest(Buffer.from(text.replace(/version=.*\n/, ''))).version, null);
});

test('a tree of three levels has at its top what hashing level by level gives, in whatever pieces the data comes', () => {
  const salt = fromHex('5a'.repeat(32));
  const hash = (...parts: Uint8Array[]): Buffer => {
    const sum = createHash('sha256').update(salt);
    for (const part of parts) sum.update(part);
    return sum.digest();
  };
  // 128 times 128 blocks and one: all blocks are zero, so each level is one hash, many times.
  const blocks = 128 * 128 + 1;
  const data = hash(Buffer.alloc(4096));
  const full = hash(Buffer.alloc(4096, data));
  const last = hash(data, Buffer.alloc(4096 - 32));
  const middle = [hash(Buffer.alloc(4096, full)), hash(last, Buffer.alloc(4096 - 32))];
  const tree = new HashTree(salt);
  const piece = new Uint8Array(1_000_003);
  let left = blocks * 4096;
  for (; left > piece.length; left -= piece.length) tree.update(piece);
  tree.update(piece.subarray(0, left));
  const made = tree.finish();
  assert.equal(toHex(made.root), toHex(hash(...middle, Buffer.alloc(4096 - 64))));
  assert.equal(made.tree.length, (1 + 2 + 129) * 4096);
  assert.throws(() => new HashTree(salt).finish(), RangeError);
});

test('whatever is changed in a verity bundle, it is read or refused with the code of the format', async () => {
  const { subject } = await raucVerity.read(imageOf(build));
  const tail = build.subarray(payload);
  await fc.assert(
    fc.asyncProperty(mutated([tail]), mutated([subject]), async (end, manifest) => {
      const image = Buffer.concat([build.subarray(0, payload), end]);
      const codes = [
        await rejection(() => raucVerity.read(imageOf(image))),
        await rejection(async () => raucVerity.claims(manifest)),
      ];
      for (const code of codes) assert.ok(['nothing', 'firmware.malformed'].includes(code), code);
    }),
    { numRuns: 300 },
  );
});
