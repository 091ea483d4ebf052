import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { systemClock } from '../../clock/system.ts';
import {
  type CounterConfig,
  type Keystore,
  type MonotonicCounter,
  makeTokenCounter,
  makeTpm2Counter,
  openCounter,
  openKeystore,
  writeCounterConfig,
  writeKeystoreConfig,
} from '../../keystore/index.ts';
import { SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { COUNT_PASSPHRASE, CountedJournal, countPassphrase } from './counted-journal.ts';

const POINTS = ['before the journal', 'before the counter', 'after the counter'] as const;
const root = mkdtempSync(join(tmpdir(), 'keystead-killed-count-'));
const program = new URL('./killed-count.ts', import.meta.url).pathname;
let swtpm: Swtpm;
let hsm: SoftHsm;
let keystore: Keystore;
before(async () => {
  swtpm = await Swtpm.start();
  hsm = new SoftHsm();
  hsm.addToken('keyd', COUNT_PASSPHRASE);
  using secret = countPassphrase();
  keystore = await openKeystore(hsm.config({ token: { label: 'keyd' } }), secret, systemClock);
});
after(async () => {
  keystore.close();
  await swtpm.stop();
  hsm.remove();
  rmSync(root, { recursive: true });
});

let made = 0;
const make: Readonly<Record<CounterConfig['make'], () => Promise<CounterConfig>>> = {
  tpm2: () => {
    using secret = countPassphrase();
    return makeTpm2Counter({ tpm: swtpm.address, index: 0x01800300 + 2 * made }, secret);
  },
  pkcs11: () => makeTokenCounter(keystore, `units-${made}`),
};

/** Runs the program until it kills itself. Returns the units that were given out. */
const killed = (dir: string, point: string): Promise<number[]> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [program, dir, point], (error, stdout, stderr) => {
      if (error?.signal !== 'SIGKILL') reject(new Error(`it was not killed: ${stderr}`));
      else resolve(stdout.trim().split('\n').map(Number));
    });
  });

async function directory(
  config: () => Promise<CounterConfig>,
): Promise<{ dir: string; config: CounterConfig; counter: MonotonicCounter }> {
  made += 1;
  const dir = join(root, String(made));
  mkdirSync(dir);
  writeKeystoreConfig(dir, hsm.config({ token: { label: 'keyd' } }));
  const counting = await config();
  writeCounterConfig(dir, counting);
  using secret = countPassphrase();
  return { dir, config: counting, counter: await openCounter(counting, keystore, secret) };
}

for (const kind of ['tpm2', 'pkcs11'] as const) {
  for (const point of POINTS) {
    test(`TEST-KEY-13 killed ${point} has its step, a journal on a ${kind} counter goes on and gives no unit twice`, async () => {
      const { dir, config, counter } = await directory(async () => make[kind]());
      assert.deepEqual(await killed(dir, point), [1, 2]);
      const opened = await CountedJournal.open(join(dir, 'journal'), counter, config.base);
      assert.equal(opened.count.report.state, 'level');
      const written = point === 'before the journal' ? 2 : 3;
      assert.equal(opened.units, written);
      assert.equal((await counter.read()).value, config.base + written);
      assert.equal(await opened.take(), written + 1);
      await opened.close();
      await counter.close();
    });
  }

  test(`TEST-KEY-13 of two journals on one ${kind} counter one goes on at most, and each is told of the other`, async () => {
    const { dir, config, counter } = await directory(async () => make[kind]());
    const both = await Promise.all(
      ['journal', 'copy'].map((name) => CountedJournal.open(join(dir, name), counter, config.base)),
    );
    const given: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await Promise.allSettled(both.map((one) => one.take().then((number) => given.push(number))));
    }
    assert.ok(given.length <= 1, String(given));
    assert.ok(both.some(({ count }) => count.report.state === 'rolled-back'));
    for (const one of both) await one.close();
    await counter.close();
  });
}

test('a counter on a token is a data object that pkcs11-tool shows, is made once, and is never found lower [pkcs11-tool: PKCS11 list-objects]', async () => {
  const { config, counter } = await directory(async () => make.pkcs11());
  assert.ok(config.make === 'pkcs11');
  await assert.rejects(makeTokenCounter(keystore, config.label), { code: 'counter.exists' });
  await counter.raise(0, 'a1'.repeat(16));
  await counter.raise(1, 'a2'.repeat(16));
  assert.deepEqual(await counter.read(), { value: 2, mark: 'a2'.repeat(16) });
  // A step that was asked for again, for its answer was lost, is the same step.
  await counter.raise(1, 'a2'.repeat(16));
  assert.equal((await counter.read()).value, 2);
  const { text } = hsm.tool('keyd', '--pin', COUNT_PASSPHRASE, '--list-objects', '--type', 'data');
  assert.equal(text.match(new RegExp(`label: +'${config.label}'`, 'g'))?.length, 1, text);
  await assert.rejects(counter.raise(1, 'a3'.repeat(16)), { code: 'counter.moved' });
  assert.ok((await counter.read()).value > 2);
});
