import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { signTicket } from '@keystead/core/lifecycle';
import { personSigner } from 'keystead/start/operators.ts';
import { newKey, Rig } from '../faults/rig.ts';
import { keystead } from '../interop/foreign.ts';
import { FactoryLine, unitsIn } from '../line/factory.ts';
import { Link } from '../line/link.ts';
import { verified } from '../line/verified.ts';

/** A factory and headquarters, both as real processes, by stick and by link: what goes wrong between them and how people set it right. */
const page = readFileSync(fileURLToPath(new URL('../../docs/factory-reconciliation.md', import.meta.url)), 'utf8');
let hq: Rig;
let link: Link;
let line: FactoryLine;

before(async () => {
  hq = await Rig.make();
  link = await Link.to(hq.world.config.ports.https);
  line = await FactoryLine.found(hq, 'line-1', `https://localhost:${link.port}`);
  for (const [from, to] of [
    [hq.layout.operators, line.layout.operators],
    [hq.layout.unlock, line.layout.unlock],
  ] as const)
    execFileSync('cp', ['-a', from, to]);
});
after(async () => {
  await line?.remove();
  await link?.close();
  await hq?.remove();
});

const path = (name: string): string => join(line.folder, name);

/** A command of the page, with the names of files of this test, on one side. */
async function command(text: string, side: { layout: { data: string } }, status = 0): Promise<string> {
  const args = text.split(' ').map((word) => (/^[A-Z]+$/.test(word) ? path(word) : word));
  const done = await keystead([...args.slice(1), '--data', side.layout.data]);
  assert.equal(done.status, status, `${text}: ${done.stdout}${done.stderr}`);
  return done.stdout + done.stderr;
}

/** The command as the page has it. */
function typed(text: string): string {
  assert.ok(page.includes(`\`${text}\``), text);
  return text;
}

async function make(deviceId: string): Promise<void> {
  const { csr } = await newKey(deviceId);
  const answer = await line.unit('B-1', deviceId, csr);
  assert.equal(answer.status, 200, answer.text);
}

const reconciledCheck = async (): Promise<string> => {
  const found = (await verified(hq.layout)).get('factories.reconciled');
  return `${found?.verdict}: ${found?.evidence}`;
};

interface Conflicts {
  readonly quarantined: readonly { readonly deviceId: string; readonly serials: readonly string[] }[];
  readonly factories: readonly { readonly fork: { readonly number: number; readonly sha256: string } | null }[];
}
const conflicts = async (): Promise<Conflicts> => JSON.parse(await command('keystead factory conflicts --json', hq));
async function serialOf(deviceId: string): Promise<string> {
  const unit = (await conflicts()).quarantined.find((one) => one.deviceId === deviceId);
  const serial = unit?.serials.at(-1);
  assert.ok(serial, deviceId);
  return serial;
}

test('TEST-KEY-17 a batch that was opened at headquarters comes down over HTTP to the node that its ticket names', async () => {
  const now = Date.now();
  const ticket = await signTicket(
    {
      ...{ id: 'B-1', model: 'KS-PUMP-1', quota: 20, lines: ['line-1'], profile: 'idevid', factory: 'line-1' },
      notBefore: new Date(now - 60_000).toISOString(),
      notAfter: new Date(now + 86_400_000).toISOString(),
      deviceIds: { prefix: 'L1-', from: 1, to: 99, width: 4 },
    },
    'pki',
    personSigner(hq.layout, 'pki', hq.world.passphrases.operators),
  );
  const opened = await hq.rest('POST', '/batches', hq.person('pki'), { ticket });
  assert.equal(opened.status, 200, opened.text);
  // The node asks at each start, and then about once a minute.
  await line.stop('serve');
  await line.start('serve');
  let seen = await line.ask('GET', '/batches/B-1', 'pki');
  for (let tries = 0; tries < 300 && seen.status !== 200; tries += 1) {
    await pause(100);
    seen = await line.ask('GET', '/batches/B-1', 'pki');
  }
  assert.equal(JSON.parse(seen.text).ticket, ticket, seen.text);
  link.cut();
  // Two devices of headquarters' own have ids that the factory uses too.
  await hq.batch('hq-1', 5, 'L1-', 99);
  for (const id of ['L1-0001', 'L1-0002'])
    assert.equal((await hq.unit('hq-1', id, (await newKey(id)).csr)).status, 200);
});

