import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { type RevocationSelector, signRevocationStatement } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { readJournal } from '../read-journal.ts';
import { type HostileFrontEnd, KeydBed, makeKey, type RawAnswer } from './bed.ts';
import { type OrderDraft, orderOf } from './release.ts';

const people = { app: makeKey(), dev: makeKey(), rel: makeKey() };
const ROLES = {
  ada: 'ca-operator',
  pol: 'policy-administrator',
  app: 'approver',
  dev: 'approver',
  rel: 'release-engineer',
} as const;
type Person = keyof typeof ROLES;

/** Two approve the revocation of a batch; without any, keyd lists three certificates a day. */
let bed: KeydBed;
let front: HostileFrontEnd;
/** The units of `batch-1`, with an LDevID each, and one of another batch. */
const units: { id: string; idevid: DerCertificate; ldevid: Serial }[] = [];
let stranger: DerCertificate;
let number = 0;
before(async () => {
  bed = await KeydBed.make(
    {
      revocation: {
        authority: [
          { selectors: ['batch', 'ca'], approvals: 2, roles: ['policy-administrator', 'approver'] },
          {
            selectors: ['certificate', 'key', 'device'],
            reasons: ['privilegeWithdrawn'],
            approvals: 1,
            roles: ['policy-administrator'],
          },
        ],
        alone: { certificates: 3, seconds: 86_400 },
      },
    },
    undefined,
    [
      { name: 'app', roles: ['approver'], spki: people.app.spki },
      { name: 'dev', roles: ['approver'], spki: people.dev.spki },
      { name: 'rel', roles: ['release-engineer'], spki: people.rel.spki },
    ],
  );
  const ticket = await bed.ticket();
  for (let n = 1; n <= 6; n += 1) {
    const id = `KS-000${n}`;
    const { certificate } = await bed.provision(id, ticket);
    units.push({ id, idevid: certificate, ldevid: (await bed.enrol(id, certificate)).serial });
  }
  stranger = (await bed.provision('KS-0050', await bed.ticket({ id: 'batch-2' }))).certificate;
  front = await bed.hostile();
});
after(() => bed.remove());

const serialOf = (certificate: DerCertificate): Serial => readCertificate(certificate).serial;
const idevids = (): Serial[] => units.map(({ idevid }) => serialOf(idevid));
const listOf = (serials: readonly Serial[], issuer = 'manufacturing') => [{ issuer, serials: [...serials] }];
const bound = (serials: readonly Serial[], issuer = 'manufacturing') => serials.map((serial) => ({ issuer, serial }));
const batchOrder = (serials: readonly Serial[] = idevids(), more: Partial<OrderDraft> = {}): OrderDraft =>
  orderOf(bound(serials), {
    act: 'revoke',
    selector: { kind: 'batch', ticketId: 'batch-1' },
    reason: 'keyCompromise',
    ...more,
  });

function signed(
  name: Person,
  order: OrderDraft,
  more: {
    act?: 'propose' | 'approve';
    proposer?: string;
    role?: string;
    from?: number;
    to?: number;
    key?: typeof people.app;
  } = {},
): Promise<string> {
  const {
    act = name === 'ada' ? 'propose' : 'approve',
    proposer = 'ada',
    role = ROLES[name],
    from = 0,
    to = 3600,
  } = more;
  const at = (seconds: number): string =>
    `${new Date(bed.clock.now().getTime() + seconds * 1000).toISOString().slice(0, 19)}Z`;
  const key = more.key ?? (name === 'ada' || name === 'pol' ? bed.people[name] : people[name]);
  const draft = { act, order, proposer, role: role as 'approver', signedAt: at(from), expiresAt: at(to) };
  return signRevocationStatement(draft, name, key.signer);
}
const quorum = async (order: OrderDraft): Promise<string[]> => [
  await signed('ada', order),
  await signed('pol', order),
  await signed('app', order),
];

const ask = (statements: readonly string[], list: unknown): Promise<RawAnswer> =>
  front.ask('orderRevocation', { statements, list, requestId: 'lie' });

async function listed(issuer: 'manufacturing' | 'operational', entries: unknown[] = []) {
  number += 1;
  const answer = await front.ask('signCrl', { issuer, number, entries });
  assert.equal(answer.error, undefined, answer.error?.message);
  const { crl, withheld } = answer.ok as { crl: string; withheld: number };
  return { entries: readCrl(new Uint8Array(Buffer.from(crl, 'base64')) as never).entries, withheld };
}

const orders = () => readJournal(`${bed.dir}/journal`).entries.filter(({ kind }) => kind === 'revocation-order');

