import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SecretBytes } from '@keystead/core/crypto';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import { DEMO_FIRMWARE, demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { runCeremony } from 'keystead/ceremony/index.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { openConfig } from 'keystead/files/config.ts';
import { Layout } from 'keystead/files/layout.ts';
import { importBundle } from 'keystead/keyd/import.ts';
import { initKeyd } from 'keystead/keyd/init.ts';
import type { WorklistEntry } from 'keystead/signing/index.ts';
import { makeCustodianKeys, makePeopleKeys } from 'keystead/start/operators.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { Deployment, portsOfProcess } from '../system/deployment.ts';
import { keystead, ok } from './foreign.ts';

/**
 * What docs/signing-rotation.md tells people to type is typed here, in its order, on a deployment of real processes whose
 * roots are kept: a later policy names a key, a ceremony certifies it, keyd adopts it and signs with it, the old one is
 * killed and what it signed is signed again.
 */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(join(PROJECT, 'docs/signing-rotation.md'), 'utf8');
const [, documented = ''] = /<!-- rotation: begin -->([\s\S]*)<!-- rotation: end -->/.exec(PAGE) ?? [];
const BLOCKS = [...documented.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const ROOTS = 'correct horse battery staple';
const OPTIONS = { ldevidSeconds: 3600, dataName: 'keystead-data' };

let folder: string;
let deployment: Deployment;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-rotation-'));
  chmodSync(folder, 0o711);
  await found(new Layout(join(folder, 'keystead-data')));
  const tools = join(folder, 'tools');
  mkdirSync(tools);
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  const npx = `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`;
  writeFileSync(join(tools, 'npx'), npx);
  chmodSync(join(tools, 'npx'), 0o755);
  writeFileSync(join(folder, 'roots.passphrase'), `${ROOTS}\n`, { mode: 0o600 });
  deployment = await Deployment.at(folder, OPTIONS);
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

/** A founding as `npm start` holds one, but for the roots: their passphrase is known, and their medium is kept. */
async function found(layout: Layout): Promise<void> {
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  const config = await openConfig(layout, systemClock, 3600, portsOfProcess());
  const passphrases = { keyd: await unlock(layout, 'keyd'), operators: await unlock(layout, 'operators') };
  const base = `http://localhost:${config.ports.http}`;
  const made = { origin: 'rotation.example/log', firmware: DEMO_FIRMWARE.keys };
  const { path } = await initKeyd(layout, passphrases.keyd, systemClock, made);
  const policy = demoPolicy({
    operators: await makePeopleKeys(layout, passphrases.operators),
    issued: systemClock.now(),
    backup: await makeCustodianKeys(layout, passphrases.operators),
    lifetimes: { ldevid: { seconds: 3600, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } },
    urls: { crl: `${base}/crl/{ca}.crl`, ocsp: `${base}/ocsp/{ca}`, caIssuers: `${base}/ca/{ca}.cer` },
    firmware: DEMO_FIRMWARE,
  });
  await runCeremony(
    {
      request: readFileSync(path),
      policy: Buffer.from(formatPolicy(policy)),
      out: layout.ceremony,
      offline: join(folder, 'safe'),
      passphrase: SecretBytes.take(new TextEncoder().encode(ROOTS)),
      witnesses: ['Ada Lovelace', 'Grace Hopper'],
      acceptNetwork: false,
      unattended: true,
      clock: systemClock,
      software: 'keystead test',
      network: () => ({ interfaces: [], routes: [] }),
    },
    { print() {}, confirm: async () => 'yes' },
  );
  await importBundle(layout, passphrases.keyd, systemClock);
  cpSync(layout.ceremony, join(folder, 'usb', '1-founding'), { recursive: true });
}

/** Runs a block of the page in the folder; `typed` stays open at its other end, as a terminal does. */
function shell(command: string, args: readonly string[], typed = ''): Promise<string> {
  const env = { ...process.env, PATH: `${join(folder, 'tools')}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { cwd: folder, env, timeout: 180_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.write(typed);
  });
}
const block = (index: number): Promise<string> =>
  shell('bash', ['--norc', '-euo', 'pipefail', '-c', BLOCKS[index] ?? 'false']);
/** On a machine without network, with people who say yes. */
function offline(index: number): Promise<string> {
  const spaces = process.getuid?.() === 0 ? ['--net'] : ['--net', '--map-root-user'];
  const args = [...spaces, '--', 'bash', '--norc', '-euo', 'pipefail', '-c', BLOCKS[index] ?? 'false'];
  return shell('unshare', args, 'yes\n'.repeat(60));
}
const file = (name: string): string => join(folder, name);
const sign = (...args: string[]) => keystead(['sign', ...args, '--data', deployment.layout.data]);

/** What openssl says of the signature of an MCUboot image by the key of a certificate. */
async function verified(signed: string, unsigned: string, key: string): Promise<string> {
  const { subject } = await MCUBOOT.read(imageOf(readFileSync(file(unsigned))));
  const bytes = readFileSync(file(signed));
  const at = bytes.indexOf(Buffer.from([0x22, 0x00]), subject.length);
  writeFileSync(file('sig'), bytes.subarray(at + 4, at + 4 + bytes.readUInt16LE(at + 2)));
  writeFileSync(file('part'), subject);
  const certificate = join(deployment.layout.trust, `firmware-${key}.pem`);
  writeFileSync(file('pub'), await ok('openssl', ['x509', '-in', certificate, '-pubkey', '-noout']));
  return ok('openssl', ['dgst', '-sha256', '-verify', file('pub'), '-signature', file('sig'), file('part')]);
}

test('the page has the blocks that are typed here', () => {
  assert.deepEqual(
    BLOCKS.map((text) => /keystead (\w+ [\w-]+)/.exec(text)?.[1]),
    [
      'policy show',
      'hierarchy request-firmware',
      'ceremony firmware',
      'hierarchy import',
      'sign anchors',
      'policy propose',
      'keys suspend',
      'sign worklist',
    ],
  );
});

test('TEST-KEY-15 TEST-KEY-22 docs/signing-rotation.md: a later policy names a key, a ceremony without network certifies it, keyd adopts it, and openssl verifies it under the signing root [openssl: X.509 verify]', async () => {
  await block(0);
  await deployment.stop(true);
  await block(1);
  assert.match(await offline(2), /\nPROVEN\n/);
  assert.match(await block(3), /^ceremony 2 is taken over/m);
  deployment = await Deployment.at(folder, OPTIONS);
  const { trust } = deployment.layout;
  const root = join(trust, 'signing-root.pem');
  assert.match(await ok('openssl', ['verify', '-CAfile', root, join(trust, 'firmware-pump-2.pem')]), /: OK/);
  const { stdout } = await sign('keys');
  assert.match(stdout, /pump-1 +KS-PUMP-1 production +P-256 +signs +active/);
  assert.match(stdout, /pump-2 +KS-PUMP-1 production +P-256 +trusted +active/);
});

test('TEST-KEY-15 docs/signing-rotation.md: the old key brings both anchors, the new one signs, and what was signed holds the floor [openssl: MCUboot signature] [sig-list-to-certs: Anchors UEFI db]', async () => {
  await block(4);
  await ok('sig-list-to-certs', [file('anchors.uefi-esl'), file('db')]);
  for (const [index, key] of [
    [0, 'pump-1'],
    [1, 'pump-2'],
  ] as const) {
    const subject = await ok('openssl', [
      'x509',
      '-inform',
      'DER',
      '-in',
      file(`db-${index}.der`),
      '-noout',
      '-subject',
    ]);
    assert.match(subject, new RegExp(`CN = KS-PUMP-1 ${key}`));
  }
  await block(5);
  for (const [id, image, key] of [
    ['bring-pump-2', 'pump.bin', 'pump-1'],
    ['by-pump-2', 'radio.bin', 'pump-2'],
  ] as const) {
    assert.equal((await sign('fetch', id, '--out', file(`${id}.signed`))).status, 0);
    assert.match(await verified(`${id}.signed`, image, key), /Verified OK/);
  }
  const made = await MCUBOOT.prepare?.(imageOf(new Uint8Array(500)), { version: '0.9.0', 'security-counter': '1' });
  assert.ok(made);
  writeFileSync(file('low.bin'), await made.read(0, made.size));
  const low = ['--product', 'KS-PUMP-1', '--target', 'mcu', '--version', '0.9.0', '--format', 'mcuboot'];
  const { stderr, status } = await sign('request', file('low.bin'), ...low, '--reason', 'a test');
  assert.equal(status, 3);
  assert.match(stderr, /firmware-order\.rollback/);
});

test('TEST-KEY-23 docs/signing-rotation.md: a stolen key is killed by a quorum, the answer names what is next, and what it signed is signed again from the list', async () => {
  const killed = await block(6);
  assert.match(killed, /pump-1 signs nothing any more, since/);
  assert.match(killed, /keystead ceremony crl --revoke firmware-pump-1 --reason keyCompromise/);
  const printed = await block(7);
  assert.match(printed, /bring-pump-2 +KS-PUMP-1 production +mcu +1\.0\.0 +mcuboot +[0-9a-f]{16} +yes +no/);
  const list = JSON.parse(printed.slice(printed.lastIndexOf('\n{') + 1)) as { entries: WorklistEntry[] };
  assert.deepEqual(
    list.entries.map(({ order, signedAgain, waiting }) => [order, signedAgain?.startsWith('fw-'), waiting]),
    [['bring-pump-2', true, null]],
  );
  const again = list.entries[0]?.signedAgain ?? '';
  assert.equal((await sign('fetch', again, '--out', file('again.signed'))).status, 0);
  assert.match(await verified('again.signed', 'pump.bin', 'pump-2'), /Verified OK/);
  const { events } = await deployment.world
    .as('auditor')
    .get<{ state: string; history: { event: string; by: string }[] }>('/api/v1/keys/firmware-pump-1')
    .then(({ state, history }) => ({ events: [state, ...history.map(({ event }) => event)] }));
  assert.equal(events[0], 'compromised');
});

test('a killed key is destroyed while keyd is stopped, and one that devices trust is not', async () => {
  await deployment.stop(true);
  const destroy = (key: string) => keystead(['hierarchy', 'destroy-firmware', key, '--data', deployment.layout.data]);
  const used = await destroy('pump-2');
  assert.equal(used.status, 3);
  assert.match(used.stderr, /firmware-key\.in-use/);
  const done = await destroy('pump-1');
  assert.equal(done.status, 0, done.stderr);
});
