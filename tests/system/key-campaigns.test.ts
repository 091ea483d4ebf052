import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import type { StandingJson } from '@keystead/core/trust';
import type { CampaignView } from 'keystead/rotation/index.ts';
import type { WorklistEntry } from 'keystead/signing/index.ts';
import { blocksOf } from './kept-roots.ts';
import { KeyCampaigns, type ServerKey } from './key-campaign-bed.ts';
import type { Pump } from './pump.ts';
import { typed, typedBlock } from './typed.ts';

/**
 * Campaigns of firmware keys and of server keys from their plan to their end: real keyd and serve, bundles that a quorum
 * ordered, agents that take them, a TLS server that changes its key, and what docs/rotation.md says to type.
 */
const blocks = (mark: string): string[] =>
  blocksOf('rotation.md', mark).map((block) =>
    block.replace('--transition 30d', `--transition ${TRANSITION_SECONDS}s`),
  );
/** Long enough to be refused before it, and short enough to be waited for. */
const TRANSITION_SECONDS = 10;

let bed: KeyCampaigns;
let first: Pump;
let second: Pump;
let oldKey: ServerKey;
let safeKey: ServerKey;

before(async () => {
  bed = await KeyCampaigns.start();
  [oldKey, safeKey] = [await bed.serverKey(), await bed.serverKey()];
  const content = bed.file('first.json');
  await typed('trust', 'show', '--draft', '--out', content);
  const draft = JSON.parse(readFileSync(content, 'utf8')) as StandingJson;
  const from = draft.anchors[0]?.from ?? 0;
  const window = { from, until: from + 5 * 365 * 86_400 };
  draft.pins.push({
    role: 'gateway',
    keys: [
      { spkiSha256: oldKey.pin, use: 'current', ...window },
      { spkiSha256: safeKey.pin, use: 'backup', ...window },
    ],
  });
  const { spkiSha256 } = await bed.firmwareKey('pump-1');
  draft.firmware.push({ product: 'ks-pump-1', signers: [spkiSha256], minimumSecurityCounter: 3 });
  writeFileSync(content, JSON.stringify(draft));
  await bed.order(content);
  await bed.gateway(oldKey);
  first = await bed.pump('TRY-0021', 3);
  second = await bed.pump('TRY-0022', 2);
});
after(() => bed.stop());

const show = (id: string) => bed.pki.get<CampaignView>(`/api/v1/campaigns/${id}`);
const step = (id: string, name: 'start' | 'advance' | 'retire') =>
  bed.pki.post<CampaignView>(`/api/v1/campaigns/${id}/${name}`, {});
const refused = (act: Promise<unknown>, code: string, seen?: RegExp): Promise<void> =>
  assert.rejects(act, (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    if (seen !== undefined) assert.match(error.message, seen);
    return true;
  });
const lookAll = async (): Promise<void> => {
  for (const pump of bed.pumps) await pump.look();
};

/** Waits until the plan lets the old key end. */
async function transitionOver(id: string): Promise<void> {
  const { retireNotBefore } = await show(id);
  const left = Date.parse(retireNotBefore ?? '') - Date.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left + 10));
}

/** It is too early, or, on a machine on which all this took so long, the old one is believed still. */
async function refusedToRetire(id: string): Promise<void> {
  const { retireNotBefore } = await show(id);
  const early = Date.now() < Date.parse(retireNotBefore ?? '');
  const codes = early ? ['rotation.too-early', 'rotation.not-ready'] : ['rotation.not-ready'];
  await assert.rejects(step(id, 'retire'), (error) => error instanceof KeysteadError && codes.includes(error.code));
}

/** Hands an image in, to be signed by the keys of the line, or by others. */
async function asked(id: string, version: string, counter: number, ...more: string[]): Promise<void> {
  const raw = bed.file(`${id}.bin`);
  const settings = { version, 'security-counter': String(counter) };
  const made = await MCUBOOT.prepare?.(imageOf(new Uint8Array(500).fill(counter)), settings);
  assert.ok(made);
  writeFileSync(raw, await made.read(0, made.size));
  const what = ['--product', 'KS-PUMP-1', '--target', 'mcu', '--version', version, '--format', 'mcuboot'];
  await typed('sign', 'request', raw, ...what, '--reason', 'a test', '--id', id, ...more);
}

