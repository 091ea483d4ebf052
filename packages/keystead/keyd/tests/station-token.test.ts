import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
import { writeKeystoreConfig } from '../../keystore/index.ts';
import { SoftHsm } from '../../keystore/pkcs11/tests/softhsm.ts';
import { outcomeOfError } from '../../provisioning/index.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey } from './bed.ts';
import { ST_3, signOnOf, stationCertificate } from './station-bed.ts';

let hsm: SoftHsm;
let bed: KeydBed;
before(async () => {
  hsm = new SoftHsm();
  hsm.addToken('keyd', KEYD_PASSPHRASE);
  bed = await KeydBed.make({}, ({ keyd }) => {
    mkdirSync(keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(keyd, hsm.config({ token: { label: 'keyd' } }));
  });
});
after(async () => {
  await bed.remove();
  hsm.remove();
});

test('TEST-KEY-17 an HSM that is unplugged in the middle of a batch is a retry for the rig, loses no unit of the quota, and the same request gets through when it is back', async () => {
  const ticket = await bed.ticket({ quota: 2 });
  const signOn = await signOnOf(bed);
  const certificate = await stationCertificate(bed);
  const unit = async (deviceId: string, key = makeKey()) => ({
    ...{ ticket, deviceId, csr: await csrFor(deviceId, key), at: { certificate, signOn } },
    ...{ station: ST_3, operator: 'lin', line: 'line-1', requestId: `unit-${deviceId}` },
  });
  await bed.client.provision(await unit('KS-0001'));
  const second = await unit('KS-0002');
  hsm.unplug();
  const refusal = await bed.client.provision(second).catch((error: unknown) => error);
  assert.ok(refusal instanceof KeysteadError);
  const { result, code, name } = outcomeOfError(refusal);
  assert.deepEqual([result, code, name], ['retry', 82, 'hsm-away']);
  hsm.plug();
  let got: unknown;
  for (let tries = 0; got === undefined; tries += 1) {
    assert.ok(tries < 500, 'the token is back');
    got = await bed.client.provision(second).catch(() => undefined);
    if (got === undefined) await pause(10);
  }
  const { tickets } = await bed.client.status();
  assert.deepEqual(tickets, [{ id: 'batch-1', units: 2, quota: 2 }]);
});
