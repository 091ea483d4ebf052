import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { MOST_FINDS, type Scanned, scanBytes, scanPath } from '../index.ts';
import { OVERLAP, WINDOW } from '../window.ts';

const directory = mkdtempSync(join(tmpdir(), 'keystead-scan-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Keys that openssl and ssh-keygen made, in the forms in which they write them. */
const keys = new Map<string, Buffer>();
const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });

before(() => {
  const at = (name: string) => join(directory, name);
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at('ec.pem'));
  openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', at('rsa.pem'));
  openssl('genpkey', '-algorithm', 'ED25519', '-out', at('ed.pem'));
  for (const name of ['ec', 'rsa', 'ed']) {
    keys.set(`${name} PKCS#8 PEM`, readFileSync(at(`${name}.pem`)));
    keys.set(`${name} PKCS#8 DER`, openssl('pkcs8', '-topk8', '-nocrypt', '-in', at(`${name}.pem`), '-outform', 'DER'));
  }
  keys.set('SEC 1 PEM', openssl('ec', '-in', at('ec.pem')));
  keys.set('SEC 1 DER', openssl('ec', '-in', at('ec.pem'), '-outform', 'DER'));
  keys.set('SEC 1 DER without curve', openssl('ec', '-in', at('ec.pem'), '-outform', 'DER', '-no_public').subarray(0));
  keys.set('PKCS#1 PEM', openssl('rsa', '-in', at('rsa.pem'), '-traditional'));
  keys.set('PKCS#1 DER', openssl('rsa', '-in', at('rsa.pem'), '-traditional', '-outform', 'DER'));
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('ssh')]);
  keys.set('OpenSSH', readFileSync(at('ssh')));
  const der = keys.get('ec PKCS#8 DER') as Buffer;
  keys.set('base64 in one line', Buffer.from(`key=${der.toString('base64')};`));
  keys.set('base64 in JSON', Buffer.from(JSON.stringify({ key: keys.get('rsa PKCS#8 DER')?.toString('base64') })));
  keys.set('PEM in JSON', Buffer.from(JSON.stringify({ key: keys.get('ec PKCS#8 PEM')?.toString('latin1') })));
  keys.set('hex', Buffer.from(der.toString('hex')));
  const array = [...der].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);
  keys.set(
    'array in C',
    Buffer.from(`const uint8_t key[] = {\n  ${array.join(', ').replace(/((?:\S+ ){12})/g, '$1\n  ')}\n};`),
  );
  keys.set('colons', openssl('asn1parse', '-in', at('ec.pem'), '-noout', '-out', '-').subarray(0));
  keys.set('colons', Buffer.from(array.map((byte) => byte.slice(2)).join(':')));
  keys.set('UTF-16', Buffer.from(`\ufeff${keys.get('ec PKCS#8 PEM')?.toString('latin1')}`, 'utf16le'));
  keys.set('CRLF PEM', Buffer.from(`${keys.get('ec PKCS#8 PEM')?.toString('latin1').replaceAll('\n', '\r\n')}`));
  const jwk = { kty: 'EC', crv: 'P-256', x: 'a'.repeat(43), y: 'b'.repeat(43), d: 'c'.repeat(43) };
  keys.set('JSON Web Key', Buffer.from(JSON.stringify(jwk)));
  keys.set('age', Buffer.from(`AGE-SECRET-KEY-1${'Q'.repeat(58)}`));
  keys.set('PuTTY', Buffer.from('PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: x\r\n'));
});

const found = (all: readonly Scanned[]) => all.filter((one) => one.what === 'key' && !one.encrypted);

async function collected(scan: AsyncIterable<Scanned>): Promise<Scanned[]> {
  const all: Scanned[] = [];
  for await (const one of scan) all.push(one);
  return all;
}

/** Bytes that look like chance and are the same each time. */
function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

test('TEST-KEY-12 a private key is found in each form in which one is written, between other bytes, once', async () => {
  for (const [form, key] of keys) {
    const image = Buffer.concat([noise(5001), key, Buffer.from('\n'), noise(3000, 7)]);
    assert.equal(found(await scanBytes(image, 'image')).length, 1, form);
    assert.equal(found(await scanBytes(key, 'image')).length, 1, `${form}, alone`);
  }
});

test('TEST-KEY-12 a key is told by its public half: openssl names the same', async () => {
  const [find] = found(await scanBytes(keys.get('ec PKCS#8 PEM') as Buffer, 'image'));
  const spki = openssl('pkey', '-in', join(directory, 'ec.pem'), '-pubout', '-outform', 'DER');
  const path = join(directory, 'spki.der');
  writeFileSync(path, spki);
  const [digest] = openssl('dgst', '-sha256', '-r', path).toString().split(' ');
  assert.equal(find?.what === 'key' && find.spkiSha256, digest);
  assert.equal(find?.what === 'key' && find.key, 'ec prime256v1');
});

