import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DomainBed } from '../../authority/tests/bed.ts';
import { systemClock } from '../../clock/system.ts';
import { halfPrime, rsaWithPrimes } from '../../fleet-keys/tests/rsa-with-primes.ts';
import { FLEET_KEY_CHECKS } from '../../verify/checks/fleet-keys.ts';

const BIN = fileURLToPath(new URL('../../bin/keystead.mjs', import.meta.url));
let bed: DomainBed;
let data: string;

before(async () => {
  bed = await DomainBed.make();
  data = bed.keyd.rehearsal.layout.data;
});
after(() => bed.remove());

/** Not waited for synchronously: keyd is in this process. */
const checkFleet = (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [BIN, 'keys', 'check-fleet', '--data', data, ...args], (error, stdout, stderr) =>
      resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
    );
  });

const verdict = async () =>
  FLEET_KEY_CHECKS[0]?.run({ layout: bed.keyd.rehearsal.layout, clock: systemClock, httpUrl: '' });

test('TEST-KEY-19 keys check-fleet names both holders of a shared factor, changes nothing and ends with 1; keystead verify fails until they are stopped', async () => {
  const [p, q, r] = [halfPrime(), halfPrime(), halfPrime()];
  await bed.device('KS-0001', rsaWithPrimes(p, q));
  const sound = await checkFleet();
  assert.equal(sound.status, 0, sound.stderr);
  assert.match(sound.stdout, /^1 RSA keys: none shares a factor/);
  assert.equal((await verdict())?.verdict, 'passed');

  await bed.device('KS-0002', rsaWithPrimes(p, r));
  const before = bed.counts();
  const work = join(data, 'look');
  const found = await checkFleet('--work', work);
  assert.equal(found.status, 1, found.stderr);
  assert.match(found.stdout, /device:KS-0002 +device:KS-0001/);
  assert.match(found.stdout, /nothing was changed/);
  // A look that is run again knows what it found.
  const again = await checkFleet('--work', work, '--json');
  assert.equal(again.status, 1);
  const { keys, pairs } = JSON.parse(again.stdout) as { keys: number; pairs: { owner: string; otherOwner: string }[] };
  assert.equal(keys, 2);
  assert.deepEqual(
    pairs.map(({ owner, otherOwner }) => [owner, otherOwner]),
    [['device:KS-0002', 'device:KS-0001']],
  );
  assert.ok(!`${found.stdout}${again.stdout}`.includes(p.toString(16)));
  assert.deepEqual(bed.counts(), before);

  assert.equal((await verdict())?.verdict, 'failed');
  for (const deviceId of ['KS-0001', 'KS-0002']) {
    await bed.authority.revoke({
      selector: { deviceId },
      reason: 'keyCompromise',
      actor: { kind: 'operator', id: 'ada' },
      requestId: 'shared',
    });
  }
  const stopped = await verdict();
  assert.equal(stopped?.verdict, 'passed');
  assert.match(stopped?.evidence ?? '', /1 pairs share one and are stopped/);
});

test('keys check-fleet refuses what is no number of keys and no act', async () => {
  assert.equal((await checkFleet('--group', '0')).status, 2);
  assert.equal((await checkFleet('--group', '200000')).status, 2);
  assert.equal((await checkFleet('--act', 'report')).status, 2);
});
