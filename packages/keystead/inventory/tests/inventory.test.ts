import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { type KeyChange, type KeyRecord, replayKey, signKeyOrder, stateAt } from '@keystead/core/lifecycle';
import { OcspIssuer, readCertificate } from '@keystead/core/x509';
import { pino } from 'pino';
import type { AppendAudit } from '../../access/index.ts';
import { appendAudit, parseEntry } from '../../audit/index.ts';
import { csrFor, DomainBed, makeKey, type TestDevice } from '../../authority/tests/bed.ts';
import { recordFounding } from '../../serve/founding.ts';
import { KeyRecords } from '../../serve/key-records.ts';
import { openStore, readOnly } from '../../store/index.ts';
import { enterKey, Inventory, type KeyFilter, keyWarnings, moveKey, type NewKey } from '../index.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** One deployment for all: its clock goes on from test to test, in this order. */
let bed: DomainBed;
let records: KeyRecords;
const audit: AppendAudit = (tx, event) => appendAudit(tx, event, bed.clock);

const found = async () => {
  const { certificates, evidenceSigner, issuers, policy } = await bed.keyd.client.trust();
  const keyd = await bed.keyd.client.keys();
  return { certificates, evidenceSigner, issuers, policySha256: toHex(sha256(policy)), keyd };
};
const keep = () =>
  new KeyRecords({
    store: bed.store,
    keyd: bed.keyd.client,
    clock: bed.clock,
    log: pino({ level: 'silent' }),
    audit,
    authority: bed.authority,
    policy: () => bed.policy,
  });
before(async () => {
  bed = await DomainBed.make();
  records = keep();
  await recordFounding(bed.store, audit, bed.keyd.rehearsal.layout, await found());
  await records.enterChannel('keyd-channel-1');
  await records.tick();
});
after(() => bed.remove());

const inventory = <T>(ask: (inventory: Inventory) => T): T =>
  bed.store.read((reader) => ask(new Inventory(reader, bed.policy, bed.clock.now())));
const all = (filter: KeyFilter = {}): KeyRecord[] => inventory((keys) => [...keys.all(filter)]);
const states = (owner: string): string[] =>
  all({ owner }).map((key) => `${key.purpose} ${stateAt(key, bed.clock.now())}`);
/** A device; the clock goes on, so that what it gets next is later than its IDevID. */
const provisioned = async (id: string): Promise<TestDevice> => {
  const device = await bed.device(id);
  bed.clock.advance(1);
  return device;
};
const reenrol = async (device: TestDevice, shown: Awaited<ReturnType<DomainBed['client']>>) => {
  const csr = await csrFor(device.id, makeKey());
  return bed.authority.reenrol({ client: shown, csr, requestId: `again-${device.id}-${bed.clock.now().getTime()}` });
};

test('TEST-KEY-26 the log and the inventory begin with every key of the ceremony and of keyd, each told once', () => {
  const told = bed.entries('key.generated').map(({ subject }) => subject.key);
  const house = bed.store.read((reader) => reader.keys('', 100).map(({ id }) => id));
  assert.deepEqual(
    house.map((id) => id.replace(/^keystore-master-.*/, 'keystore-master')),
    [
      'ca-manufacturing',
      'ca-operational',
      'ca-operator',
      'ca-server',
      'evidence',
      'keyd-channel-1',
      'keystore-master',
      'log',
      'log-cosign',
      'root',
      'root-crl',
      'signing-root',
      'transcript-signer',
      'tsa',
    ],
  );
  assert.deepEqual(told.toSorted(), house.toSorted());
  const transcript = inventory((keys) => keys.find('transcript-signer'));
  assert.equal(transcript.record.state, 'destroyed');
  assert.deepEqual(
    transcript.history.map(({ event }) => event),
    ['generate', 'activate', 'destroy'],
  );
  assert.equal(bed.entries('key.destroyed').length, 1);
});

