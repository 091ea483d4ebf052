import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from 'keystead/clock/system.ts';
import { PEOPLE } from 'keystead/start/operators.ts';
import { runChecklist } from 'keystead/verify/index.ts';
import { newKey, Rig } from './rig.ts';

let rig: Rig;
/** What must stand in no file: the scalars of keys that the test can open, and the passphrases. */
const secrets = new Map<string, Buffer>();
before(async () => {
  rig = await Rig.make();
  const device = await rig.device('DEV-0001');
  secrets.set('IDevID', scalarOf(device.key));
  const ldevid = await rig.ldevid('DEV-0001', device);
  secrets.set('LDevID', scalarOf(ldevid.key));
  // Also by the ways that go wrong: an error or a log line must not carry a body that should not have been sent.
  const { key } = await newKey('DEV-0001');
  secrets.set('a key that was sent instead of a request', scalarOf(key));
  const type = 'application/pkcs10';
  const body = key.replaceAll(/-----.*-----|\n/g, '');
  const path = '/.well-known/est/simpleenroll';
  assert.equal((await rig.https('POST', path, { identity: device, body, type })).status, 400);
  assert.equal((await rig.rest('POST', '/units', rig.person('line-1'), { csr: key })).status, 400);
  for (const { name } of PEOPLE) secrets.set(name, scalarOf(rig.person(name).key));
  for (const holder of ['keyd', 'operators', 'devices'] as const) {
    secrets.set(`passphrase of ${holder}`, readFileSync(rig.layout.passphrase(holder)).subarray(0, 43));
  }
});
after(() => rig.remove());

function scalarOf(pem: string): Buffer {
  return Buffer.from(String(createPrivateKey(pem).export({ format: 'jwk' }).d), 'base64url');
}

/** A secret as it is, in hex, and in base64 at each of the three places that it can have in what was encoded. */
function formsOf(secret: Buffer): Buffer[] {
  const hex = secret.toString('hex');
  const texts = [hex, hex.toUpperCase()];
  for (const encoding of ['base64', 'base64url'] as const) {
    for (let before = 0; before < 3; before += 1) {
      const text = Buffer.concat([Buffer.alloc(before), secret])
        .toString(encoding)
        .replace(/=+$/, '');
      texts.push(text.slice(before === 0 ? 0 : 4, -2));
    }
  }
  return [secret, ...texts.map((text) => Buffer.from(text))];
}

/** Every file of the deployment but the unlock directory, which is there to hold the passphrases. */
function found(): string[] {
  const hits: string[] = [];
  for (const top of [rig.layout.data, rig.layout.offline]) {
    for (const entry of readdirSync(top, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      for (const [whose, secret] of secrets) {
        if (formsOf(secret).some((form) => bytes.includes(form))) hits.push(`${whose} in ${path}`);
      }
    }
  }
  return hits;
}

test('TEST-KEY-12 no file, log or database of a deployment holds a key or passphrase that the test knows', async () => {
  assert.deepEqual(found(), []);
  await rig.restart('serve');
  await rig.kill('serve', 'keyd');
  // The write-ahead log of a killed serve is there as well.
  assert.ok(readdirSync(join(rig.layout.database, '..')).some((name) => name.endsWith('-wal')));
  assert.deepEqual(found(), []);
  const seeded = join(rig.layout.logs, 'seeded.log');
  const scalar = secrets.get('LDevID') ?? Buffer.alloc(0);
  for (const bytes of [scalar, scalar.toString('hex'), Buffer.concat([Buffer.from('xy'), scalar]).toString('base64')]) {
    writeFileSync(seeded, bytes);
    assert.deepEqual(found(), [`LDevID in ${seeded}`]);
  }
  rmSync(seeded);
  await rig.start('keyd');
  await rig.start('serve');
});

async function verdict(): Promise<string> {
  const results = await runChecklist(rig.layout, systemClock);
  return results.find((result) => result.id === 'storage.no-clear-keys')?.verdict ?? 'missing';
}

test('TEST-KEY-12 the checklist finds a private key that was seeded, in each form in which one is written', async () => {
  assert.equal(await verdict(), 'passed');
  const { key } = await newKey('DEV-0001');
  const opened = createPrivateKey(key);
  const pkcs8 = opened.export({ format: 'der', type: 'pkcs8' });
  const sec1 = opened.export({ format: 'der', type: 'sec1' });
  const forms: readonly (readonly [name: string, bytes: Buffer | string])[] = [
    ['PEM', key],
    ['PEM of SEC 1', opened.export({ format: 'pem', type: 'sec1' })],
    ['PKCS#8', Buffer.concat([Buffer.from('before'), pkcs8])],
    ['SEC 1', Buffer.concat([Buffer.from('before'), sec1])],
    ['PKCS#8 in JSON', JSON.stringify({ body: pkcs8.toString('base64') })],
    ['SEC 1 in JSON', JSON.stringify({ body: sec1.toString('base64') })],
  ];
  for (const directory of [rig.layout.logs, rig.layout.records, join(rig.layout.database, '..')]) {
    const seeded = join(directory, 'seeded');
    for (const [name, bytes] of forms) {
      writeFileSync(seeded, bytes);
      assert.equal(await verdict(), 'failed', `${name} in ${directory}`);
      rmSync(seeded);
    }
  }
  assert.equal(await verdict(), 'passed');
});
