import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { mutated } from '../../../x509/tests/mutate.ts';
import { imageOf } from '../../image.ts';
import { collected, rejection, SigningPki } from '../../tests/cms-signing.ts';
import { PeChecksum } from '../image-digest.ts';
import { authenticode } from '../index.ts';
import { imageDigestOf, indirectData } from '../indirect-data.ts';
import { fieldsOf, peFile } from './pe-file.ts';

const KEYS = { rsa2048: 'RSA-2048', rsa3072: 'RSA-3072', rsa4096: 'RSA-4096', p256: 'P-256', p384: 'P-384' } as const;
const pki = new SigningPki({ ...KEYS, ed: 'Ed25519' });
after(() => pki.remove());

/** UEFI programs from Debian: of sizes that are and are not multiples of eight, with symbols after their sections. */
const FIRMWARE = '/usr/lib/efitools/x86_64-linux-gnu';
const programs = readdirSync(FIRMWARE).filter((name) => name.endsWith('.efi'));
const program = (name: string) => readFileSync(join(FIRMWARE, name));

const sbverify = (file: string, certificate: string) => pki.try('sbverify', '--cert', certificate, file);

/** SpcIndirectDataContent out of what sbsign made of a file. */
function spcBySbsign(name: string, image: Uint8Array): Buffer {
  pki.write('plain.efi', image);
  const by = ['--key', 'rsa2048.key', '--cert', 'rsa2048.pem'];
  assert.equal(pki.try('sbsign', ...by, '--output', `${name}.sbsign`, 'plain.efi').code, 0);
  pki.run('sbattach', '--detach', 'sbsign.p7', `${name}.sbsign`);
  const parsed = pki.run('openssl', 'asn1parse', '-inform', 'DER', '-in', 'sbsign.p7');
  const content = /(\d+):d=5 {2}hl=2 l= *(\d+) cons: SEQUENCE/.exec(parsed);
  const at = Number(content?.[1]);
  return Buffer.from(pki.read('sbsign.p7')).subarray(at, at + 2 + Number(content?.[2]));
}

test('of each UEFI program of efitools the digest, and all that is signed of it, is to the octet what sbsign has', async () => {
  assert.ok(programs.length >= 9, programs.join());
  for (const name of programs) {
    const { subject } = await authenticode.read(imageOf(program(name)));
    assert.deepEqual(Buffer.from(subject), spcBySbsign(name, program(name)), name);
  }
});

for (const [name, algorithm] of Object.entries(KEYS)) {
  test(`sbverify takes a UEFI program that an ${algorithm} key signed, with its chain and without [sbverify: Authenticode signature ${algorithm}]`, async () => {
    for (const file of ['HashTool.efi', 'HelloWorld.efi']) {
      const image = imageOf(program(file));
      const { subject } = await authenticode.read(image);
      const made = await pki.made(authenticode, subject, name);
      for (const chain of [made.chain, []]) {
        pki.write('signed.efi', await collected(authenticode.assemble(image, subject, [{ ...made, chain }])));
        const { code, output } = sbverify('signed.efi', `${name}.pem`);
        assert.equal(code, 0, `${file}: ${output}`);
        assert.match(output, /Signature verification OK/);
      }
      // Without the chain only: where an intermediate stands in the message, sbverify 0.9.4 takes any certificate.
      assert.notEqual(sbverify('signed.efi', name === 'p256' ? 'p384.pem' : 'p256.pem').code, 0);
    }
  });
}

