import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { spkiSha256 as sha256OfSpki } from '@keystead/core/crypto';
import {
  CERTIFICATE_WAYS,
  type CertificateStanding,
  type OnlineCa,
  type RevocationSelector,
  type RevocationStatementOrder,
} from '@keystead/core/lifecycle';
import { OcspIssuer, readCertificate, readCrl } from '@keystead/core/x509';
import fc from 'fast-check';
import { orderOf, signedBy } from '../../keyd/tests/release.ts';
import type { ActOrder, ActView, RevocationOrder } from '../index.ts';
import { codeOf, csrFor, DomainBed, makeKey, type TestDevice } from './bed.ts';

let bed: DomainBed;
before(async () => {
  bed = await DomainBed.make(
    {},
    {
      revocation: {
        authority: [
          { selectors: ['batch'], approvals: 0, roles: ['policy-administrator'] },
          { selectors: ['device'], reasons: ['privilegeWithdrawn'], approvals: 1, roles: ['policy-administrator'] },
        ],
      },
    },
  );
  // Before the tests let time pass: the ticket is good for a day.
  for (let number = 1; number <= 11; number += 1) {
    const id = `KS-${String(number).padStart(4, '0')}`;
    units.set(id, await bed.device(id));
  }
});
after(() => bed.remove());

const units = new Map<string, TestDevice>();
const unit = (id: string): TestDevice => present(units.get(id));

const ada = { kind: 'operator', id: 'ada' } as const;
const pol = { kind: 'operator', id: 'pol' } as const;
const by = (actor: typeof ada | typeof pol, requestId = 'test') => ({ actor, requestId });
const published = (role: OnlineCa) => readCrl(new Uint8Array(readFileSync(bed.crlPath(role)))).entries;
const revoke = (more: Omit<RevocationOrder, 'actor' | 'requestId'> & Partial<RevocationOrder>) =>
  bed.authority.revoke({ actor: ada, requestId: 'test', ...more });

/** What the records hold of revocation, for tests that nothing changed. */
const standing = () =>
  bed.store.read((records) => ({
    revoked: (['manufacturing', 'operational', 'server', 'operator'] as const).map(
      (issuer) => records.revokedSince(issuer, 0).length,
    ),
    acts: [...records.revocationActs('proposed', 99), ...records.revocationActs('running', 99)].map(
      ({ id, statements }) => `${id} ${statements}`,
    ),
    devices: records.devices('', 99).map(({ deviceId, state }) => `${deviceId} ${state}`),
  }));

/** Refused with the code, audited with it, and nothing changed. */
async function refused(code: string, act: () => Promise<unknown>): Promise<void> {
  const before = standing();
  assert.equal(await codeOf(act()), code);
  assert.deepEqual(standing(), before);
  assert.equal(bed.entries('request.refused').at(-1)?.detail?.code, code);
}

async function signedOrder(
  of: Pick<ActOrder, 'selector' | 'act' | 'reason'>,
  selector: RevocationSelector,
): Promise<RevocationStatementOrder> {
  const { count, listSha256 } = await bed.authority.census.take({ ...of, ...by(ada) });
  return orderOf([], {
    act: of.act,
    selector,
    count,
    listSha256,
    ...(of.reason === undefined ? {} : { reason: of.reason }),
  });
}

async function release(serial: Serial): Promise<ActView> {
  const selector = { kind: 'certificate', issuer: 'operational', serial } as const;
  const order = await signedOrder({ selector: { serial }, act: 'release' }, selector);
  const { view, done } = await bed.authority.revocations.propose(await signedBy(bed.keyd, 'ada', order), by(ada));
  return (await done) ?? view;
}

/** Why the records say that it is revoked; `good` where it is not. */
function reasonOf(issuer: OnlineCa, serial: Serial): string {
  const status = bed.authority.statusOf(issuer, serial);
  return status.status === 'revoked' ? (status.reason ?? 'unspecified') : status.status;
}

async function ocspSays(serial: Serial): Promise<string> {
  const { certificates } = await bed.keyd.client.trust();
  const status = bed.authority.statusOf('operational', serial);
  const issuer = new OcspIssuer(certificates.operational as DerCertificate);
  const responses = [{ certId: issuer.certId(serial), ...status }];
  await bed.keyd.client.signOcsp({ issuer: 'operational', responses });
  return reasonOf('operational', serial);
}

