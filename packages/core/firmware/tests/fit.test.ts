import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';
import { FIT, type ImageBytes, imageOf } from '../index.ts';
import { SigningKey, wholeOf } from './signing-key.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-fit-unit-'));
const key = new SigningKey('P-256');
const others = (['P-384', 'Ed25519', 'RSA-2048'] as const).map((algorithm) => new SigningKey(algorithm));
after(() => {
  for (const folder of [directory, ...[key, ...others].map((each) => each.directory)]) {
    rmSync(folder, { recursive: true });
  }
});

interface Source {
  readonly hash?: string;
  readonly signature?: string;
  readonly configuration?: string;
  readonly root?: string;
}

/** An unsigned tree of two small images, as mkimage makes it. */
function built(given: Source = {}, ...options: string[]): Uint8Array {
  const {
    hash = 'hash-1 { algo = "sha256"; }; hash-2 { algo = "crc32"; };',
    signature = 'signature-1 { algo = "sha256,ecdsa256"; key-name-hint = "dev"; };',
    configuration = 'kernel = "kernel"; ramdisk = "initrd";',
    root = '',
  } = given;
  const image = (name: string, type: string, octet: string) =>
    `${name} { description = "${name}"; data = [${octet.repeat(100)}]; type = "${type}"; arch = "arm"; os = "linux"; compression = "none"; load = <0x8000>; entry = <0x8000>; ${hash} };`;
  const source = `/dts-v1/;
/ { description = "test"; #address-cells = <1>; ${root}
  images { ${image('kernel', 'kernel', '11 ')} ${image('initrd', 'ramdisk', '22 ')} };
  configurations { default = "conf-1"; conf-1 { ${configuration} ${signature} }; };
};`;
  writeFileSync(join(directory, 'image.its'), source);
  execFileSync('mkimage', [...options, '-f', 'image.its', 'image.itb'], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
  });
  return new Uint8Array(readFileSync(join(directory, 'image.itb')));
}

/** Where one text stands, and another of its length in its place. */
function replaced(image: Uint8Array, from: string | Uint8Array, to: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(image);
  const at = bytes.indexOf(Buffer.from(from));
  assert.notEqual(at, -1, `${from}`);
  assert.equal(Buffer.from(from).length, Buffer.from(to).length);
  bytes.set(Buffer.from(to), at);
  return new Uint8Array(bytes);
}

const refused =
  (code: ErrorCode, field: RegExp, seen: RegExp = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code);
    assert.match(error.field ?? '', field);
    assert.match(error.seen ?? '', seen);
    return true;
  };
const readRefused = (image: Uint8Array, field: RegExp, seen?: RegExp) =>
  assert.rejects(FIT.read(imageOf(image)), refused('firmware.malformed', field, seen));

let image: Uint8Array;
before(() => {
  image = built();
});

test('FIT: people see the configuration, each image with place and hash, and which key it asks for', async () => {
  const { shown, signatures, subject, version } = await FIT.read(imageOf(image));
  const kernel = createHash('sha256').update(Buffer.alloc(100, 0x11)).digest('hex');
  assert.deepEqual([signatures, version], [0, null]);
  assert.deepEqual(shown.slice(0, 3), [
    { name: 'description', value: 'test' },
    { name: 'configuration', value: 'conf-1: no description' },
    {
      name: 'kernel',
      value: `kernel: kernel, arm, linux, none, load 0x00008000, entry 0x00008000, 100 octets, sha256 ${kernel}`,
    },
  ]);
  assert.deepEqual(shown[4], { name: 'signature-1', value: 'sha256,ecdsa256, key dev' });
  assert.deepEqual(FIT.claims(subject), { product: null, version: null, securityCounter: null });
});

test('FIT: a ramdisk that the source forgot in sign-images is covered all the same', async () => {
  const signature = 'signature-1 { algo = "sha256,ecdsa256"; sign-images = "kernel"; };';
  const { subject } = await FIT.read(imageOf(built({ signature })));
  assert.ok(Buffer.from(subject).includes('initrd\0'));
});