test('TEST-KEY-23 a front end that lies revokes no batch: forged, expired, self and duplicate approvals, too few, a wrong role and another list all fail, and nothing is listed', async () => {
  const order = batchOrder();
  const [proposal = '', pol = '', app = ''] = await quorum(order);
  const list = listOf(idevids());
  const document = JSON.parse(app) as { signature: string };
  const octets = Buffer.from(document.signature, 'base64url');
  octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
  const forged = JSON.stringify({ ...document, signature: octets.toString('base64url') });
  const both = { act: 'propose', proposer: 'ada' } as const;
  const foreign = batchOrder([...idevids(), serialOf(stranger)]);
  const one = orderOf(bound(idevids().slice(0, 1)), {
    act: 'revoke',
    selector: { kind: 'certificate', issuer: 'manufacturing', serial: serialOf(stranger) } as RevocationSelector,
    reason: 'keyCompromise',
  });
  const hold = batchOrder(idevids(), { act: 'hold', reason: undefined });
  const refusals: [string, string[], unknown, string][] = [
    ['the proposal alone', [proposal], list, 'revocation-request.too-few'],
    ['one approval', [proposal, pol], list, 'revocation-request.too-few'],
    ['no proposal', [pol, app], list, 'revocation-request.malformed'],
    ['forged', [proposal, pol, forged], list, 'revocation-request.signature-invalid'],
    [
      'by a key of nobody',
      [proposal, pol, await signed('app', order, { key: makeKey() })],
      list,
      'revocation-request.signature-invalid',
    ],
    [
      'by nobody of the policy',
      [proposal, pol, app.replace('"signer":"app"', '"signer":"gone"')],
      list,
      'revocation-request.signer-unknown',
    ],
    [
      'expired',
      [proposal, pol, await signed('app', order, { from: -7200, to: -3600 })],
      list,
      'revocation-request.expired',
    ],
    [
      'of a time to come',
      [proposal, pol, await signed('app', order, { from: 600 })],
      list,
      'revocation-request.not-yet-valid',
    ],
    [
      'without an end',
      [proposal, pol, await signed('app', order, { to: 366 * 86_400 })],
      list,
      'revocation-request.too-long',
    ],
    ['of oneself', [proposal, pol, await signed('ada', order, { act: 'approve' })], list, 'revocation-request.self'],
    ['twice', [proposal, pol, pol], list, 'revocation-request.duplicate'],
    [
      'in a role that is not held',
      [proposal, pol, await signed('app', order, { role: 'policy-administrator' })],
      list,
      'revocation-request.signer-forbidden',
    ],
    ['by one who may not', [proposal, pol, await signed('rel', order)], list, 'revocation-request.signer-forbidden'],
    [
      'asked for by one who may not',
      [await signed('app', order, { ...both, proposer: 'app' }), pol, app],
      list,
      'revocation-request.signer-forbidden',
    ],
    ['a list with one less', await quorum(order), listOf(idevids().slice(1)), 'revocation-request.list-differs'],
    [
      'another list of the same length',
      await quorum(order),
      listOf([...idevids().slice(1), serialOf(stranger)]),
      'revocation-request.list-differs',
    ],
    [
      'a unit of another batch, agreed to unseen',
      await quorum(foreign),
      listOf([...idevids(), serialOf(stranger)]),
      'revocation.batch-foreign',
    ],
    [
      'another certificate than the one that is named',
      [await signed('ada', one)],
      listOf(idevids().slice(0, 1)),
      'revocation-request.list-differs',
    ],
    ['a batch on hold', await quorum(hold), list, 'revocation.hold-forbidden'],
    [
      'a release',
      await quorum(batchOrder(idevids(), { act: 'release', reason: undefined })),
      list,
      'revocation.act-forbidden',
    ],
  ];
  for (const [what, statements, given, code] of refusals)
    assert.equal((await ask(statements, given)).error?.code, code, what);
  assert.deepEqual(orders(), []);
  for (const issuer of ['manufacturing', 'operational'] as const) assert.equal((await listed(issuer)).entries.size, 0);
});

test('TEST-KEY-23 without statements keyd lists what one person may revoke in a day and no more, also after a restart, and signs the list all the same', async () => {
  const revokedAt = bed.clock.now().toISOString();
  const all = idevids().map((serial) => ({ serial, revokedAt, reason: 'keyCompromise' }));
  // What takes others by the policy, and what no holder may say of itself, is not listed at all.
  const withdrawn = all.map((entry) => ({ ...entry, reason: 'privilegeWithdrawn' }));
  const none = await listed('manufacturing', withdrawn);
  assert.deepEqual([none.entries.size, none.withheld], [0, 6]);
  const some = await listed('manufacturing', all);
  assert.deepEqual([some.entries.size, some.withheld], [3, 3]);
  await bed.restart();
  front = await bed.hostile();
  const again = await listed('manufacturing', all);
  assert.deepEqual([again.entries.size, again.withheld], [3, 3]);
  const piece = await front.ask('listRevocations', {
    issuer: 'operational',
    entries: [{ serial: units[5]?.ldevid, revokedAt }],
  });
  assert.deepEqual(piece.ok, { fresh: 0, withheld: 1 });
  // A day later one person revokes again.
  bed.clock.advance(86_401);
  const later = await listed('operational', [{ serial: units[5]?.ldevid, revokedAt }]);
  assert.deepEqual([later.entries.size, later.withheld], [1, 0]);
});