test('TEST-KEY-08 whatever is done to a certificate in whatever order, it goes the ways of the table, and OCSP, CRL and keyd agree', async () => {
  const device = unit('KS-0001');
  const acts = fc.array(fc.constantFrom('hold', 'release', 'superseded', 'keyCompromise'), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(acts, async (steps) => {
      const { serial } = await bed.enrol(device);
      let status: CertificateStanding = 'good';
      let reason = 'good';
      for (const step of steps) {
        bed.clock.advance(1);
        const act = step === 'hold' || step === 'release' ? step : 'revoke';
        const way = CERTIFICATE_WAYS.find((one) => one.from === status && one.act === act);
        const asked = async (): Promise<unknown> => {
          if (step === 'release') return release(serial);
          if (step === 'hold') return revoke({ selector: { serial }, act: 'hold' });
          return revoke({ selector: { serial }, reason: step as 'superseded' });
        };
        const code = await codeOf(asked());
        const again = act !== 'release' && (status === 'hold' ? act === 'hold' : step === reason);
        if (way !== undefined) {
          status = way.to;
          reason = { good: 'good', hold: 'certificateHold', revoked: step }[status];
          assert.equal(code, 'nothing was thrown', `${step} of ${way.from}`);
        } else if (again) assert.equal(code, 'nothing was thrown', `${step} again`);
        else
          assert.equal(
            code,
            status === 'good' ? 'revocation.not-on-hold' : status === 'hold' ? '' : 'revocation.final',
          );
        assert.equal(await ocspSays(serial), reason);
        const listed = published('operational').get(serial);
        assert.equal(listed === undefined ? 'good' : (listed.reason ?? 'unspecified'), reason);
      }
    }),
    { numRuns: 25 },
  );
});

test('a hold survives a restart of everything, and so does its release', async () => {
  const device = unit('KS-0002');
  const { serial } = await bed.enrol(device);
  await revoke({ selector: { serial }, act: 'hold' });
  await bed.restart();
  assert.equal(reasonOf('operational', serial), 'certificateHold');
  bed.clock.advance(1);
  assert.equal((await release(serial)).state, 'done');
  await bed.restart();
  assert.equal(await ocspSays(serial), 'good');
  assert.equal(bed.entries('certificate.released').at(-1)?.subject.serial, serial);
});

test('TEST-KEY-08 what goes on hold while keyd releases another of the same device stays on hold', async () => {
  const device = unit('KS-0002');
  const [idevid] = bed.store.read((records) =>
    records.certificatesOfDevice(device.id).filter(({ profile }) => profile === 'idevid'),
  );
  const { serial } = await bed.enrol(device);
  await revoke({ selector: { serial }, act: 'hold' });
  bed.clock.advance(1);
  await bed.restart({
    keyd: (client) =>
      new Proxy(client, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== 'function') return member;
          if (name !== 'releaseHold') return member.bind(target);
          return async (params: Parameters<typeof client.releaseHold>[0]) => {
            const released = await client.releaseHold(params);
            await revoke({ selector: { serial: present(idevid).serial, issuer: 'manufacturing' }, act: 'hold' });
            return released;
          };
        },
      }),
  });
  const order = await signedOrder(
    { selector: { deviceId: device.id }, act: 'release' },
    { kind: 'device', deviceId: device.id },
  );
  const { done } = await bed.authority.revocations.propose(await signedBy(bed.keyd, 'ada', order), by(ada));
  assert.equal((await done)?.certificates, 1);
  assert.equal(await ocspSays(serial), 'good');
  assert.equal(reasonOf('manufacturing', present(idevid).serial), 'certificateHold');
  await bed.restart();
});

test('a release that keyd carried out and a crash kept out of the records is finished at the next start', async () => {
  const device = unit('KS-0003');
  const { serial } = await bed.enrol(device);
  await revoke({ selector: { serial }, act: 'hold' });
  bed.clock.advance(1);
  let crashed = false;
  await bed.restart({
    keyd: (client) =>
      new Proxy(client, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== 'function') return member;
          if (name !== 'releaseHold') return member.bind(target);
          return async (params: Parameters<typeof client.releaseHold>[0]) => {
            const released = await client.releaseHold(params);
            crashed = true;
            await bed.crash();
            return released;
          };
        },
      }),
  });
  assert.equal(await codeOf(release(serial)), 'store.closed');
  assert.equal(crashed, true);
  await bed.start();
  assert.equal(await ocspSays(serial), 'good');
  assert.equal(published('operational').has(serial), false);
  assert.equal(bed.entries('certificate.released').filter(({ subject }) => subject.serial === serial).length, 1);
});