test('sbverify refuses the program when an octet of it, or of its signature, is another', async () => {
  const image = imageOf(program('HashTool.efi'));
  const { subject } = await authenticode.read(image);
  const made = await pki.made(authenticode, subject, 'rsa3072');
  const signature = Uint8Array.from(made.signature, (octet, at) => (at === 40 ? octet ^ 1 : octet));
  pki.write('signed.efi', await collected(authenticode.assemble(image, subject, [{ ...made, signature }])));
  assert.notEqual(sbverify('signed.efi', 'rsa3072.pem').code, 0);
  const changed = await collected(authenticode.assemble(image, subject, [made]));
  changed[5000] = (changed[5000] ?? 0) ^ 1;
  pki.write('signed.efi', changed);
  assert.match(sbverify('signed.efi', 'rsa3072.pem').output, /Hash doesn't match image/);
});

test('the certificate table, its place and the checksum are as sbsign writes them', async () => {
  for (const name of programs) {
    pki.write('plain.efi', program(name));
    const by = ['--key', 'rsa2048.key', '--cert', 'rsa2048.pem'];
    assert.equal(pki.try('sbsign', ...by, '--output', 'theirs.efi', 'plain.efi').code, 0);
    const theirs = Buffer.from(pki.read('theirs.efi'));
    const ours = await pki.sign(authenticode, imageOf(program(name)), 'rsa2048');
    for (const file of [ours, theirs]) {
      const { checksum, certificates } = fieldsOf({ lfanew: file.readUInt32LE(0x3c) });
      const at = file.readUInt32LE(certificates);
      assert.equal(at + file.readUInt32LE(certificates + 4), file.length);
      const [length, type] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
      assert.equal(type, 0x0002_0200);
      assert.equal(Math.ceil(length / 8) * 8, file.readUInt32LE(certificates + 4));
      const sum = new PeChecksum();
      sum.add(file.subarray(0, checksum));
      sum.add(file.subarray(checksum + 4));
      assert.equal(file.readUInt32LE(checksum), sum.of(file.length), name);
      file.fill(0, checksum, checksum + 4).fill(0, certificates + 4, certificates + 8);
    }
    const { certificates } = fieldsOf({ lfanew: ours.readUInt32LE(0x3c) });
    const table = ours.readUInt32LE(certificates);
    assert.deepEqual(ours.subarray(0, table), theirs.subarray(0, table), name);
  }
});

test('images of 32 and 64 bits with and without octets after their sections are signed, and sbverify takes them', async () => {
  for (const bits of [32, 64] as const)
    for (const tail of [0, 1, 7, 8, 13])
      for (const sections of [[512], [512, 0, 1024]]) {
        const image = peFile({ bits, tail, sections });
        const { subject } = await authenticode.read(imageOf(image));
        assert.deepEqual(Buffer.from(subject), spcBySbsign('made', image), `${bits} ${tail}`);
        pki.write('signed.efi', await pki.sign(authenticode, imageOf(image), 'rsa2048'));
        assert.equal(sbverify('signed.efi', 'rsa2048.pem').code, 0);
      }
});

test('two keys sign one program, and sbverify finds each', async () => {
  pki.write('signed.efi', await pki.sign(authenticode, imageOf(program('HashTool.efi')), 'rsa2048', 'rsa3072'));
  for (const name of ['rsa2048', 'rsa3072']) assert.equal(sbverify('signed.efi', `${name}.pem`).code, 0);
});

test('what is signed of an image changes with each octet but those of checksum and certificate table', async () => {
  const image = peFile({ tail: 5 });
  const { checksum } = fieldsOf();
  const before = Buffer.from((await authenticode.read(imageOf(image))).subject);
  for (const at of [2, 100, checksum + 4, 600, 1100, image.length - 1]) {
    const changed = Uint8Array.from(image, (octet, index) => (index === at ? octet ^ 0x01 : octet));
    const { subject } = await authenticode.read(imageOf(changed));
    assert.notDeepEqual(Buffer.from(subject), before, String(at));
  }
  const summed = Uint8Array.from(image, (octet, index) => (index === checksum ? 0x55 : octet));
  assert.deepEqual(Buffer.from((await authenticode.read(imageOf(summed))).subject), before);
});

test('a program that is signed already is refused, whoever signed it', async () => {
  pki.write('plain.efi', program('SetNull.efi'));
  pki.run('sbsign', '--key', 'rsa2048.key', '--cert', 'rsa2048.pem', '--output', 'theirs.efi', 'plain.efi');
  const ours = await pki.sign(authenticode, imageOf(program('SetNull.efi')), 'rsa2048');
  for (const signed of [ours, pki.read('theirs.efi')])
    assert.equal(await rejection(() => authenticode.read(imageOf(signed))), 'firmware.signed-already');
});

test('an image of which two readers could hash different octets is refused, and so is one that is cut', async () => {
  const fields = fieldsOf();
  const with32 = (at: number, value: number) => {
    const image = peFile();
    image.writeUInt32LE(value, at);
    return image;
  };
  const whole = peFile();
  const bad: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    'an ELF file': readFileSync('/usr/bin/true'),
    'a gap before the second section': with32(fields.table + 40 + 20, 2048),
    'sections that overlap': with32(fields.table + 40 + 20, 600),
    'a section that begins in the headers': with32(fields.table + 20, 64),
    'headers that end within themselves': with32(fields.headersEnd, 64),
    'headers that end after the first section': with32(fields.headersEnd, 1024),
    'no place for a certificate table': with32(fields.count, 4),
    'too many directories': with32(fields.count, 17),
    'a header at an odd place': with32(0x3c, 0x81),
    'a header in the DOS header': with32(0x3c, 4),
    'a header far away': with32(0x3c, 0xffff_fff0),
    'cut in the last section': whole.subarray(0, whole.length - 1),
    'cut in the headers': whole.subarray(0, 300),
  };
  for (const [what, image] of Object.entries(bad))
    assert.equal(await rejection(() => authenticode.read(imageOf(image))), 'firmware.malformed', what);
});

test('an image that was swapped after it was read is not given out', async () => {
  const { subject } = await authenticode.read(imageOf(program('SetNull.efi')));
  const made = await pki.made(authenticode, subject, 'rsa2048');
  const other = authenticode.assemble(imageOf(program('HelloWorld.efi')), subject, [made]);
  assert.equal(await rejection(() => collected(other)), 'firmware.malformed');
  const none = authenticode.assemble(imageOf(program('SetNull.efi')), subject, []);
  assert.equal(await rejection(() => collected(none)), 'firmware.malformed');
});

test('keys that Authenticode has no name for are refused', async () => {
  const { subject } = await authenticode.read(imageOf(program('SetNull.efi')));
  assert.equal(await rejection(() => pki.made(authenticode, subject, 'ed')), 'firmware.key-unsuitable');
});

test('a subject has one encoding: whatever is changed in it but the digest is refused', () => {
  const subject = indirectData(new Uint8Array(32).fill(9));
  fc.assert(
    fc.property(fc.oneof(mutated([subject]), fc.uint8Array({ maxLength: 200 })), (bytes) => {
      try {
        assert.deepEqual(Buffer.from(indirectData(imageDigestOf(bytes))), Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error, String(error));
        assert.equal(error.code, 'firmware.malformed');
      }
    }),
    { numRuns: 2000 },
  );
});

test('whatever is changed in an image, it is read or refused with the code of the format', async () => {
  const seeds = [peFile({ sections: [64] }).subarray(0, 600), peFile({ bits: 32 }), program('SetNull.efi')];
  await fc.assert(
    fc.asyncProperty(mutated(seeds), async (bytes) => {
      const code = await rejection(() => authenticode.read(imageOf(bytes)));
      assert.ok(['nothing', 'firmware.malformed', 'firmware.signed-already'].includes(code), code);
    }),
    { numRuns: 1500 },
  );
});
