import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KeyEventView, KeyView, WarningView } from 'keystead/inventory/index.ts';
import { PEOPLE } from 'keystead/start/operators.ts';
import { factory } from 'keystead/start/steps/3-factory.ts';
import { keystead } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

let deployment: Deployment;
before(async () => {
  deployment = await Deployment.start();
  await factory(deployment.world);
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

async function keys(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  return keystead(['keys', ...args, '--data', deployment.layout.data]);
}
async function json<T>(...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await keys(...args, '--json');
  assert.ok(status === 0 || status === 1, stdout + stderr);
  return JSON.parse(stdout) as T;
}

test('TEST-KEY-26 after a whole deployment every source of keys is in the inventory, and the command reads the same from the service and from the files', async () => {
  const told = await json<KeyView[]>('list');
  const count = (purpose: string, owner = /./) =>
    told.filter((key) => key.purpose === purpose && owner.test(key.owner)).length;
  for (const purpose of [
    'root-ca',
    'signing-root-ca',
    'manufacturing-ca',
    'operational-ca',
    'server-ca',
    'operator-ca',
  ])
    assert.equal(count(purpose), 1, purpose);
  for (const purpose of [
    'evidence-signer',
    'log',
    'log-cosign',
    'transcript-signer',
    'keyd-channel',
    'keystore-master',
  ])
    assert.equal(count(purpose), 1, purpose);
  assert.equal(count('tls-server', /^system:keystead serve$/), 2, 'current and backup');
  assert.equal(count('tls-server', /^system:localhost$/), 1, 'the backend');
  assert.equal(count('operator'), PEOPLE.length);
  assert.equal(count('device-idevid'), 11);
  assert.ok(told.every(({ attention }) => attention.level === 'none'));
  const offline = await json<KeyView[]>('list', '--offline');
  assert.deepEqual(offline.map(({ id }) => id).toSorted(), told.map(({ id }) => id).toSorted());
});

test('filters over REST and on the command line, and a limit that says that there is more', async () => {
  const ask = async (query: string) =>
    (await deployment.world.as('auditor').get<{ keys: KeyView[]; next: string | null }>(`/api/v1/keys?${query}`)).keys;
  // Each answer is one part of the inventory: the house, services, the journal, devices.
  const device = await ask('after=device+&owner=device:KS-0003');
  assert.deepEqual(
    device.map(({ purpose }) => purpose),
    ['device-idevid'],
  );
  assert.deepEqual(
    (await ask('state=destroyed')).map(({ id }) => id),
    ['transcript-signer'],
  );
  await assert.rejects(deployment.world.as('line-1').get('/api/v1/keys'), { code: 'access.forbidden' });
  const ending = await json<KeyView[]>('--ending-within', '100d');
  assert.ok(ending.length > 0 && ending.every(({ purpose }) => /tls-server|device-ldevid/.test(purpose)));
  const { stdout, stderr } = await keys('list', '--purpose', 'device-idevid', '--limit', '2');
  assert.equal(stdout.trim().split('\n').length, 3);
  assert.match(stderr, /there are more than these 2/);
  assert.equal((await keys('list', '--ending-within', 'soon')).status, 2);
});

test('one key is shown with its history and what it may do; an unknown one is refused', async () => {
  const { status, stdout } = await keys('show', 'ca-operational');
  assert.equal(status, 0);
  assert.match(stdout, /may protect +yes, until 20/);
  assert.match(stdout, /generate +pre-activation/);
  const key = await json<KeyView & { history: KeyEventView[] }>('show', 'ca-operational');
  assert.deepEqual(
    key.history.map(({ event }) => event),
    ['generate', 'activate'],
  );
  const byHash = await json<KeyView>('show', String(key.spkiSha256).slice(0, 16), '--offline');
  assert.equal(byHash.id, 'ca-operational');
  const unknown = await keys('show', 'ca-lost');
  assert.equal(unknown.status, 3);
  assert.match(unknown.stderr, /key\.unknown/);
});

test('a CA that is suspended issues nothing until another person brings it back; warn and verify say so meanwhile', async () => {
  const stopped = await keys('suspend', 'ca-server', '--reason', 'inquiry 17');
  assert.equal(stopped.status, 0, stopped.stderr);
  assert.match(stopped.stdout, /ca-server: suspend at .*, ordered by pki/);
  const due = await keys('warn', '--json');
  assert.equal(due.status, 1);
  const [warning] = JSON.parse(due.stdout) as WarningView[];
  assert.deepEqual([warning?.id, warning?.level], ['ca-server', 'due']);
  const key = await json<KeyView & { history: KeyEventView[] }>('show', 'ca-server');
  assert.equal(key.protect.allowed, false);
  assert.deepEqual(key.history.at(-1)?.by, 'operator:pki');
  const again = await keys('resume', 'ca-server', '--reason', 'done', '--as', 'pki');
  assert.equal(again.status, 3);
  assert.match(again.stderr, /key-order\.signer-forbidden|access\.forbidden/);
  const checked = await keystead(['verify', '--json', '--data', deployment.layout.data]);
  const check = (JSON.parse(checked.stdout) as { id: string; verdict: string; evidence: string }[]).find(
    ({ id }) => id === 'keys.cryptoperiods',
  );
  assert.equal(check?.verdict, 'passed');
  assert.match(check?.evidence ?? '', /due: ca-server .*suspended since/);
  const back = await keys('resume', 'ca-server', '--reason', 'nothing was found');
  assert.equal(back.status, 0, back.stderr);
  assert.equal((await keys('warn')).status, 0);
});

test('the states, the ways between them and the periods in force are printed, without colours where there is no terminal', async () => {
  const { stdout } = await keys('explain');
  for (const said of [/pre-activation +no +no/, /compromised +destroy +destroyed/, /evidence-signer +3 y +30 y +90 d/])
    assert.match(stdout, said);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there.
  for (const text of [stdout, (await keys('--offline')).stdout]) assert.doesNotMatch(text, /\x1b/);
});