test('every record has purpose, algorithm, strength, custody, owner, dates and evidence; its row is what its history leads to', () => {
  for (const key of all()) {
    assert.ok(key.algorithm !== '' && key.custody !== '' && key.fips140 !== '' && key.owner.includes(':'), key.id);
    assert.ok(key.purpose === 'operator' || key.strengthBits >= 128, key.id);
    assert.equal(key.spkiSha256 === null, ['keyd-channel', 'keystore-master'].includes(key.purpose), key.id);
  }
  bed.store.read((reader) => {
    for (const row of reader.keys('', 100)) {
      const steps = reader.keyEvents(row.id).map(({ event, at }) => ({ event: event as 'generate', at }));
      const { state, dates } = replayKey(steps);
      assert.equal(row.state, state, row.id);
      for (const [name, date] of Object.entries(dates)) assert.equal(row[name as keyof typeof dates], date, row.id);
      for (const { auditSeq } of reader.keyEvents(row.id)) assert.ok(auditSeq < reader.auditSize());
    }
  });
});

test('what was entered is not entered again, nor after a restart', async () => {
  const before_ = bed.counts();
  await recordFounding(bed.store, audit, bed.keyd.rehearsal.layout, await found());
  await records.enterChannel('keyd-channel-1');
  await records.tick();
  assert.deepEqual(bed.counts(), before_);
});

test('another channel key takes over from the one before', async () => {
  await records.enterChannel('keyd-channel-2');
  const first = inventory((keys) => keys.find('keyd-channel-1')).record;
  assert.deepEqual([first.state, first.successor], ['deactivated', 'keyd-channel-2']);
});

test('people are in the inventory from the policy on, and active with their first certificate', async () => {
  assert.deepEqual(states('operator:ada'), ['operator pre-activation']);
  await bed.operator('ada');
  assert.deepEqual(states('operator:ada'), ['operator active']);
  const [key] = all({ owner: 'operator:ada' });
  assert.equal(key?.algorithm, 'P-256');
});

test("serve's TLS key is destroyed when the next one is made; of another server's nobody knows", async () => {
  for (const [requestId, actor] of [
    ['tls-1', { kind: 'system', id: 'serve' }],
    ['other-1', { kind: 'operator', id: 'ada' }],
    ['tls-2', { kind: 'system', id: 'serve' }],
    ['other-2', { kind: 'operator', id: 'ada' }],
  ] as const) {
    bed.clock.advance(1);
    await bed.authority.serverCertificate({ hosts: ['localhost'], csr: await csrFor('localhost'), requestId, actor });
  }
  const own = all({ owner: 'system:keystead serve' });
  assert.deepEqual(
    own.map(({ state }) => state),
    ['destroyed', 'active'],
  );
  assert.equal(own[0]?.successor, own[1]?.spkiSha256);
  assert.deepEqual(states('system:localhost'), ['tls-server active', 'tls-server active']);
});

test('an OCSP responder is in the inventory, and destroyed when keyd makes the next', async () => {
  const issuer = bed.cas.operational;
  const ask = () =>
    bed.keyd.client.signOcsp({
      issuer: 'operational',
      responses: [
        { certId: new OcspIssuer(readCertificate(issuer)).certId(readCertificate(issuer).serial), status: 'unknown' },
      ],
    });
  await ask();
  await bed.authority.reconcile();
  const [alive] = (await bed.keyd.client.keys()).responders;
  const [first] = all({ purpose: 'ocsp-responder' });
  assert.deepEqual([first?.spkiSha256, first?.state, first?.custody], [alive?.spkiSha256, 'active', 'memory']);
  bed.clock.advance(13 * 3600);
  await ask();
  await bed.authority.reconcile();
  const responders = all({ purpose: 'ocsp-responder' });
  assert.deepEqual(
    responders.map(({ state }) => state),
    ['destroyed', 'active'],
  );
  assert.equal(responders[0]?.successor, responders[1]?.spkiSha256);
});

