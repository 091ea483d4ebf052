import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generateSoftwareKey } from '@keystead/core/crypto';
import { readChain } from '@keystead/core/lifecycle';
import type { FoundingOptions } from '../options.ts';
import { runCeremony } from '../run.ts';
import type { Answer } from '../session.ts';
import { verifyCeremony } from '../verify.ts';
import { PASSPHRASE, Rehearsal } from './rehearsal.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
let ceremony: Rehearsal;
before(async () => {
  ceremony = await Rehearsal.make();
});
after(() => ceremony.remove());

const people = { administrator: 'Katherine Johnson', custodians: ['Mary Jackson'], unattended: false };

/** Holds a founding in directories of its own; `answer` speaks for each person at each step. */
async function attended(
  name: string,
  answer: (who: string, step: number) => Answer,
  more: Partial<FoundingOptions> = {},
) {
  const asked: [step: number, who: string][] = [];
  let step = 0;
  const printed: string[] = [];
  const io = {
    print(text: string) {
      printed.push(text);
      step = Number(/Step (\d+) of/.exec(text)?.[1] ?? step);
    },
    async confirm(who: string) {
      asked.push([step, who]);
      return answer(who, step);
    },
  };
  const dirs = { out: join(ceremony.dir, name, 'out'), offline: join(ceremony.dir, name, 'safe') };
  const result = runCeremony(ceremony.options({ ...people, ...dirs, ...more }), io);
  await result.catch(() => {});
  return { result, asked, printed, ...dirs };
}

test('TEST-KEY-02 the administrator confirms every step, every witness each critical one, by name and time in the transcript', async () => {
  const { result, asked, out } = await attended('named', () => 'yes');
  await result;
  const all = ['Katherine Johnson', 'Ada Lovelace', 'Grace Hopper'];
  const critical = [2, 3, 4, 10];
  for (let step = 1; step <= 10; step += 1) {
    const here = asked.filter(([at]) => at === step).map(([, who]) => who);
    assert.deepEqual(here, critical.includes(step) ? all : all.slice(0, 1), `step ${step}`);
  }
  const lines = readChain(readFileSync(join(out, 'transcript.jsonl')));
  const inputs = lines.find(({ detail }) => detail.script === '2 of 10');
  assert.deepEqual(Object.keys(inputs?.detail.by ?? {}), all);
  for (const time of Object.values((inputs?.detail.by ?? {}) as Record<string, string>))
    assert.ok(Date.parse(time) > 0);
  const shown = (inputs?.detail.shown ?? []) as string[];
  assert.ok(shown.some((line) => line.startsWith('SHA-256 of request.json')));
  const [begin] = lines;
  assert.equal(begin?.detail.administrator, 'Katherine Johnson');
  assert.deepEqual(begin?.detail.custodians, ['Mary Jackson']);
  const proven = verifyCeremony(out);
  assert.deepEqual(
    proven.filter(({ verdict }) => verdict === 'failed'),
    [],
  );
  assert.match(
    proven.find(({ check }) => check === 'people')?.evidence ?? '',
    /Ada Lovelace, Grace Hopper; each confirmed/,
  );
});

test('without an administrator every witness confirms every step', async () => {
  const { asked } = await attended('witnesses', () => 'yes', { administrator: undefined });
  assert.equal(asked.length, 20);
});

test('TEST-KEY-02 one witness who says no, or is gone, stops the ceremony: the record names who and where, and no key is left', async () => {
  for (const [name, answer] of [
    ['no', 'no'],
    ['gone', 'gone'],
  ] as const) {
    const { result, out, offline, printed } = await attended(name, (who, step) =>
      who === 'Grace Hopper' && step === 4 ? answer : 'yes',
    );
    await assert.rejects(result, { code: 'ceremony.stopped', field: 'Step 4 of 10. Key of the signing root' });
    assert.deepEqual(readdirSync(offline), []);
    const left = readdirSync(out);
    assert.equal(left.length, 1);
    assert.match(left[0] ?? '', /^stopped-\d{8}T\d{9}Z\.jsonl$/);
    const last = readChain(readFileSync(join(out, left[0] ?? ''))).at(-1);
    assert.equal(last?.step, 'stopped');
    assert.equal(last?.detail.stoppedBy, 'Grace Hopper');
    assert.equal(last?.detail.answer, answer);
    assert.deepEqual(Object.keys((last?.detail.by ?? {}) as object), ['Katherine Johnson', 'Ada Lovelace']);
    assert.ok(printed.join('\n').includes('No key of it is kept'));
  }
});