test('TEST-KEY-19 what a stick carries is taken once and in any order, what is missing is named, and keystead verify says so', async () => {
  await make('L1-0010');
  await command(typed('keystead factory export --out FILE'), line);
  for (const id of ['L1-0001', 'L1-0002', 'L1-0011']) await make(id);
  // serve has keyd sign what there is: the first two consignments are two at least.
  await command(typed('keystead factory export --out FILE'), line);
  const parcels = readFileSync(path('FILE'), 'utf8').split('\n').filter(Boolean);
  assert.ok(parcels.length >= 2);
  writeFileSync(path('LATER'), `${parcels.slice(1).join('\n')}\n`);
  const said = await command('keystead factory reconcile LATER', hq);
  assert.match(said, /missing: 1\b/);
  assert.match(await command('keystead factory conflicts', hq), /line-1 +\d+ +1\b/);
  assert.match(await reconciledCheck(), /^weak: line-1 is missing 1; 2 units in quarantine/);
  assert.match(await command(typed('keystead factory reconcile FILE --receipts BACK'), hq), /known/);
  assert.match(await command(typed('keystead factory take BACK'), line), /receipts are new, 0 were known/);
  assert.match(await command('keystead factory take BACK', line), /^0 receipts are new/);
  assert.equal((await line.waiting()).waiting, 0);
  assert.match(await reconciledCheck(), /^weak: 2 units in quarantine/);
});

test('TEST-KEY-19 a decision about a unit goes from hand to hand as a file, each signs with their own key, and it is carried out once', async () => {
  const about = [
    '--act',
    'reject',
    '--factory',
    'line-1',
    '--device',
    'L1-0001',
    '--serial',
    await serialOf('L1-0001'),
  ];
  const out = ['--reason', 'it-was-counted-twice', '--out', path('decision.json')];
  await command(['keystead', 'factory', 'resolve', ...about, ...out].join(' '), hq);
  assert.match(await reconciledCheck(), /2 units in quarantine/, 'nothing is done yet');
  const file = path('decision.json');
  // A line operator may put a name on it; keyd counts it for nothing.
  copyFileSync(file, path('wrong.json'));
  await command(`keystead factory sign ${path('wrong.json')} --as line-1`, hq);
  assert.match(await command(`keystead factory decide ${path('wrong.json')}`, hq, 3), /resolution\.signer-forbidden/);
  await command(`keystead factory sign ${file} --as architect`, hq);
  const twice = readFileSync(file, 'utf8');
  assert.match(await command(`keystead factory decide ${file}`, hq), /^reject: done/);
  assert.match(await command(`keystead factory decide ${file}`, hq), /^reject: done/);
  assert.equal(readFileSync(file, 'utf8'), twice);
  assert.match(await reconciledCheck(), /^weak: 1 units in quarantine/);
  // A decision that somebody changed is none.
  const { payload, ...rest } = JSON.parse(twice) as { payload: string };
  const other = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('reject', 'release'));
  writeFileSync(path('changed.json'), JSON.stringify({ payload: other.toString('base64url'), ...rest }));
  await command(`keystead factory decide ${path('changed.json')}`, hq, 3);
  // The other unit is the right one: that of headquarters is ended with it.
  const serial = await serialOf('L1-0002');
  const done = await command(
    `keystead factory resolve --act release --factory line-1 --device L1-0002 --serial ${serial} --reason seen-on-the-bench`,
    hq,
  );
  assert.match(done, /^release: done; ended: headquarters L1-0002/);
  assert.match(await reconciledCheck(), /^passed: line-1: 4 units/);
});

test('TEST-KEY-13 a node without a counter that runs from an older disk is found out at headquarters: it is stopped, keystead verify fails, and operators decide', async () => {
  const [image, right] = [path('image'), path('right')];
  const restart = async (between: () => void): Promise<void> => {
    for (const name of ['serve', 'keyd'] as const) await line.stop(name);
    between();
    for (const name of ['keyd', 'serve'] as const) await line.start(name);
  };
  await restart(() => execFileSync('cp', ['-a', line.layout.data, image]));
  await make('L1-0020');
  await command('keystead factory export --out FILE', line);
  await command('keystead factory reconcile FILE', hq);
  await restart(() => {
    renameSync(line.layout.data, right);
    renameSync(image, line.layout.data);
  });
  await make('L1-0021');
  await command('keystead factory export --out FORKED', line);
  assert.match(await command('keystead factory reconcile FORKED', hq, 3), /consignment\.forked/);
  assert.match(await reconciledCheck(), /^failed: line-1 has signed two histories: number \d+: nothing new is taken/);
  const [told] = (await conflicts()).factories;
  assert.ok(told?.fork);
  const { number, sha256 } = told.fork;
  assert.match(await command('keystead factory reconcile FORKED', hq, 3), /consignment\.stopped/);
  await command(
    `keystead factory resolve --act accept --factory line-1 --number ${number} --sha256 ${sha256} --reason disk-image`,
    hq,
  );
  await command('keystead factory reconcile FORKED', hq);
  assert.match(await reconciledCheck(), /^passed: line-1: 6 units/);
  assert.ok(unitsIn(hq.layout).some(({ device }) => device === 'L1-0021'));
  rmSync(right, { recursive: true });
});