test('TEST-KEY-23 an order that its quorum signed takes each unit of the batch and what the units have besides; the same again goes on after a crash and changes nothing else', async () => {
  // Those whose IDevIDs are listed get none any more.
  for (const unit of units.slice(3)) unit.ldevid = (await bed.enrol(unit.id, unit.idevid)).serial;
  const order = batchOrder();
  const statements = await quorum(order);
  const before = (await listed('manufacturing')).entries.size;
  const done = await ask(statements, listOf(idevids()));
  assert.equal(done.error, undefined, done.error?.message);
  const { listed: count, approvers } = done.ok as { listed: number; approvers: string[] };
  assert.deepEqual([before, count, approvers], [3, 3 + 3, ['pol', 'app']]);
  const [idevidList, ldevidList] = [await listed('manufacturing'), await listed('operational')];
  assert.deepEqual([...idevidList.entries.keys()].toSorted(), idevids().toSorted());
  for (const { ldevid } of units.slice(3)) assert.equal(ldevidList.entries.get(ldevid)?.reason, 'keyCompromise');
  assert.equal(idevidList.entries.has(serialOf(stranger)), false);
  await bed.restart();
  front = await bed.hostile();
  // Long after its statements have ended: what was begun is finished, and nothing else.
  bed.clock.advance(30 * 86_400);
  const again = await ask(statements, listOf(idevids()));
  assert.equal((again.ok as { listed: number }).listed, 0);
  assert.equal(orders().length, 1);
  // Replayed with another list, or the same people's words about another batch: no.
  assert.equal((await ask(statements, listOf([serialOf(stranger)]))).error?.code, 'revocation-request.list-differs');
  const moved = statements.map((text) => {
    const document = JSON.parse(text) as { payload: string };
    const payload = Buffer.from(document.payload, 'base64url').toString().replace('batch-1', 'batch-2');
    return JSON.stringify({ ...document, payload: Buffer.from(payload).toString('base64url') });
  });
  assert.equal((await ask(moved, listOf(idevids()))).error?.code, 'revocation-request.signature-invalid');
});

test('TEST-KEY-23 where the policy asks another to agree to the revocation of one device, keyd wants both signatures, and one person with a reason of their own revokes it at once', async () => {
  const serial = serialOf(stranger);
  const list = [{ issuer: 'manufacturing', serials: [serial] }];
  const order = orderOf(bound([serial]), {
    act: 'revoke',
    selector: { kind: 'device', deviceId: 'KS-0050' },
    reason: 'privilegeWithdrawn',
  });
  assert.equal((await ask([await signed('ada', order)], list)).error?.code, 'revocation-request.too-few');
  assert.equal(
    (await ask([await signed('ada', order), await signed('app', order)], list)).error?.code,
    'revocation-request.signer-forbidden',
  );
  const alone = await listed('manufacturing', [
    { serial, revokedAt: bed.clock.now().toISOString(), reason: 'keyCompromise' },
  ]);
  assert.equal(alone.withheld, 0);
  assert.equal(alone.entries.get(serial)?.reason, 'keyCompromise');
  const done = await ask([await signed('ada', order), await signed('pol', order)], list);
  assert.equal((done.ok as { listed: number }).listed, 0);
});

test('TEST-KEY-23 an order for a CA means that very key: from then on whatever it issued is listed without counting, and after a restart one person still revokes elsewhere', async () => {
  const { certificates } = await bed.client.trust();
  const serial = serialOf(certificates.operational as DerCertificate);
  const order = orderOf([{ issuer: 'root', serial }], {
    act: 'revoke',
    selector: { kind: 'ca', ca: 'operational' },
    reason: 'superseded',
  });
  const other = orderOf([{ issuer: 'root', serial: serialOf(certificates.server as DerCertificate) }], {
    act: 'revoke',
    selector: { kind: 'ca', ca: 'operational' },
    reason: 'superseded',
  });
  const elsewhere = listOf([serialOf(certificates.server as DerCertificate)], 'root');
  assert.equal((await ask(await quorum(other), elsewhere)).error?.code, 'revocation-request.list-differs');
  assert.equal((await ask(await quorum(order), listOf([serial], 'root'))).error, undefined);
  const revokedAt = bed.clock.now().toISOString();
  const many = Array.from({ length: 20 }, (_, at) => ({ serial: `4${at.toString(16).padStart(3, '0')}`, revokedAt }));
  assert.equal((await listed('operational', many)).withheld, 0);
  await bed.restart();
  front = await bed.hostile();
  const [unlisted] = [{ serial: '5001', revokedAt }];
  assert.equal((await listed('manufacturing', [unlisted])).withheld, 0);
});
