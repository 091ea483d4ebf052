import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  checkPolicy,
  demoPolicy,
  type Policy,
  parseSignOn,
  policyDifferences,
  requireSignOnPlace,
  requireSignOnTime,
  type SignOn,
  type StationOrder,
  signSignOn,
  signStationOrder,
  verifySignOn,
  verifyStationOrder,
} from '../index.ts';

const key = () => {
  const { pkcs8, spki } = generateSoftwareKey('P-256');
  return { signer: softwareSigner('P-256', pkcs8), spki };
};
const [lin, ada] = [key(), key()];
const policyWith = (more: Partial<Parameters<typeof demoPolicy>[0]> = {}): Policy =>
  demoPolicy({
    issued: new Date('2026-01-01T00:00:00Z'),
    operators: [
      { name: 'lin', roles: ['line-operator'], spki: lin.spki },
      { name: 'ada', roles: ['ca-operator'], spki: ada.spki },
    ],
    ...more,
  });
const policy = policyWith();
const draft = {
  id: '0'.repeat(32),
  factory: 'headquarters',
  station: 'st-3.line-1.plant.example',
  line: 'line-1',
  notBefore: '2026-02-01T06:00:00Z',
  notAfter: '2026-02-01T14:00:00Z',
} as const;
const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'done';
  } catch (error) {
    if (error instanceof KeysteadError) return error.code;
    throw error;
  }
};

test('TEST-KEY-17 a sign-on is by a line operator, with their own key, for a shift at most', async () => {
  const text = await signSignOn(draft, 'lin', lin.signer);
  assert.deepEqual(verifySignOn(text, policy).content, { v: 1, ...draft });
  assert.equal(
    codeOf(() => verifySignOn(text.replace('"lin"', '"eve"'), policy)),
    'sign-on.signer-unknown',
  );
  const forbidden = await signSignOn(draft, 'ada', ada.signer);
  assert.equal(
    codeOf(() => verifySignOn(forbidden, policy)),
    'sign-on.signer-forbidden',
  );
  const forged = await signSignOn(draft, 'lin', ada.signer);
  assert.equal(
    codeOf(() => verifySignOn(forged, policy)),
    'sign-on.signature-invalid',
  );
  const long = await signSignOn({ ...draft, notAfter: '2026-02-01T18:00:01Z' }, 'lin', lin.signer);
  assert.equal(
    codeOf(() => verifySignOn(long, policy)),
    'sign-on.too-long',
  );
  const short = policyWith({ stations: { required: true, maxSignOnSeconds: 3600 } });
  assert.equal(
    codeOf(() => verifySignOn(text, short)),
    'sign-on.too-long',
  );
});

test('a sign-on holds from its beginning to its end, at its own station and site, and nowhere else', async () => {
  const { content } = parseSignOn(await signSignOn(draft, 'lin', lin.signer));
  const at = (time: string) => codeOf(() => requireSignOnTime(content, new Date(time)));
  assert.equal(at('2026-02-01T05:58:59Z'), 'sign-on.not-yet-valid');
  // A minute is borne: the clock of the machine where it was signed may be ahead.
  assert.equal(at('2026-02-01T05:59:00Z'), 'done');
  assert.equal(at('2026-02-01T13:59:59Z'), 'done');
  assert.equal(at('2026-02-01T14:00:00Z'), 'sign-on.expired');
  const here = (factory: string, station: string) => codeOf(() => requireSignOnPlace(content, { factory, station }));
  assert.equal(here('headquarters', draft.station), 'done');
  assert.equal(here('headquarters', 'st-4.line-1.plant.example'), 'sign-on.other-station');
  assert.equal(here('berlin-1', draft.station), 'sign-on.other-factory');
});

test('a sign-on is refused where a field has another form, and whatever text comes is refused by its code', async () => {
  const text = await signSignOn(draft, 'lin', lin.signer);
  const broken: [keyof typeof draft, string][] = [
    ['id', 'x'],
    ['station', '10.0.0.1'],
    ['station', 'ST-3.plant.example'],
    ['station', '*.plant.example'],
    ['line', 'line 1'],
    ['factory', '../x'],
    ['notBefore', '2026-02-01T06:00:00.5Z'],
    ['notAfter', '2026-02-01T06:00:00Z'],
  ];
  for (const [field, value] of broken) {
    await assert.rejects(signSignOn({ ...draft, [field]: value }, 'lin', lin.signer), { code: 'sign-on.malformed' });
  }
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (at, put) => {
      const other = `${text.slice(0, at)}${put}${text.slice(at + 1)}`;
      const code = codeOf(() => verifySignOn(other, policy));
      // JSON between its members may hold blanks: that is the same document.
      assert.ok(code.startsWith('sign-on.') || JSON.stringify(JSON.parse(other)) === text, code);
    }),
    { numRuns: 300 },
  );
});