test('TEST-KEY-25 a device: its LDevID is deactivated by its successor, and by its end, without anybody coming by', async () => {
  const device = await provisioned('KS-0001');
  assert.deepEqual(states('device:KS-0001'), ['device-idevid active']);
  const first = await bed.enrol(device);
  bed.clock.advance(30);
  const second = await reenrol(device, await bed.client(first.certificate));
  assert.deepEqual(states('device:KS-0001'), [
    'device-idevid active',
    'device-ldevid deactivated',
    'device-ldevid active',
  ]);
  const [, old] = all({ owner: 'device:KS-0001' });
  assert.equal(old?.successor, spkiSha256(readCertificate(second.certificate).spki));
  assert.equal(old?.dates.deactivatedAt, bed.clock.now().getTime());
  bed.clock.advance(91);
  assert.deepEqual(states('device:KS-0001').slice(1), ['device-ldevid deactivated', 'device-ldevid deactivated']);
});

test('a stolen device: every key that it ever had is compromised; a decommissioned one: destroyed', async () => {
  const stolen = await provisioned('KS-0002');
  const first = await bed.enrol(stolen);
  bed.clock.advance(30);
  await reenrol(stolen, await bed.client(first.certificate));
  const actor = { kind: 'operator', id: 'ada' } as const;
  await bed.authority.revoke({ selector: { deviceId: 'KS-0002' }, reason: 'keyCompromise', actor, requestId: 'theft' });
  assert.deepEqual(states('device:KS-0002'), [
    'device-idevid compromised',
    'device-ldevid compromised',
    'device-ldevid compromised',
  ]);
  await bed.enrol(await provisioned('KS-0003'));
  const order = { deviceId: 'KS-0003', reason: 'end of life', operator: 'ada', wiped: [], requestId: 'end' };
  await bed.provisioning.decommission(order);
  assert.deepEqual(states('device:KS-0003'), ['device-idevid destroyed', 'device-ldevid destroyed']);
});

test('a certificate that is superseded ends its key; one whose key is compromised compromises it', async () => {
  const actor = { kind: 'operator', id: 'ada' } as const;
  for (const [id, reason, state] of [
    ['KS-0004', 'superseded', 'deactivated'],
    ['KS-0005', 'keyCompromise', 'compromised'],
  ] as const) {
    const { serial } = await bed.enrol(await provisioned(id));
    await bed.authority.revoke({ selector: { serial }, reason, actor, requestId: `revoke-${id}` });
    assert.deepEqual(states(`device:${id}`), ['device-idevid active', `device-ldevid ${state}`]);
  }
});

test('a key that was certified and given to nobody waits, and is the record of its certificate when its owner asks again', async () => {
  const device = await provisioned('KS-0006');
  const key = makeKey();
  const csr = await csrFor('KS-0006', key);
  // keyd signs, and everything stops before it is recorded.
  const requester = { kind: 'device', id: 'KS-0006', certificate: device.idevid } as const;
  await bed.keyd.client.issue({ profile: 'ldevid', csr, requester, requestId: 'lost' });
  await bed.authority.reconcile();
  assert.deepEqual(states('device:KS-0006'), ['device-ldevid pre-activation', 'device-idevid active']);
  await bed.authority.enrol({ client: device.client, csr: await csrFor('KS-0006', key), requestId: 'again' });
  assert.deepEqual(states('device:KS-0006'), ['device-idevid active', 'device-ldevid active']);
});

test('a key is found by its id, by its hash and by the beginning of it; what is not there, or not unambiguous, is unknown', () => {
  for (const { id, spkiSha256: hash } of all()) {
    assert.equal(inventory((keys) => keys.find(id)).record.id, id);
    if (hash === null) continue;
    for (const name of [hash, hash.slice(0, 16)]) {
      assert.equal(inventory((keys) => keys.find(name)).record.spkiSha256, hash, name);
    }
  }
  for (const name of ['ca-lost', '00', 'ab'.repeat(32), '../x', '']) {
    assert.throws(() => inventory((keys) => keys.find(name)), { code: 'key.unknown' }, name);
  }
});

