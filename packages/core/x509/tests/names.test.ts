import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { isIP } from 'node:net';
import { test } from 'node:test';
import { AsnConvert } from '@peculiar/asn1-schema';
import { GeneralNames, Name } from '@peculiar/asn1-x509';
import fc from 'fast-check';
import { sameBytes, toHex } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readDer } from '../der/strict.ts';
import { ia5String, oid, printableString, sequence, setOf, utf8String } from '../der/writer.ts';
import { generalNamesDer, readGeneralNames } from '../general-names.ts';
import {
  checkDeviceId,
  checkPersonName,
  deviceIdOf,
  deviceUrn,
  hostSan,
  personNameOf,
  personUrn,
} from '../identity.ts';
import { ipOctets, ipText } from '../ip-address.ts';
import { type DistinguishedName, formatName, nameDer, nameValues, parseName, sameName } from '../names.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const name = (...rdns: [type: string, value: string, joined?: true][]): DistinguishedName => ({
  rdns: rdns.map(([type, value, joined]) => (joined ? { type, value, joined } : { type, value })),
});

test('a name is read as it was written, and asn1-x509 reads the same', () => {
  const full = name(
    ['C', 'DE'],
    ['ST', 'Bayern'],
    ['O', 'Acme Médical GmbH'],
    ['OU', 'Pumps'],
    ['CN', 'pump-1'],
    ['serialNumber', 'pump-1', true],
    ['DC', 'example'],
    ['emailAddress', 'a@b.example'],
    ['2.5.4.65', 'pseudonym'],
  );
  const der = nameDer(full);
  assert.deepEqual(parseName(der), full);
  assert.ok(sameBytes(new Uint8Array(AsnConvert.serialize(AsnConvert.parse(der, Name))), der));
  assert.equal(
    formatName(full),
    '2.5.4.65=pseudonym,emailAddress=a@b.example,DC=example,CN=pump-1+serialNumber=pump-1,OU=Pumps,O=Acme Médical GmbH,ST=Bayern,C=DE',
  );
});

test('a name is formatted as RFC 4514 says and as OpenSSL does, and cannot write to a terminal', () => {
  const tricky = name(['O', ' a,b+c"d\\e<f>g;h '], ['CN', '#x']);
  const text = formatName(tricky);
  assert.equal(text, 'CN=\\#x,O=\\ a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\ ');
  const arc = toHex(nameDer(tricky));
  assert.match(
    execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: Buffer.from(arc, 'hex') }).toString(),
    /UTF8STRING/,
  );
  assert.equal(formatName(name(['CN', 'a\u001b[31m\u202eb'])), 'CN=a\\1b[31m\\e2\\80\\aeb');
});

test('two names are the same without regard to case, blanks and string types, as RFC 5280 section 7.1 says', () => {
  const same = (a: DistinguishedName, b: DistinguishedName) => sameName(a, b) && sameName(b, a);
  assert.ok(same(name(['O', 'Acme  Médical'], ['CN', 'Root']), name(['O', ' ACME MÉDICAL '], ['CN', 'root'])));
  assert.ok(same(name(['CN', 'ﬁ']), name(['CN', 'fi'])));
  assert.ok(same(name(['CN', 'a'], ['O', 'b', true]), name(['O', 'b'], ['CN', 'a', true])));
  assert.ok(!same(name(['CN', 'a'], ['O', 'b', true]), name(['CN', 'a'], ['O', 'b'])));
  assert.ok(!same(name(['CN', 'a'], ['O', 'b']), name(['O', 'b'], ['CN', 'a'])));
  assert.ok(!same(name(['CN', 'ab']), name(['CN', 'a b'])));
  assert.ok(!same(name(['CN', 'a']), name(['OU', 'a'])));
  const printable = parseName(sequence(setOf(sequence(oid('2.5.4.3'), printableString('Root CA')))));
  const utf8 = parseName(sequence(setOf(sequence(oid('2.5.4.3'), utf8String('root ca')))));
  assert.ok(same(printable, utf8));
  assert.deepEqual(nameValues(utf8, 'CN'), ['root ca']);
});

test('a value that its string type or RFC 5280 appendix A.1 does not allow is refused', () => {
  for (const bad of [
    name(['CN', '']),
    name(['CN', 'x'.repeat(65)]),
    name(['CN', 'a\0b']),
    name(['CN', '\ud800']),
    name(['C', 'DEU']),
    name(['C', 'D_']),
    name(['serialNumber', 'pump_1']),
    name(['DC', 'é']),
    name(['emailAddress', 'é@b']),
    name(['3.5.4', 'x']),
    name(['nonsense', 'x']),
  ])
    assert.throws(() => nameDer(bad), code('name.malformed'), formatName(bad));
  nameDer(name(['CN', '𝄞'.repeat(64)]));
  for (const der of [
    sequence(setOf()),
    sequence(setOf(sequence(oid('2.5.4.3'), ia5String('é')))),
    Uint8Array.of(0x31, 0),
  ])
    assert.throws(() => parseName(der), code('name.malformed'));
});

