import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseEntry } from '../../audit/index.ts';
import { StoreBed } from '../../store/tests/bed.ts';
import { actsOver, fillBatch, TICKET } from './large-batch.ts';

const UNITS = 1200;
const SCRIPT = fileURLToPath(new URL('./killed-revocation.ts', import.meta.url));

/** Runs the revocation in a process of its own and kills it with SIGKILL once this many certificates have changed. */
function killAfter(path: string, changes: number): Promise<string> {
  const child = spawn(process.execPath, [SCRIPT, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  return new Promise((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      if (said.length >= changes) child.kill('SIGKILL');
    });
    child.on('close', () => resolve(said));
  });
}

test('TEST-KEY-08 TEST-KEY-17 a batch that is half revoked when everything is killed is finished at the next start, and no certificate has two entries', async (t) => {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  await fillBatch(bed.store, UNITS);
  await bed.close();
  const said = await killAfter(bed.path, 300);
  assert.doesNotMatch(said, /done/, 'it was killed on the way');

  const store = bed.open();
  const [act] = store.read((records) => records.revocationActs('running', 10));
  assert.ok(act !== undefined && act.certificates > 0 && act.certificates < 2 * UNITS, `${act?.certificates}`);
  // What was said to have changed had been durable before.
  assert.ok(act.certificates >= said.length, `${act.certificates} of ${said.length}`);
  const { acts, published } = actsOver(store);
  await acts.resume();
  const view = acts.show(act.id);
  assert.deepEqual([view.state, view.certificates, view.devices], ['done', 2 * UNITS, UNITS]);
  assert.deepEqual(published.sort(), ['manufacturing', 'operational']);

  const entries = store.read((records) => records.auditEntries(0, 1_000_000)).map(({ bytes }) => parseEntry(bytes));
  const serials = entries.filter(({ type }) => type === 'certificate.revoked').map(({ subject }) => subject.serial);
  assert.equal(serials.length, 2 * UNITS);
  assert.equal(new Set(serials).size, 2 * UNITS);
  assert.equal(entries.filter(({ type }) => type === 'revocation.done').length, 1);
  const left = store
    .read((records) => records.unitsOfBatch(TICKET, '', UNITS))
    .filter(({ state }) => state !== 'stolen');
  assert.deepEqual(left, []);
  await acts.resume();
  assert.equal(
    store.read((records) => records.auditSize()),
    entries.length,
    'a second start does nothing more',
  );
});
