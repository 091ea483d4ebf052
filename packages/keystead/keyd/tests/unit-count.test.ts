import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { type CounterReading, type MonotonicCounter, NO_MARK } from '../../keystore/index.ts';
import type { JournalDraft } from '../journal-entry.ts';
import { readJournal } from '../read-journal.ts';
import { CountedJournal, END_POINTS, EndingCounter, type EndPoint } from './counted-journal.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-unit-count-'));
after(() => rmSync(dir, { recursive: true }));
let files = 0;
const freshPath = (): string => {
  files += 1;
  return join(dir, `journal-${files}`);
};

/** A module with memory of its own: what a TPM does, in the order in which it does it. */
class MemoryCounter implements MonotonicCounter {
  readonly make = 'tpm2';
  readonly name = 'memory';
  value = 41;
  mark = NO_MARK;
  raises = 0;
  within: () => void = () => {};
  away = false;

  async read(): Promise<CounterReading> {
    if (this.away) throw new KeysteadError('tpm2.unavailable', { field: 'tpm' });
    return { value: this.value, mark: this.mark };
  }
  async raise(from: number, mark: string): Promise<void> {
    if (this.away) throw new KeysteadError('tpm2.unavailable', { field: 'tpm' });
    this.raises += 1;
    this.mark = mark;
    this.within();
    this.value += 1;
    if (this.value !== from + 1) throw new KeysteadError('counter.moved', { field: 'counter', seen: `${this.value}` });
  }
  async close(): Promise<void> {}
}

class PowerCut extends Error {}

/** One run: takes `units` units at once, and ends at `end` if that is told. Returns the numbers that were given out. */
async function run(path: string, module: MemoryCounter, units: number, end?: EndPoint): Promise<number[]> {
  const cut = (point: EndPoint): void => {
    if (point === end) throw new PowerCut();
  };
  module.within = () => cut('within the step');
  let opened: CountedJournal;
  try {
    opened = await CountedJournal.open(path, new EndingCounter(module, () => {}), 41);
  } catch (error) {
    // The counter was to be raised to what the run before had written.
    if (error instanceof PowerCut) return [];
    throw error;
  }
  const given: number[] = [];
  const counting = opened.count;
  const cover = counting.cover.bind(counting);
  counting.cover = async (step) => {
    cut('before the counter');
    await cover(step);
    cut('after the counter');
  };
  const next = counting.next.bind(counting);
  counting.next = async () => {
    cut('before the journal');
    return next();
  };
  const taken = Array.from({ length: units }, () => opened.take().then((number) => given.push(number)));
  await Promise.allSettled(taken);
  await opened.close();
  module.within = () => {};
  return given;
}

type Step =
  | { readonly kind: 'run'; readonly units: number; readonly end: EndPoint | undefined }
  | { readonly kind: 'copy' }
  | { readonly kind: 'put back'; readonly which: number };

const ends = fc.option(fc.constantFrom(...END_POINTS), { nil: undefined, freq: 2 });
const aRun = fc.record({ kind: fc.constant('run' as const), units: fc.integer({ min: 0, max: 3 }), end: ends });
const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: aRun },
  { weight: 2, arbitrary: fc.constant({ kind: 'copy' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('put back' as const), which: fc.nat(20) }) },
);

test('TEST-KEY-13 whatever disks are put back, and wherever a run ends, no unit is given out twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 1, maxLength: 14 }), async (steps) => {
      const module = new MemoryCounter();
      const path = freshPath();
      const images: string[] = [];
      const given: number[] = [];
      for (const step of steps) {
        if (step.kind === 'run') given.push(...(await run(path, module, step.units, step.end)));
        else if (step.kind === 'copy' && existsSync(path)) {
          const image = freshPath();
          copyFileSync(path, image);
          images.push(image);
        } else if (step.kind === 'put back') {
          const image = images[step.which % Math.max(1, images.length)];
          if (image !== undefined) copyFileSync(image, path);
          else rmSync(path, { force: true });
        }
      }
      assert.equal(new Set(given).size, given.length, JSON.stringify(given));
    }),
    { numRuns: 150 },
  );
});

