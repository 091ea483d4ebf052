import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { KeysteadError } from '../../errors/index.ts';
import { type ImageBytes, imageOf, MCUBOOT, MOST_SUBJECT_BYTES } from '../index.ts';
import { TLV_INFO_MAGIC } from '../mcuboot/layout.ts';
import { tlvArea } from '../mcuboot/tlv.ts';
import { SigningKey, wholeOf } from './signing-key.ts';

const key = new SigningKey('P-256');
const rsa = new SigningKey('RSA-2048');
after(() => {
  for (const { directory } of [key, rsa]) rmSync(directory, { recursive: true });
});

const PARAMETERS = { version: '1.2.3', 'header-size': '64', 'security-counter': 'auto', dependencies: '(1, 2.0)' };
async function prepared(given: Record<string, string> = PARAMETERS, raw = new Uint8Array(100).fill(9)) {
  const image = await MCUBOOT.prepare?.(imageOf(raw), given);
  assert.ok(image);
  return await image.read(0, image.size);
}

const refused =
  (code: string, field: RegExp, seen: RegExp = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code);
    assert.match(error.field ?? '', field);
    assert.match(error.seen ?? '', seen);
    return true;
  };

async function signed(): Promise<{ unsigned: Uint8Array; subject: Uint8Array; image: Uint8Array }> {
  const unsigned = await prepared();
  const { subject } = await MCUBOOT.read(imageOf(unsigned));
  const image = await wholeOf(MCUBOOT.assemble(imageOf(unsigned), subject, [key.made(MCUBOOT, subject)]));
  return { unsigned, subject, image };
}

for (const [given, field, seen] of [
  [{}, /^version$/, /none/],
  [{ version: 'v1' }, /^version$/, /not like 1\.2\.3\+4/],
  [{ version: '256.0.0' }, /^version$/, /major 256, above 255/],
  [{ version: '1.256' }, /^version$/, /minor/],
  [{ version: '1.0.65536' }, /^version$/, /revision 65536/],
  [{ version: '1.0.0+4294967296' }, /^version$/, /build/],
  [{ version: '1.0.0', 'header-size': '31' }, /^header-size$/, /from 32/],
  [{ version: '1.0.0', 'header-size': '0x10000' }, /^header-size$/, /0xffff/],
  [{ version: '1.0.0', 'load-addr': '-1' }, /^load-addr$/, /-1/],
  [{ version: '1.0.0', 'load-addr': '0x100000000' }, /^load-addr$/, /./],
  [{ version: '1.0.0', 'load-addr': '0x1000', 'rom-fixed': '0x2000' }, /^rom-fixed$/, /load-addr/],
  [{ version: '1.0.0', 'security-counter': '4294967296' }, /^security-counter$/, /./],
  [{ version: '1.0.0', 'security-counter': '' }, /^security-counter$/, /./],
  [{ version: '1.0.0', dependencies: '1: 2.0' }, /^dependencies$/, /not like/],
  [{ version: '1.0.0', dependencies: '(256, 2.0)' }, /^dependencies$/, /256/],
  [{ version: '1.0.0', dependencies: '(1, 2.x)' }, /^dependencies$/, /2\.x/],
  [{ version: '1.0.0', 'erased-value': '256' }, /^erased-value$/, /./],
  [{ version: '1.0.0', 'boot-record': 'thirteen-long' }, /^boot-record$/, /12/],
  [{ version: '1.0.0', 'boot-record-signer': 'ab' }, /^boot-record-signer$/, /SHA-256/],
  [{ version: '1.0.0', slot: '1' }, /^slot$/, /load-addr/],
] as const) {
  test(`MCUboot: the parameters ${JSON.stringify(given)} are refused by the name of the one that is wrong`, async () => {
    await assert.rejects(prepared(given), refused('firmware.parameter', field, seen));
  });
}

test('MCUboot: a binary that is empty, or larger than keyd reads, is refused', async () => {
  await assert.rejects(prepared(PARAMETERS, new Uint8Array()), refused('firmware.malformed', /^image$/, /^0 octets/));
  const most = new Uint8Array(MOST_SUBJECT_BYTES - 64 - 28);
  assert.equal((await MCUBOOT.read(imageOf(await prepared(PARAMETERS, most)))).subject.length, MOST_SUBJECT_BYTES);
  const more = new Uint8Array(most.length + 1);
  await assert.rejects(prepared(PARAMETERS, more), refused('firmware.malformed', /^image$/, /not 1 to/));
});