for (const [what, source, field, seen] of [
  ['without a place for a signature', { signature: '' }, /configurations/, /signature-1/],
  ['whose place names no algorithm', { signature: 'signature-1 { key-name-hint = "dev"; };' }, /signature-1/, /algo/],
  [
    'that asks for a padding which nobody knows',
    { signature: 'signature-1 { algo = "sha256,rsa2048"; padding = "pkcs-2.0"; };' },
    /signature-1: padding/,
    /pkcs-2\.0/,
  ],
  ['with images that only CRC-32 protects', { hash: 'hash-1 { algo = "crc32"; };' }, /images\/kernel/, /not protected/],
  ['with images that only SHA-1 protects', { hash: 'hash-1 { algo = "sha1"; };' }, /images\/kernel/, /not protected/],
  [
    'with a hash that U-Boot is told to pass over',
    { hash: 'hash-1 { algo = "sha256"; uboot-ignore; };' },
    /hash-1: uboot-ignore/,
    /not checked/,
  ],
  ['that uses an image which is not there', { configuration: 'kernel = "karnel";' }, /conf-1: kernel/, /not there/],
  ['that uses one of two', { configuration: 'kernel = "kernel", "karnel";' }, /conf-1: kernel/, /not there/],
  [
    'that uses one image more often than anybody can look at',
    { configuration: `loadables = ${Array(101).fill('"kernel"').join(', ')};` },
    /conf-1: loadables/,
    /101 images/,
  ],
  ['that uses no image', { configuration: '' }, /conf-1/, /no image/],
  ['that reserves memory', { root: '}; /memreserve/ 0x1000 0x10; / {' }, /reserved|structure/, /./],
] as const) {
  test(`FIT: a tree ${what} is refused`, async () => {
    // dtc takes reservations before the root only.
    const bad =
      'root' in source ? Uint8Array.from(image, (octet, at) => (at === 0x2f ? 1 : octet)) : built(source as Source);
    await readRefused(bad, field, seen);
  });
}

test('FIT: images whose data overlaps are refused, so that a small file is not hashed for hours', async () => {
  const overlapping = Buffer.concat([built({}, '-E'), Buffer.alloc(4000)]);
  for (const name of ['kernel\0', 'initrd\0']) {
    const size = overlapping.indexOf(Buffer.from([0, 0, 0, 100]), overlapping.indexOf(name));
    overlapping.writeUInt32BE(4000, size);
  }
  await readRefused(overlapping, /images/, /overlaps/);
});

test('FIT: data that is not what its hash says is refused before anybody is asked to approve it', async () => {
  const bad = replaced(image, new Uint8Array(8).fill(0x22), new Uint8Array(8).fill(0x23));
  await readRefused(bad, /initrd\/hash-1/, /not the hash/);
  const outside = built({}, '-E');
  await FIT.read(imageOf(outside));
  const swapped = replaced(outside, new Uint8Array(8).fill(0x22), new Uint8Array(8).fill(0x23));
  await readRefused(swapped, /initrd\/hash-1/, /not the hash/);
});

for (const [what, from, to, field, seen] of [
  ['a name with @ (CVE-2021-27138)', 'initrd\0\0', 'init@d\0\0', /images/, /name/],
  ['two nodes of one name', 'hash-2\0\0', 'hash-1\0\0', /hash-1/, /twice/],
  ['a name that is filled with other than zeros', 'initrd\0\0', 'initrd\0x', /structure/, /zeros/],
  [
    'a version that nobody knows',
    Uint8Array.of(0, 0, 0, 17, 0, 0, 0, 16),
    Uint8Array.of(0, 0, 0, 18, 0, 0, 0, 16),
    /version/,
    /18/,
  ],
  [
    'a token that says nothing',
    Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 9),
    Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 9),
    /\//,
    /token 4/,
  ],
  [
    'a second root (CVE-2021-27097)',
    Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 9),
    Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1),
    /structure/,
    /after the root/,
  ],
] as const) {
  test(`FIT: ${what} is refused`, async () => {
    await readRefused(replaced(image, from, to), field, seen);
  });
}