test('without a disk that was put back, a run goes on after every end, and no unit is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(aRun, { minLength: 1, maxLength: 8 }), async (runs) => {
      const module = new MemoryCounter();
      const path = freshPath();
      let last = 0;
      for (const { units, end } of runs) {
        const given = await run(path, module, units, end);
        for (const number of given) {
          assert.ok(number > last);
          last = number;
        }
        if (end === undefined) assert.equal(given.length, units);
      }
      const opened = await CountedJournal.open(path, module, 41);
      assert.equal(opened.count.report.state, 'level');
      assert.equal(opened.count.report.journal, module.value);
      assert.ok(opened.units >= last);
      await opened.close();
    }),
    { numRuns: 80 },
  );
});

test('a journal that is behind by a single step is told from one that a crash left', async () => {
  const module = new MemoryCounter();
  const path = freshPath();
  await run(path, module, 1);
  const image = readFileSync(path);
  await run(path, module, 1);
  writeFileSync(path, image);
  const opened = await CountedJournal.open(path, module, 41);
  assert.equal(opened.count.report.state, 'rolled-back');
  await assert.rejects(opened.take(), {
    code: 'keyd.journal-rolled-back',
    seen: 'the counter is at 43, the journal at 42',
  });
  await opened.close();
});

test('a copy of the journal that took the same step is told by the mark of the step', async () => {
  const module = new MemoryCounter();
  const [path, copy] = [freshPath(), freshPath()];
  await run(path, module, 1);
  copyFileSync(path, copy);
  // The copy writes its next step, and its run ends before the counter has it.
  await run(copy, module, 1, 'before the counter');
  assert.deepEqual(await run(path, module, 1), [2]);
  const opened = await CountedJournal.open(copy, module, 41);
  assert.equal(opened.count.report.state, 'rolled-back');
  await assert.rejects(opened.take(), {
    seen: 'the counter is at 43, the journal at 43, with the mark of another journal',
  });
  await opened.close();
});

test('a counter that is behind was changed or cleared; one that the journal never knew is not simply believed', async () => {
  const module = new MemoryCounter();
  const path = freshPath();
  await run(path, module, 2);
  await run(path, module, 2);
  module.value = 7;
  const behind = await CountedJournal.open(path, module, 41);
  await assert.rejects(behind.take(), {
    code: 'keyd.counter-replaced',
    seen: 'the counter is at 7, the journal at 43',
  });
  await behind.close();
  // Units that were taken before there was a counter: nobody knows whether they are all.
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.includes('certificate'));
  const bare = lines.map((line, index) => JSON.stringify({ ...JSON.parse(line), n: index + 1 }));
  writeFileSync(path, `${bare.join('\n')}\n`);
  const untied = await CountedJournal.open(path, module, 7);
  await assert.rejects(untied.take(), {
    code: 'keyd.journal-rolled-back',
    seen: 'the counter is at 7, the journal at none',
  });
  await untied.close();
});

test('a recount holds wherever keyd ends after it: its own step is the last one of the journal', async () => {
  for (const end of [undefined, ...END_POINTS]) {
    const module = new MemoryCounter();
    const path = freshPath();
    await run(path, module, 2);
    const older = `${path}.older`;
    copyFileSync(path, older);
    await run(path, module, 2);
    const opened = await CountedJournal.open(older, new EndingCounter(module, () => {}), 41);
    const { value, mark } = await opened.count.seen();
    const counter = { make: 'tpm2', name: 'memory', value, mark };
    const facts = { orderSha256: '00'.repeat(32), signers: ['ada'], reason: 'a test', requestId: 'r' };
    const goBack = opened.count.goOnFrom({ value, mark });
    const cut = (point: EndPoint): void => {
      if (point === end) throw new PowerCut();
    };
    module.within = () => cut('within the step');
    const cover = opened.count.cover.bind(opened.count);
    opened.count.cover = async (step) => {
      cut('before the counter');
      await cover(step);
    };
    const next = opened.count.next.bind(opened.count);
    opened.count.next = async () => {
      cut('before the journal');
      return next();
    };
    await opened
      .append({ time: '2026-03-01T08:00:00.000Z', kind: 'recount', counter, journal: 42, ...facts })
      .catch(goBack);
    await opened.close();
    module.within = () => {};
    const again = await CountedJournal.open(older, module, 41);
    assert.equal(again.count.report.state, end === 'before the journal' ? 'rolled-back' : 'level', end);
    await again.close();
  }
});

