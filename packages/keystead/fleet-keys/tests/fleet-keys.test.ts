import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { FleetKeyPolicy } from '@keystead/core/lifecycle';
import { appendAudit } from '../../audit/index.ts';
import { DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { coveredBy, FleetKeys, lookForSharedFactors, type WeakPair } from '../index.ts';
import { halfPrime, rsaWithPrimes } from './rsa-with-primes.ts';

/** A factory whose machines share a bad generator: some units draw a prime that another unit has. */
let bed: DomainBed;
const primes = Array.from({ length: 7 }, halfPrime);
const key = (one: number, two: number) => rsaWithPrimes(primes[one] ?? 0n, primes[two] ?? 0n);
let broken: string[];

before(async () => {
  bed = await DomainBed.make();
  await bed.device('KS-0011', makeKey());
  await bed.device('KS-0001', key(0, 1));
  await bed.device('KS-0002', key(2, 3));
  await bed.device('KS-0012', makeKey('Ed25519'));
  await bed.device('KS-0003', key(4, 1));
  broken = ['device:KS-0001', 'device:KS-0003'];
});
after(() => bed.remove());

const directory = (name: string): string => join(bed.keyd.rehearsal.layout.data, name);

function fleetKeys(name: string, onSharedFactor: FleetKeyPolicy['onSharedFactor']): FleetKeys {
  return new FleetKeys({
    store: bed.store,
    authority: bed.authority,
    clock: bed.clock,
    audit: (tx, event) => appendAudit(tx, event, bed.clock),
    database: bed.keyd.rehearsal.layout.database,
    directory: directory(name),
    policy: () => ({ fleetKeys: { everySeconds: 600, onSharedFactor } }),
    group: 2,
  });
}

const reported = () =>
  bed.entries('key.shared-factor').map(({ subject }) => [subject.owner, subject.other].map(String).sort());
const standing = (device: string) =>
  bed.store.read((records) => records.certificatesOfDevice(device)).map(({ status }) => status);

test('TEST-KEY-19 two units that drew the same prime are found, once, and both are named in the log; by default nothing else happens', async () => {
  const keys = fleetKeys('look', 'report');
  await keys.look();
  assert.deepEqual(reported(), [broken]);
  const [entry] = bed.entries('key.shared-factor');
  assert.equal(entry?.detail?.act, 'report');
  // The factor is the private key of both, and the log is published.
  const shared = (primes[1] ?? 0n).toString(16);
  assert.ok(!JSON.stringify(bed.entries()).includes(shared));
  assert.deepEqual(standing('KS-0001'), ['good']);
  await keys.look();
  assert.equal(reported().length, 1);
});

test('a look is due when the log has grown and the time has passed, and not before', async () => {
  const keys = fleetKeys('due', 'report');
  await keys.tick();
  await keys.look();
  const { cursor } = coveredBy(directory('due')) ?? { cursor: 0 };
  assert.equal(cursor, bed.counts().entries);
  await bed.device('KS-0013', makeKey());
  await keys.tick();
  await keys.close();
  assert.equal(coveredBy(directory('due'))?.cursor, cursor, 'ten minutes have not passed');
});

test('TEST-KEY-19 a unit that comes later is compared with all that were looked at, also with one that is revoked since', async () => {
  await bed.authority.revoke({
    selector: { deviceId: 'KS-0002' },
    reason: 'keyCompromise',
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'stolen',
  });
  const keys = fleetKeys('look', 'report');
  const before = coveredBy(directory('look'));
  await bed.device('KS-0004', key(3, 5));
  await keys.look();
  assert.deepEqual(reported(), [broken, ['device:KS-0002', 'device:KS-0004']]);
  assert.equal(coveredBy(directory('look'))?.keys, (before?.keys ?? 0) + 1);
});

test('where the policy says hold, both keys are on hold; where it says revoke, they are revoked as compromised', async () => {
  await bed.device('KS-0005', key(5, 6));
  await fleetKeys('look', 'hold').look();
  assert.deepEqual([standing('KS-0004'), standing('KS-0005')], [['hold'], ['hold']]);
  assert.deepEqual(standing('KS-0001'), ['good'], 'what was reported before stays with the person to whom it was');
  await bed.device('KS-0006', key(6, 0));
  await fleetKeys('look', 'revoke').look();
  // KS-0001 has the other prime.
  assert.deepEqual(
    [standing('KS-0005'), standing('KS-0006'), standing('KS-0001')],
    [['hold'], ['revoked'], ['revoked']],
  );
  const stopped = bed.entries('certificate.revoked').filter(({ actor }) => actor.id === 'fleet-keys');
  assert.ok(stopped.length >= 2);
});

test('a look that ends before its pairs are taken care of finds them again, and one whose files were changed begins anew', async () => {
  const order = { database: bed.keyd.rehearsal.layout.database, directory: directory('cut'), group: 2 };
  const found: WeakPair[] = [];
  const cut = lookForSharedFactors(order, async (pairs) => {
    if (pairs.length > 0) throw new Error('killed here');
  });
  await assert.rejects(cut, /killed here/);
  const whole = await lookForSharedFactors(order, async (pairs) => {
    found.push(...pairs);
  });
  assert.equal(found.length, 5);
  assert.equal(whole.keys, 6);
  const [file = ''] = readdirSync(order.directory).filter((name) => name !== 'state.json');
  const path = join(order.directory, file);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const again: WeakPair[] = [];
  await lookForSharedFactors(order, async (pairs) => {
    again.push(...pairs);
  });
  assert.deepEqual(again, found);
});