test('TEST-KEY-08 TEST-KEY-19 a compromised key takes every certificate on it, also those of before a renewal, and is never certified again', async () => {
  await bed.operator('aud');
  bed.clock.advance(366 * 86_400);
  const client = await bed.operator('aud');
  const { certificates, onCrl } = await revoke({
    selector: { certificate: client.certificate },
    reason: 'keyCompromise',
  });
  assert.equal(certificates.length, 1, 'the one before has ended by itself');
  assert.equal(onCrl, true);
  const csr = await csrFor('aud', bed.keyd.people.aud);
  const again = bed.authority.operatorCertificate({ name: 'aud', csr, requestId: 'again' });
  assert.equal(await codeOf(again), 'key.reported-compromised');
  assert.equal(bed.entries('key.blocked').length > 0, true);
});

test('TEST-KEY-08 one key, several certificates in force: the compromise of one takes all, another reason only the one', async () => {
  // A person whose certificate was renewed early: both are in force.
  const client = await bed.operator('ada');
  const twin = { ...present(bed.store.read((records) => records.certificate('operator', client.serial))) };
  const second = '7e'.repeat(20) as Serial;
  await bed.store.commit((tx) => tx.insertCertificate({ ...twin, serial: second }));
  await revoke({ selector: { serial: second, issuer: 'operator' }, reason: 'superseded' });
  assert.equal(bed.authority.statusOf('operator', client.serial).status, 'good');
  const third = '7d'.repeat(20) as Serial;
  await bed.store.commit((tx) => tx.insertCertificate({ ...twin, serial: third }));
  const done = await revoke({ selector: { serial: third }, reason: 'keyCompromise' });
  assert.deepEqual(new Set(done.certificates.map(({ serial }) => serial)), new Set([client.serial, second, third]));
  assert.equal(reasonOf('operator', client.serial), 'keyCompromise');
  assert.equal(reasonOf('operator', second), 'superseded', 'a first reason stays');
});

test('a key that was never seen here can be reported: whoever brings it gets nothing', async () => {
  const key = makeKey();
  const device = unit('KS-0004');
  const csr = await csrFor(device.id, key);
  const spkiSha256 = sha256OfSpki(key.spki);
  assert.equal(await codeOf(revoke({ selector: { spkiSha256 }, reason: 'superseded' })), 'certificate.unknown');
  assert.deepEqual((await revoke({ selector: { spkiSha256 }, reason: 'keyCompromise' })).certificates, []);
  const enrolled = bed.authority.enrol({ client: device.client, csr, requestId: 'leaked' });
  assert.equal(await codeOf(enrolled), 'key.reported-compromised');
});

test('TEST-KEY-08 the compromise of an IDevID key blocks its device, which loses all it has', async () => {
  const device = unit('KS-0005');
  const ldevid = await bed.enrol(device);
  const { serial } = readCertificate(device.idevid);
  const done = await revoke({ selector: { serial: serial.toUpperCase() }, reason: 'keyCompromise' });
  assert.deepEqual(new Set(done.certificates.map((one) => one.serial)), new Set([serial, ldevid.serial]));
  assert.equal(bed.store.read((records) => records.device(device.id))?.state, 'stolen');
  assert.equal(await codeOf(bed.enrol(device)), 'device.blocked');
});

test('TEST-KEY-08 a device revokes what is its own, by serial, certificate or key, and nothing else', async () => {
  const [mine, other] = [unit('KS-0006'), unit('KS-0007')];
  const actor = { kind: 'device', id: mine.id } as const;
  const own = await bed.enrol(mine);
  const foreign = await bed.enrol(other);
  await refused('revocation.not-own', () =>
    revoke({ actor, selector: { serial: foreign.serial }, reason: 'superseded' }),
  );
  await refused('revocation.not-own', () =>
    revoke({ actor, selector: { spkiSha256: other.client.spkiSha256 }, reason: 'keyCompromise' }),
  );
  await refused('revocation.reason-forbidden', () =>
    revoke({ actor, selector: { deviceId: mine.id }, reason: 'keyCompromise' }),
  );
  await refused('revocation.hold-forbidden', () => revoke({ actor, selector: { serial: own.serial }, act: 'hold' }));
  await revoke({ actor, selector: { certificate: own.certificate }, reason: 'superseded' });
  assert.equal(await ocspSays(own.serial), 'superseded');
  assert.equal(bed.entries('certificate.revoked').at(-1)?.actor.kind, 'device');
});