test('any name that is written is read as the same', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .filter((value) => !value.includes('\0') && value.isWellFormed());
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('CN', 'O', 'OU', 'L', '2.5.4.12'), text), { maxLength: 6 }),
      (rdns) => {
        const written = name(...rdns.filter(([, value]) => [...value].length <= 64));
        assert.deepEqual(parseName(nameDer(written)), written);
        assert.ok(sameName(written, parseName(nameDer(written))));
      },
    ),
  );
});

test('a device id is 1 to 64 characters that a certificate, a URN and a file name can carry', () => {
  for (const id of ['a', 'pump-0001', 'A.B-c.9', 'x'.repeat(64)]) {
    assert.equal(checkDeviceId(id), id);
    assert.equal(deviceIdOf([`URI:${deviceUrn(id)}`]), id);
    nameDer(name(['serialNumber', id]));
  }
  for (const id of ['', '-a', '.a', 'a_b', 'a b', 'a/b', 'é', 'a\n', 'x'.repeat(65), '../x'])
    assert.throws(() => checkDeviceId(id), code('device.id-malformed'), JSON.stringify(id));
  assert.equal(deviceUrn('pump-1'), 'urn:keystead:device:pump-1');
});

test('a person has a URN of their own, and a name in it that cannot be a device', () => {
  assert.equal(personUrn('ada.l'), 'urn:keystead:person:ada.l');
  assert.equal(personNameOf(['DNS:localhost', 'URI:urn:keystead:person:ada.l']), 'ada.l');
  assert.equal(personNameOf(['URI:urn:keystead:device:ada.l']), undefined);
  assert.equal(deviceIdOf(['URI:urn:keystead:person:ada.l']), undefined);
  for (const bad of ['', 'Ada', '-a', 'a b', 'x'.repeat(65)])
    assert.throws(() => checkPersonName(bad), code('person.name-malformed'));
});

test('two device ids in one certificate name nobody', () => {
  assert.equal(deviceIdOf(['URI:urn:keystead:device:a', 'URI:urn:keystead:device:b']), undefined);
  assert.equal(deviceIdOf(['URI:urn:keystead:device:a/b']), undefined);
  assert.equal(deviceIdOf(['DNS:urn:keystead:device:a']), undefined);
  assert.equal(deviceIdOf([]), undefined);
});

test('a host is a lower-case name or an address in its canonical text', () => {
  assert.equal(hostSan('localhost'), 'DNS:localhost');
  assert.equal(hostSan('a-1.keystead.example'), 'DNS:a-1.keystead.example');
  assert.equal(hostSan('127.0.0.1'), 'IP:127.0.0.1');
  assert.equal(hostSan('0:0:0:0:0:0:0:1'), 'IP:::1');
  for (const bad of [
    '',
    'Localhost',
    '*.example',
    'a_b',
    '-a',
    'a-',
    'a..b',
    '.a',
    'a.',
    'fe80::1%eth0',
    'x'.repeat(65),
    '127.0.0.1.',
  ])
    assert.throws(() => hostSan(bad), code('name.malformed'), bad);
});

test('alternative names are written as asn1-x509 reads them and read as they were written', () => {
  const names = ['URI:urn:keystead:device:pump-1', 'DNS:localhost', 'IP:127.0.0.1', 'IP:2001:db8::1'];
  const der = generalNamesDer(names);
  const parsed = Array.from(AsnConvert.parse(der, GeneralNames));
  assert.deepEqual(
    parsed.map((each) => each.uniformResourceIdentifier ?? each.dNSName ?? each.iPAddress),
    ['urn:keystead:device:pump-1', 'localhost', '127.0.0.1', '2001:db8::1'],
  );
  assert.deepEqual(readGeneralNames(readDer(der), 'it'), names);
  for (const bad of [
    '',
    'x',
    'URI:',
    'URI:relative',
    'URI:a b:c',
    'DNS:',
    'DNS:*.example',
    'DNS:a\0b',
    'IP:1.2.3',
    'IP:01.2.3.4',
    'IP:::1%lo',
    'email:a@b',
    'other:00',
  ])
    assert.throws(() => generalNamesDer([bad]), code('name.malformed'), bad);
});

test('names of other kinds are kept apart from those that Keystead gives', () => {
  const other = Buffer.from('3011a00f06032a0304a0080c06444e533a6c6f', 'hex');
  const [read] = readGeneralNames(readDer(other), 'it');
  assert.match(read ?? '', /^other:a00f/);
});

test('an address in text is what Node.js takes for one, and its text is canonical (RFC 5952)', () => {
  for (const [text, canonical] of [
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:8:800:200C:417A', '2001:db8::8:800:200c:417a'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4:5:6:c000:201'],
    ['1::2:3:4:5:6:7', '1::2:3:4:5:6:7'.replace('::', ':0:')],
  ] as const)
    assert.equal(ipText(ipOctets(text) ?? new Uint8Array()), canonical, text);
  const piece = fc.constantFrom('0', '1', 'ff', 'ffff', '12345', '', '::', ':', '.', '1.2.3.4', '256', '01', 'g', '%1');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join(':').replaceAll(':.:', '.');
      assert.equal(ipOctets(text) !== undefined, isIP(text) !== 0 && !text.includes('%'), text);
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const octets = ipOctets(text);
      assert.ok(octets !== undefined, text);
      assert.deepEqual(ipOctets(ipText(octets)), octets);
    }),
  );
});
