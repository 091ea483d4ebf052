import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import type { FirmwareOrder } from '@keystead/core/lifecycle';
import type { Answer } from './https.ts';
import { refused as refusedBy, SigningRig } from './signing-rig.ts';

let bed: SigningRig;
/** Longer than serve waits for any other request (20 s), and than the second in which it looks for such. */
const SLOW_MS = 22_500;
/** An upload at the pace of a bad line: it begins first, and goes on while everything else happens. */
let slow: { bytes: Buffer; began: number; status: Promise<number> };
before(async () => {
  bed = await SigningRig.make();
  const bytes = Buffer.alloc(25_000, 3);
  const status = bed.slowUpload(bytes, 25, () => pause(SLOW_MS / 25));
  slow = { bytes, began: Date.now(), status };
});
after(() => bed?.rig.remove());

const refused = (ask: () => Promise<Answer>, wanted: Parameters<typeof refusedBy>[2]): Promise<void> =>
  refusedBy({ rig: bed.rig, journal: () => bed.journal() }, ask, wanted);
/** What lies there besides whole files and the directory of time stamps: uploads that are coming, or were cut off. */
const kept = (): string[] =>
  readdirSync(bed.rig.layout.signing).filter((name) => !/^[0-9a-f]{64}$/.test(name) && name !== 'time-stamps');
/** Another content under the name of an image, as somebody with the disk in their hands would leave it. */
function swap(sha: string, bytes: Uint8Array): void {
  chmodSync(bed.path(sha), 0o600);
  writeFileSync(bed.path(sha), bytes);
}
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 700 ? byte ^ 1 : byte));

test('TEST-KEY-23 two people approve an image, and keyd signs it once', async () => {
  const view = await bed.draft(await bed.image('1.0.0', 1), 'first', { version: '1.0.0' });
  const before = bed.journal();
  assert.equal((await bed.sign(view, 'release', 'approver')).state, 'waiting');
  await bed.sign(view, 'second');
  await bed.until('first', ({ state }) => state === 'signed');
  assert.deepEqual(bed.journal(), { orders: before.orders + 1, signatures: before.signatures + 1 });
  const uploads = bed.rig.records().entries.filter(({ type }) => type === 'signing.uploaded');
  assert.deepEqual(uploads.at(-1)?.actor, { kind: 'operator', id: 'release' });
  assert.deepEqual(uploads.at(-1)?.subject, { file: view.order.image.sha256 });
});

test('an image that is cut is refused with the place', async () => {
  const image = await bed.image('1.1.0', 1);
  await refused(() => bed.submit(image.subarray(0, -20), 'cut', { version: '1.1.0' }), {
    status: 400,
    code: 'firmware.malformed',
    field: 'TLVs',
  });
});

test('an image that is signed already is refused', async () => {
  const { result } = await bed.show('first');
  const signed = readFileSync(bed.path(result?.sha256 ?? ''));
  await refused(() => bed.submit(signed, 'again', { version: '1.0.0' }), {
    status: 409,
    code: 'firmware.signed-already',
    field: 'TLVs',
  });
});

test('an upload of another digest than it says is refused, and so is a statement of another digest', async () => {
  const image = await bed.image('1.1.0', 1);
  const before = kept();
  await refused(() => bed.upload(image, '0'.repeat(64)), {
    status: 400,
    code: 'signing.image-differs',
    field: 'sha256',
  });
  assert.deepEqual(kept(), before, 'nothing is left of it');
  const view = await bed.draft(image, 'digest', { version: '1.1.0' });
  const other: FirmwareOrder = { ...view.order, image: { ...view.order.image, sha256: '1'.repeat(64) } };
  const statement = await bed.statement(other, 'release');
  await refused(() => bed.bring('digest', statement), {
    status: 409,
    code: 'signing.request-differs',
    field: 'statement',
  });
});

