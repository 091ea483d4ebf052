import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, mock, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import {
  addTicketSignature,
  cryptoperiodOf,
  custodyOf,
  formatStatements,
  type Policy,
  type PolicyFile,
  policyFile,
  profileOf,
  signTicket,
} from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { Journal } from '../journal.ts';
import { stepApprovalsPath, stepPolicyPath } from '../policy-chain.ts';
import { readJournal } from '../read-journal.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';

const DAY = 86_400;
let bed: KeydBed;
let parties: PolicyParties;
let requests = 0;

before(async () => {
  parties = new PolicyParties();
  bed = await KeydBed.make({
    operators: parties.operators,
    demonstration: false,
    lifetimes: { ldevid: { seconds: 90, backdateSeconds: 0 } },
  });
});
after(() => bed.remove());
beforeEach(() => bed.clock.advance(1));

const inForce = async (): Promise<PolicyFile> => policyFile((await bed.client.trust()).policy);
const published = (): string => readFileSync(bed.rehearsal.layout.policy, 'utf8');

async function apply(next: PolicyFile, approvals?: string, from?: PolicyFile) {
  requests += 1;
  const text = approvals ?? (await parties.approvals([from ?? (await inForce()), next], bed.clock.now()));
  return bed.client.changePolicy({ policy: next.bytes, approvals: text, requestId: `change-${requests}` });
}

/** Puts a change in force. */
async function change(edit: (policy: Policy) => void): Promise<PolicyFile> {
  const next = successor(await inForce(), edit);
  await apply(next);
  return next;
}

let devices = 0;
async function device() {
  devices += 1;
  const id = `KS-${String(devices).padStart(4, '0')}`;
  const now = bed.clock.now().getTime();
  const byOne = await signTicket(
    {
      id: `batch-${devices}`,
      model: 'PUMP',
      quota: 1,
      notBefore: new Date(now - 60_000).toISOString(),
      notAfter: new Date(now + DAY * 1000).toISOString(),
      lines: ['line-1'],
      deviceIds: { prefix: 'KS-', from: 1, to: 9999, width: 4 },
      profile: 'idevid',
    },
    'olga',
    parties.signer('olga'),
  );
  // In earnest two people sign one.
  const ticket = await addTicketSignature(byOne, 'pia', parties.signer('pia'));
  const { certificate } = await bed.provision(id, ticket);
  return { id, certificate };
}

test('TEST-KEY-25 a shorter cryptoperiod in the policy is what keyd issues by, at once and after a restart', async () => {
  const one = await device();
  const life = async (): Promise<number> => {
    const { notBefore, notAfter } = await bed.enrol(one.id, one.certificate);
    return (notAfter.getTime() - notBefore.getTime()) / 1000;
  };
  assert.equal(await life(), 90);
  const next = await change((policy) => {
    profileOf(policy, 'ldevid').validity.seconds = 60;
    Object.assign(cryptoperiodOf(policy, 'device-ldevid'), {
      originatorSeconds: 60,
      recipientSeconds: 60,
      warnSeconds: 5,
    });
  });
  assert.equal(await life(), 60);
  assert.equal(published(), Buffer.from(next.bytes).toString('utf8'));
  await bed.restart();
  assert.equal(await life(), 60);
  assert.equal((await bed.client.status()).policyVersion, next.policy.version);
});

test('TEST-KEY-25 a CA whose originator usage period is over certifies nothing; its OCSP and CRL go on', async () => {
  const one = await device();
  await change((policy) => {
    Object.assign(cryptoperiodOf(policy, 'operational-ca'), { originatorSeconds: 60, warnSeconds: 0 });
  });
  bed.clock.advance(61);
  await assert.rejects(bed.enrol(one.id, one.certificate), { code: 'key.cryptoperiod-ended', field: 'ca-operational' });
  const { crlNumbers } = await bed.client.status();
  await bed.client.signCrl({ issuer: 'operational', number: (crlNumbers.operational ?? 0) + 1, entries: [] });
  await change((policy) => {
    Object.assign(cryptoperiodOf(policy, 'operational-ca'), { originatorSeconds: 10 * 365 * DAY });
    Object.assign(cryptoperiodOf(policy, 'evidence-signer'), { originatorSeconds: 60, warnSeconds: 0 });
  });
  await bed.enrol(one.id, one.certificate);
  await assert.rejects(device(), { code: 'key.cryptoperiod-ended', field: 'evidence' });
  await change((policy) => {
    Object.assign(cryptoperiodOf(policy, 'evidence-signer'), { originatorSeconds: 3 * 365 * DAY });
  });
  await device();
});

