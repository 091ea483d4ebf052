import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { toPem } from '@keystead/core/bytes';
import { signTicket } from '@keystead/core/lifecycle';
import type { Layout } from 'keystead/files/layout.ts';
import { PIN, SOFTHSM, SoftHsm } from 'keystead/keystore/pkcs11/tests/softhsm.ts';
import { personSigner } from 'keystead/start/operators.ts';
import type { Answer } from '../faults/https.ts';
import { newKey, Rig } from '../faults/rig.ts';
import { keystead, openssl } from '../interop/foreign.ts';
import { FactoryLine, unitsIn } from '../line/factory.ts';
import { Link } from '../line/link.ts';
import { nothingIsWrong, verified } from '../line/verified.ts';
import { TestStation, told, verdict } from './station-rig.ts';

/**
 * The whole life of a factory node whose keys and counter are on a token: a real SoftHSM, real processes on both sides,
 * and the commands that people type. Headquarters is away from the founding until the last test.
 */
const NAME = 'life-1';
const QUOTA = 6;
let hsm: SoftHsm;
let hq: Rig;
let link: Link;
let line: FactoryLine;
let station: TestStation;
let sixth: { key: string; cert: string };

before(async () => {
  hsm = new SoftHsm();
  hsm.addToken('line', PIN);
  hq = await Rig.make();
  link = await Link.to(hq.world.config.ports.https);
  const token = { module: SOFTHSM, label: 'line', pin: PIN, counter: 'units' };
  line = await FactoryLine.found(hq, NAME, `https://localhost:${link.port}`, token);
  link.cut();
});
after(async () => {
  await line?.remove();
  await link?.close();
  await hq?.remove();
  hsm?.remove();
});

/** As it is, with modes and times: what a tool for disk images does. */
const copy = (from: string, to: string): Buffer => execFileSync('cp', ['-a', from, to]);
const unitId = (n: number): string => `L1-${String(n).padStart(4, '0')}`;
const csrOf = async (n: number): Promise<string> => toPem('CERTIFICATE REQUEST', (await newKey(unitId(n))).csr);
const unit = (n: number, csr: string): Promise<Answer> => station.unit(unitId(n), { csr });

async function passes(n: number): Promise<string> {
  const csr = await csrOf(n);
  assert.equal(verdict(await unit(n, csr)), 'pass 0 done');
  return csr;
}

/** A unit as its device has it: key, certificate and the CAs between it and the root. */
async function device(n: number): Promise<{ key: string; cert: string }> {
  const { key, csr } = await newKey(unitId(n));
  const made = await unit(n, toPem('CERTIFICATE REQUEST', csr));
  assert.equal(verdict(made), 'pass 0 done', made.text);
  const { certificate, chain } = told(made);
  return { key, cert: `${String(certificate)}${String(chain)}` };
}

async function restart(between: () => void = () => {}): Promise<void> {
  await line.stop('serve');
  await line.stop('keyd');
  between();
  await line.start('keyd');
  await line.start('serve');
}

