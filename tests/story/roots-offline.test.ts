import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KEYD_KEYS } from 'keystead/keyd/init.ts';
import { openSealedKeystore } from 'keystead/keystore/index.ts';
import { unlock } from 'keystead/start/unlock.ts';
import { runChecklist } from 'keystead/verify/index.ts';
import { Deployment } from '../system/deployment.ts';

let deployment: Deployment;
before(async () => {
  deployment = await Deployment.start();
});
after(() => deployment.stop());

/** Every file that a process holds open or has mapped. */
function filesOf(pid: number): string[] {
  const open = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return [...open, ...readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')];
}

test("TEST-KEY-22 no online process holds a file of the roots' directory, and none lies in the data directory", () => {
  const { layout, services } = deployment.world;
  assert.ok(services.length >= 3);
  for (const { pid, name } of services) {
    assert.ok(pid !== undefined);
    const touching = filesOf(pid).filter((path) => path.includes(layout.offline));
    assert.deepEqual(touching, [], `${name} holds files of the roots`);
  }
  const sealedRoots = readdirSync(layout.data, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('root.sealed'),
  );
  assert.deepEqual(sealedRoots, []);
});

test("TEST-KEY-22 keyd's keystore holds the online keys of the ceremony's request and no root", async () => {
  const { layout, clock } = deployment.world;
  using passphrase = await unlock(layout, 'keyd');
  const keystore = await openSealedKeystore(join(layout.keyd, 'keystore.sealed'), passphrase, clock);
  try {
    assert.deepEqual(
      keystore
        .list()
        .map((key) => key.id)
        .sort(),
      [...Object.keys(KEYD_KEYS), 'firmware-pump-1', 'firmware-pump-1-dev', 'tuf-ks-pump-1-online'].sort(),
    );
  } finally {
    keystore.close();
  }
});

test('TEST-KEY-22 with the roots carried away everything goes on, and the checklist shows the ceremony behind each', async () => {
  const { layout, clock } = deployment.world;
  renameSync(layout.offline, `${layout.offline}.in-the-safe`);
  try {
    const checks = await runChecklist(layout, clock);
    const unproven = checks.filter((check) => check.verdict !== 'passed');
    // A demonstration has no TPM to count in, and says so.
    assert.deepEqual(
      unproven.map(({ id, verdict }) => [id, verdict]),
      [['keyd.count', 'weak']],
    );
    assert.match(checks.find((check) => check.id === 'ceremony.transcript')?.evidence ?? '', /\d+ lines/);
    assert.deepEqual(deployment.deaths, []);
  } finally {
    renameSync(`${layout.offline}.in-the-safe`, layout.offline);
  }
});
