import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readChain, type TranscriptLine } from '@keystead/core/lifecycle';
import type { FoundingOptions } from '../options.ts';
import { runCeremony } from '../run.ts';
import type { Answer, CeremonyIo } from '../session.ts';
import { verifyCeremony } from '../verify.ts';
import { Rehearsal } from './rehearsal.ts';

let rehearsal: Rehearsal;
before(async () => {
  rehearsal = await Rehearsal.make();
});
after(() => rehearsal.remove());

const ROOM = {
  administrator: 'Mary Jackson',
  witnesses: ['Ada Lovelace', 'Grace Hopper'],
  custodians: ['Joan Clarke'],
};

/** People who answer as `answer` says; who was asked, and after which step's title. */
function room(answer: (name: string, step: string) => Answer) {
  const asked: [string, string][] = [];
  let step = '';
  const io: CeremonyIo = {
    print(text) {
      step = /^\n(?:REHEARSAL\. )?Step \d+ of \d+\. (.*)/.exec(text)?.[1] ?? step;
    },
    async confirm(name) {
      asked.push([step, name]);
      return answer(name, step);
    },
  };
  return { asked, io };
}

const options = (name: string, more: Partial<FoundingOptions> = {}): FoundingOptions =>
  rehearsal.options({
    unattended: false,
    ...ROOM,
    out: join(rehearsal.dir, `${name}-out`),
    offline: join(rehearsal.dir, `${name}-safe`),
    ...more,
  });

const confirmed = (lines: TranscriptLine[]) => lines.filter(({ step }) => step === 'confirmed');

test('TEST-KEY-02 each named person confirms by name, and the transcript has each name with its time', async () => {
  const { asked, io } = room(() => 'yes');
  const given = options('attended');
  await runCeremony(given, io);
  const lines = readChain(readFileSync(join(given.out, 'transcript.jsonl')));
  assert.deepEqual(lines[0]?.detail.custodians, ['Joan Clarke']);
  for (const { time, detail } of confirmed(lines)) {
    const by = detail.by as Record<string, string>;
    assert.deepEqual(Object.keys(by), detail.critical ? [ROOM.administrator, ...ROOM.witnesses] : [ROOM.administrator]);
    for (const at of Object.values(by)) assert.ok(at <= time && !Number.isNaN(Date.parse(at)));
    const here = asked.filter(([step]) => step === detail.title).map(([, name]) => name);
    assert.deepEqual(here, Object.keys(by));
  }
  const critical = confirmed(lines).filter(({ detail }) => detail.critical === true);
  assert.deepEqual(
    critical.map(({ detail }) => detail.title),
    ['Inputs', 'Key of the root CA', 'Key of the signing root', 'Transcript'],
  );
  assert.deepEqual(
    verifyCeremony(given.out).filter(({ verdict }) => verdict === 'failed'),
    [],
  );
});

test('the transcript holds the words that were read aloud, as they were shown', async () => {
  const lines = readChain(readFileSync(join(options('attended').out, 'transcript.jsonl')));
  const shown = confirmed(lines).find(({ detail }) => detail.title === 'Inputs')?.detail.shown;
  assert.ok(Array.isArray(shown));
  const hash = String(lines[0]?.detail.requestSha256);
  const row = shown.find((line) => line.includes(`${hash.slice(0, 4)} ${hash.slice(4, 8)}`));
  assert.match(row ?? '', /^ {2}[0-9a-f]{4} [0-9a-f]{4}( +[A-Za-z]+){4}$/);
});

for (const [answer, how] of [
  ['no', 'says no'],
  ['gone', 'closes the terminal'],
] as const) {
  test(`a witness who ${how} stops the ceremony: the record names who and where, and no key is left`, async () => {
    const { io } = room((name, step) =>
      name === 'Grace Hopper' && step === 'Key of the signing root' ? answer : 'yes',
    );
    const given = options(`stopped-${answer}`);
    await assert.rejects(runCeremony(given, io), {
      code: 'ceremony.stopped',
      field: 'Step 4 of 11. Key of the signing root',
    });
    assert.deepEqual(existsSync(given.offline) ? readdirSync(given.offline) : [], []);
    const [record, ...others] = readdirSync(given.out);
    assert.deepEqual(others, []);
    assert.match(record ?? '', /^stopped-\d{8}T\d{9}Z\.jsonl$/);
    const last = readChain(readFileSync(join(given.out, record ?? ''))).at(-1);
    assert.equal(last?.step, 'stopped');
    assert.equal(last?.detail.stoppedBy, 'Grace Hopper');
    assert.deepEqual(Object.keys(last?.detail.by as object), ['Mary Jackson', 'Ada Lovelace']);
    // The record is none of a finished ceremony, and does not stand in the way of the next.
    assert.equal(verifyCeremony(given.out)[0]?.verdict, 'failed');
    await runCeremony(options(`stopped-${answer}`), room(() => 'yes').io);
  });
}

test('without an administrator the witnesses confirm every step', async () => {
  const { asked, io } = room(() => 'yes');
  await runCeremony(options('witnesses', { administrator: undefined }), io);
  assert.equal(asked.length, 22);
});

test('people have names of their own, in letters that a page and a terminal show', async () => {
  const refused = (more: Partial<FoundingOptions>) =>
    assert.rejects(runCeremony(options('names', more), room(() => 'yes').io), { code: 'ceremony.name-malformed' });
  await refused({ witnesses: ['Ada Lovelace', 'ada lovelace '] });
  await refused({ administrator: 'Ada Lovelace' });
  await refused({ witnesses: ['Ada\u001b[2J'] });
  await refused({ witnesses: ['Ada | Grace'] });
  await refused({ custodians: [''] });
});

test('the policy says how many witnesses there are, and who is alone holds no ceremony by it', async () => {
  const policy = JSON.parse(readFileSync(rehearsal.policyPath, 'utf8')) as {
    quorums: Record<string, { approvals: number }>;
  };
  Object.assign(policy.quorums['ceremony-witnesses'] ?? {}, { approvals: 3 });
  const strict = Buffer.from(`${JSON.stringify(policy, null, 2)}\n`);
  const given = options('few', { policy: strict });
  await assert.rejects(runCeremony(given, room(() => 'yes').io), {
    code: 'ceremony.too-few-witnesses',
    field: 'witness',
    seen: '2, of 3',
  });
  await assert.rejects(runCeremony(options('none', { witnesses: [] }), room(() => 'yes').io), {
    code: 'ceremony.no-witness',
  });
  assert.equal(existsSync(given.out) || existsSync(given.offline), false);
});
