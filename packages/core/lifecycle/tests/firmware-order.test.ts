import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  canonicalVersion,
  checkPolicy,
  compareVersions,
  DEMO_FIRMWARE,
  demoPolicy,
  type FirmwareOrder,
  type FirmwareStatement,
  type Policy,
  parseFirmwareStatement,
  policyDifferences,
  policyDocument,
  policyFile,
  type Role,
  renderMarkdown,
  requireFirmwareQuorum,
  signFirmwareStatement,
  verifyFirmwareStatements,
} from '../index.ts';

const keyOf = () => {
  const { pkcs8, spki } = generateSoftwareKey('P-256');
  return { spki, signer: softwareSigner('P-256', pkcs8) };
};
const people = { rel: keyOf(), rob: keyOf(), amy: keyOf(), ben: keyOf(), pia: keyOf(), aud: keyOf() };
type Person = keyof typeof people;
const ROLES: Readonly<Record<Person, Role>> = {
  rel: 'release-engineer',
  rob: 'release-engineer',
  amy: 'approver',
  ben: 'approver',
  pia: 'policy-administrator',
  aud: 'auditor',
};
const NAMES = Object.keys(people) as Person[];
const NOW = new Date('2026-03-01T08:00:00Z');

const policyOf = (approvals: number, without: readonly Person[] = []): Policy =>
  demoPolicy({
    issued: new Date('2026-01-01T00:00:00Z'),
    operators: NAMES.filter((name) => !without.includes(name)).map((name) => ({
      name,
      roles: [ROLES[name]],
      spki: people[name].spki,
    })),
    firmware: {
      ...DEMO_FIRMWARE,
      products: DEMO_FIRMWARE.products.map((one) => ({
        ...one,
        environments: {
          ...one.environments,
          production: {
            ...(one.environments.production ?? { keys: [], formats: [], roles: [] }),
            approvals,
            rollback: { approvals: approvals + 1, roles: ['approver', 'policy-administrator'] },
          },
        },
      })),
    },
  });

const ORDER: FirmwareOrder = {
  id: 'rel-1.4.0',
  product: 'KS-PUMP-1',
  environment: 'production',
  target: 'main',
  version: '1.4.0',
  securityCounter: 7,
  format: 'cms',
  keys: ['pump-1'],
  image: { sha256: 'a'.repeat(64), bytes: 1000 },
  subjectSha256: 'b'.repeat(64),
  documents: [{ name: 'sbom', sha256: 'c'.repeat(64) }],
  reason: 'release',
  rollback: false,
};

const signed = (by: Person, more: Partial<FirmwareStatement> & { key?: Person; as?: string } = {}): Promise<string> => {
  const { key = by, as = by, ...statement } = more;
  const act = by === 'rel' ? 'propose' : 'approve';
  return signFirmwareStatement(
    {
      act,
      order: ORDER,
      proposer: 'rel',
      role: ROLES[by],
      signedAt: '2026-03-01T07:00:00Z',
      expiresAt: '2026-03-02T07:00:00Z',
      ...statement,
    },
    as,
    people[key].signer,
  );
};

function codeOf(work: () => void): string {
  try {
    work();
    return 'agreed';
  } catch (error) {
    assert.ok(error instanceof KeysteadError);
    return error.code;
  }
}
const judged = (texts: readonly string[], policy = policyOf(2), now = NOW): string =>
  codeOf(() => requireFirmwareQuorum(verifyFirmwareStatements(texts, policy, now)));

test('TEST-KEY-23 an order to sign firmware holds with a proposal and as many approvals as the policy wants, and each fault is refused by its name', async () => {
  const [rel, amy, ben] = [await signed('rel'), await signed('amy'), await signed('ben')];
  assert.equal(judged([rel, amy, ben]), 'agreed');
  assert.equal(judged([rel, amy]), 'firmware-order.too-few');
  assert.equal(judged([amy, rel, ben]), 'firmware-order.malformed');
  assert.equal(judged([rel, amy, amy]), 'firmware-order.duplicate');
  assert.equal(judged([rel, await signed('rel', { act: 'approve' }), amy]), 'firmware-order.self');
  assert.equal(judged([rel, amy, await signed('pia')]), 'firmware-order.signer-forbidden');
  assert.equal(judged([rel, amy, await signed('rob')]), 'firmware-order.signer-forbidden');
  assert.equal(judged([rel, amy, await signed('aud')]), 'firmware-order.signer-forbidden');
  assert.equal(
    judged([rel, amy, await signed('ben', { role: 'policy-administrator' })]),
    'firmware-order.signer-forbidden',
  );
  assert.equal(judged([rel, amy, await signed('ben', { key: 'amy' })]), 'firmware-order.signature-invalid');
  assert.equal(judged([rel, amy, await signed('amy', { as: 'zoe' })]), 'firmware-order.signer-unknown');
  const other = await signed('ben', { order: { ...ORDER, subjectSha256: 'd'.repeat(64) } });
  assert.equal(judged([rel, amy, other]), 'firmware-order.other-order');
  const late = new Date('2026-03-02T07:00:00Z');
  assert.equal(judged([rel, amy, ben], policyOf(2), late), 'firmware-order.expired');
  assert.equal(judged([rel, amy, ben], policyOf(2), new Date('2026-03-01T06:58:00Z')), 'firmware-order.not-yet-valid');
  const long = await signed('ben', { expiresAt: '2027-03-01T07:00:00Z' });
  assert.equal(judged([rel, amy, long]), 'firmware-order.too-long');
  // Removed from the policy after they approved.
  assert.equal(judged([rel, amy, ben], policyOf(2, ['ben'])), 'firmware-order.signer-unknown');
});