test('FIT: an image that is cut off at any octet, or goes on after its end, is refused, unsigned and signed', async () => {
  const { subject } = await FIT.read(imageOf(image));
  const signed = await wholeOf(FIT.assemble(imageOf(image), subject, [key.made(FIT, subject)]));
  for (const whole of [image, signed]) {
    for (let length = 0; length < whole.length; length++) await readRefused(whole.slice(0, length), /./);
    await readRefused(new Uint8Array(Buffer.concat([whole, Uint8Array.of(0)])), /^image$/, /by its tree/);
  }
  const outside = built({}, '-E');
  await readRefused(outside.slice(0, -1), /^image$/, /by its tree/);
  await readRefused(new Uint8Array(Buffer.concat([outside, Uint8Array.of(1)])), /^image$/, /after its end/);
});

test('FIT: a signed tree is not signed again', async () => {
  const { subject } = await FIT.read(imageOf(image));
  const signed = await wholeOf(FIT.assemble(imageOf(image), subject, [key.made(FIT, subject)]));
  await assert.rejects(FIT.read(imageOf(signed)), refused('firmware.signed-already', /configurations/, /1 signatures/));
});

test('FIT: a key for which the image has no place, or which U-Boot does not know, is refused', async () => {
  const { subject } = await FIT.read(imageOf(image));
  for (const other of others.slice(0, 2)) {
    assert.throws(() => FIT.compose(subject, other.terms), refused('firmware.key-unsuitable', /signer/, /RSA-2048/));
  }
  const [, , rsa] = others;
  assert.ok(rsa);
  const pieces = FIT.assemble(imageOf(image), subject, [rsa.made(FIT, subject)]);
  const seen = /sha256,rsa2048; the image has places for sha256,ecdsa256/;
  await assert.rejects(wholeOf(pieces), refused('firmware.key-unsuitable', /signer/, seen));
  const twice = FIT.assemble(imageOf(image), subject, [key.made(FIT, subject), key.made(FIT, subject)]);
  await assert.rejects(wholeOf(twice), refused('firmware.key-unsuitable', /signer/, /places for none/));
  // The same before anybody is asked to approve.
  const ecdsa = { algorithm: 'P-256', scheme: 'ecdsa-with-SHA256' } as const;
  const other = { algorithm: 'RSA-3072', scheme: 'sha256WithRSAEncryption' } as const;
  await FIT.requireRoom?.(imageOf(image), [ecdsa]);
  const room = FIT.requireRoom?.(imageOf(image), [other]);
  await assert.rejects(
    room ?? Promise.resolve(),
    refused('firmware.key-unsuitable', /signer/, /rsa3072; the image has/),
  );
  const both = FIT.requireRoom?.(imageOf(image), [ecdsa, ecdsa]);
  await assert.rejects(both ?? Promise.resolve(), refused('firmware.key-unsuitable', /signer/, /places for none/));
});

test('FIT: an image that was swapped after it was approved is not assembled', async () => {
  const { subject } = await FIT.read(imageOf(image));
  const made = [key.made(FIT, subject)];
  const data = replaced(image, new Uint8Array(8).fill(0x22), new Uint8Array(8).fill(0x23));
  await assert.rejects(wholeOf(FIT.assemble(imageOf(data), subject, made)), refused('firmware.malformed', /hash-1/));
  const other = replaced(image, 'description\0', 'descriptiom\0');
  await assert.rejects(wholeOf(FIT.assemble(imageOf(other), subject, made)), refused('firmware.malformed', /^image$/));
});

test('FIT: data at a place of the file leaves room for a signature, or it is refused by name', async () => {
  const near = built({}, '-E', '-p', '0x500');
  const { subject } = await FIT.read(imageOf(near));
  const pieces = FIT.assemble(imageOf(near), subject, [key.made(FIT, subject)]);
  // Before the first piece: nobody is left with half an image.
  await assert.rejects(
    pieces[Symbol.asyncIterator]().next(),
    refused('firmware.malformed', /data-position/, /octets are missing/),
  );
  // Nor is anybody asked to approve it: what was signed and cannot be put together has taken its version.
  const room = FIT.requireRoom?.(imageOf(near), [{ algorithm: 'P-256', scheme: 'ecdsa-with-SHA256' }]);
  await assert.rejects(room ?? Promise.resolve(), refused('firmware.malformed', /data-position/, /octets are missing/));
});

