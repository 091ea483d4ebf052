import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { PERMISSIONS, type Permission, permits } from '@keystead/core/lifecycle';
import { appendAudit } from '../../audit/index.ts';
import { codeOf, csrFor, DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { type AppendAudit, RefusalLog } from '../index.ts';

let bed: DomainBed;
let other: DomainBed;
before(async () => {
  [bed, other] = await Promise.all([DomainBed.make(), DomainBed.make()]);
});
after(() => Promise.all([bed.remove(), other.remove()]));
// The next second: refusals of strangers are audited one by one only so often in each.
beforeEach(() => bed.clock.advance(1));

const asked = { requestId: 'r-1', what: 'enrol' };
const identify = (certificate: Uint8Array | undefined) => bed.access.identify(certificate, asked);

async function refused(code: string, certificate: Uint8Array | undefined): Promise<void> {
  const { entries } = bed.counts();
  await assert.rejects(identify(certificate), (error: unknown) => {
    assert.ok(error instanceof KeysteadError);
    assert.equal(error.code, code);
    assert.equal(error.kind, 'unauthenticated');
    return true;
  });
  assert.equal(bed.counts().entries, entries + 1);
  const entry = bed.entries().at(-1);
  assert.equal(entry?.detail?.code, code);
  assert.equal(entry?.actor.kind, 'anonymous');
}

test('a certificate that is missing, unreadable, foreign, expired, revoked or unrecorded is refused and audited', async () => {
  const device = await bed.device('KS-0001');
  const issued = await bed.enrol(device);
  assert.equal((await identify(issued.certificate)).id, 'KS-0001');
  await refused('client.certificate-missing', undefined);
  await refused('client.certificate-malformed', new Uint8Array([1, 2, 3]));
  const foreign = await other.device('KS-0001');
  await refused('client.certificate-foreign', foreign.idevid);

  // keyd signed it, and it never came into the records.
  const csr = await csrFor(device.id, makeKey());
  const requester = { kind: 'device', id: device.id, certificate: device.idevid } as const;
  const unrecorded = await bed.keyd.client.issue({ profile: 'ldevid', csr, requester, requestId: 'u' });
  await refused('client.certificate-unknown', unrecorded.certificate);

  bed.clock.advance(1);
  const actor = { kind: 'operator', id: 'ada' } as const;
  const selector = { serial: issued.serial };
  await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'x' });
  await refused('client.certificate-revoked', issued.certificate);
  assert.equal(bed.entries().at(-1)?.subject.device, 'KS-0001', 'who came back');
  const next = await bed.enrol(device);
  bed.clock.advance(91);
  await refused('client.certificate-expired', next.certificate);
});

test('a certificate of our CA with one bit changed is foreign', async () => {
  const device = await bed.device('KS-0002');
  const forged = Uint8Array.from(device.idevid) as DerCertificate;
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  await refused('client.certificate-foreign', forged);
  assert.equal(bed.entries().at(-1)?.subject.device, undefined, 'a stranger is nobody');
});

test('a certificate without any name is foreign, and audited', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'keystead-nameless-'));
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/'];
  execFileSync('openssl', [...args, '-keyout', 'key.pem', '-outform', 'DER', '-out', 'cert.der'], {
    cwd: dir,
    stdio: 'pipe',
  });
  const nameless = new Uint8Array(readFileSync(join(dir, 'cert.der')));
  rmSync(dir, { recursive: true });
  await refused('client.certificate-foreign', nameless);
});

test('a server certificate is not one of a client', async () => {
  const csr = await csrFor('localhost', makeKey());
  const actor = { kind: 'system', id: 'serve' } as const;
  const server = await bed.authority.serverCertificate({ hosts: ['localhost'], csr, requestId: 's', actor });
  await refused('client.certificate-unsuitable', server.certificate);
});

test('each role may do what the table of permissions says, and no more; each refusal is audited', async () => {
  for (const name of ['ada', 'lin', 'aud'] as const) {
    const client = await bed.operator(name);
    for (const permission of Object.keys(PERMISSIONS) as Permission[]) {
      const { entries } = bed.counts();
      const allowed = permits(client.roles, permission);
      assert.equal(
        await codeOf(bed.access.authorise(client, permission, { ...asked, what: permission })),
        allowed ? 'nothing was thrown' : 'access.forbidden',
      );
      assert.equal(bed.counts().entries, entries + (allowed ? 0 : 1));
      if (!allowed) assert.equal(bed.entries().at(-1)?.actor.id, name);
    }
  }
});

test('a device holds no permission', async () => {
  const { client } = await bed.device('KS-0003');
  for (const permission of Object.keys(PERMISSIONS) as Permission[]) {
    assert.equal(await codeOf(bed.access.authorise(client, permission, asked)), 'access.forbidden');
  }
});

test('a flood of strangers fills a few entries each second, and one tells how many more there were', async () => {
  const clock = new SimulatedClock(bed.clock.now());
  const audit: AppendAudit = (tx, event) => appendAudit(tx, event, bed.clock);
  const refusals = new RefusalLog({ store: bed.store, audit, clock, anonymousPerSecond: 3 });
  const { entries } = bed.counts();
  const error = new KeysteadError('client.certificate-missing');
  const actor = { kind: 'anonymous', id: 'unknown' } as const;
  await Promise.all(
    Array.from({ length: 1000 }, (_, index) =>
      refusals.refused({ what: 'enrol', error, actor, requestId: `f${index}` }),
    ),
  );
  assert.equal(bed.counts().entries, entries + 3);
  await refusals.flush();
  assert.equal(bed.counts().entries, entries + 4);
  const last = bed.entries().at(-1);
  assert.equal(last?.type, 'request.refused-many');
  assert.equal(last?.subject.count, 997);
  assert.deepEqual(last?.detail, { 'client.certificate-missing': 997 });
  clock.advance(1);
  await refusals.refused({ what: 'enrol', error, actor, requestId: 'later' });
  assert.equal(bed.counts().entries, entries + 5);
});

test('a device that floods with what is refused fills a few entries, one tells how many more there were, and no other is counted with it', async () => {
  const flooding = await bed.device('KS-0004');
  const other = await bed.device('KS-0005');
  bed.clock.advance(1);
  const { entries } = bed.counts();
  for (let i = 0; i < 200; i += 1) {
    assert.equal(await codeOf(bed.access.authorise(flooding.client, 'device.read', asked)), 'access.forbidden');
  }
  assert.equal(bed.counts().entries, entries + 20);
  assert.equal(await codeOf(bed.access.authorise(other.client, 'device.read', asked)), 'access.forbidden');
  assert.equal(bed.entries().at(-1)?.actor.id, 'KS-0005');
  await bed.refusals.flush();
  const last = bed.entries().at(-1);
  assert.equal(last?.type, 'request.refused-many');
  assert.deepEqual(last?.actor, { kind: 'device', id: 'KS-0004' });
  assert.equal(last?.subject.count, 180);
});
