import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ANCHOR_FORMATS, type AnchorSet, anchorSet, type ScopedKey } from '@keystead/core/firmware';
import { SigningKey } from '../../packages/core/firmware/tests/signing-key.ts';
import { ok } from './foreign.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-anchors-'));
const inside = (name: string): string => join(directory, name);
const keys = {
  old: new SigningKey('P-256'),
  next: new SigningKey('P-256'),
  ed: new SigningKey('Ed25519'),
  boot: new SigningKey('RSA-3072'),
  long: new SigningKey('RSA-4096', 'sha256WithRSAEncryption'),
  pss: new SigningKey('RSA-3072', 'RSASSA-PSS-SHA256'),
};
after(() => {
  for (const folder of [directory, ...Object.values(keys).map((key) => key.directory)]) {
    rmSync(folder, { recursive: true });
  }
});

const scoped = (id: keyof typeof keys, formats: ScopedKey['formats']): ScopedKey => ({
  id,
  algorithm: keys[id].algorithm,
  product: 'pump-7',
  environment: 'production',
  formats,
  signature: keys[id].scheme,
});
const setOf = (policy: readonly ScopedKey[]): AnchorSet =>
  anchorSet(policy, new Map(policy.map(({ id }) => [id, keys[id as keyof typeof keys].certificate])), {
    product: 'pump-7',
    environment: 'production',
  });
const MICRO = setOf([scoped('old', ['mcuboot']), scoped('next', ['mcuboot']), scoped('ed', ['mcuboot'])]);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const pem = (key: SigningKey): Promise<string> => ok('openssl', ['pkey', '-pubin', '-in', key.file('dev.pub')]);
const spkis = MICRO.anchors.map(({ spki }) => hex(spki));

/** What a C program prints that includes the file `anchors`. */
async function compiled(anchors: string, text: string, program: string, compiler = 'gcc'): Promise<string[]> {
  writeFileSync(inside(anchors), text);
  writeFileSync(inside('main.c'), program);
  const standard = compiler === 'gcc' ? ['-std=c99', '-pedantic'] : ['-x', 'c++', '-std=c++11'];
  await ok(compiler, [
    ...standard,
    '-Wall',
    '-Wextra',
    '-Werror',
    '-I',
    directory,
    '-o',
    inside('main'),
    inside('main.c'),
  ]);
  return (await ok(inside('main'), [])).trim().split('\n');
}
const HEX = `#include <stdio.h>
static void hex(const unsigned char *p, size_t n) { while (n--) printf("%02x", *p++); printf("\\n"); }
`;

for (const compiler of ['gcc', 'g++']) {
  test(`the C header compiles without a warning, and the program that has it reads each key and its hash back [${compiler}: Anchors C header]`, async () => {
    const program = `#include "anchors.h"\n#include "anchors.h"\n${HEX}
int main(void) { size_t i; for (i = 0; i < KEYSTEAD_ANCHORS; i++) {
  const struct keystead_anchor *a = &keystead_anchors[i];
  printf("%s %s\\n", a->id, a->algorithm); hex(a->spki, a->spki_length); hex(a->spki_sha256, 32); } return 0; }`;
    const printed = await compiled('anchors.h', ANCHOR_FORMATS['c-header'].write(MICRO), program, compiler);
    const expected = [];
    for (const { id, algorithm, spki } of MICRO.anchors) {
      writeFileSync(inside('spki'), spki);
      const digest = (await ok('openssl', ['dgst', '-sha256', '-r', inside('spki')])).slice(0, 64);
      expected.push(`${id} ${algorithm}`, hex(spki), digest);
    }
    assert.deepEqual(printed, expected);
  });
}

test('the source for Mbed TLS has each key in DER and, with its zero at the end, in PEM [gcc: Anchors Mbed TLS]', async () => {
  const program = `#include "anchors.c"\n${HEX}
int main(void) { hex(keystead_anchor_1_der, keystead_anchor_1_der_len);
  printf("%d %d\\n", (int)keystead_anchors, keystead_anchor_1_pem[keystead_anchor_1_pem_len - 1]);
  printf("%s", keystead_anchor_1_pem); return 0; }`;
  const [der, facts, ...lines] = await compiled('anchors.c', ANCHOR_FORMATS.mbedtls.write(MICRO), program);
  assert.deepEqual([der, facts], [spkis[1], '3 0']);
  assert.equal(`${lines.join('\n')}\n`, await pem(keys.next));
});

test('the key file of MCUboot has the names of imgtool getpub, and the table of bootutil where it is asked for [gcc: Anchors MCUboot]', async () => {
  mkdirSync(inside('bootutil'), { recursive: true });
  // boot/bootutil/include/bootutil/sign_key.h
  writeFileSync(
    inside('bootutil/sign_key.h'),
    '#include <stdint.h>\nstruct bootutil_key { const uint8_t *key; const unsigned int *len; };\n',
  );
  const text = ANCHOR_FORMATS.mcuboot.write(MICRO);
  const program = `#define KEYSTEAD_BOOTUTIL_KEYS\n#include "keys.c"\n${HEX}
int main(void) { int i; for (i = 0; i < bootutil_key_cnt; i++) hex(bootutil_keys[i].key, *bootutil_keys[i].len);
  hex(ecdsa_pub_key, ecdsa_pub_key_len); hex(ed25519_pub_key, ed25519_pub_key_len); return 0; }`;
  assert.deepEqual(await compiled('keys.c', text, program), [...spkis, spkis[0], spkis[2]]);
  assert.match(
    text,
    /\nconst unsigned char ecdsa_pub_key\[\] = \{\n {4}0x30, 0x59, (0x[0-9a-f]{2}, ){5}0x[0-9a-f]{2},\n/,
  );
  assert.match(text, /\n\};\nconst unsigned int ecdsa_pub_key_len = 91;\n/);
});