test('TEST-KEY-23 a person who leaves the policy signs no ticket any more, and a new one does at once', async () => {
  const newcomer = makeKey();
  await change((policy) => {
    policy.operators.push({
      name: 'ned',
      roles: ['line-operator'],
      spki: Buffer.from(newcomer.spki).toString('base64'),
    });
  });
  const issued = await bed.client.issue({
    profile: 'operator',
    csr: await csrFor('ned', newcomer),
    requester: { kind: 'operator', id: 'ned' },
    requestId: 'ned',
  });
  assert.ok(issued.certificate.length > 0);
  await change((policy) => {
    policy.operators = policy.operators.filter(({ name }) => name !== 'ned');
  });
  await assert.rejects(
    bed.client.issue({
      profile: 'operator',
      csr: await csrFor('ned', newcomer),
      requester: { kind: 'operator', id: 'ned' },
      requestId: 'ned',
    }),
    { code: 'operator.unknown' },
  );
});

test('TEST-KEY-23 each bad set of approvals is refused by keyd itself, and nothing of it stays', async () => {
  const current = await inForce();
  const next = successor(current, (policy) => {
    policy.tickets.maxQuota = 11;
  });
  const step = [current, next] as const;
  const now = bed.clock.now();
  const proposal = await parties.statement('propose', 'paul', step, now);
  const anna = await parties.statement('approve', 'anna', step, now);
  const expired = await parties.statement('approve', 'axel', step, new Date(now.getTime() - 2 * DAY * 1000));
  const entries = readJournal(join(bed.dir, 'journal')).entries.length;
  const hostile = await bed.hostile();
  for (const [code, text] of [
    ['approval.too-few', formatStatements([proposal, anna])],
    ['approval.expired', formatStatements([proposal, anna, expired])],
    ['approval.duplicate', formatStatements([proposal, anna, anna])],
    ['approval.other-policy', await parties.approvals([next, current], now)],
    ['approval.malformed', '{}'],
  ] as const) {
    const answer = await hostile.ask('changePolicy', {
      policy: Buffer.from(next.bytes).toString('base64'),
      approvals: text,
      requestId: 'bad',
    });
    assert.equal(answer.error?.code, code, JSON.stringify(answer));
  }
  hostile.end();
  assert.equal((await inForce()).sha256, current.sha256);
  assert.equal(published(), Buffer.from(current.bytes).toString('utf8'));
  assert.equal(readJournal(join(bed.dir, 'journal')).entries.length, entries);
  await bed.restart();
  assert.equal((await inForce()).sha256, current.sha256);
  await apply(next);
});

test('a version that goes back or skips, and one of the past with its old approvals, is refused', async () => {
  const old = await inForce();
  const oldApprovals = readFileSync(stepApprovalsPath(bed.dir, old.policy.version), 'utf8');
  const next = await change(() => {});
  await assert.rejects(apply(old, oldApprovals), { code: 'policy.version-used' });
  const far = successor(next, (policy) => {
    policy.version += 1;
  });
  await assert.rejects(apply(far), { code: 'policy.version-skips' });
});

test('the same change asked for again, for its answer was lost, is answered and not made twice', async () => {
  const next = successor(await inForce());
  const approvals = await parties.approvals([await inForce(), next], bed.clock.now());
  const first = await apply(next, approvals);
  bed.clock.advance(30 * DAY);
  assert.deepEqual(await apply(next, approvals), first);
  const { steps } = await bed.client.policyHistory();
  assert.equal(steps.filter(({ sha256 }) => sha256 === next.sha256).length, 1);
});

test('TEST-KEY-25 a policy that forbids the custody of the keys that keyd holds is refused: it could not start again', async () => {
  const current = await inForce();
  const hardware = successor(current, (policy) => {
    Object.assign(custodyOf(policy, 'log'), { allowed: ['pkcs11'], fips140: 3 });
  });
  await assert.rejects(apply(hardware), { code: 'policy.custody-unmet', field: "custody of 'log'" });
  const validated = successor(current, (policy) => {
    Object.assign(custodyOf(policy, 'server-ca'), { fips140: 1 });
  });
  await assert.rejects(apply(validated), { code: 'policy.custody-unmet' });
  assert.equal((await inForce()).sha256, current.sha256);
});

test('a clock that went back changes no policy', async () => {
  // So that keyd has signed at this time.
  await change(() => {});
  const next = successor(await inForce());
  const approvals = await parties.approvals([await inForce(), next], bed.clock.now());
  const now = bed.clock.now();
  bed.clock.set(new Date(now.getTime() - 60_000));
  await assert.rejects(apply(next, approvals), { code: 'clock.went-back' });
  bed.clock.set(now);
  await apply(next, approvals);
});

