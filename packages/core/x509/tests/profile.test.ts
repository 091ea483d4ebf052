import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProfileSchema } from '../profile.ts';
import { newSerial, serialOf } from '../serial.ts';
import { IDEVID, INTERMEDIATE, OPERATOR, profileOf, RESPONDER, ROOT, SERVER } from './profiles.ts';

test('the profiles of each kind of certificate keep the rules between their parts', () => {
  for (const profile of [ROOT, INTERMEDIATE, IDEVID, SERVER, OPERATOR, RESPONDER, profileOf()])
    assert.deepEqual(ProfileSchema.parse(JSON.parse(JSON.stringify(profile))), profile);
});

const device = profileOf();
const BROKEN: readonly (readonly [what: string, field: string, change: object])[] = [
  ['a field that it does not have', '', { colour: 'red' }],
  ['an end entity that signs certificates', 'keyUsage', { keyUsage: ['digitalSignature', 'keyCertSign'] }],
  ['an end entity that signs CRLs', 'keyUsage', { keyUsage: ['digitalSignature', 'cRLSign'] }],
  ['a CA that may not sign certificates', 'keyUsage', { ...ROOT, keyUsage: ['cRLSign'] }],
  ['a usage twice', 'keyUsage', { keyUsage: ['digitalSignature', 'digitalSignature'] }],
  ['an extended usage twice', 'extKeyUsage', { extKeyUsage: ['clientAuth', 'clientAuth'] }],
  ['encipherOnly without keyAgreement', 'keyUsage', { keyUsage: ['digitalSignature', 'encipherOnly'] }],
  ['keyEncipherment with a curve', 'keyUsage', { keyUsage: ['digitalSignature', 'keyEncipherment'] }],
  ['no key usage', 'keyUsage', { keyUsage: [] }],
  ['ocsp-nocheck outside a responder', 'ocspNoCheck', { ocspNoCheck: true }],
  ['a responder with a second purpose', 'extKeyUsage', { ...RESPONDER, extKeyUsage: ['OCSPSigning', 'clientAuth'] }],
  [
    'a TSA with a second purpose',
    'extKeyUsage',
    { ...RESPONDER, ocspNoCheck: false, extKeyUsage: ['timeStamping', 'codeSigning'] },
  ],
  ['an end entity that signs itself', 'issuer', { issuer: 'self' }],
  ['a CA with an alternative name', 'san', { ...ROOT, san: 'host' }],
  [
    'a serial number outside a device',
    'subject',
    { ...SERVER, subject: { commonName: 'host', serialNumber: 'device-id' } },
  ],
  ['a device without its URN', 'san', { san: 'none' }],
  ['a person with the URN of a device', 'san', { ...OPERATOR, san: 'device-urn' }],
  ['a fixed name with an alternative name', 'san', { ...RESPONDER, san: 'host' }],
  ['a server without an end', 'validity', { ...SERVER, validity: { seconds: 'none', backdateSeconds: 0 } }],
  ['a negative backdate', 'validity', { validity: { seconds: 1, backdateSeconds: -1 } }],
  ['no validity', 'validity', { validity: { seconds: 0, backdateSeconds: 0 } }],
  ['an unknown algorithm', 'keyAlgorithms', { keyAlgorithms: ['P-192'] }],
  ['no algorithm', 'keyAlgorithms', { keyAlgorithms: [] }],
  ['an unknown purpose', 'extKeyUsage', { extKeyUsage: ['anything'] }],
  ['a common name that is too long', 'subject', { ...ROOT, subject: { commonName: { fixed: 'x'.repeat(65) } } }],
];
for (const [what, field, change] of BROKEN)
  test(`a profile is refused: ${what}`, () => {
    const parsed = ProfileSchema.safeParse({ ...device, ...change });
    assert.ok(!parsed.success);
    assert.ok(
      parsed.error.issues.some(({ path }) => (path[0] ?? '') === field),
      JSON.stringify(parsed.error.issues),
    );
  });

test('a serial number is positive, has 20 octets and no leading zero octet, and none comes twice', () => {
  const seen = new Set<string>();
  for (let i = 0; i < 5000; i += 1) {
    const serial = newSerial();
    assert.match(serial, /^(?!00)[0-7][0-9a-f]{39}$/);
    seen.add(serial);
  }
  assert.equal(seen.size, 5000);
});

test('the serial number of an INTEGER is its value in hex; a negative one keeps its sign, so that it equals no other', () => {
  for (const [hex, serial] of [
    ['01', '01'],
    ['7f', '7f'],
    ['0080', '80'],
    ['00ff', 'ff'],
    ['ff', '-01'],
    ['80', '-80'],
    ['ff00', '-0100'],
    ['00', '00'],
  ] as const)
    assert.equal(serialOf(Buffer.from(hex, 'hex')), serial);
});