for (const [id, name] of [
  ['boot', 'rsa3072'],
  ['long', 'rsa4096'],
  ['pss', 'rsa3072"; padding = "pss'],
] as const)
  test(`the overlay for the control tree of U-Boot with the key '${id}' is what mkimage writes into one for the same key [mkimage: Anchors U-Boot same node] [dtc: Anchors U-Boot compile]`, async () => {
    const key = keys[id];
    const [control, overlay, merged, theirs] = ['control.dtb', 'overlay.dtbo', 'merged.dtb', 'theirs.dtb'].map(inside);
    assert.ok(control && overlay && merged && theirs);
    writeFileSync(inside('control.dts'), '/dts-v1/;\n/ { model = "board"; };\n');
    writeFileSync(inside('overlay.dts'), ANCHOR_FORMATS['u-boot'].write(setOf([scoped(id, ['fit'])])));
    for (const file of [control, theirs]) await ok('dtc', ['-O', 'dtb', '-o', file, inside('control.dts')]);
    await ok('dtc', ['-O', 'dtb', '-o', overlay, inside('overlay.dts')]);
    await ok('fdtoverlay', ['-i', control, '-o', merged, overlay]);
    writeFileSync(
      inside('image.its'),
      `/dts-v1/; / { description = ""; #address-cells = <1>; images { a { description = ""; data = [00]; type = "firmware"; arch = "arm"; os = "u-boot"; compression = "none"; load = <0>; hash-1 { algo = "sha256"; }; }; };
  configurations { default = "c"; c { firmware = "a"; signature-1 { algo = "sha256,${name}"; key-name-hint = "${id}"; sign-images = "firmware"; }; }; }; };`,
    );
    for (const end of ['key', 'crt']) await ok('cp', [key.file(`dev.${end}`), key.file(`${id}.${end}`)]);
    await ok('mkimage', ['-f', inside('image.its'), '-k', key.directory, '-K', theirs, '-r', inside('image.itb')]);
    const [ours, made] = await Promise.all(
      [merged, theirs].map((file) => ok('dtc', ['-q', '-s', '-I', 'dtb', '-O', 'dts', file])),
    );
    assert.equal(ours, made);
  });

test('the key file of MCUboot has an RSA key as PKCS #1, which openssl writes too [openssl: Anchors MCUboot RSA]', async () => {
  const text = ANCHOR_FORMATS.mcuboot.write(setOf([scoped('pss', ['mcuboot'])]));
  await ok('openssl', [
    'rsa',
    '-pubin',
    '-in',
    keys.pss.file('dev.pub'),
    '-RSAPublicKey_out',
    '-outform',
    'DER',
    '-out',
    inside('pkcs1'),
  ]);
  const octets = [...text.matchAll(/0x([0-9a-f]{2}),/g)].map(([, octet]) => octet).join('');
  assert.equal(octets, hex(readFileSync(inside('pkcs1'))));
  assert.match(text, /const unsigned char rsa_pub_key\[\] = [^;]*;\nconst unsigned int rsa_pub_key_len = 398;/);
  assert.throws(() => ANCHOR_FORMATS.mcuboot.write(setOf([scoped('boot', ['mcuboot'])])), {
    code: 'firmware.key-unsuitable',
  });
});

test('two keys of U-Boot are alternatives, and one on P-256 has its point [fdtget: Anchors U-Boot read]', async () => {
  writeFileSync(
    inside('two.dts'),
    ANCHOR_FORMATS['u-boot'].write(setOf([scoped('boot', ['fit']), scoped('next', ['fit'])])),
  );
  await ok('dtc', ['-O', 'dtb', '-o', inside('two.dtbo'), inside('two.dts')]);
  const node = '/fragment-keystead/__overlay__/signature';
  const get = async (path: string, name: string, ...type: string[]) =>
    (await ok('fdtget', [...type, inside('two.dtbo'), path, name])).trim();
  assert.equal(await get(node, 'required-mode'), 'any');
  const point = hex(keys.next.spki.subarray(-64));
  for (const [name, from] of [
    ['ecdsa,x-point', 0],
    ['ecdsa,y-point', 64],
  ] as const) {
    const words = (await get(`${node}/key-next`, name, '-t', 'x')).split(' ').map((word) => word.padStart(8, '0'));
    assert.equal(words.join(''), point.slice(from, from + 64));
  }
});

test('the PEM file has the keys that openssl made, in the order of the policy [openssl: Anchors PEM]', async () => {
  const text = ANCHOR_FORMATS.pem.write(MICRO);
  const blocks = text.match(/-----BEGIN[^#]*/g) ?? [];
  const printed = await Promise.all(blocks.map((input) => ok('openssl', ['pkey', '-pubin'], { input })));
  assert.deepEqual(printed, [await pem(keys.old), await pem(keys.next), await pem(keys.ed)]);
});