test('each thing that cannot be has its own code, is audited, and changes nothing', async () => {
  const device = unit('KS-0008');
  const { serial, certificate } = await bed.enrol(device);
  const reason = 'superseded';
  await refused('certificate.unknown', () => revoke({ selector: { serial: '0102' }, reason }));
  await refused('certificate.unknown', () => revoke({ selector: { serial, issuer: 'server' }, reason }));
  await refused('revocation.ca-unknown', () => revoke({ selector: { serial, issuer: 'toothbrush' }, reason }));
  await refused('request.malformed', () => revoke({ selector: { serial: 'xyz' }, reason }));
  await refused('cert.not-der', () => revoke({ selector: { certificate: new Uint8Array([0x30, 0]) }, reason }));
  await refused('certificate.unknown', () => revoke({ selector: { certificate: bed.cas.server }, reason }));
  await refused('revocation.reason-forbidden', () => revoke({ selector: { serial }, reason: 'cACompromise' }));
  await refused('revocation.reason-forbidden', () => revoke({ selector: { serial } }));
  await refused('revocation.reason-forbidden', () => revoke({ selector: { serial }, act: 'hold', reason }));
  const future = new Date(bed.clock.now().getTime() + 1000);
  await refused('revocation.invalidity-date', () => revoke({ selector: { serial }, reason, invalidityDate: future }));
  await refused('revocation.quorum-needed', () =>
    revoke({ selector: { deviceId: device.id }, reason: 'privilegeWithdrawn' }),
  );
  await refused('revocation.hold-forbidden', () =>
    bed.authority.revocations.begin({ selector: { ca: 'server' }, act: 'hold', ...by(ada) }),
  );
  await refused('revocation.ca-key-in-use', () =>
    bed.authority.revocations.begin({ selector: { ca: 'server' }, act: 'revoke', reason: 'cACompromise', ...by(ada) }),
  );
  await refused('ticket.unknown', () =>
    bed.authority.revocations.begin({ selector: { ticketId: 'none' }, act: 'revoke', reason, ...by(ada) }),
  );
  const spelt = serial.toUpperCase().replace(/(..)(?=.)/g, '$1:');
  await revoke({ selector: { serial: `00:${spelt}` }, reason, invalidityDate: bed.clock.now() });
  const row = bed.store.read((records) => records.certificate('operational', serial));
  assert.equal(row?.invalidityAt, bed.clock.now().getTime());
  await refused('revocation.final', () => revoke({ selector: { certificate }, act: 'hold' }));
  await refused('revocation.final', () => revoke({ selector: { certificate }, reason: 'keyCompromise' }));
  const short = await bed.enrol(device);
  bed.clock.advance(86_400);
  await refused('revocation.expired', () => revoke({ selector: { serial: short.serial }, reason }));
});

async function quorumOrder(device: TestDevice): Promise<RevocationStatementOrder> {
  const { id: deviceId } = device;
  const of = { selector: { deviceId }, act: 'revoke', reason: 'privilegeWithdrawn' } as const;
  return signedOrder(of, { kind: 'device', deviceId });
}

test('TEST-KEY-23 a revocation that takes two: refused short, by oneself, twice, of another list, expired, carried out, withdrawn; done by two', async () => {
  const device = unit('KS-0009');
  const order = await quorumOrder(device);
  const { propose, approve, withdraw } = bound();
  const proposal = await signedBy(bed.keyd, 'ada', order);
  await refused('revocation-request.signer-forbidden', () => propose(proposal, by(pol)));
  await refused('revocation-request.signer-forbidden', async () =>
    propose(await signedBy(bed.keyd, 'lin', order), by(pol)),
  );
  await refused('revocation-request.list-differs', async () =>
    propose(await signedBy(bed.keyd, 'ada', { ...order, count: 7 }), by(ada)),
  );
  const asked = await propose(proposal, by(ada));
  assert.equal(asked.view.state, 'proposed');
  assert.deepEqual((await propose(proposal, by(ada))).view.id, asked.view.id, 'the same again changes nothing');
  const other = { ...order, reason: 'superseded' as const };
  await refused('revocation-request.order-used', async () => propose(await signedBy(bed.keyd, 'ada', other), by(ada)));
  const approval = (name: 'ada' | 'pol' | 'lin', more: object = {}) =>
    signedBy(bed.keyd, name, order, { act: 'approve', proposer: 'ada', ...more });
  await refused('revocation-request.self', async () => approve(order.id, await approval('ada'), by(ada)));
  await refused('revocation-request.signer-forbidden', async () => approve(order.id, await approval('pol'), by(ada)));
  await refused('revocation-request.expired', async () =>
    approve(order.id, await approval('pol', { age: 7200 }), by(pol)),
  );
  await refused('revocation-request.unknown', async () => approve('nothing', await approval('pol'), by(pol)));
  // Issued since: they would agree to something else than was asked for.
  const since = await bed.enrol(device);
  await refused('revocation-request.list-differs', async () => approve(order.id, await approval('pol'), by(pol)));
  await withdraw(order.id, by(ada));
  await refused('revocation-request.closed', async () => approve(order.id, await approval('pol'), by(pol)));
  assert.equal(await ocspSays(since.serial), 'good');

  const next = await quorumOrder(device);
  await propose(await signedBy(bed.keyd, 'ada', next), by(ada));
  const agreed = await signedBy(bed.keyd, 'pol', next, { act: 'approve', proposer: 'ada' });
  const { done } = await approve(next.id, agreed, by(pol));
  assert.equal((await done)?.state, 'done');
  assert.equal(await ocspSays(since.serial), 'privilegeWithdrawn');
  await refused('revocation-request.closed', () => approve(next.id, agreed, by(pol)));
  const [whole] = bed.entries('revocation.done').slice(-1);
  assert.deepEqual([whole?.subject.device ?? whole?.subject.deviceId, whole?.detail?.certificates], [device.id, 2]);

  const late = await quorumOrder(unit('KS-0010'));
  await propose(await signedBy(bed.keyd, 'ada', late), by(ada));
  bed.clock.advance(3601);
  const tooLate = await signedBy(bed.keyd, 'pol', late, { act: 'approve', proposer: 'ada' });
  await refused('revocation-request.expired', () => approve(late.id, tooLate, by(pol)));
  assert.equal(bed.authority.revocations.show(late.id).state, 'expired');
});

