import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Journal } from '../journal.ts';
import type { JournalDraft, JournalEntry } from '../journal-entry.ts';
import { readJournal } from '../read-journal.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-journal-'));
after(() => rmSync(dir, { recursive: true, force: true }));
let files = 0;
const newPath = (): string => {
  files += 1;
  return join(dir, `journal-${files}`);
};
const draft = (requestId: string): JournalDraft => ({
  time: '2026-03-01T08:00:00.000Z',
  kind: 'document',
  document: 'provisioning',
  subject: 'KS-0001',
  sha256: 'ab'.repeat(32),
  requestId,
});

const requestIdOf = (entry: JournalEntry | undefined): string | undefined =>
  entry?.kind === 'document' ? entry.requestId : undefined;

async function openAll(path: string): Promise<{ journal: Journal; seen: JournalEntry[] }> {
  const seen: JournalEntry[] = [];
  return { journal: await Journal.open(path, (entry) => seen.push(entry)), seen };
}

test('what was acknowledged is there at the next start, in order and numbered without gaps', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  await Promise.all(Array.from({ length: 500 }, (_, i) => journal.append(draft(`r${i}`))));
  await journal.append(draft('last'));
  assert.equal(journal.entries, 501);
  await journal.close();
  const { journal: again, seen } = await openAll(path);
  assert.deepEqual(
    seen.map((entry) => entry.n),
    Array.from({ length: 501 }, (_, i) => i + 1),
  );
  assert.equal(requestIdOf(seen.at(-1)), 'last');
  await again.append(draft('more'));
  await again.close();
  assert.equal(readJournal(path).entries.at(-1)?.n, 502);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('what is written and not yet durable is told to nobody: it may still be taken back', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  await journal.append(draft('durable'));
  const { size } = statSync(path);
  const appended = journal.append(draft('under way'));
  // As a write that stands in the file while its fdatasync is still to come.
  appendFileSync(path, `${JSON.stringify({ n: 2, ...draft('under way') })}\n`);
  assert.deepEqual(journal.read(0, 10).entries.map(requestIdOf), ['durable']);
  assert.deepEqual(journal.read(size, 10), { entries: [], next: size, end: true });
  await appended;
  assert.deepEqual(journal.read(size, 10).entries.map(requestIdOf), ['under way']);
  await journal.close();
});

test('a torn last line was never acknowledged and is cut off, wherever it was torn', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  for (const id of ['a', 'b', 'c']) await journal.append(draft(id));
  await journal.close();
  const whole = readFileSync(path);
  const begin = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
  for (let length = begin; length < whole.length; length += 7) {
    writeFileSync(path, whole);
    truncateSync(path, length);
    const { journal: opened, seen } = await openAll(path);
    assert.equal(seen.length, 2);
    await opened.append(draft('d'));
    await opened.close();
    assert.deepEqual(readJournal(path).entries.map(requestIdOf), ['a', 'b', 'd']);
  }
});

test('any other damage stops keyd, and names the entry', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  for (const id of ['a', 'b', 'c']) await journal.append(draft(id));
  await journal.close();
  const whole = readFileSync(path, 'utf8');
  const lines = whole.split('\n');
  const damaged: [string, RegExp][] = [
    [whole.replace('"n":2', '"n":3'), /entry 2/],
    [[lines[0], lines[2], ''].join('\n'), /entry 2/],
    [whole.replace('"requestId":"b"', '"requestId":"b'), /entry 2/],
    [whole.replace('"kind":"document"', '"kind":"other"'), /entry 1/],
    [`${whole}{}\n`, /entry 4/],
  ];
  for (const [text, field] of damaged) {
    writeFileSync(path, text);
    await assert.rejects(openAll(path), (error: { code?: string; field?: string }) => {
      assert.equal(error.code, 'keyd.journal-damaged');
      assert.match(error.field ?? '', field);
      return true;
    });
  }
});

test('it is read in pages, and goes on where the last page ended', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  await Promise.all(Array.from({ length: 25 }, (_, i) => journal.append(draft(`r${i}`))));
  const numbers: number[] = [];
  let from = 0;
  for (let end = false; !end; ) {
    const page = readJournal(path, from, 10);
    numbers.push(...page.entries.map((entry) => entry.n));
    ({ next: from, end } = page);
  }
  assert.equal(numbers.length, 25);
  await journal.append(draft('later'));
  assert.deepEqual(
    readJournal(path, from).entries.map((entry) => entry.n),
    [26],
  );
  assert.throws(() => readJournal(path, 5), { code: 'request.malformed' });
  await journal.close();
});

/** A process whose files may have 2 KiB: the disk that is full. It prints what became of each append. */
const ON_A_SMALL_DISK = `
const { Journal } = await import(process.argv[1]);
const journal = await Journal.open(process.argv[2], () => {});
const draft = (requestId) => ({ ...JSON.parse(process.argv[3]), requestId });
const fate = (id) => journal.append(draft(id)).then(() => 'durable', (error) => error.code + ' ' + error.seen);
console.log(JSON.stringify([
  await fate('a'),
  ...(await Promise.all([fate('b'.repeat(4000)), fate('c')])),
  await fate('d'),
]));
await journal.close();
`;

test('on a full disk an entry is refused, what was written of it is taken back, and a later one is durable again', async () => {
  const path = newPath();
  const module = new URL('../journal.ts', import.meta.url).href;
  const script = `trap '' XFSZ; ulimit -f 2; exec "$0" --input-type=module -e "$1" "$2" "$3" "$4"`;
  const args = [process.execPath, ON_A_SMALL_DISK, module, path, JSON.stringify(draft(''))];
  const out = execFileSync('bash', ['--norc', '-c', script, ...args], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(out), ['durable', 'keyd.journal-failed EFBIG', 'keyd.journal-failed EFBIG', 'durable']);
  const { journal, seen } = await openAll(path);
  assert.deepEqual(seen.map(requestIdOf), ['a', 'd']);
  await journal.close();
});

test('a file that has no end of a line is not read for ever', async () => {
  const path = newPath();
  symlinkSync('/dev/zero', path);
  await assert.rejects(openAll(path), { code: 'keyd.journal-damaged' });
});

test('no bytes at the end of a journal make its reader throw anything but its own error', async () => {
  const path = newPath();
  const { journal } = await openAll(path);
  await journal.append(draft('a'));
  await journal.close();
  const whole = readFileSync(path);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.json().map((text) => Buffer.from(`${text}\n`)),
      ),
      async (tail) => {
        writeFileSync(path, whole);
        appendFileSync(path, tail);
        try {
          const { journal: opened, seen } = await openAll(path);
          assert.equal(seen.length, 1);
          await opened.close();
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'keyd.journal-damaged');
        }
      },
    ),
  );
});