test('a product that the policy does not know, and a version that the image does not have, are refused', async () => {
  const image = await bed.image('1.1.0', 1);
  await refused(() => bed.submit(image, 'lamp', { version: '1.1.0', product: 'KS-LAMP-1' }), {
    status: 403,
    code: 'firmware-order.not-in-policy',
    field: 'product',
  });
  await refused(() => bed.submit(image, 'other', { version: '1.1.1' }), {
    status: 400,
    code: 'firmware-order.claims-differ',
    field: 'version',
  });
});

test('a version that goes back is refused', async () => {
  await refused(async () => bed.submit(await bed.image('0.9.0', 1), 'old', { version: '0.9.0' }), {
    status: 409,
    code: 'firmware-order.rollback',
    field: 'version',
  });
  await refused(async () => bed.submit(await bed.image('1.1.0', 0), 'counter', { version: '1.1.0' }), {
    status: 409,
    code: 'firmware-order.rollback',
    field: 'securityCounter',
  });
});

test('of two requests for one version the second is refused', async () => {
  const one = await bed.draft(await bed.image('1.2.0', 1), 'one', { version: '1.2.0' });
  const two = await bed.draft(await bed.image('1.2.0', 1, 7), 'two', { version: '1.2.0' });
  await bed.sign(one, 'release');
  const late = await bed.statement(two.order, 'release');
  await refused(() => bed.bring('two', late), {
    status: 409,
    code: 'firmware-order.version-taken',
    field: '1.2.0',
  });
});

test('a statement that ends between two approvals ends the request, and nobody approves it any more', async () => {
  const view = await bed.draft(await bed.image('1.3.0', 1), 'short', { version: '1.3.0' });
  await bed.sign(view, 'release');
  const approval = await bed.statement(view.order, 'approver', 3);
  const brought = await bed.bring('short', approval);
  assert.equal(brought.status, 200, brought.text);
  await bed.until('short', ({ state }) => state === 'expired');
  const late = await bed.statement(view.order, 'second');
  await refused(() => bed.bring('short', late), {
    status: 409,
    code: 'signing.request-closed',
    field: 'short',
    seen: /expired/,
  });
});

test('an approval that has ended when it is brought is refused, and the request waits on', async () => {
  const view = await bed.draft(await bed.image('1.3.1', 1), 'stale', { version: '1.3.1' });
  await bed.sign(view, 'release');
  const stale = await bed.statement(view.order, 'approver', 1);
  await pause(1100);
  await refused(() => bed.bring('stale', stale), {
    status: 403,
    code: 'firmware-order.expired',
    field: 'statements[1].expiresAt',
  });
  assert.equal((await bed.show('stale')).state, 'waiting');
});

test('keyd that is killed between two approvals goes by what it is shown, and signs once', async () => {
  const view = await bed.draft(await bed.image('1.4.0', 1), 'between', { version: '1.4.0' });
  const before = bed.journal();
  await bed.sign(view, 'release', 'approver');
  await bed.rig.kill('keyd');
  await bed.sign(view, 'second');
  assert.equal((await bed.show('between')).state, 'approved');
  await bed.rig.start('keyd');
  await bed.until('between', ({ state }) => state === 'signed');
  assert.deepEqual(bed.journal(), { orders: before.orders + 1, signatures: before.signatures + 1 });
});

test('keyd that is killed between the order and the signature in its journal gives one signature for the order, never two', async () => {
  const view = await bed.draft(await bed.image('1.5.0', 1), 'killed', { version: '1.5.0' });
  const before = bed.journal();
  await bed.sign(view, 'release', 'approver');
  await bed.rig.kill('keyd');
  const inherited = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = `--import=${new URL('./kill-at-signature.ts', import.meta.url).href}`;
  bed.rig.launch('keyd');
  if (inherited === undefined) delete process.env.NODE_OPTIONS;
  else process.env.NODE_OPTIONS = inherited;
  await bed.rig.ready('keyd');
  await bed.sign(view, 'second');
  assert.match((await bed.rig.ended('keyd')) ?? '', /SIGKILL/);
  assert.deepEqual(bed.journal(), { orders: before.orders + 1, signatures: before.signatures }, 'taken, not signed');
  await bed.rig.start('keyd');
  const { result } = await bed.until('killed', ({ state }) => state === 'signed');
  assert.deepEqual(bed.journal(), { orders: before.orders + 1, signatures: before.signatures + 1 });
  const fetched = await bed.result('killed');
  assert.equal(fetched.status, 200);
  assert.equal(result?.sha256, toHex(sha256(readFileSync(bed.path(result?.sha256 ?? '')))));
});

