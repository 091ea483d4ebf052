import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import type { RequestView } from 'keystead/signing/index.ts';
import { keystead } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

let deployment: Deployment;
before(async () => {
  deployment = await Deployment.start();
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

const sign = (...args: string[]) => keystead(['sign', ...args, '--data', deployment.layout.data]);
const file = (name: string): string => join(deployment.folder, name);

/** An image for MCUboot, as its tools leave it without a key. */
async function image(name: string, version: string, counter: number, fill = 9): Promise<string> {
  const raw = imageOf(new Uint8Array(5000).fill(fill));
  const made = await MCUBOOT.prepare?.(raw, { version, 'security-counter': String(counter) });
  assert.ok(made);
  writeFileSync(file(name), await made.read(0, made.size));
  return file(name);
}

const asked = (path: string, version: string, ...more: string[]): string[] => [
  ...['request', path, '--product', 'KS-PUMP-1', '--target', 'mcu', '--version', version],
  ...['--format', 'mcuboot', '--reason', 'a test', ...more],
];
async function request(path: string, version: string, ...more: string[]): Promise<RequestView> {
  const { status, stdout, stderr } = await sign(...asked(path, version, ...more), '--json');
  assert.equal(status, 0, stdout + stderr);
  return JSON.parse(stdout) as RequestView;
}
async function refusal(...args: string[]): Promise<string> {
  const { status, stderr, stdout } = await sign(...args);
  assert.equal(status, 3, stdout + stderr);
  return stderr;
}

test('TEST-KEY-23 an image is asked for, approved by another person with a copy of their own, signed by keyd and fetched; openssl verifies what the bootloader will', async () => {
  const path = await image('one.bin', '1.0.0', 1);
  const view = await request(path, '1.0.0');
  assert.equal(view.state, 'waiting');
  assert.deepEqual(await request(path, '1.0.0'), view, 'the same again is the same request');
  assert.equal((await sign('status', view.id)).status, 4, 'it waits');
  const approved = await sign('approve', view.id, '--image', path);
  assert.equal(approved.status, 0, approved.stderr);
  assert.match(approved.stdout, /1\.0\.0, security counter 1/);
  const fetched = await sign('fetch', view.id, '--out', file('one.signed'), '--wait', '60s');
  assert.equal(fetched.status, 0, fetched.stderr);
  assert.equal((await sign('status', view.id)).status, 0);
  const signed = readFileSync(file('one.signed'));
  const unsigned = readFileSync(path);
  const { subject } = await MCUBOOT.read(imageOf(unsigned));
  assert.ok(signed.subarray(0, subject.length).equals(subject), 'the signed part is the image as it was');
  // The signature, DER, ends the image (the last TLV); the key is the one that keyd tells of.
  const at = signed.indexOf(Buffer.from([0x22, 0x00]), subject.length);
  writeFileSync(file('one.sig'), signed.subarray(at + 4, at + 4 + signed.readUInt16LE(at + 2)));
  writeFileSync(file('one.part'), subject);
  const [certificate = ''] = readdirSync(deployment.layout.trust).filter((name) => /pump-1\.pem$/.test(name));
  const key = execFileSync('openssl', ['x509', '-in', join(deployment.layout.trust, certificate), '-pubkey', '-noout']);
  writeFileSync(file('one.pub'), key);
  const verified = execFileSync('openssl', [
    'dgst',
    '-sha256',
    '-verify',
    file('one.pub'),
    '-signature',
    file('one.sig'),
    file('one.part'),
  ]);
  assert.match(verified.toString(), /Verified OK/);
});

test('an approval that was signed on a machine that is offline counts when somebody else brings it', async () => {
  const path = await image('two.bin', '1.1.0', 2);
  const view = await request(path, '1.1.0');
  assert.equal((await sign('show', view.id, '--out', file('request.json'))).status, 0);
  const args = ['approve', view.id, '--request', file('request.json'), '--image', path];
  const offline = await sign(...args, '--statement-out', file('approval'));
  assert.equal(offline.status, 0, offline.stderr);
  assert.equal((await sign('status', view.id)).status, 4, 'nothing was sent');
  const sent = await sign('approve', view.id, '--statement', file('approval'), '--as', 'release');
  assert.equal(sent.status, 0, sent.stderr);
  assert.equal((await sign('status', view.id, '--wait', '60s')).status, 0);
  assert.match((await sign('list', '--as', 'auditor')).stdout, new RegExp(`${view.id} +signed`));
});

test('who asked does not approve, another copy is not approved, and nobody without a role asks or looks', async () => {
  const path = await image('three.bin', '1.2.0', 3);
  const view = await request(path, '1.2.0');
  assert.match(
    await refusal('approve', view.id, '--image', path, '--as', 'release', '--role', 'release-engineer'),
    /firmware-order\.self/,
  );
  const other = await image('other.bin', '1.2.0', 3, 8);
  assert.match(await refusal('approve', view.id, '--image', other), /signing\.image-differs/);
  assert.match(await refusal(...asked(path, '1.2.0', '--id', 'mine'), '--as', 'pki'), /access\.forbidden/);
  assert.match(await refusal('list', '--as', 'line-1'), /access\.forbidden/);
  assert.match(await refusal(...asked(other, '1.2.0')), /firmware-order\.version-taken/);
  assert.equal((await sign('withdraw', view.id)).status, 0);
  assert.match(await refusal('status', view.id), /signing\.ended-unsigned/);
});

test('what is truncated, signed already, of another version or product, or goes back is refused, audited, and nothing is signed', async () => {
  const before = await deployment.world.as('auditor').get<{ requests: RequestView[] }>('/api/v1/signing/requests');
  const path = await image('four.bin', '1.3.0', 4);
  const bytes = readFileSync(path);
  writeFileSync(file('cut.bin'), bytes.subarray(0, -20));
  assert.match(await refusal(...asked(file('cut.bin'), '1.3.0')), /firmware\.malformed/);
  assert.match(await refusal(...asked(file('one.signed'), '1.0.0')), /firmware\.signed-already/);
  assert.match(await refusal(...asked(path, '1.3.1')), /firmware-order\.claims-differ/);
  const lamp = asked(path, '1.3.0').map((word) => (word === 'KS-PUMP-1' ? 'KS-LAMP-1' : word));
  assert.match(await refusal(...lamp), /firmware-order\.not-in-policy/);
  assert.match(await refusal(...asked(await image('old.bin', '0.9.0', 9), '0.9.0')), /firmware-order\.rollback/);
  assert.match(await refusal(...asked(await image('counter.bin', '1.3.0', 1), '1.3.0')), /firmware-order\.rollback/);
  const now = await deployment.world.as('auditor').get<{ requests: RequestView[] }>('/api/v1/signing/requests');
  assert.deepEqual(now, before);
});

test('an upload that is not what its hash says is refused and leaves nothing behind', async () => {
  const client = deployment.world.as('release');
  const put = client.upload(`/api/v1/signing/files/${'0'.repeat(64)}`, [Buffer.from('another')], 7);
  await assert.rejects(put, { code: 'signing.image-differs' });
  const kept = readdirSync(join(deployment.layout.data, 'signing'));
  assert.ok(
    kept.every((name) => /^[0-9a-f]{64}$/.test(name) || name === 'time-stamps'),
    'nothing is left of it',
  );
});

test('keyd and serve that are started again between proposal and approval go on where they were, and sign once', async () => {
  const path = await image('six.bin', '1.3.5', 5);
  const view = await request(path, '1.3.5');
  await deployment.stop(true);
  deployment = await Deployment.at(deployment.folder);
  const approved = await sign('approve', view.id, '--image', path);
  assert.equal(approved.status, 0, approved.stderr);
  assert.equal((await sign('status', view.id, '--wait', '60s')).status, 0);
  const { requests } = await deployment.world
    .as('auditor')
    .get<{ requests: RequestView[] }>('/api/v1/signing/requests');
  assert.equal(requests.filter(({ order, state }) => order.version === '1.3.5' && state === 'signed').length, 1);
});

test('an image that is swapped in the data directory after it was approved is refused, and nothing is signed', async () => {
  const path = await image('five.bin', '1.4.0', 5);
  const view = await request(path, '1.4.0');
  const kept = join(deployment.layout.data, 'signing', view.order.image.sha256);
  chmodSync(kept, 0o600);
  writeFileSync(kept, readFileSync(await image('evil.bin', '1.4.0', 5, 6)));
  const approved = await sign('approve', view.id, '--image', path);
  assert.equal(approved.status, 0, approved.stderr);
  const { status, stderr } = await sign('status', view.id, '--wait', '60s');
  assert.equal(status, 3);
  assert.match(stderr, /refused: signing\.image-changed/);
  rmSync(kept);
});
