import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SecretBytes } from '@keystead/core/crypto';
import { demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { runCeremony } from 'keystead/ceremony/index.ts';
import { holdIntermediate } from 'keystead/ceremony/intermediate.ts';
import type { CeremonyIo } from 'keystead/ceremony/session.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { importBundle } from 'keystead/keyd/import.ts';
import { initKeyd } from 'keystead/keyd/init.ts';
import { type CampaignView, kindsMarkdown, statesMarkdown, stepsMarkdown } from 'keystead/rotation/index.ts';
import { makeCustodianKeys, makePeopleKeys } from 'keystead/start/operators.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { Bench, type ForeignDevice, keystead, openssl } from '../interop/foreign.ts';
import { Deployment, portsOfProcess } from './deployment.ts';

/** Campaigns in a deployment of real processes whose roots are kept, and the emergency path, timed. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(PROJECT, 'docs/rotation.md'), 'utf8');
const OPTIONS = { ldevidSeconds: 3600, dataName: 'keystead-data' };
const LIFETIMES = { ldevid: { seconds: 3600, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } };
const ROOTS = 'correct horse battery staple';

let folder: string;
let deployment: Deployment;
let bench: Bench;
let device: ForeignDevice;
let ldevid: ForeignDevice;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-rotation-'));
  chmodSync(folder, 0o711);
  await found(new Layout(join(folder, OPTIONS.dataName)));
  await begin();
  device = await bench.provision('TRY-0050');
  ldevid = await bench.enrol(device, 'simpleenroll', 'first');
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

async function begin(): Promise<void> {
  deployment = await Deployment.at(folder, OPTIONS);
  bench = new Bench(deployment);
}

const offline = () => ({
  ...{ offline: join(folder, 'safe'), passphrase: SecretBytes.take(new TextEncoder().encode(ROOTS)) },
  ...{ witnesses: ['Ada Lovelace', 'Grace Hopper'], acceptNetwork: false, unattended: true, clock: systemClock },
  ...{ software: 'keystead test', network: () => ({ interfaces: [], routes: [] }) },
});
const io: CeremonyIo = { print() {}, confirm: async () => 'yes' };

/** A founding as `npm start` holds one, but for the roots: they are kept. */
async function found(layout: Layout): Promise<void> {
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  const { ports } = await openConfig(layout, systemClock, 3600, portsOfProcess());
  const passphrases = { keyd: await unlock(layout, 'keyd'), operators: await unlock(layout, 'operators') };
  const base = `http://localhost:${ports.http}`;
  const { path } = await initKeyd(layout, passphrases.keyd, systemClock, { origin: 'rotation.example/log' });
  const policy = demoPolicy({
    ...{ operators: await makePeopleKeys(layout, passphrases.operators), issued: systemClock.now() },
    ...{ backup: await makeCustodianKeys(layout, passphrases.operators), lifetimes: LIFETIMES },
    urls: { crl: `${base}/crl/{ca}.crl`, ocsp: `${base}/ocsp/{ca}`, caIssuers: `${base}/ca/{ca}.cer` },
  });
  const file = Buffer.from(formatPolicy(policy));
  await runCeremony({ ...offline(), request: readFileSync(path), policy: file, out: layout.ceremony }, io);
  await importBundle(layout, passphrases.keyd, systemClock);
  cpSync(layout.ceremony, join(folder, 'founding'), { recursive: true });
}

const data = (): string[] => ['--data', deployment.layout.data];
async function done(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await keystead([...args, ...data()]);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** Runs a block of the page in the folder of the deployment. */
function shell(block: string): Promise<string> {
  const tools = join(folder, 'tools');
  mkdirSync(tools, { recursive: true });
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  const npx = `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`;
  writeFileSync(join(tools, 'npx'), npx, { mode: 0o755 });
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH ?? ''}` };
  const args = ['--norc', '-euo', 'pipefail', '-c', block];
  return new Promise((resolve, reject) => {
    execFile('bash', args, { cwd: folder, env, timeout: 120_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

test('docs/rotation.md has the tables as they are', () => {
  for (const table of [kindsMarkdown(), statesMarkdown(), stepsMarkdown()]) assert.ok(PAGE.includes(table), table);
});

test('TEST-KEY-15 docs/rotation.md: a campaign is planned, started, paused, resumed and taken back by what the page types', async () => {
  const [, typed = ''] = /<!-- rotation: begin -->([\s\S]*)<!-- rotation: end -->/.exec(PAGE) ?? [];
  const blocks = [...typed.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(blocks.length, 2);
  const planned = await shell(blocks[0] ?? '');
  assert.match(planned, /no device would be cut off if it goes as planned \(0 moved, 1 expected to move/);
  const stepped = await shell(blocks[1] ?? '');
  assert.match(stepped, /paused \(it was switched\): the support line is down/);
  assert.match(stepped, /spring +device-credentials ldevid +rolled-back/);
});

test('TEST-KEY-15 a device of an open ring is told to renew now, by its own certificate, and counts when it has [curl: EST simplereenroll]', async () => {
  const pki = deployment.world.as('pki');
  const at = '/api/v1/campaigns/now';
  const ring = { name: 'bench', devices: [device.id] };
  const plan = { v: 1, id: 'now', kind: 'device-credentials', target: 'ldevid', reason: 'a test', rings: [ring] };
  await pki.post('/api/v1/campaigns', { plan });
  await pki.post(`${at}/start`, {});
  const told = async (by: ForeignDevice) => {
    const { status, body } = await bench.curl(`${bench.api}/device/renewal-info`, [
      '--cert',
      by.certificate,
      '--key',
      by.key,
    ]);
    assert.equal(status, 200, body);
    return JSON.parse(body) as { suggestedWindow: { start: string; end: string } | null; campaign?: string };
  };
  assert.equal((await told(ldevid)).suggestedWindow, null);
  await pki.post(`${at}/advance`, {});
  const { campaign, suggestedWindow } = await told(ldevid);
  assert.equal(campaign, 'now');
  assert.ok(Date.parse(suggestedWindow?.start ?? '') <= systemClock.now().getTime());
  assert.equal((await bench.curlAs('pki', `${bench.api}/device/renewal-info`)).status, 403);
  ldevid = await bench.enrol(ldevid, 'simplereenroll', 'second');
  assert.equal((await told(ldevid)).suggestedWindow, null);
  const { rings } = await pki.post<CampaignView>(`${at}/advance`, {});
  assert.deepEqual([rings[0]?.done, rings[0]?.verdict], [1, 'moved']);
  await pki.post(`${at}/roll-back`, { reason: 'seen enough' });
});

test('TEST-KEY-15 emergency: a CA is compromised, revoked by its quorum and replaced, and its devices are back by their IDevIDs; the path is timed [curl: EST simpleenroll]', async (t) => {
  const began = performance.now();
  const emergency = async () =>
    JSON.parse(await done('rotate', 'emergency', '--ca', 'operational', '--json')) as {
      state: string;
      next: string;
      seconds: Record<string, number>;
      rings: { devices: number; done: number }[];
    };
  const first = await emergency();
  assert.equal(first.state, 'planned');
  assert.match(first.next, /keystead revoke-ca propose operational/);
  const file = join(folder, 'revoke.statements');
  await done('revoke-ca', 'propose', 'operational', '--reason', 'cACompromise', '--out', file);
  await done('revoke-ca', 'approve', '--in', file);
  await done('revoke-ca', 'send', '--in', file);
  const revoked = performance.now();
  const second = await emergency();
  assert.equal(second.state, 'distributing');
  assert.match(second.next, /hierarchy request operational --new-key/);

  await deployment.stop(true);
  const request = join(folder, 'request.json');
  await done('hierarchy', 'request', 'operational', '--new-key', '--out', request);
  const out = join(folder, 'successor');
  const previous = join(folder, 'founding');
  await holdIntermediate({ ...offline(), request: readFileSync(request), previous, out }, io);
  await done('hierarchy', 'import', out);
  await begin();
  const third = await emergency();
  const inService = performance.now();
  assert.equal(third.state, 'switched');
  assert.match(third.next, /enrol again by their IDevID/);

  await assert.rejects(bench.enrol(ldevid, 'simplereenroll', 'by-the-old'), 'the old certificate proves nobody');
  const back = await bench.enrol(device, 'simpleenroll', 'back');
  // The device of the deployment itself has no LDevID, and so nothing to lose.
  const last = await emergency();
  assert.equal(last.state, 'retired', JSON.stringify(last));
  assert.ok(last.rings.every(({ devices, done: moved }) => devices === moved));
  const chain = join(deployment.layout.trust, 'ca-chain.pem');
  assert.match(await openssl('verify', '-CAfile', bench.root, '-untrusted', chain, back.certificate), /: OK/);
  const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(1)} s`;
  const told = `revoked after ${seconds(began, revoked)}, successor in service after ${seconds(began, inService)}, device back and old key retired after ${seconds(began, performance.now())}`;
  t.diagnostic(`emergency rotation, without the people and the way to the safe: ${told}`);
  assert.match(await done('audit', 'verify'), /PROVEN/);
});
