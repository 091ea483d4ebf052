import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorCode } from '../../errors/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  CMP_RA_PROFILE,
  caProfile,
  checkPolicy,
  defaultProfiles,
  demoPolicy,
  FIRMWARE_PROFILE,
  formatPolicy,
  ocspResponderProfile,
  type Policy,
  parsePolicy,
  profileOf,
  REQUIRED_PROFILES,
  ROOT_CRL_PROFILE,
  STATION_PROFILE,
  statusUrls,
  TSA_PROFILE,
} from '../index.ts';

const issued = new Date('2026-01-05T08:00:00Z');
const ada = { name: 'ada', roles: ['policy-administrator', 'ca-operator'], spki: 'MCowBQYDK2VwAyEA' } as const;
const lee = { name: 'lee', roles: ['line-operator'], spki: 'MCowBQYDK2VwAyEB' } as const;
const urls = {
  crl: 'http://localhost:8080/crl/{ca}.crl',
  ocsp: 'http://localhost:8080/ocsp/{ca}',
  caIssuers: 'http://localhost:8080/ca/{ca}.cer',
};
const policy = (): Policy => structuredClone(demoPolicy({ operators: [ada, lee], issued, urls }));

/** Runs `change` on a good policy, and expects the refusal to name code and field. */
function refused(code: ErrorCode, field: string, change: (policy: Policy) => unknown): void {
  const broken = policy();
  change(broken);
  assert.throws(
    () => checkPolicy(broken),
    (error: unknown) => {
      assert.ok(error instanceof KeysteadError, String(error));
      assert.deepEqual([error.code, error.field], [code, field]);
      assert.ok(error.message.startsWith(`${field}: `), error.message);
      return true;
    },
  );
}

/** The index of a profile, for fields such as `profiles[7].validity.seconds`. */
const at = (id: string): number => policy().profiles.findIndex((profile) => profile.id === id);
const edit = (id: string, change: (profile: Policy['profiles'][number]) => void) => (broken: Policy) =>
  change(profileOf(broken, id));

test('the default profiles hold each profile that Keystead asks for by name, once, and those of CMP, SCEP, stations, time stamps, firmware and the CRL signer of the root, which may be missing', () => {
  assert.deepEqual(
    defaultProfiles()
      .map((profile) => profile.id)
      .sort(),
    [
      ...REQUIRED_PROFILES,
      CMP_RA_PROFILE,
      'scep-ra',
      ROOT_CRL_PROFILE,
      STATION_PROFILE,
      TSA_PROFILE,
      FIRMWARE_PROFILE,
    ].sort(),
  );
});

test('a policy file that was written is read back as it was', () => {
  const one = policy();
  assert.deepEqual(parsePolicy(new TextEncoder().encode(formatPolicy(one))), one);
});

test('LDevIDs of the demonstration live for 90 seconds, set back by 30, unless a lifetime says otherwise', () => {
  assert.deepEqual(profileOf(policy(), 'ldevid').validity, { seconds: 90, backdateSeconds: 30 });
  const longer = demoPolicy({ operators: [], issued, lifetimes: { ldevid: { seconds: 600 } } });
  assert.equal(profileOf(longer, 'ldevid').validity.seconds, 600);
});

test('a form that is wrong is refused with the field, as its writer would name it', () => {
  refused('policy.malformed', 'version', (broken) => Object.assign(broken, { version: 0 }));
  refused('policy.malformed', 'revocation.crlSeconds', (broken) =>
    Object.assign(broken.revocation, { crlSeconds: '1h' }),
  );
  refused('policy.malformed', 'operators[1].roles[0]', (broken) =>
    Object.assign(broken.operators[1] ?? {}, { roles: ['god'] }),
  );
  refused('policy.malformed', 'operators[0].name', (broken) =>
    Object.assign(broken.operators[0] ?? {}, { name: '../ada' }),
  );
  refused('policy.malformed', 'operators[0].spki', (broken) => Object.assign(broken.operators[0] ?? {}, { spki: '!' }));
  refused('policy.malformed', 'profiles[3].validity.seconds', (broken) =>
    Object.assign(broken.profiles[3]?.validity ?? {}, { seconds: -1 }),
  );
  refused('policy.malformed', 'urls.crl', (broken) => Object.assign(broken.urls ?? {}, { crl: 'https://x/crl' }));
  refused('policy.malformed', 'tickets.extra', (broken) => Object.assign(broken.tickets, { extra: 1 }));
});

test('a policy that is not JSON, not UTF-8 or not an object is refused', () => {
  for (const bytes of ['', '{', 'null', '[]', '"policy"']) {
    assert.throws(() => parsePolicy(new TextEncoder().encode(bytes)), { code: 'policy.malformed', field: 'policy' });
  }
  assert.throws(() => parsePolicy(Uint8Array.of(0xff, 0xfe)), { code: 'policy.malformed' });
});