test('what is under way ends by the old policy, what comes after goes by the new one, and nothing is lost', async () => {
  const one = await device();
  const next = successor(await inForce(), (policy) => {
    profileOf(policy, 'ldevid').validity.seconds = 50;
  });
  const life = ({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }) =>
    (notAfter.getTime() - notBefore.getTime()) / 1000;
  const wave = () => Promise.all(Array.from({ length: 20 }, () => bed.enrol(one.id, one.certificate)));
  const approvals = await parties.approvals([await inForce(), next], bed.clock.now());
  const before = wave();
  const changed = apply(next, approvals);
  const amid = wave();
  const lives = [...(await before), ...(await amid)].map(life);
  await changed;
  assert.ok(
    lives.every((each) => each === 60 || each === 50),
    String(lives),
  );
  assert.deepEqual([...new Set((await wave()).map(life))], [50]);
});

test('a crash before the journal leaves the old policy, one after it the new one, and trust/policy.json follows', async () => {
  const { layout } = bed.rehearsal;
  const old = await inForce();
  const next = successor(old);
  const approvals = await parties.approvals([old, next], bed.clock.now());
  await bed.stop();
  // Files without an entry in the journal: keyd was killed between them.
  writeFileSync(stepPolicyPath(bed.dir, next.policy.version), next.bytes);
  writeFileSync(stepApprovalsPath(bed.dir, next.policy.version), 'half a fi');
  await bed.start();
  assert.equal((await inForce()).sha256, old.sha256);
  await apply(next, approvals);
  await bed.stop();
  // An entry, and the published copy of before.
  writeFileSync(layout.policy, old.bytes);
  await bed.start();
  assert.equal((await inForce()).sha256, next.sha256);
  assert.equal(published(), Buffer.from(next.bytes).toString('utf8'));
});

test('TEST-KEY-23 forged, altered, missing and set-back files of the chain stop keyd with the file named', async () => {
  const { layout } = bed.rehearsal;
  const current = await inForce();
  const { version } = current.policy;
  await bed.stop();
  const weaker = successor({ ...current, policy: { ...current.policy, version: version - 1 } }, (policy) => {
    policy.tickets.maxQuota = 9_999_999;
  });
  const spoil = async (path: string, put: Uint8Array | string | undefined, code: string): Promise<void> => {
    const kept = `${path}.kept`;
    copyFileSync(path, kept);
    if (put === undefined) rmSync(path);
    else writeFileSync(path, put);
    await assert.rejects(bed.start(), (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error && 'field' in error);
      assert.deepEqual([error.code, error.field], [code, path]);
      return true;
    });
    copyFileSync(kept, path);
    rmSync(kept);
  };
  await spoil(stepPolicyPath(bed.dir, version), weaker.bytes, 'policy.chain-broken');
  await spoil(stepPolicyPath(bed.dir, version), undefined, 'policy.chain-broken');
  await spoil(stepApprovalsPath(bed.dir, 2), '{"v":1,"statements":[]}\n', 'policy.chain-broken');
  await spoil(join(bed.dir, 'policies', 'founding.json'), weaker.bytes, 'bundle.policy-differs');
  await spoil(layout.policy, weaker.bytes, 'bundle.policy-differs');
  // Even with the hash in the journal: the signatures are of another policy.
  const journal = join(bed.dir, 'journal');
  const forged = readFileSync(journal, 'utf8').replaceAll(current.sha256, weaker.sha256);
  copyFileSync(journal, `${journal}.kept`);
  writeFileSync(journal, forged);
  await spoil(stepPolicyPath(bed.dir, version), weaker.bytes, 'policy.chain-broken');
  copyFileSync(`${journal}.kept`, journal);
  await bed.start();
  assert.equal((await inForce()).sha256, current.sha256);
});

test('a full disk, or another reason that the journal cannot be written, leaves the old policy in force', async () => {
  const current = await inForce();
  const failing = mock.method(Journal.prototype, 'append', () =>
    Promise.reject(new KeysteadError('keyd.journal-failed', { field: 'journal', seen: 'ENOSPC' })),
  );
  const next = successor(current);
  const approvals = await parties.approvals([current, next], bed.clock.now());
  await assert.rejects(apply(next, approvals), { code: 'keyd.journal-failed' });
  failing.mock.restore();
  assert.equal((await inForce()).sha256, current.sha256);
  assert.equal(published(), Buffer.from(current.bytes).toString('utf8'));
  await apply(next, approvals);
  assert.ok(existsSync(stepPolicyPath(bed.dir, next.policy.version)));
});