test('TEST-KEY-17 an order for a station is by a ca-operator, for one name, one site and one request, and for a day', async () => {
  const order: Omit<StationOrder, 'v'> = {
    ...{ factory: 'headquarters', station: draft.station, csrSha256: 'ab'.repeat(32) },
    ...{ notBefore: '2026-02-01T06:00:00Z', notAfter: '2026-02-01T07:00:00Z' },
  };
  const asked = { ...order, now: new Date('2026-02-01T06:30:00Z') };
  const text = await signStationOrder(order, 'ada', ada.signer);
  assert.equal(verifyStationOrder(text, policy, asked).signer, 'ada');
  const code = (more: Partial<typeof asked>) => codeOf(() => verifyStationOrder(text, policy, { ...asked, ...more }));
  assert.equal(code({ station: 'st-4.line-1.plant.example' }), 'station-order.differs');
  assert.equal(code({ factory: 'berlin-1' }), 'station-order.differs');
  assert.equal(code({ csrSha256: 'cd'.repeat(32) }), 'station-order.differs');
  assert.equal(code({ now: new Date('2026-02-01T07:00:00Z') }), 'station-order.expired');
  assert.equal(code({ now: new Date('2026-02-01T05:58:00Z') }), 'station-order.expired');
  const byLine = await signStationOrder(order, 'lin', lin.signer);
  assert.equal(
    codeOf(() => verifyStationOrder(byLine, policy, asked)),
    'station-order.signer-forbidden',
  );
  const forged = await signStationOrder(order, 'ada', lin.signer);
  assert.equal(
    codeOf(() => verifyStationOrder(forged, policy, asked)),
    'station-order.signature-invalid',
  );
  const long = await signStationOrder({ ...order, notAfter: '2026-02-02T06:00:01Z' }, 'ada', ada.signer);
  assert.equal(
    codeOf(() => verifyStationOrder(long, policy, asked)),
    'station-order.expired',
  );
});

test('a signature of a sign-on is none of an order, nor the other way round', async () => {
  const signOn: Omit<SignOn, 'v'> = draft;
  const text = await signSignOn(signOn, 'lin', lin.signer);
  const asked = { factory: 'headquarters', station: draft.station, csrSha256: '', now: new Date(draft.notBefore) };
  assert.equal(
    codeOf(() => verifyStationOrder(text, policy, asked)),
    'station-order.malformed',
  );
});

test('a policy cannot make of a station a server, a wildcard, or something that anybody may ask for', () => {
  const refused = (more: object): void => {
    const broken = structuredClone(policy);
    broken.profiles = broken.profiles.map((one) => (one.id === 'station' ? { ...one, ...more } : one));
    assert.throws(() => checkPolicy(broken), { code: 'policy.stations' });
  };
  refused({ extKeyUsage: ['clientAuth', 'serverAuth'] });
  refused({ extKeyUsage: ['serverAuth'] });
  refused({ issuer: 'operational' });
  refused({ wildcards: true });
  refused({ requesters: ['operator', 'system'] });
  const without = { ...policy, profiles: policy.profiles.filter(({ id }) => id !== 'station') };
  checkPolicy(structuredClone(without));
  const demanded = { ...without, stations: { required: true, maxSignOnSeconds: 3600 } };
  assert.throws(() => checkPolicy(demanded), { code: 'policy.stations', field: 'stations.required' });
});

test('a policy that demands stations, or shortens a shift, says so before it is signed', () => {
  const next = { ...policy, version: 2, stations: { required: true, maxSignOnSeconds: 8 * 3600 } };
  const found = policyDifferences(policy, next).filter(({ field }) => field.startsWith('stations'));
  assert.deepEqual(
    found.map(({ severity, field }) => [severity, field]),
    [
      ['breaks', 'stations.required'],
      ['breaks', 'stations.maxSignOnSeconds'],
    ],
  );
  const back = policyDifferences(next, policy).filter(({ field }) => field.startsWith('stations'));
  assert.deepEqual(new Set(back.map(({ severity }) => severity)), new Set(['warns']));
});