/** An image that went the whole way: handed in, approved, signed by keyd by the keys of the line. */
async function signed(id: string, version: string, counter: number): Promise<Buffer> {
  const [raw, out] = [bed.file(`${id}.bin`), bed.file(`${id}.signed`)];
  await asked(id, version, counter);
  await typed('sign', 'approve', id, '--image', raw, '--as', 'approver');
  await typed('sign', 'fetch', id, '--out', out, '--wait', '1m');
  return readFileSync(out);
}

const judged = (pump: Pump, image: Uint8Array): Promise<string> =>
  pump
    .judge(
      image,
      ['pump-1', 'pump-2', 'pump-3'].map((id) => bed.firmwareCertificate(id)),
    )
    .then((verdict) => (verdict.ok ? 'taken' : verdict.rule));

test('TEST-KEY-16 server keys from plan to end: no plan and no bundle without a backup pin, a device without the bundle is named, every device connects before, during and after the swap, and the old key is refused at last', async () => {
  const newKey = await bed.serverKey();
  const names = { OLD: oldKey.pin, NEXT: newKey.pin, BACKUP: safeKey.pin };
  const [plan = '', order = '', end = ''] = blocks('server-keys');
  const id = 'gateway-2031';
  const all = () => Promise.all(bed.pumps.map((pump) => pump.whoAmI()));
  const ids = ['TRY-0021', 'TRY-0022'];
  assert.deepEqual(await all(), ids, 'before');

  await refused(typedBlock(plan.replace('--backup $BACKUP', ''), names), 'rotation.backup-pin');
  assert.match(await typedBlock(plan, names), /3 devices|2 devices|1 device/);
  // The device of the deployment has no agent: of all that would be cut off, it alone is given up.
  await refused(step(id, 'start'), 'rotation.strands-devices', /1 devices, such as TRY-0001 \(no-uptake\)/);
  await insistOn(id, 'TRY-0001');
  assert.equal((await step(id, 'start')).state, 'distributing');
  await refused(step(id, 'advance'), 'rotation.not-ready', /does not have it/);

  // keyd takes no bundle in which the backup is gone, or ends before the others.
  await typed('rotate', 'next', id, '--out', bed.file('unsafe.json'));
  const unsafe = JSON.parse(readFileSync(bed.file('unsafe.json'), 'utf8')) as StandingJson;
  const pin = unsafe.pins[0] ?? assert.fail('no pins');
  pin.keys = pin.keys.filter(({ use }) => use !== 'backup');
  writeFileSync(bed.file('unsafe.json'), JSON.stringify(unsafe));
  await refused(bed.order(bed.file('unsafe.json')), 'trust-bundle.rule', /no backup of gateway/);

  await typedBlock(order);
  await first.look();
  await refused(step(id, 'advance'), 'rotation.strands-devices', /1 devices, such as TRY-0022 \(bundle-older\)/);
  assert.equal((await show(id)).state, 'distributing');
  await second.look();
  assert.deepEqual(await all(), ids, 'with the bundle that has both');
  assert.equal((await step(id, 'advance')).state, 'switched');
  await bed.gateway(newKey);
  assert.deepEqual(await all(), ids, 'during: the server has the new key');
  await bed.gateway(oldKey);
  assert.deepEqual(await all(), ids, 'during: a machine of the server that is not swapped yet');
  await bed.gateway(newKey);
  assert.equal((await step(id, 'advance')).state, 'retiring');
  await refusedToRetire(id);

  const [publish, retire] = [end.replace(/\n[^\n]*rotate retire[^\n]*\n$/, '\n'), `npx keystead rotate retire ${id}\n`];
  assert.ok(end.endsWith(retire), end);
  await typedBlock(publish);
  await first.look();
  await transitionOver(id);
  await refused(
    typedBlock(retire),
    'rotation.not-ready',
    /1 devices, such as TRY-0022, go by a trust bundle that believes it/,
  );
  assert.match(await typed('rotate', 'dry-run', id), /1 of the others believe the old key still, such as TRY-0022/);
  await second.look();
  assert.match(await typedBlock(retire), /state +retired/);
  assert.deepEqual(await all(), ids, 'after');

  await bed.gateway(oldKey);
  for (const pump of bed.pumps) {
    await assert.rejects(pump.whoAmI());
    assert.deepEqual(pump.refusals(), ['pin'], pump.id);
  }
});

