import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { ONLINE_CAS } from '@keystead/core/lifecycle';
import { readCrl } from '@keystead/core/x509';
import fc from 'fast-check';
import type { KeydClient } from '../../keyd-client/index.ts';
import type { Store } from '../../store/index.ts';
import { csrFor, DomainBed, type Interposed, makeKey, type TestKey } from './bed.ts';

/** The end of the process, at one of the points where it hurts. */
class Crash extends Error {}

/** Counts down at each point; when it is at zero everything ends, there and at every point after. */
let pointsLeft = Number.POSITIVE_INFINITY;
function point(): void {
  pointsLeft -= 1;
  if (pointsLeft < 0) throw new Crash();
}

/** Ends before keyd hears of it, or after it has signed. */
const around =
  <P, R>(call: (params: P) => Promise<R>) =>
  async (params: P): Promise<R> => {
    point();
    const result = await call(params);
    point();
    return result;
  };

const interposed: Interposed = {
  keyd: (client: KeydClient) => ({
    issue: around(client.issue.bind(client)),
    provision: around(client.provision.bind(client)),
    signCrl: around(client.signCrl.bind(client)),
    listRevocations: around(client.listRevocations.bind(client)),
    crlFile: client.crlFile.bind(client),
    signEvidence: around(client.signEvidence.bind(client)),
    journal: client.journal.bind(client),
    status: client.status.bind(client),
    releaseHold: client.releaseHold.bind(client),
    trust: client.trust.bind(client),
  }),
  // Ends before the transaction, or after its COMMIT and before anybody heard of it.
  store: (store: Store) =>
    new Proxy(store, {
      get: (target, name) => {
        if (name === 'commit') return around(target.commit.bind(target));
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
};

let bed: DomainBed;
before(async () => {
  bed = await DomainBed.make(interposed);
  await bed.openBatch();
});
after(() => bed.remove());

/** What was promised: it must be true for ever, whatever ends when. */
interface Acknowledged {
  readonly issued: Serial[];
  readonly revoked: Serial[];
}

interface Unit {
  readonly id: string;
  readonly key: TestKey;
  idevid?: DerCertificate;
}

const operation = fc.record({
  what: fc.constantFrom('enrol', 'enrol', 'enrol', 'renew', 'revoke', 'stolen', 'publish'),
  device: fc.nat(2),
  /** From a pool that is smaller than the number of requests: keys collide. */
  key: fc.nat(5),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const actor = { kind: 'operator', id: 'ada' } as const;
let runs = 0;

async function provision(units: Unit[]): Promise<void> {
  await settle(
    units.map(async (unit) => {
      const order = { ticketId: 'batch-1', deviceId: unit.id, station: 's', operator: 'lin', line: 'line-1' };
      const csr = await csrFor(unit.id, unit.key);
      const done = await bed.provisioning.provisionUnit({ ...order, csr, requestId: `unit-${unit.id}` });
      unit.idevid = done.certificate;
    }),
  );
}

async function perform(run: Operation, unit: Unit, csr: Uint8Array, acknowledged: Acknowledged): Promise<void> {
  const requestId = `${run.what}-${unit.id}-${run.key}`;
  if (unit.idevid === undefined) return;
  if (run.what === 'enrol') {
    const issued = await bed.authority.enrol({ client: await bed.client(unit.idevid), csr, requestId });
    acknowledged.issued.push(issued.serial);
    return;
  }
  const last = bed.store.read((records) =>
    records.certificatesOfDevice(unit.id).findLast(({ profile }) => profile === 'ldevid'),
  );
  if (run.what === 'renew' && last !== undefined) {
    const client = await bed.client(last.der as DerCertificate);
    acknowledged.issued.push((await bed.authority.reenrol({ client, csr, requestId })).serial);
  }
  if (run.what === 'revoke' && last !== undefined) {
    const order = { selector: { serial: last.serial }, reason: 'superseded', actor, requestId } as const;
    acknowledged.revoked.push(...(await bed.authority.revoke(order)).certificates.map(({ serial }) => serial));
  }
  if (run.what === 'stolen') {
    const order = { selector: { deviceId: unit.id }, reason: 'keyCompromise', actor, requestId } as const;
    acknowledged.revoked.push(...(await bed.authority.revoke(order)).certificates.map(({ serial }) => serial));
  }
  if (run.what === 'publish') await bed.authority.publishCrl('operational');
}

/** Waits for all; refusals and the end of the process are expected, anything else is not. */
async function settle(promises: Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) {
    if (outcome.status === 'fulfilled') continue;
    const { reason } = outcome;
    if (!(reason instanceof Crash) && !(reason instanceof KeysteadError)) throw reason;
  }
}

/** Ends the process if it has not ended, and brings it back from what is on disk. */
async function comeBack(): Promise<void> {
  pointsLeft = Number.POSITIVE_INFINITY;
  await bed.restart(interposed);
}

async function checkInvariants(acknowledged: Acknowledged): Promise<void> {
  const name = ({ issuer, serial }: { issuer?: unknown; serial?: unknown }): string => `${issuer} ${serial}`;
  const entries = bed.entries();
  const of = (type: string): string[] =>
    entries.filter((entry) => entry.type === type).map(({ subject }) => name(subject));
  const { certificates: journal } = await bed.keyd.client.journal({ from: 0, limit: 10_000 });
  const rows = bed.store.read((records) => journal.map(({ issuer, serial }) => records.certificate(issuer, serial)));
  const recorded = rows.filter((row) => row !== undefined);

  // Every certificate has exactly one entry of its issue, and every entry its certificate.
  assert.deepEqual(of('certificate.issued').sort(), recorded.map(name).sort());
  assert.equal(recorded.length, bed.counts().certificates);
  // Every signature of keyd is recorded, or abandoned with one entry, never both.
  const lost = journal.filter((_, index) => rows[index] === undefined);
  assert.deepEqual(of('certificate.abandoned').sort(), lost.map(name).sort());
  // Every revocation has exactly one entry, and every entry its revocation.
  const revoked = recorded.filter(({ status }) => status === 'revoked');
  assert.deepEqual(of('certificate.revoked').sort(), revoked.map(name).sort());
  // No key has two certificates.
  assert.equal(new Set(recorded.map(({ spkiSha256 }) => spkiSha256)).size, recorded.length);
  // What was promised is so.
  const serials = new Set(recorded.map(({ serial }) => serial));
  for (const serial of acknowledged.issued) assert.ok(serials.has(serial), `${serial} was acknowledged`);
  const gone = new Set(revoked.map(({ serial }) => serial));
  for (const serial of acknowledged.revoked) assert.ok(gone.has(serial), `${serial} was revoked`);
  // The CRLs list what is revoked or abandoned, and nothing else.
  await Promise.all(ONLINE_CAS.map((role) => bed.authority.publishCrl(role)));
  for (const role of ONLINE_CAS) {
    const listed = [...readCrl(new Uint8Array(readFileSync(bed.crlPath(role)))).entries.keys()];
    const expected = [...revoked, ...lost].filter(({ issuer }) => issuer === role).map(({ serial }) => serial);
    assert.deepEqual(listed.sort(), expected.sort());
  }
  // The audit log has no gap and never goes back in time.
  entries.forEach((entry, index) => {
    assert.equal(entry.seq, index);
    assert.ok(index === 0 || entry.time >= (entries[index - 1]?.time ?? ''));
  });
}

test('whatever is asked for at once and wherever it ends, each certificate has one audit entry and nothing acknowledged is lost', async () => {
  const acknowledged: Acknowledged = { issued: [], revoked: [] };
  const story = fc.record({
    endsProvisioning: fc.nat(14),
    endsWork: fc.nat(70),
    operations: fc.array(operation, { minLength: 4, maxLength: 16 }),
  });
  await fc.assert(
    fc.asyncProperty(story, async ({ endsProvisioning, endsWork, operations }) => {
      const first = runs * 3 + 1;
      runs += 1;
      const units = [0, 1, 2].map((n): Unit => ({ id: `KS-${String(first + n).padStart(4, '0')}`, key: makeKey() }));
      pointsLeft = endsProvisioning;
      await provision(units);
      await comeBack();
      await provision(units);
      for (const { idevid } of units) assert.notEqual(idevid, undefined);

      const keys = Array.from({ length: 6 }, () => makeKey());
      const csrs = new Map<string, Uint8Array>();
      for (const { device, key } of operations) {
        const [unit, pair] = [units[device], keys[key]];
        if (unit !== undefined && pair !== undefined) csrs.set(`${device}/${key}`, await csrFor(unit.id, pair));
      }
      pointsLeft = endsWork;
      await settle(
        operations.map(async (run) => {
          const [unit, csr] = [units[run.device], csrs.get(`${run.device}/${run.key}`)];
          if (unit !== undefined && csr !== undefined) await perform(run, unit, csr, acknowledged);
        }),
      );
      await comeBack();
      bed.clock.advance(1);
      await checkInvariants(acknowledged);
    }),
    // Each run goes on from the one before, so that a failure cannot be made smaller.
    { numRuns: 18, endOnFailure: true },
  );
  assert.ok(acknowledged.issued.length > 0 && acknowledged.revoked.length > 0);
});