test('filters: purpose, state now, custody, and what ends soon; pages join to the whole, whatever a cursor says', () => {
  const keys = all();
  const now = bed.clock.now();
  const same = (filter: KeyFilter, keep_: (key: KeyRecord) => boolean) =>
    assert.deepEqual(
      all(filter).map(({ id }) => id),
      keys.filter(keep_).map(({ id }) => id),
      JSON.stringify(filter),
    );
  same({ purpose: 'device-idevid' }, (key) => key.purpose === 'device-idevid');
  same({ purpose: 'operator' }, (key) => key.purpose === 'operator');
  same({ state: 'destroyed' }, (key) => stateAt(key, now) === 'destroyed');
  same({ custody: 'device' }, (key) => key.custody === 'device');
  const soon = now.getTime() + 100 * DAY * 1000;
  const ends = (key: KeyRecord) => stateAt(key, now) === 'active' && (key.originatorEnd ?? Infinity) < soon;
  same({ endingBefore: soon }, ends);
  assert.ok(keys.some(ends));
  for (const after_ of ['x', 'moon 1', 'service !!', `journal ${Buffer.from('[1]').toString('base64url')}`]) {
    assert.throws(
      () => inventory((page) => page.page({}, after_)),
      { code: 'request.malformed', field: 'after' },
      after_,
    );
  }
});

const order = async (id: string, change: KeyChange, by: 'ada' | 'pol' = 'ada') => {
  const key = (await bed.keyd.client.keys()).keys.find((one) => one.id === id);
  if (key === undefined) throw new TypeError(id);
  const draft = {
    spkiSha256: key.spkiSha256,
    change,
    after: key.changes.length,
    reason: 'inquiry',
    at: bed.clock.now(),
  };
  return signKeyOrder(draft, by, bed.keyd.people[by].signer);
};

test('TEST-KEY-26 an order is recorded with its history and one audit entry; one that a crash kept from it is recorded at the start', async () => {
  await records.change(await order('ca-operator', 'suspend'), 'order-1');
  await bed.keyd.client.changeKey({ order: await order('ca-operator', 'resume', 'pol'), requestId: 'order-2' });
  assert.equal(inventory((keys) => keys.find('ca-operator')).record.state, 'suspended');
  await keep().tick();
  const { record, history } = inventory((keys) => keys.find('ca-operator'));
  assert.equal(record.state, 'active');
  assert.deepEqual(
    history.slice(2).map(({ event, actor, requestId }) => [event, actor, requestId]),
    [
      ['suspend', 'operator:ada', 'order-1'],
      ['resume', 'operator:pol', 'order-2'],
    ],
  );
  assert.deepEqual(
    bed.entries('key.suspended').map(({ requestId }) => requestId),
    ['order-1'],
  );
  assert.deepEqual(
    bed.entries('key.resumed').map(({ actor }) => actor.id),
    ['pol'],
  );
});

test('a compromised CA: OCSP calls all that it issued revoked, what it did not issue stays unknown', async () => {
  const { serial } = await bed.enrol(await provisioned('KS-0007'));
  assert.equal(bed.authority.statusOf('operational', serial).status, 'good');
  await records.change(await order('ca-operational', 'compromise'), 'order-3');
  const status = bed.authority.statusOf('operational', serial);
  assert.deepEqual([status.status, 'reason' in status && status.reason], ['revoked', 'cACompromise']);
  assert.equal(bed.authority.statusOf('operational', '0b0b' as typeof serial).status, 'unknown');
  assert.equal(bed.authority.statusOf('manufacturing', serial).status, 'unknown');
  // Without a successor, somebody must do something about it.
  const warned = bed.entries('key.overdue').length;
  bed.clock.advance(3601);
  await records.tick();
  assert.equal(bed.entries('key.overdue').length, warned + 1);
});

