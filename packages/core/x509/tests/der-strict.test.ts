import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, sameBytes, toHex } from '../../bytes/index.ts';
import { DerError, readBits, readDer, readInteger, readOid, readTime } from '../der/strict.ts';
import {
  bitString,
  integer,
  integerFromBytes,
  namedBits,
  octetString,
  oid,
  sequence,
  setOf,
  time,
} from '../der/writer.ts';

const accepted: Readonly<Record<string, string>> = {
  'an empty SEQUENCE': '3000',
  'a positive INTEGER with a sign octet': '02020080',
  'a negative INTEGER': '0202ff7f',
  'BOOLEAN TRUE': '0101ff',
  'a BIT STRING with unused bits that are zero': '03020780',
  'an empty BIT STRING': '030100',
  'a length of two octets': `0481ff${'00'.repeat(255)}`,
  'a SET in order': '3106020101020102',
  'an empty OCTET STRING at the end of nested SEQUENCEs': '300630040402abcd',
};

const refused: Readonly<Record<string, string>> = {
  nothing: '',
  'a tag alone': '30',
  'trailing bytes': '020101ff',
  'trailing end-of-contents': '30000000',
  'an indefinite length': '30800201010000',
  'a length in two octets that fits one': `04817f${'00'.repeat(127)}`,
  'a length with a leading zero': `04820080${'00'.repeat(128)}`,
  'a length of three octets that fits two': `04830000ff${'00'.repeat(255)}`,
  'an indefinite length without content': '3080',
  'a length of five octets': '04850000000001ff',
  'a length of 4 GiB': '0484ffffffff00',
  'a reserved length': '04ff',
  'a length past the end': '300502010100',
  'a child past the end of its parent': '3003020201010202',
  'a high tag number': '1f8101020101',
  'an end-of-contents marker inside': '30020000',
  'a constructed OCTET STRING': '24040402abcd',
  'a constructed BIT STRING': '2305030300abcd',
  'a constructed UTF8String': '2c030c0141',
  'a primitive SEQUENCE': '1000',
  'a primitive SET': '1100',
  'BOOLEAN with another TRUE': '010101',
  'BOOLEAN of two octets': '0102ffff',
  'an INTEGER without content': '0200',
  'a padded positive INTEGER': '02020001',
  'a padded negative INTEGER': '0202ffff',
  'a BIT STRING without content': '0300',
  'a BIT STRING with eight unused bits': '03020880',
  'a BIT STRING with unused bits that are set': '030207ff',
  'an empty BIT STRING with unused bits': '030107',
  'a NULL with content': '050100',
  'an OBJECT IDENTIFIER without content': '0600',
  'a padded OBJECT IDENTIFIER': '06032a8001',
  'an OBJECT IDENTIFIER that is padded at its start': '0602802a',
  'a truncated OBJECT IDENTIFIER': '06022a80',
  'a SET out of order': '3106020102020101',
};

for (const [what, hex] of Object.entries(accepted))
  test(`DER is read: ${what}`, () => assert.equal(toHex(readDer(fromHex(hex)).bytes), hex));

for (const [what, hex] of Object.entries(refused))
  test(`what is not DER is refused: ${what}`, () => assert.throws(() => readDer(fromHex(hex)), DerError));

test('nesting is bounded, and a megabyte of nested headers neither overflows the stack nor takes long', () => {
  const nested = (depth: number) => {
    let der: Uint8Array = integer(1);
    for (let i = 0; i < depth; i += 1) der = sequence(der);
    return der;
  };
  readDer(nested(20));
  assert.throws(() => readDer(nested(40)), /nested deeper/);
  const started = performance.now();
  // Each header claims all that is left: the form that exhausts a recursive parser.
  const hostile = new Uint8Array(1 << 20);
  for (let at = 0; at + 6 <= hostile.length; at += 6) {
    hostile.set([0x30, 0x84], at);
    new DataView(hostile.buffer).setUint32(at + 2, hostile.length - at - 6);
  }
  assert.throws(() => readDer(hostile), DerError);
  assert.throws(() => readDer(new Uint8Array(1 << 20).fill(0x30)), DerError);
  assert.throws(
    () => readDer(sequence(new Uint8Array(1 << 20).fill(5).map((_, i) => (i % 2 === 0 ? 5 : 0)))),
    /more than \d+ elements/,
  );
  assert.ok(performance.now() - started < 1000);
});

test('every byte string is either read as itself or refused as DerError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        return sameBytes(readDer(bytes).bytes, bytes);
      } catch (error) {
        return error instanceof DerError;
      }
    }),
    { numRuns: 20_000 },
  );
});

test('what the writer writes is DER', () => {
  const leaf = fc.oneof(
    fc.nat().map(integer),
    fc.uint8Array({ maxLength: 300 }).map(octetString),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => bitString(bytes)),
    fc.uint8Array({ maxLength: 30 }).map(integerFromBytes),
    fc.uniqueArray(fc.nat(40)).map(namedBits),
    fc
      .tuple(fc.nat(2), fc.nat(39), fc.array(fc.nat(), { maxLength: 8 }))
      .map(([a, b, rest]) => oid([a, b, ...rest].join('.'))),
  );
  fc.assert(
    fc.property(fc.array(leaf, { maxLength: 8 }), (parts) => {
      readDer(sequence(sequence(...parts), setOf(...parts)));
    }),
    { numRuns: 2000 },
  );
});

