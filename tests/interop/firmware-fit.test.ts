import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FIT, imageOf } from '@keystead/core/firmware';
import { SIGNED_AT, SigningKey, wholeOf } from '../../packages/core/firmware/tests/signing-key.ts';
import { ok } from './foreign.ts';

const READER = fileURLToPath(new URL('fit_reader.py', import.meta.url));
const IMAGES = {
  'u-boot.bin': '/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin',
  'opensbi.bin': '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin',
} as const;
const directory = mkdtempSync(join(tmpdir(), 'keystead-fit-'));
const keys = new Map<string, SigningKey>();
after(() => {
  for (const folder of [directory, ...[...keys.values()].map((key) => key.directory)])
    rmSync(folder, { recursive: true });
});
/** RSA keys take seconds to be made: one of each kind, and another where a test needs two. */
const keyOf = (algorithm: SigningKey['algorithm'], which = 'dev'): SigningKey => {
  const key = keys.get(`${algorithm} ${which}`) ?? new SigningKey(algorithm);
  keys.set(`${algorithm} ${which}`, key);
  return key;
};
const inside = (name: string): string => join(directory, name);
// mkimage takes the time of its signature from there.
const EPOCH = { ...process.env, SOURCE_DATE_EPOCH: `${SIGNED_AT.getTime() / 1000}` };

/** The source of a tree: U-Boot and OpenSBI of Debian, and a device tree, in two configurations. */
const source = (signatures: string): string => `/dts-v1/;
/ {
  description = "Pump 7"; #address-cells = <1>;
  images {
    uboot { description = "U-Boot"; data = /incbin/("u-boot.bin"); type = "standalone"; os = "u-boot"; arch = "riscv";
      compression = "none"; load = <0x80200000>; hash-1 { algo = "sha256"; }; };
    spare { description = "of no configuration here"; data = [01 02 03]; type = "script"; compression = "none";
      hash-1 { algo = "crc32"; }; };
    opensbi { description = "OpenSBI"; data = /incbin/("opensbi.bin"); type = "firmware"; os = "opensbi"; arch = "riscv";
      compression = "none"; load = <0x80000000>; hash-1 { algo = "sha384"; }; hash-2 { algo = "sha256"; }; };
    fdt-1 { description = "board"; data = /incbin/("board.dtb"); type = "flat_dt"; arch = "riscv"; compression = "none";
      hash-1 { algo = "sha512"; }; };
  };
  configurations {
    default = "conf-1";
    conf-1 { description = "board 1"; firmware = "opensbi"; loadables = "uboot"; fdt = "fdt-1"; ${signatures} };
    conf-2 { description = "nobody signs it"; firmware = "opensbi"; };
  };
};
`;
const place = (algorithm: string, name = 'signature-1'): string =>
  `${name} { algo = "${algorithm}"; key-name-hint = "dev"; sign-images = "firmware", "loadables", "fdt"; };`;

before(async () => {
  for (const [name, path] of Object.entries(IMAGES)) copyFileSync(path, inside(name));
  writeFileSync(inside('board.dts'), '/dts-v1/;\n/ { model = "board"; };\n');
  await ok('dtc', ['-O', 'dtb', '-o', inside('board.dtb'), inside('board.dts')]);
});

async function built(signatures: string, ...options: string[]): Promise<Uint8Array> {
  writeFileSync(inside('image.its'), source(signatures));
  await ok('mkimage', [...options, '-f', 'image.its', 'image.itb'], { cwd: directory, env: EPOCH });
  return new Uint8Array(readFileSync(inside('image.itb')));
}

async function signedBy(key: SigningKey, image: Uint8Array): Promise<Uint8Array> {
  const { subject } = await FIT.read(imageOf(image));
  return wholeOf(FIT.assemble(imageOf(image), subject, [key.made(FIT, subject)]));
}