test('whoever makes a key enters it, and takes it on; twice it does not stand there', async () => {
  const at = bed.clock.now().getTime();
  const told = { actor: { kind: 'operator', id: 'ada' } as const, reason: 'backup of March', requestId: 'backup-1' };
  const key: NewKey = {
    ...{ id: 'backup-1', spkiSha256: null, purpose: 'backup' as const, algorithm: 'AES-256-GCM', custody: 'memory' },
    ...{
      fips140: 'none',
      owner: 'operator:ada',
      generatedAt: at,
      activatedAt: null,
      certificateEnd: null,
      evidence: {},
    },
  } as const;
  await bed.store.commit((tx) => enterKey(tx, audit, key, told));
  assert.equal(inventory((keys) => keys.find('backup-1')).record.state, 'pre-activation');
  await bed.store.commit((tx) => moveKey(tx, audit, 'backup-1', { event: 'activate', at: at - 5 }, told));
  const { record } = inventory((keys) => keys.find('backup-1'));
  assert.deepEqual([record.state, record.dates.activatedAt, record.strengthBits], ['active', at, 256]);
  const before_ = bed.counts();
  await assert.rejects(bed.store.commit((tx) => enterKey(tx, audit, key, told)));
  await assert.rejects(
    bed.store.commit((tx) => moveKey(tx, audit, 'backup-1', { event: 'resume', at }, told)),
    { code: 'key.transition-forbidden' },
  );
  await assert.rejects(
    bed.store.commit((tx) => moveKey(tx, audit, 'lost', { event: 'destroy', at }, told)),
    { code: 'key.unknown' },
  );
  assert.deepEqual(bed.counts(), before_);
});

test('TEST-KEY-25 over the years each key is warned of ahead of its end, once, and is overdue after it', async () => {
  const warned = new Map<string, number>();
  const start = bed.clock.now().getTime();
  // Half the time of a warning, so that none is passed over.
  for (let step = 1; step <= 8 * 11; step += 1) {
    bed.clock.advance(YEAR / 8);
    await records.tick();
    for (const type of ['key.due', 'key.overdue']) {
      for (const { subject, time } of bed.entries(type)) {
        const what = `${type} ${subject.key}`;
        if (!warned.has(what)) warned.set(what, (Date.parse(time) - start) / 1000 / YEAR);
      }
    }
  }
  const about = (what: string, years: number) => {
    const at = warned.get(what);
    assert.ok(at !== undefined && Math.abs(at - years) <= 0.25, `${what}: ${at} years`);
  };
  about('key.due evidence', 2.75);
  about('key.overdue evidence', 3);
  about('key.due log', 9.75);
  about('key.overdue log', 10);
  about('key.overdue ca-server', 10);
  assert.equal(warned.has('key.overdue root'), false);
  for (const type of ['key.due', 'key.overdue']) {
    const keys = bed.entries(type).map(({ subject }) => subject.key);
    assert.equal(new Set(keys).size, keys.length, `${type} was told twice of a key`);
  }
});

test('the records are read without a running service, and nothing in them is changed', async () => {
  const path = bed.keyd.rehearsal.layout.database;
  const now = bed.clock.now();
  const here = inventory((keys) => [...keys.all({})].length);
  assert.equal(
    readOnly(path, (reader) => [...new Inventory(reader, bed.policy, now).all({})].length),
    here,
  );
  assert.ok(readOnly(path, (reader) => keyWarnings(reader, bed.policy, now)).some(({ level }) => level === 'overdue'));
  assert.throws(() => readOnly(`${path}.gone`, () => 0), { code: 'config.missing' });
});

test('in a deployment that is older than the inventory the keys are entered afterwards, and told as recorded, not as generated', async () => {
  const store = openStore({ path: `${bed.keyd.rehearsal.layout.database}.older`, clock: bed.clock });
  try {
    await store.commit((tx) => tx.setMeta('founding.recorded', 'earlier'));
    await recordFounding(store, audit, bed.keyd.rehearsal.layout, await found());
    const types = store.read((reader) => reader.auditEntries(0, 100)).map(({ bytes }) => parseEntry(bytes).type);
    assert.deepEqual([...new Set(types)].toSorted(), ['key.destroyed', 'key.recorded']);
    assert.ok(store.read((reader) => reader.key('root')) !== undefined);
  } finally {
    await store.close();
  }
});