test('FIT: a tree grows into the room before its data, which is not held in memory and stays as it is', async () => {
  const far = Buffer.from(built({}, '-E', '-p', '0x400000'));
  far.write('kept', 0x300000);
  const { subject } = await FIT.read(imageOf(far));
  const signed: Uint8Array[] = [];
  for await (const piece of FIT.assemble(imageOf(far), subject, [key.made(FIT, subject)])) {
    assert.ok(piece.length <= 1 << 20, `${piece.length}`);
    signed.push(piece);
  }
  const whole = Buffer.concat(signed);
  assert.equal(whole.length, far.length);
  assert.ok(whole.subarray(0x10000).equals(far.subarray(0x10000)));
  await assert.rejects(FIT.read(imageOf(whole)), refused('firmware.signed-already', /configurations/, /1 signatures/));
});

test('FIT: an image that a configuration uses many times is hashed once', async () => {
  const many = built({ configuration: `loadables = ${Array(50).fill('"kernel"').join(', ')};` }, '-E');
  const start = Buffer.from(many).indexOf(Buffer.alloc(100, 0x11));
  let reads = 0;
  const counted: ImageBytes = {
    size: many.length,
    read: async (offset, length) => {
      if (offset === start) reads++;
      return many.subarray(offset, offset + length);
    },
  };
  const { subject } = await FIT.read(counted);
  assert.equal(reads, 1);
  await wholeOf(FIT.assemble(counted, subject, [key.made(FIT, subject)]));
  // Hashed, and given out.
  assert.equal(reads, 3);
});

test('FIT: a hash by the name of what every object of JavaScript has is no strong one', async () => {
  const bytes = Buffer.from(built({ hash: 'hash-1 { algo = "sha256"; };' }));
  for (let at = bytes.indexOf('sha256\0\0'); at !== -1; at = bytes.indexOf('sha256\0\0', at)) {
    bytes.write('valueOf\0', at, 'latin1');
    bytes.writeUInt32BE(8, at - 8);
  }
  await readRefused(bytes, /^\/images\/kernel$/, /not protected/);
});

test('FIT: values that would fill the memory are refused before they are read', async () => {
  const [count, length] = [2100, 16 * 1024];
  const strings = Buffer.from(
    Array.from({ length: count }, (_, index) => `p${String(index).padStart(4, '0')}\0`).join(''),
  );
  const property = (index: number) => {
    const bytes = Buffer.alloc(12 + length);
    [3, length, 6 * index].forEach((word, place) => {
      bytes.writeUInt32BE(word, 4 * place);
    });
    return bytes;
  };
  const begin = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]);
  const end = Buffer.from([0, 0, 0, 2, 0, 0, 0, 9]);
  const structure = Buffer.concat([begin, ...Array.from({ length: count }, (_, index) => property(index)), end]);
  const head = Buffer.alloc(56);
  const total = 56 + structure.length + strings.length;
  [0xd00dfeed, total, 56, 56 + structure.length, 40, 17, 16, 0, strings.length, structure.length].forEach(
    (word, place) => {
      head.writeUInt32BE(word, 4 * place);
    },
  );
  await readRefused(Buffer.concat([head, structure, strings]), /^structure$/, /values of more than/);
});