/** The hashes of the images that a signature covers, as the reader in Python found them; openssl checks the signature. */
async function verified(signed: Uint8Array, key: SigningKey, node = 'signature-1'): Promise<Record<string, string>> {
  writeFileSync(inside('signed.itb'), signed);
  const said = JSON.parse(await ok('python3', [READER, inside('signed.itb'), 'conf-1', node, inside('out')])) as {
    hashes: Record<string, string>;
    time: number;
  };
  assert.equal(said.time, SIGNED_AT.getTime() / 1000);
  const files = ['-signature', inside('out.signature'), inside('out.message')];
  assert.match(
    await ok('openssl', ['dgst', ...key.opensslOptions, '-verify', key.file('dev.pub'), ...files]),
    /Verified OK/,
  );
  return said.hashes;
}

const digestOf = (algorithm: string, name: string): string =>
  createHash(algorithm)
    .update(readFileSync(inside(name)))
    .digest('hex');

for (const [algorithm, name, scheme] of [
  ['RSA-2048', 'sha256,rsa2048', 'sha256WithRSAEncryption'],
  ['RSA-3072', 'sha256,rsa3072', 'sha256WithRSAEncryption'],
  ['RSA-4096', 'sha384,rsa4096', 'sha384WithRSAEncryption'],
  ['RSA-4096', 'sha256,rsa4096', 'sha256WithRSAEncryption'],
] as const) {
  test(`a tree signed with ${algorithm} as ${name} is property for property what mkimage makes of it with the same key, but for name and version of the signer [mkimage: FIT ${algorithm} same signature] [dumpimage: FIT read] [openssl: FIT ${algorithm} verify]`, async () => {
    const [key, image] = [keyOf(algorithm).by(scheme), await built(place(name))];
    const signed = await signedBy(key, image);
    assert.deepEqual(await verified(signed, key), {
      '/images/opensbi': digestOf('sha256', 'opensbi.bin'),
      '/images/uboot': digestOf('sha256', 'u-boot.bin'),
      '/images/fdt-1': digestOf('sha512', 'board.dtb'),
    });
    writeFileSync(inside('theirs.itb'), image);
    await ok('mkimage', ['-F', '-k', key.directory, '-r', 'theirs.itb'], { cwd: directory, env: EPOCH });
    const [ours, theirs] = await Promise.all(
      ['signed.itb', 'theirs.itb'].map((file) => ok('dtc', ['-q', '-I', 'dtb', '-O', 'dts', inside(file)])),
    );
    assert.equal(
      ours?.replace('signer-name = "keystead"', 'signer-name = "mkimage"').replace(/(signer-version = ).*/, '$1'),
      theirs?.replace(/(signer-version = ).*/, '$1'),
    );
    const listed = await ok('dumpimage', ['-l', inside('signed.itb')]);
    assert.match(listed, new RegExp(`Sign algo: +${name}:dev\\n +Sign value: +[0-9a-f]{512,1024}\\n`));
  });
}

/** A place for RSASSA-PSS. */
const pssPlace = (algorithm: string): string =>
  place(algorithm).replace('key-name-hint', 'padding = "pss"; key-name-hint');

for (const [algorithm, name, scheme] of [
  ['RSA-3072', 'sha256,rsa3072', 'RSASSA-PSS-SHA256-longest'],
  ['RSA-4096', 'sha384,rsa4096', 'RSASSA-PSS-SHA384-longest'],
] as const) {
  test(`a tree signed with ${algorithm} by RSASSA-PSS differs from what mkimage makes of it in the signature alone, and openssl takes both with the longest salt [mkimage: FIT ${algorithm} PSS same tree] [openssl: FIT ${algorithm} PSS verify]`, async () => {
    const [key, image] = [keyOf(algorithm).by(scheme), await built(pssPlace(name))];
    await verified(await signedBy(key, image), key);
    writeFileSync(inside('theirs.itb'), image);
    await ok('mkimage', ['-F', '-k', key.directory, '-r', 'theirs.itb'], { cwd: directory, env: EPOCH });
    const [ours, theirs] = await Promise.all(
      ['signed.itb', 'theirs.itb'].map((file) => ok('dtc', ['-q', '-I', 'dtb', '-O', 'dts', inside(file)])),
    );
    // The salt is random. Hashes are values too, and shorter.
    const without = (text = ''): string =>
      text.replace(/(signer-(?:name|version) = ).*/g, '$1').replace(/\tvalue = <.{900,}>;/, 'value');
    assert.equal(without(ours), without(theirs));
    await verified(new Uint8Array(readFileSync(inside('theirs.itb'))), key);
  });
}

