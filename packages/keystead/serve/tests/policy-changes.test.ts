import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { type PolicyFile, policyFile } from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { type AppendAudit, RefusalLog } from '../../access/index.ts';
import { type AuditEntry, appendAudit, parseEntry } from '../../audit/index.ts';
import { KeydBed } from '../../keyd/tests/bed.ts';
import { openStore, type Store } from '../../store/index.ts';
import { PolicyChanges } from '../policy-changes.ts';

const paul = { kind: 'operator', id: 'paul' } as const;
let parties: PolicyParties;
let bed: KeydBed;
let store: Store;
let failCommit = false;

before(async () => {
  parties = new PolicyParties();
  bed = await KeydBed.make({ operators: parties.operators, demonstration: false });
  mkdirSync(dirname(bed.rehearsal.layout.database), { recursive: true });
  store = openStore({ path: bed.rehearsal.layout.database, clock: bed.clock });
});
after(async () => {
  await store.close();
  await bed.remove();
});

/** The front end's side, as it is after a start. */
async function started(): Promise<PolicyChanges> {
  const changes = PolicyChanges.of(deps(), (await bed.client.trust()).policy);
  await changes.start();
  return changes;
}

function deps() {
  const audit: AppendAudit = (tx, event) => {
    if (failCommit && event.type === 'policy.changed') throw new KeysteadError('store.disk-full', { field: 'test' });
    return appendAudit(tx, event, bed.clock);
  };
  const refusals = new RefusalLog({ store, audit, clock: bed.clock });
  return { store, keyd: bed.client, audit, refusals };
}

const entries = (): AuditEntry[] =>
  store.read((records) => records.auditEntries(0, 1000)).map(({ bytes }) => parseEntry(bytes));
const inForce = async (): Promise<PolicyFile> => policyFile((await bed.client.trust()).policy);

async function order(requestId: string, change: Parameters<typeof successor>[1] = () => {}) {
  const current = await inForce();
  const next = successor(current, change);
  const approvals = await parties.approvals([current, next], bed.clock.now());
  return { next, order: { policy: next.bytes, approvals, actor: paul, requestId } };
}

test('TEST-KEY-26 a change of the policy is an audit entry, and the front end goes by the new policy at once', async () => {
  const changes = await started();
  const { next, order: asked } = await order('change-1', (policy) => {
    policy.grace.renewalSeconds = 3600;
  });
  await changes.apply(asked);
  assert.equal(changes.policy.grace.renewalSeconds, 3600);
  const [entry, ...more] = entries().filter(({ type }) => type === 'policy.changed');
  assert.equal(more.length, 0);
  assert.deepEqual([entry?.actor, entry?.requestId, entry?.outcome], [paul, 'change-1', 'done']);
  assert.deepEqual(entry?.subject, { policyVersion: 2, policySha256: next.sha256 });
  assert.equal(entry?.detail?.proposer, 'paul');
  assert.equal(entry?.detail?.approvers, 'anna (approver), axel (approver)');
  assert.equal(
    store.read((records) => records.meta('policy.sha256')),
    next.sha256,
  );
});

test('TEST-KEY-23 what keyd refuses is audited with its code, and the old policy stays', async () => {
  const changes = await started();
  const current = changes.file.sha256;
  const { order: asked } = await order('change-2');
  await assert.rejects(changes.apply({ ...asked, approvals: '{"v":1,"statements":[]}' }), {
    code: 'approval.proposal-missing',
  });
  const refusal = entries().at(-1);
  assert.deepEqual(
    [refusal?.type, refusal?.requestId, refusal?.detail?.code],
    ['request.refused', 'change-2', 'approval.proposal-missing'],
  );
  assert.equal(changes.file.sha256, current);
});

test('a change whose record was lost, for the disk was full or the process was killed, is recorded at the next start, once', async () => {
  const changes = await started();
  const { next, order: asked } = await order('change-3');
  failCommit = true;
  await assert.rejects(changes.apply(asked), { code: 'store.disk-full' });
  failCommit = false;
  // keyd goes by it, and so does the front end; only the record is missing.
  assert.equal(changes.file.sha256, next.sha256);
  assert.equal(entries().filter(({ requestId }) => requestId === 'change-3').length, 0);
  await started();
  await started();
  const recorded = entries().filter(({ requestId }) => requestId === 'change-3');
  assert.equal(recorded.length, 1);
  assert.deepEqual([recorded[0]?.type, recorded[0]?.actor], ['policy.changed', { kind: 'system', id: 'serve' }]);
});

test('the same change asked for again is recorded once', async () => {
  const changes = await started();
  const { order: asked } = await order('change-4');
  const [first, second] = await Promise.all([
    changes.apply(asked),
    changes.apply({ ...asked, requestId: 'change-4b' }),
  ]);
  assert.deepEqual(first, second);
  assert.equal(entries().filter(({ subject }) => subject.policyVersion === first.version).length, 1);
});

test("TEST-KEY-23 an older copy of keyd's directory under the same records is noticed, and serve does not start", async () => {
  const changes = await started();
  const { dir } = bed;
  await bed.stop();
  cpSync(dir, `${dir}.older`, { recursive: true });
  const trust = readFileSync(bed.rehearsal.layout.policy);
  await bed.start();
  const later = PolicyChanges.of({ ...deps(), keyd: bed.client }, changes.file.bytes);
  const { order: asked } = await order('change-5');
  await later.apply(asked);
  await bed.stop();
  rmSync(dir, { recursive: true });
  cpSync(`${dir}.older`, dir, { recursive: true });
  // The directory of the socket is made anew, closed to others.
  rmSync(join(dir, 'run'), { recursive: true });
  writeFileSync(bed.rehearsal.layout.policy, trust);
  await bed.start();
  await assert.rejects(started(), { code: 'policy.set-back' });
});