test('an approver whom a change of the policy removes after they approved counts no more: the request is refused for good', async () => {
  const view = await bed.draft(await bed.image('1.6.0', 1), 'removed', { version: '1.6.0' });
  const before = bed.journal();
  await bed.sign(view, 'release', 'second');
  await bed.changePolicy((policy) => {
    policy.operators = policy.operators.filter(({ name }) => name !== 'second');
    const line = policy.firmware?.products[0]?.environments.production;
    if (line !== undefined) line.approvals = 1;
  });
  const approval = await bed.statement(view.order, 'approver');
  await refused(() => bed.bring('removed', approval), {
    status: 409,
    code: 'signing.request-closed',
    field: 'removed',
    seen: /second/,
  });
  const removed = await bed.show('removed');
  assert.deepEqual([removed.state, removed.result], ['refused', null]);
  assert.deepEqual(bed.journal(), before);
  const told = bed.rig.records().entries.filter(({ type }) => type === 'signing.refused');
  assert.equal(told.length, 1);
});

test('an image that is flipped on the disk after its approval is found before keyd is asked', async () => {
  const image = await bed.image('1.7.0', 1);
  const view = await bed.draft(image, 'flipped', { version: '1.7.0' });
  const before = bed.journal();
  await bed.sign(view, 'release');
  swap(view.order.image.sha256, flipped(image));
  await bed.sign(view, 'approver');
  const { refusal } = await bed.until('flipped', ({ state }) => state === 'refused');
  assert.match(refusal ?? '', /^signing\.image-changed/);
  assert.deepEqual(bed.journal(), before);
  const told = bed.rig
    .records()
    .entries.filter(({ type, subject }) => type === 'signing.refused' && subject.request === 'flipped');
  assert.equal(told.length, 1);
});

test('a result that is flipped on the disk is not given out', async () => {
  const { result } = await bed.show('first');
  const path = bed.path(result?.sha256 ?? '');
  const signed = readFileSync(path);
  swap(result?.sha256 ?? '', flipped(signed));
  const answer = await bed.result('first');
  assert.notEqual(answer.status, 200);
  assert.match(answer.text, /signing\.image-changed/);
  writeFileSync(path, signed);
  assert.equal((await bed.result('first')).status, 200);
});

test('an upload that takes longer than a request may is taken, as long as it goes on coming', async () => {
  assert.equal(await slow.status, 200);
  assert.ok(Date.now() - slow.began > SLOW_MS);
  assert.deepEqual(readFileSync(bed.path(toHex(sha256(slow.bytes)))), slow.bytes);
});

test('serve that is killed amid an upload leaves no file that counts, and nothing else of it after the next start', async () => {
  const bytes = Buffer.alloc(3 << 20, 5);
  const hash = toHex(sha256(bytes));
  let pieces = 0;
  const upload = bed.slowUpload(bytes, 6, async () => {
    pieces += 1;
    await pause(20);
    if (pieces === 3) await bed.rig.kill('serve');
  });
  await assert.rejects(upload);
  assert.ok(!readdirSync(bed.rig.layout.signing).includes(hash));
  await bed.rig.start('serve');
  assert.deepEqual(kept(), []);
  const answer = await bed.rig.rest('GET', `/signing/files/${hash}`, bed.rig.person('release'));
  assert.equal(answer.status, 404);
});