test('an order for firmware takes a step of the counter, so that an older journal, with a lower floor of versions, signs nothing', async () => {
  const draft: JournalDraft = {
    ...{ time: '2026-03-01T08:00:00.000Z', kind: 'firmware-order' as const, order: 'o', orderSha256: '00'.repeat(32) },
    ...{ product: 'pump', environment: 'production' as const, target: 'mcu', version: '2.0.0', securityCounter: 2 },
    ...{
      format: 'cms' as const,
      keys: [{ id: 'pump-1', spkiSha256: '11'.repeat(32) }],
      subjectSha256: '22'.repeat(32),
    },
    ...{ image: { sha256: '33'.repeat(32), bytes: 3 }, documents: [], reason: 'a test', rollback: false },
    ...{ by: 'rel', approvers: ['amy'], requestId: 'r' },
  };
  const module = new MemoryCounter();
  const [path, older] = [freshPath(), freshPath()];
  await run(path, module, 1);
  copyFileSync(path, older);
  const opened = await CountedJournal.open(path, module, 41);
  await opened.append(draft);
  assert.equal(module.value, 43);
  await opened.close();
  const back = await CountedJournal.open(older, module, 41);
  assert.equal(back.count.report.state, 'rolled-back');
  await assert.rejects(back.append(draft), { code: 'keyd.journal-rolled-back' });
  await back.close();
  // One that was taken before there was a counter: whether it was the last, nobody knows.
  const bare = freshPath();
  writeFileSync(bare, `${JSON.stringify({ n: 1, ...draft })}\n`);
  const untied = await CountedJournal.open(bare, module, 43);
  await assert.rejects(untied.append(draft), { code: 'keyd.journal-rolled-back' });
  await untied.close();
});

test('many units at once cost one step of the counter, and the first entry of their group names it', async () => {
  const module = new MemoryCounter();
  const path = freshPath();
  assert.equal((await run(path, module, 40)).length, 40);
  assert.equal(module.raises, 1);
  const [first, ...rest] = readJournal(path).entries;
  assert.ok(first?.kind === 'count');
  assert.deepEqual([first.n, first.value, first.mark, rest.length], [1, 42, module.mark, 40]);
});

test('what takes no unit waits for no counter, and is told of none; units that wait are refused and nothing is lost', async () => {
  const module = new MemoryCounter();
  const path = freshPath();
  const opened = await CountedJournal.open(path, module, 41);
  module.away = true;
  const crl = { time: '2026-03-01T08:00:00.000Z', kind: 'crl', issuer: 'operational', number: 1, revoked: [] } as const;
  const [unit, other] = await Promise.allSettled([opened.take(), opened.append({ ...crl, revoked: [] })]);
  assert.equal(other.status, 'fulfilled');
  assert.ok(unit.status === 'rejected' && unit.reason.code === 'keyd.counter-failed');
  // The second does not even reach the journal: the first is still to be covered.
  await assert.rejects(opened.take(), { code: 'keyd.counter-failed', seen: /tpm2\.unavailable/ });
  await opened.append({ ...crl, number: 2, revoked: [] });
  module.away = false;
  await opened.take();
  assert.equal(opened.count.report.state, 'level');
  const kinds = readJournal(path).entries.map(({ kind }) => kind);
  assert.deepEqual(kinds, ['count', 'certificate', 'crl', 'crl', 'count', 'certificate']);
  await opened.close();
});

test('of two journals on one counter one goes on at most, and neither gives out a unit that the other has', async () => {
  const module = new MemoryCounter();
  const [path, copy] = [freshPath(), freshPath()];
  await run(path, module, 3);
  copyFileSync(path, copy);
  const both = [await CountedJournal.open(path, module, 41), await CountedJournal.open(copy, module, 41)] as const;
  const given: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    await Promise.allSettled(both.map((one) => one.take().then((number) => given.push(number))));
  }
  assert.ok(given.length <= 1, String(given));
  assert.ok(both.some(({ count }) => count.report.state === 'rolled-back'));
  for (const one of both) await one.close();
});
