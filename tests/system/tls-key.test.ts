import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import type { StandingJson } from '@keystead/core/trust';
import type { TlsKeyView } from 'keystead/protocols/rest/tls-key.ts';
import type { CampaignView } from 'keystead/rotation/index.ts';
import { blocksOf } from './kept-roots.ts';
import { KeyCampaigns } from './key-campaign-bed.ts';
import type { Pump } from './pump.ts';
import { typed, typedBlock } from './typed.ts';

/**
 * A device that pins serve's own key: through restarts of keyd and serve, which are processes, and through a rotation as
 * docs/rotation.md has it typed.
 */
const [pinned = '', planned = '', used = ''] = blocksOf('rotation.md', 'tls-key').map((block) =>
  block.replace('--transition 30d', '--transition 1s'),
);
let bed: KeyCampaigns;
let pump: Pump;

before(async () => {
  bed = await KeyCampaigns.start();
  const content = bed.file('first.json');
  await typed('trust', 'show', '--draft', '--out', content);
  await bed.order(content);
  await typedBlock(pinned);
  pump = await bed.pump('TRY-0021', 3, 'serve');
});
after(() => bed?.stop());

const view = () => bed.pki.get<TlsKeyView>('/api/v1/tls-key');
const step = (name: string) => bed.pki.post<CampaignView>(`/api/v1/campaigns/serve-2031/${name}`, {});
const refused = (act: Promise<unknown>, code: string, seen: RegExp): Promise<void> =>
  assert.rejects(act, (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  });

let installed = 0;
/** Has something to report, and does; how that ended. */
async function reported(): Promise<string | undefined> {
  installed += 1;
  pump.install(`1.0.${installed}`, 3);
  await pump.look();
  return pump.reports().at(-1);
}

test('TEST-KEY-16 an agent that pins the key of serve goes on when keyd and serve were restarted', async () => {
  const { shown } = await view();
  assert.equal(await reported(), 'reported');
  await bed.restart();
  const now = await view();
  assert.deepEqual(now.shown, shown);
  assert.equal(await reported(), 'reported');
  const count = pump.reports().length;
  assert.equal(pump.reports().filter((one) => one === 'reported').length, count, pump.reports().join());
});

test('TEST-KEY-16 the key of serve is rotated by a campaign: no key takes its place that devices were not told of, and an agent that pins both goes on', async () => {
  await typed('tls-key', 'prepare', 'next');
  // What the page types is refused now, for there is a next one.
  const { keys } = await view();
  const of = (use: string): string => keys.find((key) => key.use === use)?.spkiSha256 ?? assert.fail(`no ${use}`);
  const names = { OLD: of('current'), NEXT: of('next'), BACKUP: of('backup') };
  const [prepare = '', ...plan] = planned.split('\n');
  await refused(typedBlock(prepare), 'tls-key.exists', /next/);
  await refused(typedBlock(used), 'tls-key.not-announced', /pinned without/);
  await refused(typed('tls-key', 'use', 'backup'), 'tls-key.not-announced', /no campaign to this key has switched/);

  await typedBlock(plan.join('\n'), names);
  const out = bed.file('insist');
  await typed('rotate', 'insist', 'propose', 'serve-2031', '--only', 'TRY-0001', '--reason', 'no agent', '--out', out);
  await typed('rotate', 'insist', 'approve', '--in', out);
  await typed('rotate', 'insist', 'send', '--in', out);
  assert.equal((await step('start')).state, 'distributing');
  await typed('rotate', 'next', 'serve-2031', '--out', bed.file('both.json'));
  await bed.order(bed.file('both.json'));
  const both = JSON.parse(readFileSync(bed.file('both.json'), 'utf8')) as StandingJson;
  assert.deepEqual(
    both.pins
      .find(({ role }) => role === 'serve')
      ?.keys.map(({ use }) => use)
      .sort(),
    ['backup', 'current', 'next'],
  );
  await refused(typedBlock(used), 'tls-key.not-announced', /no campaign to this key has switched/);
  assert.equal(await reported(), 'reported');
  assert.equal((await step('advance')).state, 'switched');

  assert.match(await typedBlock(used), new RegExp(`current +${names.NEXT} +active`));
  assert.equal((await view()).shown?.spkiSha256, names.NEXT);
  assert.equal(await reported(), 'reported');
  await bed.restart();
  assert.equal((await view()).shown?.spkiSha256, names.NEXT);
  assert.equal(await reported(), 'reported');
  // What `tls-key pins` says is what the end of the campaign has the bundle say, once there is no next one.
  const pins = JSON.parse(await typed('tls-key', 'pins', 'serve')) as StandingJson['pins'][number];
  assert.deepEqual(
    pins.keys.map(({ use, spkiSha256 }) => [use, spkiSha256]),
    [
      ['current', names.NEXT],
      ['backup', names.BACKUP],
    ],
  );
});

test('TEST-KEY-16 a stolen key is revoked, serve shows it no more, and the backup, which every device knows, waits for no campaign', async () => {
  const { shown, keys } = await view();
  const serial = shown?.certificate.serial;
  await bed.pki.post('/api/v1/revocations', { serial, issuer: 'server', reason: 'keyCompromise' });
  for (let turn = 0; turn < 400 && (await view()).problem === null; turn += 1)
    await new Promise((resolve) => setTimeout(resolve, 25));
  assert.equal((await view()).problem?.code, 'tls-key.revoked');
  assert.equal(await reported(), 'pin');
  await typed('tls-key', 'use', 'backup');
  assert.equal((await view()).shown?.spkiSha256, keys.find(({ use }) => use === 'backup')?.spkiSha256);
  assert.equal(await reported(), 'reported');
});