/** Gives up devices by name, as a quorum does. */
async function insistOn(id: string, ...devices: string[]): Promise<void> {
  const out = bed.file(`${id}.insist`);
  const said = await typed(
    ...['rotate', 'insist', 'propose', id, '--only', devices.join(','), '--reason', 'no agent', '--out', out],
  );
  assert.match(said, /would be cut off/);
  assert.match(await typed('rotate', 'insist', 'approve', '--in', out), new RegExp(`only: ${devices.join(', ')}`));
  await typed('rotate', 'insist', 'send', '--in', out);
}

test('TEST-KEY-15 firmware keys from plan to end: a new key by ceremony and policy, images of both are taken in the transition and none with a lower counter, and at last the old key signs nothing and is believed by nobody', async () => {
  const old = await bed.firmwareKey('pump-1');
  const low = await signed('low', '0.9.0', 2);
  const before = await signed('by-old', '1.0.0', 3);
  await bed.policy(({ firmware, quorums }) => {
    const key = firmware?.keys[0] ?? assert.fail('no key');
    firmware?.keys.push({ ...key, id: 'pump-2' }, { ...key, id: 'pump-3' });
    const line = firmware?.products[0]?.environments.production ?? assert.fail('no line');
    line.trusted = ['pump-2', 'pump-3'];
    quorums['firmware-emergency'] = { approvals: 1, roles: ['approver', 'policy-administrator'] };
  });
  await bed.certify(2, 'pump-2', 'pump-3');
  const next = await bed.firmwareKey('pump-2');
  assert.deepEqual([next.use, next.state], ['trusted', 'active']);
  const verdicts = (...images: Buffer[]) =>
    Promise.all(bed.pumps.flatMap((pump) => images.map((image) => judged(pump, image))));
  assert.deepEqual(await verdicts(before, low), ['taken', 'counter', 'taken', 'counter']);

  const [plan = '', order = '', end = ''] = blocks('firmware-keys');
  const id = 'pump-2031';
  // What devices here are of the model TRY.
  await typedBlock(plan.replace('KS-PUMP-1=', 'TRY='), { OLD: old.spkiSha256, NEXT: next.spkiSha256 });
  await insistOn(id, 'TRY-0001');
  await refused(step(id, 'start'), 'rotation.strands-devices', /1 devices, such as TRY-0022 \(firmware-too-old\)/);
  second.install('1.0.1', 3);
  await second.look();
  const { uptake } = await bed.deployment.world
    .as('auditor')
    .get<{ uptake: { bundle: { version: number }; firmware: object } }>(`/api/v1/devices/${second.id}`);
  assert.deepEqual(uptake.firmware, { product: 'TRY', version: '1.0.1', securityCounter: 3 });
  assert.ok(uptake.bundle.version > 1);
  await step(id, 'start');
  await refused(step(id, 'advance'), 'rotation.not-ready', /does not have it/);
  await typedBlock(order);
  await first.look();
  await refused(step(id, 'advance'), 'rotation.strands-devices', /1 devices, such as TRY-0022 \(bundle-older\)/);
  await second.look();
  assert.equal((await step(id, 'advance')).state, 'switched');

  const line = (change: { keys: string[]; trusted?: string[] }) =>
    bed.policy(({ firmware }) => {
      const production = firmware?.products[0]?.environments.production ?? assert.fail('no line');
      delete production.trusted;
      Object.assign(production, change);
    });
  await line({ keys: ['pump-2'], trusted: ['pump-1', 'pump-3'] });
  const after = await signed('by-new', '1.1.0', 3);
  assert.deepEqual(await verdicts(before, after, low), [
    ...['taken', 'taken', 'counter'],
    ...['taken', 'taken', 'counter'],
  ]);
  assert.equal((await step(id, 'advance')).state, 'retiring');
  await refusedToRetire(id);

  const [publish, retire] = [end.replace(/\n[^\n]*rotate retire[^\n]*\n$/, '\n'), `npx keystead rotate retire ${id}\n`];
  assert.ok(end.endsWith(retire), end);
  await typedBlock(publish);
  await lookAll();
  await transitionOver(id);
  await refused(typedBlock(retire), 'rotation.not-ready', /pump-1 is trusted still, by the policy in force/);
  await line({ keys: ['pump-2'], trusted: ['pump-3'] });
  assert.match(await typedBlock(retire), /state +retired/);

  assert.deepEqual(await verdicts(before, after, low), [
    ...['signer', 'taken', 'signer'],
    ...['signer', 'taken', 'signer'],
  ]);
  // Who agrees changes nothing: keyd signs by the policy in force.
  await asked('late', '1.2.0', 3, '--signing-key', 'pump-1');
  await typed('sign', 'approve', 'late', '--image', bed.file('late.bin'), '--as', 'approver');
  await assert.rejects(typed('sign', 'fetch', 'late', '--out', bed.file('late.signed'), '--wait', '1m'), /pump-1/);
});