const bound = () => {
  const { revocations } = bed.authority;
  return {
    propose: revocations.propose.bind(revocations),
    approve: revocations.approve.bind(revocations),
    withdraw: revocations.withdraw.bind(revocations),
  };
};

test('TEST-KEY-08 the dry run of a device counts what it loses, and whether it is cut off', async () => {
  const device = unit('KS-0011');
  const { serial } = await bed.enrol(device);
  const take = (selector: ActOrder['selector'], more: Partial<ActOrder> = {}) =>
    bed.authority.census.take({ selector, act: 'revoke', reason: 'superseded', ...by(ada), ...more });
  const before = standing();
  const one = await take({ serial });
  assert.deepEqual([one.certificates, one.devices, one.cutOff, one.keys], [1, 1, 0, 0]);
  const all = await take({ deviceId: device.id }, { reason: 'keyCompromise' });
  assert.deepEqual([all.certificates, all.devices, all.cutOff, all.keys], [2, 1, 1, 2]);
  const ca = await take({ ca: 'manufacturing' });
  assert.ok(ca.certificates >= 1 && ca.cutOff < ca.devices, `${ca.cutOff} of ${ca.devices}`);
  assert.equal(ca.count, 1, 'what people sign for of a CA is the CA');
  assert.deepEqual(standing(), before);
});

test('TEST-KEY-08 a batch is revoked as a whole: each certificate and the act in the log, one CRL of each CA at the end, and no unit more', async () => {
  const fresh = await DomainBed.make();
  const saved = bed;
  bed = fresh;
  try {
    const devices = [await bed.device('KS-0001'), await bed.device('KS-0002'), await bed.device('KS-0003')];
    const [first] = devices;
    assert.ok(first);
    const ldevid = await bed.enrol(first);
    const selector = { ticketId: 'batch-1' };
    const census = await bed.authority.census.take({ selector, act: 'revoke', reason: 'superseded', ...by(ada) });
    assert.deepEqual([census.certificates, census.devices, census.cutOff, census.count], [4, 3, 3, 3]);
    const made: string[] = [];
    const stop = bed.authority.onCrlPublished((issuer) => made.push(issuer));
    const { done } = await bed.authority.revocations.begin({
      selector,
      act: 'revoke',
      reason: 'superseded',
      ...by(ada),
    });
    const view = await done;
    stop();
    assert.deepEqual([view.state, view.certificates, view.devices], ['done', 4, 3]);
    assert.deepEqual(made.sort(), ['manufacturing', 'operational']);
    assert.ok(published('operational').has(ldevid.serial));
    for (const { idevid } of devices) assert.ok(published('manufacturing').has(readCertificate(idevid).serial));
    assert.equal(bed.entries('certificate.revoked').length, 4);
    assert.equal(bed.entries('revocation.done').length, 1);
    assert.equal(await codeOf(bed.device('KS-0004')), 'ticket.revoked');
    const again = await bed.authority.revocations.begin({ selector, act: 'revoke', reason: 'superseded', ...by(ada) });
    assert.equal((await again.done).certificates, 0);
    assert.equal(bed.entries('certificate.revoked').length, 4);
  } finally {
    bed = saved;
    await fresh.remove();
  }
});

function present<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}