test('a place for PKCS#1 v1.5 is none for a key of RSASSA-PSS, nor the other way round', async () => {
  const [pss, plain] = [keyOf('RSA-3072').by('RSASSA-PSS-SHA256'), keyOf('RSA-3072')];
  await verified(await signedBy(pss, await built(pssPlace('sha256,rsa3072'))), pss);
  await assert.rejects(signedBy(pss, await built(place('sha256,rsa3072'))), { code: 'firmware.key-unsuitable' });
  await assert.rejects(signedBy(plain, await built(pssPlace('sha256,rsa3072'))), { code: 'firmware.key-unsuitable' });
});

test('a tree signed with P-256 carries the two numbers as U-Boot has them [dumpimage: FIT read] [openssl: FIT P-256 verify]', async () => {
  const key = keyOf('P-256');
  const signed = await signedBy(key, await built(place('sha256,ecdsa256')));
  await verified(signed, key);
  assert.match(
    await ok('dumpimage', ['-l', inside('signed.itb')]),
    /Sign algo: +sha256,ecdsa256:dev\n +Sign value: +[0-9a-f]{128}\n/,
  );
});

for (const [what, options] of [
  ['behind the tree', ['-E']],
  ['behind the tree, in blocks of storage', ['-E', '-B', '0x200']],
  ['at a place of the file', ['-E', '-p', '0x4000']],
] as const) {
  test(`data that stands ${what} stays where the tree says, and openssl takes the signature [python3: FIT read] [openssl: FIT RSA-3072 verify]`, async () => {
    const key = keyOf('RSA-3072');
    const signed = await signedBy(key, await built(place('sha256,rsa3072'), ...options));
    const hashes = await verified(signed, key);
    assert.equal(hashes['/images/uboot'], digestOf('sha256', 'u-boot.bin'));
    await ok('dumpimage', ['-T', 'flat_dt', '-p', '0', '-o', inside('uboot.out'), inside('signed.itb')]);
    assert.deepEqual(readFileSync(inside('uboot.out')), readFileSync(inside('u-boot.bin')));
  });
}

test('two keys sign one configuration in two places, and each signature holds by itself [openssl: FIT RSA-3072 verify, FIT P-256 verify]', async () => {
  const both = [keyOf('RSA-3072'), keyOf('P-256')] as const;
  const image = await built(place('sha256,ecdsa256') + place('sha256,rsa3072', 'signature-2'));
  const { subject } = await FIT.read(imageOf(image));
  const made = both.map((key) => key.made(FIT, subject));
  const signed = await wholeOf(FIT.assemble(imageOf(image), subject, made));
  await verified(signed, both[0], 'signature-2');
  await verified(signed, both[1], 'signature-1');
});

test('a second key signs a tree that a first has signed, and both signatures hold: a rotation [openssl: FIT RSA-3072 verify]', async () => {
  const [old, next] = [keyOf('RSA-3072'), keyOf('RSA-3072', 'next')];
  const image = await built(place('sha256,rsa3072') + place('sha256,rsa3072', 'signature-2'));
  const once = await signedBy(old, image);
  assert.equal((await FIT.read(imageOf(once))).signatures, 1);
  const twice = await signedBy(next, once);
  await verified(twice, old, 'signature-1');
  await verified(twice, next, 'signature-2');
});