test('TEST-KEY-23 going back takes the larger quorum, and none of it where the policy has no such quorum', async () => {
  const order = { ...ORDER, rollback: true };
  const texts = await Promise.all((['rel', 'amy', 'ben', 'pia'] as const).map((by) => signed(by, { order })));
  assert.equal(judged(texts.slice(0, 3)), 'firmware-order.too-few');
  assert.equal(judged(texts), 'agreed');
  const development = { ...order, environment: 'development' as const, keys: ['pump-1-dev'] };
  assert.equal(judged([await signed('rel', { order: development })]), 'firmware-order.rollback-forbidden');
  // A target of one's own would have no floor of versions to go behind: where the policy names them it takes the policy.
  const targets = policyOf(2);
  const line = targets.firmware?.products[0]?.environments.production;
  assert.ok(line);
  line.targets = ['main', 'radio'];
  const up = await Promise.all((['rel', 'amy', 'ben'] as const).map((by) => signed(by)));
  assert.equal(judged(up, targets), 'agreed');
  const away = await Promise.all(
    (['rel', 'amy', 'ben'] as const).map((by) =>
      signed(by, { order: { ...ORDER, target: 'main2', version: '1.0.0' } }),
    ),
  );
  assert.equal(judged(away), 'agreed');
  assert.equal(judged(away, targets), 'firmware-order.not-in-policy');
  const unknown = { ...ORDER, product: 'KS-OTHER' };
  assert.equal(judged([await signed('rel', { order: unknown })]), 'firmware-order.not-in-policy');
});

test('TEST-KEY-23 whatever statements come together, an order holds only by a proposer who may and enough distinct others with a role that counts', async () => {
  const texts = new Map<string, string>();
  for (const by of NAMES) {
    for (const act of ['propose', 'approve'] as const) {
      const may = { act, proposer: 'rel', role: ROLES[by] };
      texts.set(`${by} ${act}`, await signed(by, may));
    }
  }
  const pick = fc.record({ by: fc.constantFrom(...NAMES), act: fc.constantFrom('propose', 'approve') });
  fc.assert(
    fc.property(fc.array(pick, { maxLength: 5 }), fc.integer({ min: 1, max: 3 }), (picks, needed) => {
      const given = picks.map(({ by, act }) => texts.get(`${by} ${act}`) ?? '');
      const [first, ...rest] = picks;
      const approvers = new Set(rest.map(({ by }) => by));
      const holds =
        first?.by === 'rel' &&
        first.act === 'propose' &&
        rest.every(({ by, act }) => act === 'approve' && ROLES[by] === 'approver') &&
        approvers.size === rest.length &&
        approvers.size >= needed;
      assert.equal(judged(given, policyOf(needed)) === 'agreed', holds);
    }),
    { numRuns: 150 },
  );
});

test('a statement has one encoding, and its fields their form', async () => {
  const text = await signed('rel');
  assert.deepEqual(parseFirmwareStatement(text).content.order, ORDER);
  const malformed = async (order: Partial<FirmwareOrder>) =>
    assert.rejects(signed('rel', { order: { ...ORDER, ...order } }), { code: 'firmware-order.malformed' });
  await malformed({ version: 'latest' });
  await malformed({ keys: ['pump-1', 'pump-1'] });
  await malformed({ keys: [] });
  await malformed({ securityCounter: -1 });
  await malformed({ product: '../etc' });
  await malformed({ subjectSha256: 'B'.repeat(64) });
});

test('versions are ordered by their numbers, with what comes before a release below it and a build above it', () => {
  const rising = [
    '0.9',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-rc.2',
    '1.0.0-rc.10',
    '1.0',
    '1.0+1',
    '1.0.0+10',
    '1.0.1',
  ];
  for (const [at, low] of rising.entries()) {
    for (const [other, high] of rising.entries()) {
      assert.equal(Math.sign(compareVersions(low, high)), Math.sign(at - other), `${low} and ${high}`);
    }
  }
  assert.equal(compareVersions('2026.01', '2026.1.0'), 0);
  assert.equal(canonicalVersion('2026.01.0-rc.02+0a.007'), '2026.1-rc.2+0a.7');
  assert.equal(canonicalVersion('00.0'), '0');
  const part = fc.integer({ min: 0, max: 3 }).map(String);
  const words = fc.array(fc.constantFrom('a', 'b', '1', '2', '02'), { minLength: 1, maxLength: 2 });
  const version = fc
    .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.option(words), fc.option(words))
    .map(([numbers, before, after]) =>
      [
        numbers.join('.'),
        before === null ? '' : `-${before.join('.')}`,
        after === null ? '' : `+${after.join('.')}`,
      ].join(''),
    );
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(Math.sign(compareVersions(a, b)), -Math.sign(compareVersions(b, a)) || 0);
      assert.equal(compareVersions(a, b) === 0, canonicalVersion(a) === canonicalVersion(b));
      assert.equal(compareVersions(a, canonicalVersion(a)), 0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0);
    }),
  );
});