test('TEST-KEY-15 TEST-KEY-23 a stolen firmware key: killed by its quorum, dropped from the bundle at once, its images signed again from the list, and the campaign ends without a wait', async () => {
  const [stolen, spare] = [await bed.firmwareKey('pump-2'), await bed.firmwareKey('pump-3')];
  const image = readFileSync(bed.file('by-new.signed'));
  const statements = bed.file('kill.statements');
  await typed('sign', 'key', 'kill', 'pump-2', '--reason', 'found on a laptop', '--out', statements, '--as', 'pki');
  await typed('sign', 'key', 'approve', '--in', statements, '--as', 'approver');
  assert.match(await typed('sign', 'key', 'send', '--in', statements), /keystead sign worklist --key pump-2 --open/);

  const keys = ['--old', stolen.spkiSha256, '--next', spare.spkiSha256];
  const at = ['--kind', 'firmware-keys', '--target', 'ks-pump-1', ...keys, '--transition', '1s', '--reason', 'stolen'];
  await typed('rotate', 'plan', 'stolen', ...at);
  await insistOn('stolen', 'TRY-0001');
  await step('stolen', 'start');
  const { content } = await bed.pki.get<{ content: StandingJson }>('/api/v1/trust');
  const [product] = content.firmware;
  assert.ok(product);
  product.signers = [spare.spkiSha256];
  writeFileSync(bed.file('stolen.json'), JSON.stringify(content));
  await bed.order(bed.file('stolen.json'));
  await lookAll();
  for (const pump of bed.pumps) assert.equal(await judged(pump, image), 'signer');
  await bed.policy(({ firmware }) => {
    const production = firmware?.products[0]?.environments.production ?? assert.fail('no line');
    delete production.trusted;
    production.keys = ['pump-3'];
  });
  assert.equal((await step('stolen', 'advance')).state, 'switched');
  await step('stolen', 'advance');
  assert.equal((await step('stolen', 'retire')).state, 'retired');

  const worklist = () =>
    bed.deployment.world
      .as('auditor')
      .get<{ entries: WorklistEntry[] }>('/api/v1/signing/worklist?key=pump-2&from=0')
      .then(({ entries }) => entries.map(({ order, signedAgain }) => [order, signedAgain]));
  assert.deepEqual(await worklist(), [['by-new', null]]);
  const raw = ['--image', bed.file('by-new.bin')];
  const said = await typed(
    ...['sign', 'resign', 'by-new', '--signing-key', 'pump-3', '--reason', 'pump-2 was killed', ...raw],
  );
  const [again = assert.fail(said)] = /fw-[0-9a-f]{32}/.exec(said) ?? [];
  await typed('sign', 'approve', again, ...raw, '--as', 'approver');
  await typed('sign', 'fetch', again, '--out', bed.file('again.signed'), '--wait', '1m');
  for (const pump of bed.pumps) assert.equal(await judged(pump, readFileSync(bed.file('again.signed'))), 'taken');
  assert.deepEqual(await worklist(), [['by-new', again]]);
});
