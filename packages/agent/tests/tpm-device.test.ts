import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { attributesOf, parseTpmKey, type Tpm } from '@keystead/tpm2';
import { run, type Swtpm } from '../../tpm2/tests/swtpm.ts';
import { tpmOfFile } from '../../tpm2/tests/tpm-of-file.ts';
import { DeviceState, provision, TpmDevice } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { MemoryDisk, PowerCut } from './memory-disk.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-tpm-device-'));
const fleet = new Fleet();
const { clock } = fleet;
let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});
after(() => rmSync(work, { recursive: true }));

const fresh = (): string => join(mkdtempSync(join(work, 'device-')), 'tpm');
const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };
const bytesOf = (secret: SecretBytes): Uint8Array => secret.use((bytes) => Uint8Array.from(bytes));
const reboot = async (): Promise<void> => {
  await swtpm.end();
  await swtpm.boot();
};

/** A device whose IDevID has its key in the TPM and whose state is sealed by the TPM's secret. */
async function provisioned(directory: string): Promise<{ device: TpmDevice; state: DeviceState; path: string }> {
  const device = await TpmDevice.create(directory, tpm, { clock });
  const path = `${directory}-state`;
  using secret = await device.secret();
  const state = DeviceState.create(path, { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret });
  const submit = async (csr: Uint8Array) => {
    const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
    assert.ok(certificate);
    return { certificate, chain };
  };
  await provision(state, clock, submit, device.signer());
  return { device, state, path };
}

test('TEST-KEY-03: the IDevID is certified for a key that the TPM made, cannot give out, and signs with', async () => {
  const directory = fresh();
  const { device, state } = await provisioned(directory);
  const { blob } = parseTpmKey(readFileSync(join(directory, 'idevid.tpm2')));
  const { fixedTPM, fixedParent, sensitiveDataOrigin, decrypt } = attributesOf(blob.area);
  assert.deepEqual(
    { fixedTPM, fixedParent, sensitiveDataOrigin, decrypt },
    {
      fixedTPM: true,
      fixedParent: true,
      sensitiveDataOrigin: true,
      decrypt: false,
    },
  );
  const data = Buffer.from('a message of the device');
  const [certificate, message, signature] = ['idevid.pem', 'message', 'signature'].map((name) => swtpm.path(name));
  assert.ok(certificate !== undefined && message !== undefined && signature !== undefined);
  writeFileSync(certificate, toPem('CERTIFICATE', state.identity('idevid').certificate));
  writeFileSync(message, data);
  writeFileSync(signature, await device.signer().sign(data));
  const key = swtpm.path('idevid.pub');
  writeFileSync(key, run('openssl', ['x509', '-in', certificate, '-noout', '-pubkey']));
  assert.match(run('openssl', ['dgst', '-sha256', '-verify', key, '-signature', signature, message]), /Verified OK/);
  state.close();
});

test('TEST-KEY-11: after a reboot the TPM opens the state again; after PCR 7 changed it names the PCR and nothing is lost', async () => {
  const directory = fresh();
  const { state, path } = await provisioned(directory);
  state.close();
  await reboot();
  const device = TpmDevice.open(directory, tpm);
  using secret = await device.secret();
  using again = DeviceState.open(path, { secret });
  assert.equal(again.credential('idevid')?.held, true);

  swtpm.tool('tpm2_pcrextend', `7:sha256=${'11'.repeat(32)}`);
  await assert.rejects(
    device.secret(),
    fails('tpm2.pcr-mismatch', /sha256:7: .*PCR 7 is [0-9a-f]{16}…, sealed to 0{16}…/),
  );
  // The keys themselves are bound to the TPM and not to what booted: service can still ask who the device is.
  assert.ok((await device.signer().sign(Buffer.from('who'))).length > 60);
  await reboot();
  using opened = await device.secret();
  assert.deepEqual(bytesOf(opened), bytesOf(secret));
});

test('a power cut at any step leaves either no device in the TPM, which is made anew, or a whole one', async () => {
  const whole = new MemoryDisk();
  await TpmDevice.create('/tpm', tpm, { clock, disk: whole });
  for (let cutAt = 1; cutAt <= whole.operations; cutAt += 1) {
    const disk = new MemoryDisk();
    disk.cutAt = cutAt;
    await TpmDevice.create('/tpm', tpm, { clock, disk }).catch((error) => assert.ok(error instanceof PowerCut));
    for (const cut of ['nothing unsynced is left', 'everything written is left'] as const) {
      const found = disk.afterCut(cut);
      try {
        const device = TpmDevice.open('/tpm', tpm, { disk: found });
        (await device.secret()).wipe();
        await device.signer().sign(Buffer.from('x'));
      } catch (error) {
        assert.ok(fails('state.missing')(error), `${cutAt} ${cut}`);
        await TpmDevice.create('/tpm', tpm, { clock, disk: found });
      }
    }
  }
});

test('a file that was changed, cut or swapped for another of its kind is damaged, by name', async () => {
  const directory = fresh();
  await TpmDevice.create(directory, tpm, { clock });
  for (const name of ['attestation.tpm2', 'idevid.tpm2', 'secret.tpm2']) {
    const path = join(directory, name);
    const bytes = readFileSync(path);
    for (const changed of [
      bytes.subarray(0, -2),
      Buffer.from(bytes.toString().replace('"wrapped": "', '"wrapped": "AA')),
      Buffer.from('{}'),
    ]) {
      writeFileSync(path, changed);
      assert.throws(() => TpmDevice.open(directory, tpm), fails('tpm2.file-damaged'), name);
    }
    writeFileSync(path, bytes);
  }
  copyFileSync(join(directory, 'idevid.tpm2'), join(directory, 'secret.tpm2'));
  assert.throws(() => TpmDevice.open(directory, tpm), fails('tpm2.file-damaged'));
});

test('a TPM that is away is said to be away, and what the device has is there when it is back', async () => {
  const directory = fresh();
  const device = await TpmDevice.create(directory, tpm, { clock });
  await swtpm.end();
  await assert.rejects(device.secret(), fails('tpm2.unavailable'));
  await assert.rejects(device.signer().sign(Buffer.from('x')), fails('tpm2.unavailable'));
  await swtpm.boot();
  (await device.secret()).wipe();
});

test('a wipe without clearing the owner leaves a copy of the files usable in this very TPM, as the page warns', async () => {
  const directory = fresh();
  await TpmDevice.create(directory, tpm, { clock });
  const copy = `${directory}-copy`;
  cpSync(directory, copy, { recursive: true });
  assert.equal((await TpmDevice.wipe(directory, tpm, { clearOwner: false })).ownerCleared, false);
  assert.deepEqual(readdirSync(directory), []);
  (await TpmDevice.open(copy, tpm).secret()).wipe();
});