test('the section firmware is optional, its rules hold, and document and differences tell it', () => {
  const policy = policyOf(1);
  const { firmware, ...rest } = policy;
  assert.ok(firmware);
  checkPolicy(rest);
  const broken = (code: string, change: (draft: NonNullable<Policy['firmware']>) => void) => {
    const draft = structuredClone(firmware);
    change(draft);
    assert.equal(
      codeOf(() => void checkPolicy({ ...policy, firmware: draft })),
      code,
    );
  };
  const production = (draft: NonNullable<Policy['firmware']>) => {
    const line = draft.products[0]?.environments.production;
    assert.ok(line);
    return line;
  };
  broken('policy.firmware-rule', (draft) => void Object.assign(production(draft), { keys: ['pump-1-dev'] }));
  broken('policy.firmware-rule', (draft) => void Object.assign(production(draft), { keys: ['none'] }));
  // What no key of its kind signs by, and an algorithm that the profile has not.
  broken(
    'policy.firmware-rule',
    (draft) => void Object.assign(draft.keys[0] ?? {}, { signature: 'RSASSA-PSS-SHA256' }),
  );
  broken('policy.firmware-rule', (draft) => void Object.assign(draft.keys[0] ?? {}, { algorithm: 'ML-DSA-65' }));
  // The digest of a manifest, signed as that of a file, makes a bundle whose manifest nobody has read.
  for (const blind of ['cms', 'rauc'])
    broken(
      'policy.firmware-rule',
      (draft) => void Object.assign(draft.keys[0] ?? {}, { formats: ['rauc-verity', blind] }),
    );
  broken('policy.malformed', (draft) => void Object.assign(draft.keys[0] ?? {}, { algorithm: 'RSA-2048' }));
  broken('policy.firmware-duplicate', (draft) => void draft.products.push(...draft.products));
  broken('policy.firmware-duplicate', (draft) => void draft.keys.push(...draft.keys));
  broken('policy.quorum-impossible', (draft) => void Object.assign(production(draft), { roles: ['auditor'] }));
  broken('policy.quorum-impossible', (draft) => void Object.assign(production(draft), { roles: ['release-engineer'] }));
  broken(
    'policy.quorum-too-small',
    (draft) => void Object.assign(production(draft), { rollback: { approvals: 1, roles: ['approver'] } }),
  );
  const profiles = (change: object) =>
    policy.profiles.map((profile) => (profile.id === 'firmware-signer' ? { ...profile, ...change } : profile));
  const misplaced = (change: object) => codeOf(() => void checkPolicy({ ...policy, profiles: profiles(change) }));
  assert.equal(misplaced({ issuer: 'operational' }), 'policy.hierarchy');
  assert.equal(misplaced({ extKeyUsage: ['codeSigning', 'clientAuth'] }), 'policy.hierarchy');
  assert.equal(misplaced({ requesters: ['operator'] }), 'policy.hierarchy');
  const text = renderMarkdown(policyDocument(policyFile(Buffer.from(JSON.stringify(policy))), []));
  assert.match(text, /Firmware signing[\s\S]*KS-PUMP-1[\s\S]*pump-1-dev/);
  const less = policyDifferences({ ...policyOf(2), version: 1 }, { ...policy, version: 2 });
  assert.ok(less.some(({ severity, field }) => severity === 'warns' && field.endsWith('production.approvals')));
  const scheme = (signature: 'RSASSA-PSS-SHA256' | 'RSASSA-PSS-SHA384') => {
    const draft = structuredClone(policy);
    Object.assign(draft.firmware?.keys[0] ?? {}, { algorithm: 'RSA-3072', signature });
    return checkPolicy(draft);
  };
  const pss = renderMarkdown(policyDocument(policyFile(Buffer.from(JSON.stringify(scheme('RSASSA-PSS-SHA256')))), []));
  assert.match(pss, /pump-1[^\n]*RSA-3072[^\n]*RSASSA-PSS-SHA256/);
  const moved = policyDifferences(scheme('RSASSA-PSS-SHA256'), { ...scheme('RSASSA-PSS-SHA384'), version: 2 });
  assert.ok(moved.some(({ severity, field }) => severity === 'breaks' && field === 'firmware.keys.pump-1.signature'));
  const gone = policyDifferences(policy, { ...rest, version: 2 } as Policy);
  assert.ok(gone.some(({ severity, field }) => severity === 'breaks' && field === 'firmware.keys.pump-1'));
});
