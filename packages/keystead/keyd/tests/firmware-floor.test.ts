import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FirmwareBed, type FirmwarePerson, type OrderParts, registerTestFormat } from './firmware-bed.ts';

let bed: FirmwareBed;
let unregister: () => void;
before(async () => {
  unregister = registerTestFormat();
  bed = await FirmwareBed.make();
});
after(async () => {
  await bed.keyd.remove();
  unregister();
});

async function refused(code: string, parts: OrderParts, by: readonly FirmwarePerson[] = ['amy']): Promise<void> {
  const journal = (): string => readFileSync(join(bed.keyd.dir, 'journal'), 'utf8');
  const found = journal();
  await assert.rejects(bed.sign(parts, by), { code });
  assert.equal(journal(), found);
}

const RESTORED = {
  ...{ kind: 'restored', backupId: '00', manifestSha256: '00', custodians: ['cus'] },
  ...{ acceptedLoss: false, crlNumbers: {}, refused: [] },
} as const;

/** What a restore from a backup leaves at the end of keyd's journal; a quorum brings the key back that it suspends. */
async function restore(used?: { orders: number; signature: null } | null): Promise<void> {
  await bed.keyd.stop();
  const path = join(bed.keyd.dir, 'journal');
  const n = readFileSync(path, 'utf8').trimEnd().split('\n').length + 1;
  bed.keyd.clock.advance(1);
  const time = bed.keyd.clock.now().toISOString();
  const log = { backup: 0, restored: 0, newestSeen: 0 };
  appendFileSync(path, `${JSON.stringify({ n, ...RESTORED, time, log })}\n`);
  await bed.keyd.start();
  bed.keyd.clock.advance(2);
  await refused('key.use-forbidden', { version: '9.0.0', securityCounter: 9, rollback: true }, ['amy', 'ben']);
  const said = used === undefined ? {} : { used };
  const statements = await bed.keyStatements('pump-1', 'resume', ['pia'], said);
  await bed.keyd.client.orderFirmwareKey({ statements, requestId: 'resume' });
}

test('after a restore nobody knows how high the versions stood: the first production order of a target takes the quorum that may go back, and is the floor then', async () => {
  await bed.sign({ version: '2.0.0', securityCounter: 2 });
  await restore();
  // Of a target that the backup knows, and of one that it may have forgotten wholly.
  for (const target of ['main', 'gateway']) {
    const parts = { version: '2.1.0', securityCounter: 2, target };
    await refused('firmware-order.floor-unknown', parts);
    await refused('firmware-order.too-few', { ...parts, rollback: true });
    await bed.sign({ ...parts, rollback: true }, ['amy', 'ben']);
    await refused('firmware-order.rollback', { ...parts, version: '2.0.9' });
    await bed.sign({ ...parts, version: '2.1.1' });
  }
  await bed.keyd.restart();
  await bed.sign({ version: '2.1.2', securityCounter: 2, target: 'gateway' });
  await refused('firmware-order.floor-unknown', { version: '2.1.2', securityCounter: 2, target: 'third' });
  await bed.sign({ version: '0.1.0', environment: 'development' });
});

test('another restore makes the floor unknown again', async () => {
  await restore();
  await refused('firmware-order.floor-unknown', { version: '3.0.0', securityCounter: 3 });
});

test('an order that the backup knows as taken and not signed takes that quorum too, by statements of after the restore', async () => {
  const parts = { version: '4.0.0', securityCounter: 4, rollback: true, target: 'taken' };
  await bed.sign(parts, ['amy', 'ben']);
  const { order, subject } = bed.order({ ...parts, version: '4.0.1', rollback: false });
  const statements = () => Promise.all((['rel', 'amy'] as const).map((who) => bed.statement(who, order)));
  const asked = async () => ({ statements: await statements(), subject, requestId: 'taken' });
  await bed.keyd.client.signFirmware(await asked());
  await bed.keyd.stop();
  const path = join(bed.keyd.dir, 'journal');
  const kept = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.match(kept.pop() ?? '', /"firmware-stamp"/);
  assert.match(kept.pop() ?? '', /"firmware-signature"/);
  writeFileSync(path, `${kept.join('\n')}\n`);
  await bed.keyd.start();
  await restore();
  await assert.rejects(bed.keyd.client.signFirmware(await asked()), { code: 'firmware-order.floor-unknown' });
});

test('after a restore a key that the policy bounds waits for a quorum that says how often it was used, which keyd never lowers', async () => {
  const counts = async () => {
    const key = (await bed.keyd.client.firmwareKeys()).keys.find(({ id }) => id === 'pump-1');
    return { orders: key?.orders ?? 0, refused: key?.refused ?? null };
  };
  const { orders } = await counts();
  assert.ok(orders > 0);
  // Nobody who brings it back says anything: it stays suspended.
  await assert.rejects(restore(null), { code: 'firmware-key.uses-unknown' });
  assert.match((await counts()).refused ?? '', /suspended/);
  const most = orders + 50;
  await bed.change(({ firmware }) => {
    const key = firmware?.keys.find(({ id }) => id === 'pump-1');
    if (key !== undefined) key.maxSignatures = most;
  });
  await restore({ orders: most - 1, signature: null });
  assert.deepEqual(await counts(), { orders: most - 1, refused: null });
  await bed.keyd.restart();
  assert.equal((await counts()).orders, most - 1, 'it is in the journal');
  const parts = { version: '8.0.0', securityCounter: 8, target: 'counted', rollback: true };
  await bed.sign(parts, ['amy', 'ben']);
  await refused('firmware-key.exhausted', { ...parts, version: '8.0.1' }, ['amy', 'ben']);
  // A lower number than keyd knows by itself lowers nothing.
  await restore({ orders: 0, signature: null });
  await bed.keyd.restart();
  assert.equal((await counts()).orders, most);
  await refused('firmware-key.exhausted', { ...parts, version: '8.0.1' }, ['amy', 'ben']);
});