test('a rule between the parts of a policy is named with its field when it is broken', () => {
  refused('policy.algorithm-too-weak', 'algorithms[1]', (broken) =>
    Object.assign(broken, { algorithms: ['P-256', 'RSA-2048'] }),
  );
  refused('policy.algorithm-not-listed', `profiles[${at('root-ca')}].keyAlgorithms`, (broken) =>
    Object.assign(broken, { algorithms: ['P-256'] }),
  );
  refused('policy.profile-duplicate', `profiles[${policy().profiles.length}].id`, (broken) =>
    broken.profiles.push(profileOf(broken, 'ldevid')),
  );
  refused('policy.profile-missing', 'profiles', (broken) =>
    Object.assign(broken, { profiles: broken.profiles.filter((profile) => profile.id !== 'ocsp-responder') }),
  );
  refused('policy.crl-refresh-late', 'revocation.crlRefreshSeconds', (broken) =>
    Object.assign(broken.revocation, { crlRefreshSeconds: 3600 }),
  );
  refused('policy.ocsp-responder-outlived', 'revocation.ocspResponderSeconds', (broken) =>
    Object.assign(broken.revocation, { ocspResponderSeconds: 86_400 }),
  );
  refused('policy.operator-duplicate', 'operators[1].name', (broken) =>
    Object.assign(broken.operators[1] ?? {}, { name: 'ada' }),
  );
  refused('policy.operator-duplicate', 'operators[1].spki', (broken) =>
    Object.assign(broken.operators[1] ?? {}, { spki: ada.spki }),
  );
  // The same key in other letters: one person would be a quorum of two.
  refused('policy.operator-duplicate', 'operators[1].spki', (broken) =>
    Object.assign(broken.operators[1] ?? {}, { spki: `${ada.spki}\n` }),
  );
  refused('policy.roles-conflict', 'operators[1].roles', (broken) =>
    Object.assign(broken.operators[1] ?? {}, { roles: ['line-operator', 'auditor'] }),
  );
});

test('a validity above the ceiling of its profile, or above its issuer, is refused', () => {
  const field = (id: string) => `profiles[${at(id)}].validity.seconds`;
  for (const id of ['root-ca', 'ldevid', 'tls-server', 'operator', 'ocsp-responder', 'transcript-signer']) {
    refused(
      'policy.validity-too-long',
      field(id),
      edit(id, (profile) => Object.assign(profile.validity, { seconds: 31 * 365 * 86_400 })),
    );
  }
  refused('policy.validity-too-long', field('ldevid'), (broken) => {
    Object.assign(profileOf(broken, 'operational-ca').validity, { seconds: 60 });
  });
  refused(
    'policy.validity-too-long',
    field('ldevid'),
    edit('ldevid', (profile) => Object.assign(profile.validity, { seconds: 'none' })),
  );
});

test('no policy lets anybody but keyd itself have a certificate for time stamps', () => {
  const change = (id: string, more: object) =>
    refused(
      'policy.hierarchy',
      `profiles[${at(id)}].extKeyUsage`,
      edit(id, (profile) => Object.assign(profile, more)),
    );
  change('tls-server', { extKeyUsage: ['timeStamping'] });
  change(TSA_PROFILE, { requesters: ['system'] });
  change(TSA_PROFILE, { issuer: 'operational' });
  change(TSA_PROFILE, { extKeyUsage: [] });
  refused(
    'policy.malformed',
    `profiles[${at(TSA_PROFILE)}].extKeyUsage`,
    edit(TSA_PROFILE, (profile) => Object.assign(profile, { extKeyUsage: ['timeStamping', 'codeSigning'] })),
  );
  refused(
    'policy.tsa-backdated',
    `profiles[${at(TSA_PROFILE)}].validity.backdateSeconds`,
    edit(TSA_PROFILE, (profile) => Object.assign(profile, { validity: { ...profile.validity, backdateSeconds: 1 } })),
  );
  assert.equal(
    demoPolicy({ operators: [], issued, tsaSigner: false }).profiles.some(({ id }) => id === TSA_PROFILE),
    false,
  );
});

test('no policy can add a CA, or move one, or let the root issue to devices', () => {
  const field = (id: string, part: string) => `profiles[${at(id)}].${part}`;
  refused(
    'policy.hierarchy',
    field('ldevid', 'ca'),
    edit('ldevid', (profile) =>
      Object.assign(profile, {
        ca: { pathLength: 0 },
        keyUsage: ['keyCertSign'],
        san: 'none',
        subject: { commonName: { fixed: 'x' } },
      }),
    ),
  );
  refused(
    'policy.hierarchy',
    field('server-ca', 'issuer'),
    edit('server-ca', (profile) => Object.assign(profile, { issuer: 'operational' })),
  );
  refused(
    'policy.hierarchy',
    field('server-ca', 'ca.pathLength'),
    edit('server-ca', (profile) => Object.assign(profile, { ca: { pathLength: 1 } })),
  );
  refused(
    'policy.hierarchy',
    field('idevid', 'issuer'),
    edit('idevid', (profile) => Object.assign(profile, { issuer: 'root' })),
  );
  refused(
    'policy.hierarchy',
    field('tls-server', 'issuer'),
    edit('tls-server', (profile) => Object.assign(profile, { issuer: 'signing-root' })),
  );
});

test('whatever is read, the answer is a policy or a named refusal', () => {
  const text = formatPolicy(policy());
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (place, put) => {
      const bytes = new TextEncoder().encode(text.slice(0, place) + put + text.slice(place + 1));
      try {
        parsePolicy(bytes);
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
        assert.match(error.code, /^policy\./);
        assert.notEqual(error.field, undefined);
      }
    }),
    { numRuns: 300 },
  );
});

test('what the offline roots issue carries no OCSP address, since nothing could answer there', () => {
  assert.deepEqual(statusUrls(policy(), 'root'), {
    crl: 'http://localhost:8080/crl/root.crl',
    ocsp: undefined,
    caIssuers: 'http://localhost:8080/ca/root.cer',
  });
  assert.equal(statusUrls(policy(), 'operational').ocsp, 'http://localhost:8080/ocsp/operational');
});

test('a profile is found by its name, and an unknown one is refused by it', () => {
  assert.equal(caProfile(policy(), 'server').issuer, 'root');
  assert.equal(ocspResponderProfile(policy(), 'manufacturing').issuer, 'manufacturing');
  assert.throws(() => profileOf(policy(), 'admin'), { code: 'profile.unknown', seen: 'admin' });
});