test('an OBJECT IDENTIFIER is read as it was written', () => {
  fc.assert(
    fc.property(fc.nat(2), fc.nat(39), fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 10 }), (a, b, rest) => {
      const dotted = [a, b, ...rest].join('.');
      return readOid(readDer(oid(dotted)), 'it') === dotted;
    }),
  );
  assert.equal(
    readOid(readDer(fromHex('06032a864886f70d010101'.replace('06032a', '06092a'))), 'it'),
    '1.2.840.113549.1.1.1',
  );
  assert.equal(readOid(readDer(fromHex('0603883703')), 'it'), '2.999.3');
  // Counted in 32 bits, each of these would be another one: the first would be 1.2.840.
  for (const hex of ['06062a9080808648', '06062a8880808000', '06062a8fffffff7f', `060a2a${'ff'.repeat(8)}7f`])
    assert.throws(() => readOid(readDer(fromHex(hex)), 'it'), /2\^31/);
  assert.throws(() => readOid(readDer(oid(`1.2${'.3'.repeat(200)}`)), 'it'), DerError);
});

test('an INTEGER is read as it was written, and one beyond all use is refused', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n - 1n }), (value) => {
      const hex = value.toString(16);
      return (
        readInteger(readDer(integerFromBytes(fromHex(hex.padStart(hex.length + (hex.length % 2), '0')))), 'it') ===
        value
      );
    }),
  );
  assert.equal(readInteger(readDer(fromHex('0201ff')), 'it'), -1n);
  assert.equal(readInteger(readDer(fromHex('0a0102')), 'it'), 2n);
  assert.throws(() => readInteger(readDer(integerFromBytes(new Uint8Array(64).fill(1))), 'it'), DerError);
  assert.throws(() => readInteger(readDer(fromHex('040101')), 'it'), DerError);
});

test('the bits of a BIT STRING are read one by one, and only of a short one', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(15)), (bits) => {
      const read = readBits(readDer(namedBits(bits)), 2, 'it');
      return sameBytes(Uint8Array.from(read.flatMap((bit, i) => (bit === 1 ? [i] : []))), Uint8Array.from(bits).sort());
    }),
  );
  assert.throws(() => readBits(readDer(bitString(new Uint8Array(3))), 2, 'it'), DerError);
});

test('a time is read as it was written, and one that does not exist is refused', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date(Date.UTC(9999, 11, 31)), noInvalidDate: true }), (date) => {
      const read = readTime(readDer(time(date)), 'it');
      return read.getTime() === Math.floor(date.getTime() / 1000) * 1000;
    }),
  );
  const read = (tag: string, text: string) =>
    readTime(
      readDer(fromHex(`${tag}${text.length.toString(16).padStart(2, '0')}${toHex(Buffer.from(text))}`)),
      'it',
    ).toISOString();
  assert.equal(read('17', '491231235959Z'), '2049-12-31T23:59:59.000Z');
  assert.equal(read('17', '500101000000Z'), '1950-01-01T00:00:00.000Z');
  assert.equal(read('18', '20500101000000Z'), '2050-01-01T00:00:00.000Z');
  for (const [tag, text] of [
    ['17', '260229000000Z'],
    ['17', '261301000000Z'],
    ['17', '260101240000Z'],
    ['17', '260101006000Z'],
    ['17', '260101000060Z'],
    ['17', '2601010000Z'],
    ['17', '260101000000+0100'],
    ['18', '20500101000000.5Z'],
    ['18', '20500101000000'],
    ['18', '500101000000Z'],
    // What Date.UTC would make 1950, and what Number would take for digits.
    ['18', '00500101000000Z'],
    ['17', ' 1 1 1 1 1 1Z'],
    ['17', '+1+1+1+1+1+1Z'],
    ['18', '9e150101000000Z'],
    ['0c', '20500101000000Z'],
  ] as const)
    assert.throws(() => read(tag, text), DerError, text);
});

test('what the decoding library would read otherwise, or not hold to, is known', async () => {
  // If one of these fails after an update of asn1-ts, a rule of strict.ts may have become needless.
  const { DERElement } = await import('asn1-ts');
  const decode = (hex: string) => {
    const element = new DERElement();
    return { element, size: element.fromBytes(fromHex(hex)) };
  };
  assert.equal(decode('3080').size, 2);
  assert.equal(decode(`04817f${'00'.repeat(127)}`).size, 130);
  assert.equal(decode('020101ff').size, 3);
  assert.equal(decode('02020001').element.integer, 1);
  assert.equal(decode('06062a9080808648').element.objectIdentifier.dotDelimitedNotation, '1.2.840');
  assert.equal(decode('3106020102020101').element.sequence.length, 2);
  // A Buffer's content is a view: a list of a million entries is not copied at each level.
  const list = Buffer.from(sequence(octetString(new Uint8Array(1000))));
  const element = new DERElement();
  element.fromBytes(list);
  assert.equal(element.value.buffer, list.buffer);
});