test('MCUboot: people see version, counter, load address, dependency and the digest of what is signed', async () => {
  const image = await prepared({ ...PARAMETERS, 'load-addr': '0x20000000', 'boot-record': 'SPE' });
  const reading = await MCUBOOT.read(imageOf(image));
  assert.deepEqual(
    [reading.product, reading.version, reading.securityCounter, reading.signatures],
    [null, '1.2.3', 0x01020003, 0],
  );
  const shown = new Map(reading.shown.map(({ name, value }) => [name, value]));
  assert.equal(shown.get('load address'), '0x20000000');
  assert.equal(shown.get('flags'), 'ram-load');
  assert.equal(shown.get('dependency: image 1'), 'at least 2.0.0');
  assert.match(shown.get('SHA-256 of what is signed') ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(MCUBOOT.claims(reading.subject), { product: null, version: '1.2.3', securityCounter: 0x01020003 });
});

test('MCUboot: an image that is cut off at any octet is refused, unsigned and signed', async () => {
  const { unsigned, image } = await signed();
  for (const whole of [unsigned, image]) {
    for (let length = 0; length < whole.length; length++) {
      await assert.rejects(MCUBOOT.read(imageOf(whole.slice(0, length))), refused('firmware.malformed', /./));
    }
  }
});

test('MCUboot: a signed image is not signed again, and one with an octet after it is none', async () => {
  const { unsigned, image } = await signed();
  await assert.rejects(MCUBOOT.read(imageOf(image)), refused('firmware.signed-already', /^TLVs$/, /TLV 0x01/));
  const longer = Buffer.concat([unsigned, Uint8Array.of(0)]);
  await assert.rejects(MCUBOOT.read(imageOf(longer)), refused('firmware.malformed', /^TLVs$/));
});

test('MCUboot: an image of which any octet was changed is refused before anybody is asked to approve it', async () => {
  const image = await prepared();
  for (let at = 0; at < image.length; at++) {
    const changed = image.map((octet, index) => (index === at ? octet ^ 0x20 : octet));
    await assert.rejects(MCUBOOT.read(imageOf(changed)), (error: unknown) => error instanceof KeysteadError);
  }
});

/** The protected TLVs begin at octet 164 of {@link PARAMETERS}' image: counter at 168, dependency at 176. */
for (const [what, change, field, seen] of [
  ['encryption', [16, 0x04], /flags/, /encrypted/],
  ['two addresses', [16, 0x20, 0x01], /flags/, /./],
  ['a protected area of another magic', [164, 0x07], /protected TLVs/, /magic/],
  ['a protected area of another length', [166, 0x1d], /protected TLVs/, /29 octets by its head/],
  ['a TLV beyond its area', [170, 0xff], /protected TLVs/, /beyond/],
  ['a TLV that goes one octet beyond its area', [178, 0x0d], /protected TLVs/, /beyond/],
  ['a counter of another length', [170, 0x03], /security counter|protected/, /./],
  ['a filled pad', [169, 0x01], /protected TLVs/, /pad/],
  ['a signature among the protected', [168, 0x22], /protected TLVs/, /never protected/],
  ['a digest among the protected', [168, 0x10], /protected TLVs/, /never protected/],
] as const) {
  test(`MCUboot: keyd reads the signed part itself and refuses ${what}`, async () => {
    const { subject } = await MCUBOOT.read(imageOf(await prepared()));
    const bad = Uint8Array.from(subject);
    bad.set(change.slice(1), change[0]);
    assert.throws(() => MCUBOOT.claims(bad), refused('firmware.malformed', field, seen));
    assert.throws(() => MCUBOOT.compose(bad, key.terms), refused('firmware.malformed', field, seen));
  });
}

test('MCUboot: a security counter that stands twice is refused, since one might be shown and the other taken', async () => {
  const { subject } = await MCUBOOT.read(imageOf(await prepared({ version: '1.0.0', 'security-counter': '5' })));
  const counter = subject.subarray(-8);
  const bad = Buffer.concat([subject, counter]);
  bad.writeUInt16LE(20, 10);
  bad.writeUInt16LE(20, bad.length - 18);
  assert.throws(() => MCUBOOT.claims(bad), refused('firmware.malformed', /security counter/, /twice/));
});

test('MCUboot: an image with more dependencies than anybody reads is refused', async () => {
  const dependencies = Array.from({ length: 16 }, (_, image) => `(${image}, 1.0)`).join(', ');
  const { subject } = await MCUBOOT.read(imageOf(await prepared({ version: '1.0.0', dependencies })));
  const area = 4 + 33 * 16;
  const bad = Buffer.concat([subject, subject.subarray(-16 * 16), subject.subarray(-16)]);
  bad.writeUInt16LE(area, 10);
  bad.writeUInt16LE(area, bad.length - area + 2);
  assert.throws(() => MCUBOOT.claims(bad), refused('firmware.malformed', /protected TLVs/, /33 dependencies/));
});

test('MCUboot: every protected TLV is shown or the image is refused, and a value that is cut says of what', async () => {
  const { subject } = await MCUBOOT.read(imageOf(await prepared({ version: '1.0.0', 'security-counter': '5' })));
  const withTlvs = (...values: Buffer[]): Buffer => {
    const tlvs = values.map((value) => Buffer.concat([Buffer.from([0xa0, 0, value.length, 0]), value]));
    const signed = Buffer.concat([subject, ...tlvs]);
    const area = 12 + tlvs.reduce((sum, { length }) => sum + length, 0);
    signed.writeUInt16LE(area, 10);
    signed.writeUInt16LE(area, subject.length - 10);
    const digest = createHash('sha256').update(signed).digest();
    return Buffer.concat([signed, Buffer.from([0x07, 0x69, 40, 0, 0x10, 0, 32, 0]), digest]);
  };
  const shown = async (last: number) => {
    const reading = await MCUBOOT.read(
      imageOf(withTlvs(Buffer.alloc(65, last), Buffer.concat([Buffer.alloc(64), Uint8Array.of(last)]))),
    );
    return reading.shown.filter(({ name }) => name === 'TLV 0xa0').map(({ value }) => value);
  };
  const [one, two] = [await shown(1), await shown(2)];
  assert.match(one[1] ?? '', /^0{32}… 65 octets, sha256 /);
  assert.notEqual(one[1], two[1]);
  const many = withTlvs(...Array.from({ length: 33 }, () => Buffer.alloc(1)));
  await assert.rejects(
    MCUBOOT.read(imageOf(many)),
    refused('firmware.malformed', /protected TLVs/, /33 of other types/),
  );
});

test('MCUboot: TLVs of encryption and of others behind the image are refused', async () => {
  const image = await prepared();
  for (const [type, seen] of [
    [0x32, /encrypted image/],
    [0xa0, /nobody signs/],
  ] as const) {
    const subject = image.subarray(0, image.length - 40);
    const bad = Buffer.concat([subject, tlvArea(TLV_INFO_MAGIC, [{ type, value: new Uint8Array(4) }])]);
    await assert.rejects(MCUBOOT.read(imageOf(bad)), refused('firmware.malformed', /^TLVs$/, seen));
  }
});

test('MCUboot: an image that ends in a digest twice is refused, and belongs to no signed part: of one there are as many images as keyd knows', async () => {
  const { subject } = await MCUBOOT.read(imageOf(await prepared()));
  const digest = (type: number, name: string) => {
    const value = createHash(name).update(subject).digest();
    return Buffer.concat([Buffer.from([type, 0, value.length, 0]), value]);
  };
  const digests = [digest(0x10, 'sha256'), digest(0x11, 'sha384')];
  const ends = fc.array(fc.constantFrom(...digests), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(ends, async (tlvs) => {
      const info = Buffer.from([0x07, 0x69, 0, 0]);
      const image = Buffer.concat([subject, info, ...tlvs]);
      image.writeUInt16LE(image.length - subject.length, subject.length + 2);
      const isOnce = new Set(tlvs).size === tlvs.length;
      if (isOnce) assert.deepEqual((await MCUBOOT.read(imageOf(image))).subject, subject);
      else {
        const twice = refused('firmware.malformed', /^TLVs$/, /^a digest twice$/);
        await assert.rejects(MCUBOOT.read(imageOf(image)), twice);
        await assert.rejects(wholeOf(MCUBOOT.assemble(imageOf(image), subject, [key.made(MCUBOOT, subject)])), twice);
      }
      const sha256 = createHash('sha256').update(image).digest('hex');
      assert.equal(MCUBOOT.isOfImage?.(subject, { sha256, bytes: image.length }), isOnce);
    }),
    { numRuns: 100 },
  );
});

test('MCUboot: a key that no bootloader knows is refused', async () => {
  const { subject } = await MCUBOOT.read(imageOf(await prepared()));
  assert.throws(() => MCUBOOT.compose(subject, rsa.terms), refused('firmware.key-unsuitable', /signer/, /RSA-2048/));
});

test('MCUboot: an image that was swapped after it was signed is not assembled', async () => {
  const { subject } = await MCUBOOT.read(imageOf(await prepared()));
  const other = imageOf(await prepared({ ...PARAMETERS, version: '1.2.4' }));
  const pieces = MCUBOOT.assemble(other, subject, [key.made(MCUBOOT, subject)]);
  await assert.rejects(wholeOf(pieces), refused('firmware.malformed', /^image$/, /another/));
});

test('MCUboot: whatever bytes come, the reader answers, and with errors of its own', async () => {
  const { unsigned, image, subject } = await signed();
  const mutated = (whole: Uint8Array) =>
    fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((changes) => {
      const bytes = Uint8Array.from(whole);
      for (const [at, octet] of changes) bytes[at] = octet;
      return bytes;
    });
  const any = fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated(unsigned), mutated(image), mutated(subject));
  await fc.assert(
    fc.asyncProperty(any, async (bytes) => {
      for (const act of [
        async () => void (await MCUBOOT.read(imageOf(bytes))),
        async () => void MCUBOOT.claims(bytes),
        async () => void MCUBOOT.compose(bytes, key.terms),
      ]) {
        await act().catch((error: unknown) => assert.ok(error instanceof KeysteadError, String(error)));
      }
    }),
    { numRuns: 2000 },
  );
});

test('MCUboot: an image says by its header how much is read of it, and no more memory is taken than a subject may have', async () => {
  const image = await prepared();
  const asked: number[] = [];
  const vast: ImageBytes = {
    size: 2 ** 40,
    read: async (at, length) => {
      asked.push(length);
      return image.subarray(at, at + length);
    },
  };
  await assert.rejects(MCUBOOT.read(vast), refused('firmware.malformed', /^image$/));
  assert.deepEqual(asked, [32]);
});