test('TEST-KEY-12 a key packed in gzip, zstd or zip is found, wherever that begins, and packed twice', async () => {
  const key = Buffer.concat([noise(2000), keys.get('ec PKCS#8 DER') as Buffer, noise(2000)]);
  const deflated = deflateRawSync(key);
  const header = Buffer.alloc(30);
  header.write('PK\x03\x04', 0, 'latin1');
  header.writeUInt16LE(8, 8);
  header.writeUInt32LE(deflated.length, 18);
  header.writeUInt16LE(5, 26);
  const zip = Buffer.concat([header, Buffer.from('a.bin'), deflated]);
  for (const [kind, packed] of [
    ['gzip', gzipSync(key)],
    ['zstd', zstdCompressSync(key)],
    ['zip', zip],
    ['gzip in zstd', zstdCompressSync(Buffer.concat([noise(10), gzipSync(key)]))],
  ] as const) {
    const all = await scanBytes(Buffer.concat([noise(4097), packed, noise(999, 5)]), 'image');
    // zstd keeps what it cannot make shorter as it is: that is found beside.
    const inside = found(all).filter(({ where }) => /^image!(gzip|zstd|zip)@4097/.test(where));
    assert.ok(inside.length >= 1, kind);
  }
});

test('TEST-KEY-12 a key under a passphrase is told as such, and what cannot be unpacked is named', async () => {
  const args = ['pkcs8', '-topk8', '-in', join(directory, 'ec.pem'), '-passout', 'pass:x'];
  const traditional = openssl('ec', '-in', join(directory, 'ec.pem'), '-aes128', '-passout', 'pass:x');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', join(directory, 'locked')]);
  for (const key of [openssl(...args), traditional, readFileSync(join(directory, 'locked'))]) {
    const all = await scanBytes(Buffer.concat([noise(100), key]), 'image');
    assert.deepEqual(
      all.map((one) => one.what === 'key' && one.encrypted),
      [true],
    );
  }
  const xz = Buffer.from('fd377a585a000004', 'hex');
  const [unread] = await scanBytes(Buffer.concat([noise(50), xz, noise(50)]), 'image');
  assert.deepEqual([unread?.what, unread?.where], ['unread', 'image!xz@50']);
});

test('TEST-KEY-12 of a file that holds any number of finds so many are told, the rest is counted, and a key in the clear that comes last is told', async () => {
  const xz = Buffer.from('fd377a585a00000400', 'hex');
  const image = Buffer.concat([...Array<Buffer>(MOST_FINDS + 500).fill(xz), keys.get('ec PKCS#8 DER') as Buffer]);
  const all = await scanBytes(image, 'image');
  assert.equal(all.filter(({ what }) => what === 'unread').length, MOST_FINDS);
  assert.equal(found(all).length, 1);
  assert.deepEqual(all.at(-1), { what: 'more', where: 'image', clear: 0, encrypted: 0, unread: 500 });
});

test('TEST-KEY-12 what only speaks of private keys is none: a program that reads them, public keys, certificates', async () => {
  const [, certificate] = [
    openssl('req', '-x509', '-key', join(directory, 'ec.pem'), '-subj', '/CN=x', '-out', join(directory, 'cert.pem')),
    readFileSync(join(directory, 'cert.pem')),
  ];
  const spki = openssl('pkey', '-in', join(directory, 'rsa.pem'), '-pubout');
  const [begin, end] = ['-----BEGIN', '-----END'];
  const labels = ['PRIVATE KEY-----', 'RSA PRIVATE KEY-----'];
  const words = Buffer.from(labels.map((label) => `${begin} ${label}\0${end} ${label}\0`).join(''));
  for (const innocent of [certificate, spki, words, readFileSync(process.execPath).subarray(0, 2 * WINDOW)]) {
    assert.deepEqual(found(await scanBytes(innocent, 'image')), []);
  }
  fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      return found(await scanBytes(Buffer.from(bytes), 'image')).length === 0;
    }),
  );
});

test('TEST-KEY-12 a key at every place around the seam of two windows is found once', async () => {
  const key = keys.get('ec PKCS#8 DER') as Buffer;
  const pem = keys.get('rsa PKCS#8 PEM') as Buffer;
  const path = join(directory, 'large.bin');
  for (const at of [
    WINDOW - 5000,
    WINDOW - 700,
    WINDOW - 60,
    WINDOW - 1,
    WINDOW,
    WINDOW + OVERLAP - 20,
    WINDOW + OVERLAP,
  ]) {
    for (const one of [key, pem]) {
      const image = Buffer.alloc(WINDOW + OVERLAP + 10_000);
      one.copy(image, at);
      writeFileSync(path, image);
      const all = await collected(scanPath(path));
      assert.deepEqual(
        all.map((find) => [find.what, find.what === 'key' && find.offset]),
        [['key', at]],
      );
    }
  }
});

test('TEST-KEY-12 a tree is scanned to its leaves, and links lead nowhere', async () => {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'a', 'b'), { recursive: true });
  writeFileSync(join(tree, 'a', 'b', 'key'), keys.get('ec PKCS#8 PEM') as Buffer);
  symlinkSync(join(tree, 'a'), join(tree, 'again'));
  const all = await collected(scanPath(tree));
  assert.deepEqual(
    all.map(({ where }) => where),
    [join(tree, 'a', 'b', 'key')],
  );
  await assert.rejects(collected(scanPath(join(tree, 'absent'))), { code: 'ENOENT' });
});

test('TEST-KEY-12 what unpacks to more than memory should hold is named and not swallowed', async () => {
  const bomb = gzipSync(Buffer.alloc(257 * 1024 * 1024), { level: 1 });
  const [first] = await scanBytes(bomb, 'bomb');
  assert.equal(first?.what, 'unread');
});