test('FIT: keyd takes no subject that covers more or less than U-Boot hashes', async () => {
  const { subject } = await FIT.read(imageOf(image));
  const bytes = Buffer.from(subject);
  const strings = bytes.indexOf(Buffer.from('description\0'), bytes.lastIndexOf(Buffer.from([0, 0, 0, 9])));
  const [structure, names] = [bytes.subarray(0, strings), bytes.subarray(strings)];
  // A node of a second configuration, before the ends of /configurations and the root.
  const second = Buffer.from([0, 0, 0, 1, 0x78, 0, 0, 0, 0, 0, 0, 2]);
  const wider = Buffer.concat([structure.subarray(0, -12), second, structure.subarray(-12), names]);
  assert.throws(() => FIT.claims(wider), refused('firmware.malformed', /configurations/, /not one/));
  const deeper = Buffer.concat([structure.subarray(0, -16), second, structure.subarray(-16), names]);
  FIT.claims(deeper);
  const stray = Buffer.concat([structure.subarray(0, -8), second, structure.subarray(-8), names]);
  FIT.claims(stray);
  const inside = Buffer.from([0, 0, 0, 1, 0x78, 0, 0, 0, 0, 0, 0, 1, 0x79, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2]);
  const nested = Buffer.concat([structure.subarray(0, -8), inside, structure.subarray(-8), names]);
  assert.throws(() => FIT.claims(nested), refused('firmware.malformed', /structure/, /other nodes/));
  for (let length = 0; length < bytes.length; length++) {
    try {
      FIT.claims(bytes.subarray(0, length));
      // Names that nobody uses may be missing: then another number of them is hashed.
      assert.ok(length > strings);
    } catch (error) {
      assert.ok(error instanceof KeysteadError, String(error));
    }
  }
});

test('FIT: lists that name more images than U-Boot hashes are refused before the images are looked at', async () => {
  const sixty = Array(60).fill('"kernel"').join(', ');
  const wide = built({ configuration: `kernel = "kernel"; one = ${sixty}; two = ${sixty}; three = ${sixty};` });
  // dtc keeps the order: the second list is one too many, whatever is behind it.
  await readRefused(wide, /^\/configurations\/conf-1: two$/, /^121 images, above 100$/);
});

test('FIT: whatever bytes come, the reader answers, and with errors of its own', async () => {
  const { subject } = await FIT.read(imageOf(image));
  const outside = built({}, '-E');
  const mutated = (whole: Uint8Array) =>
    fc
      .array(fc.tuple(fc.nat(whole.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 3, 4, 9))), {
        minLength: 1,
        maxLength: 6,
      })
      .map((changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, octet] of changes) bytes[at] = octet;
        return bytes;
      });
  const any = fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated(image), mutated(outside), mutated(subject));
  await fc.assert(
    fc.asyncProperty(any, async (bytes) => {
      for (const act of [
        async () => void (await FIT.read(imageOf(bytes))),
        async () => void FIT.claims(bytes),
        async () => void FIT.compose(bytes, key.terms),
      ]) {
        await act().catch((error: unknown) => assert.ok(error instanceof KeysteadError, String(error)));
      }
    }),
    { numRuns: 2000 },
  );
});

test('FIT: of an image of 64 MiB no more than a piece is in memory at a time', async () => {
  const octets = 64 << 20;
  const digest = createHash('sha256');
  for (let at = 0; at < octets; at += 1 << 20) digest.update(Buffer.alloc(1 << 20));
  // The tree is made with 100 octets behind it: its numbers and hash are changed to those of more.
  const small = built({ configuration: 'ramdisk = "initrd";' }, '-E');
  const [from, to] = [Buffer.alloc(100, 0x22), digest.digest()];
  const hash = createHash('sha256').update(from).digest();
  const bytes = Buffer.from(replaced(small, hash, to));
  const at = bytes.indexOf(Buffer.from([0, 0, 0, 100]), bytes.indexOf('initrd\0'));
  bytes.writeUInt32BE(octets, at);
  const start = bytes.readUInt32BE(4) + 100;
  let most = 0;
  const vast: ImageBytes = {
    size: start + octets,
    read: async (offset, length) => {
      most = Math.max(most, length);
      const size = Math.min(length, start + octets - offset);
      const piece = Buffer.alloc(size);
      if (offset < start) piece.set(bytes.subarray(offset, Math.min(start, offset + size)));
      return piece;
    },
  };
  assert.match((await FIT.read(vast)).shown[2]?.value ?? '', /67108864 octets/);
  assert.ok(most <= 1 << 20, `${most}`);
});