test('fewer witnesses than the policy asks for are refused, and nobody at all in a policy that is meant', async () => {
  const key = () => generateSoftwareKey('P-256').spki;
  const operators = [
    { name: 'ada', roles: ['policy-administrator'], spki: key() },
    { name: 'bob', roles: ['approver'], spki: key() },
    { name: 'cy', roles: ['approver'], spki: key() },
  ] as const;
  const meant = await Rehearsal.make({
    operators,
    demonstration: false,
    quorums: { 'ceremony-witnesses': { approvals: 3, roles: [] } },
  });
  const refused = (more: Partial<FoundingOptions>, seen: string) =>
    assert.rejects(meant.run(more), { code: 'ceremony.too-few-witnesses', seen });
  await refused({ unattended: false }, '2, of 3');
  await refused({ unattended: true }, 'nobody, of 3');
  await meant.run({ unattended: false, witnesses: ['A', 'B', 'C'] });
  meant.remove();
});

test('people have names that neither a terminal nor a page takes for more, and no two the same', async () => {
  const named = (witnesses: string[]) => attended('names', () => 'yes', { witnesses }).then(({ result }) => result);
  for (const name of ['', '\u001b[31mAda', 'Ada\nGrace', 'a'.repeat(65), '"}']) {
    await assert.rejects(named([name]), { code: 'ceremony.name-malformed' }, JSON.stringify(name));
  }
  await assert.rejects(named(['Ada', 'ada ']), { code: 'ceremony.name-malformed', seen: 'ada , twice' });
  await assert.rejects(named(['Katherine Johnson']), { code: 'ceremony.name-malformed' });
  await named(['Žofia O’Neil-Łuczak, Dr.']);
});

/** The real program on a terminal that script(1) makes; each answer is typed when a question stands there. */
async function typed(name: string, keys: readonly string[]) {
  const out = join(ceremony.dir, name, 'out');
  const offline = join(ceremony.dir, name, 'safe');
  const words = [process.execPath, MAIN, '--request', ceremony.requestPath, '--policy', ceremony.policyPath];
  const flags = ['--out', out, '--offline', offline, '--witness', 'Ada', '--witness', 'Grace', '--passphrase-fd', '3'];
  const secret = join(ceremony.dir, 'passphrase');
  writeFileSync(secret, PASSPHRASE);
  const command = `exec unshare --net --map-root-user -- ${[...words, ...flags].join(' ')} 3< ${secret}`;
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null']);
  const left = [...keys];
  let text = '';
  let answered = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    const questions = text.split('[yes/no] ').length - 1;
    for (; answered < questions && left.length > 0; answered += 1) child.stdin.write(left.shift() ?? '');
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, text, out, offline };
}

test('on a terminal only yes and no are answers: nonsense is asked again', async () => {
  const { status, text, out } = await typed('nonsense', ['maybe\n', '\n', ...Array<string>(20).fill('YES\n')]);
  assert.equal(status, 0, text);
  assert.match(text, /Ada, go on with this step\? \[yes\/no\]/);
  assert.match(text, /Type yes to go on, or no to stop/);
  assert.ok(existsSync(join(out, 'transcript.sig')));
});

test('Ctrl-C and Ctrl-D stop the ceremony with a record, and leave no key', async () => {
  for (const [name, key] of [
    ['ctrl-c', '\u0003'],
    ['ctrl-d', '\u0004'],
  ] as const) {
    const { status, text, out, offline } = await typed(name, [...Array<string>(7).fill('yes\n'), key]);
    assert.equal(status, 3, text);
    assert.match(text, /ceremony\.stopped/);
    assert.equal(readdirSync(out).filter((file) => file.startsWith('stopped-')).length, 1);
    assert.deepEqual(existsSync(offline) ? readdirSync(offline) : [], []);
  }
});