/** The records of the batch, and the birth certificate of a unit, from one side, verified with nothing but the root. */
async function provenOf({ data, trust }: Layout): Promise<void> {
  const [lot, birth] = [join(line.folder, 'lot'), join(line.folder, 'birth.pem')];
  const exported = await keystead(['provisioning', 'export', '--batch', 'batch-life', '--out', lot, '--data', data]);
  assert.equal(exported.status, 0, exported.stdout + exported.stderr);
  const proven = await keystead(['provisioning', 'verify', lot, '--trust', trust]);
  assert.equal(proven.status, 0, proven.stdout + proven.stderr);
  assert.match(proven.stdout, /6/);
  const born = await keystead(['provisioning', 'birth-certificate', unitId(1), '--out', birth, '--data', data]);
  assert.equal(born.status, 0, born.stdout + born.stderr);
  const verified = await keystead(['provisioning', 'verify', birth, '--trust', trust]);
  assert.match(verified.stdout, /^L1-0001: provisioned .* by line-1 at line-1/, verified.stderr);
  const root = ['-CAfile', join(trust, 'root.pem'), '-purpose', 'any'];
  assert.match(await openssl('cms', '-verify', '-inform', 'PEM', '-in', birth, ...root), /device_id: "?L1-0001/);
}

test('TEST-KEY-11 the keys of a node are made on its token, its sub-CA is certified by headquarters, and its counter lies beside them', async () => {
  const { text } = hsm.tool('line', '--list-objects', '--type', 'privkey');
  for (const id of ['ca-manufacturing', 'ca-server', 'evidence', 'log', 'log-cosign'])
    assert.match(text, new RegExp(`label: +${id}\\n`));
  assert.equal(existsSync(join(line.layout.keyd, 'keystore.sealed')), false);
  assert.match(await line.hqCommand('list'), /life-1 +commissioned .* L1- +0 +pkcs11 +pkcs11/);
});

test('TEST-KEY-17 a station signs on at the node, and its operator opens a batch that headquarters signed and brings units', async () => {
  // People come with the keys and certificates that they have of headquarters.
  copy(hq.layout.operators, line.layout.operators);
  mkdirSync(line.layout.unlock, { mode: 0o700 });
  copy(hq.layout.passphrase('operators'), line.layout.passphrase('operators'));
  station = await TestStation.enrol(line, 'st-3.localhost');
  const signedOn = told(await station.signOn());
  assert.deepEqual([signedOn.factory, signedOn.station], [NAME, 'st-3.localhost']);
  const now = Date.now();
  const ticket = await signTicket(
    {
      ...{ id: 'batch-life', model: 'KS-PUMP-1', quota: QUOTA, lines: ['line-1'], profile: 'idevid', factory: NAME },
      notBefore: new Date(now - 60_000).toISOString(),
      notAfter: new Date(now + 86_400_000).toISOString(),
      deviceIds: { prefix: 'L1-', from: 1, to: 99, width: 4 },
    },
    'pki',
    personSigner(hq.layout, 'pki', hq.world.passphrases.operators),
  );
  const opened = await station.ask('POST', '/batches', { ticket });
  assert.equal(opened.status, 200, opened.text);
  const csr = await passes(1);
  await passes(2);
  assert.equal(verdict(await unit(1, csr)), 'pass 1 done-before');
});

test('TEST-KEY-13 an older image of the disk gives out no unit again: the operator is told, keystead verify fails, and the right disk goes on', async () => {
  const [image, right] = [join(line.folder, 'image'), join(line.folder, 'right')];
  await restart(() => copy(line.layout.data, image));
  await passes(3);
  const csr = await csrOf(4);
  await restart(() => {
    renameSync(line.layout.data, right);
    renameSync(image, line.layout.data);
  });
  const refused = await unit(4, csr);
  assert.equal(verdict(refused), 'retry 88 count-wrong', refused.text);
  assert.match(String(told(refused).what), /^The node gives out no units: an older disk was put back into it/);
  assert.equal((await verified(line.layout)).get('keyd.count')?.verdict, 'failed');
  await restart(() => {
    rmSync(line.layout.data, { recursive: true });
    renameSync(right, line.layout.data);
  });
  assert.equal(verdict(await unit(4, csr)), 'pass 0 done');
});

test('TEST-KEY-17 a token that is unplugged in the middle of a batch is told to the operator in plain words, and the very same request passes when it is back', async () => {
  const csr = await csrOf(5);
  hsm.unplug();
  const away = await unit(5, csr);
  hsm.plug();
  assert.equal(verdict(away), 'retry 82 hsm-away', away.text);
  assert.equal(told(away).what, 'The key module (HSM) of the node does not answer.');
  assert.match(String(told(away).todo), /^Leave the unit where it is\. Check that the module is plugged in/);
  let back = away;
  for (let tries = 0; tries < 300 && !verdict(back).startsWith('pass'); tries += 1) {
    await pause(50);
    back = await unit(5, csr);
  }
  assert.match(verdict(back), /^pass [01] /, back.text);
  sixth = await device(6);
  assert.equal(verdict(await unit(7, await csrOf(7))), 'fail 43 quota-reached');
});

test('TEST-KEY-17 when the link is back headquarters has each unit once, its device enrols there, and both sides verify', async () => {
  assert.equal(unitsIn(hq.layout).length, 0);
  assert.ok((await line.waiting()).waiting > 0);
  link.restore();
  // As after a night: the next try is not waited for.
  await restart();
  let progress = await line.waiting();
  for (let tries = 0; tries < 300 && progress.waiting > 0; tries += 1) {
    await pause(100);
    progress = await line.waiting();
  }
  assert.equal(progress.waiting, 0, JSON.stringify(progress));
  const made = unitsIn(line.layout);
  assert.deepEqual(
    made.map(({ device }) => device),
    [1, 2, 3, 4, 5, 6].map(unitId),
  );
  assert.deepEqual(unitsIn(hq.layout), made);
  assert.match(await line.hqCommand('conflicts'), /none[\s\S]*no unit is in quarantine/);
  assert.match(await line.hqCommand('list'), /life-1 +commissioned .* L1- +6 /);
  for (const layout of [line.layout, hq.layout]) await nothingIsWrong(layout);
  await provenOf(hq.layout);
  await hq.ldevid(unitId(6), sixth);
  const count = (await verified(line.layout)).get('keyd.count');
  assert.match(`${count?.verdict}: ${count?.evidence}`, /^passed: /);
  const status = await keystead(['factory', 'status', '--data', line.layout.data]);
  assert.match(status.stdout, /outbox +empty; last receipt 20/, status.stdout + status.stderr);
  assert.match(readFileSync(join(line.layout.keyd, 'counter.json'), 'utf8'), /"units"/);
});
