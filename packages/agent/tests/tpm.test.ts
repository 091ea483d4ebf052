import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseCsr, readCertificate, verifyProofOfPossession } from '@keystead/core/x509';
import { attributesOf, decodePublic, Tpm } from '@keystead/tpm2';
import { Swtpm } from '../../tpm2/tests/swtpm.ts';
import { tpmOfFile } from '../../tpm2/tests/tpm-of-file.ts';
import { DeviceState, provision, TpmDevice } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';

let swtpm: Swtpm;
let tpm: Tpm;
let work: string;
let fleet: Fleet;
tpmOfFile({ certificates: true }, (...made) => {
  [tpm, swtpm] = made;
  work = mkdtempSync(join(tmpdir(), 'keystead-tpm-device-'));
  fleet = new Fleet();
});
after(() => rmSync(work, { recursive: true }));

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

const station = async (csr: Uint8Array) => {
  const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
  if (certificate === undefined) throw new Error('no certificate');
  return { certificate, chain };
};

test('TEST-KEY-03: a device provisioned by its TPM: the key never leaves it, the state keeps the certificate and lends no key', async () => {
  const [own, directory] = [join(work, 'a-tpm'), join(work, 'a-state')];
  const device = await TpmDevice.create(own, tpm, { clock: fleet.clock });
  using secret = await device.secret();
  const state = DeviceState.create(directory, { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret });
  const requests: Uint8Array[] = [];
  const certificate = await provision(
    state,
    fleet.clock,
    async (csr) => {
      requests.push(csr);
      return station(csr);
    },
    device.signer(),
  );
  const { keyPublic } = await device.shown();
  const area = decodePublic(keyPublic);
  assert.deepEqual(
    Object.entries(attributesOf(area)).flatMap(([name, set]) => (set ? [name] : [])),
    ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'noDA', 'sign'],
  );
  assert.equal(spkiSha256(readCertificate(certificate).spki), spkiSha256(device.signer().spki));
  const [request = new Uint8Array(0)] = requests;
  verifyProofOfPossession(parseCsr(request));
  const openssl = spawnSync('openssl', ['req', '-inform', 'DER', '-verify', '-noout'], { input: request });
  assert.match(`${openssl.stdout}${openssl.stderr}`, /verify OK/);

  assert.throws(() => state.identity('idevid').withKey(() => undefined), fails('state.key-held', /node:tls/));
  // Again after a restart: the same credential, and nothing is asked for.
  state.close();
  using again = await TpmDevice.open(own, tpm).secret();
  const reopened = DeviceState.open(directory, { secret: again });
  const never = async (): Promise<never> => {
    throw new Error('asked again');
  };
  assert.deepEqual(await provision(reopened, fleet.clock, never, device.signer()), certificate);
  assert.throws(() => reopened.identity('idevid').withKey(() => undefined), fails('state.key-held'));
  // The LDevID's key is made in software, sealed under the secret that the TPM gives out.
  await reopened.beginKey('ldevid');
  assert.deepEqual(readdirSync(directory).filter((name) => name.startsWith('key.')).length, 1);
  reopened.close();
});

test('a retry after a lost answer sends the same request, also across a restart', async () => {
  const [own, directory] = [join(work, 'b-tpm'), join(work, 'b-state')];
  const device = await TpmDevice.create(own, tpm, { clock: fleet.clock });
  using secret = await device.secret();
  const state = DeviceState.create(directory, { deviceId: 'pump-2', anchors: [fleet.root.certificate], secret });
  const sent: Uint8Array[] = [];
  const lost = async (csr: Uint8Array): Promise<never> => {
    sent.push(csr);
    throw new Error('the line is down');
  };
  await assert.rejects(provision(state, fleet.clock, lost, device.signer()), /the line is down/);
  state.close();
  const reopened = DeviceState.open(directory, { secret });
  const opened = TpmDevice.open(own, tpm);
  await assert.rejects(provision(reopened, fleet.clock, lost, opened.signer()), /the line is down/);
  assert.deepEqual(sent[0], sent[1]);
  await provision(reopened, fleet.clock, station, opened.signer());
  reopened.close();
});

test('after PCRs change the state stays closed, with an error that says which; nothing of it is lost', async () => {
  const own = join(work, 'c-tpm');
  const device = await TpmDevice.create(own, tpm, { clock: fleet.clock, selection: { bank: 'sha256', pcrs: [7, 16] } });
  swtpm.tool('tpm2_pcrextend', `16:sha256=${'ab'.repeat(32)}`);
  await assert.rejects(device.secret(), fails('tpm2.pcr-mismatch', /^sha256:16: .*PCR 16 is/));
  await swtpm.end();
  await swtpm.boot();
  using secret = await device.secret();
  assert.equal(secret.length, 32);
});

test('the files of one device open in no other TPM, are whole or damaged, and are made once', async () => {
  const own = join(work, 'd-tpm');
  await TpmDevice.create(own, tpm, { clock: fleet.clock });
  for (const name of readdirSync(own)) assert.equal(statSync(join(own, name)).mode & 0o777, 0o600);
  await assert.rejects(TpmDevice.create(own, tpm, { clock: fleet.clock }), fails('state.exists'));
  assert.throws(() => TpmDevice.open(join(work, 'none'), tpm), fails('state.missing'));
  const other = await Swtpm.start();
  try {
    await using foreign = await Tpm.open(other.address);
    const stolen = TpmDevice.open(own, foreign);
    await assert.rejects(stolen.secret(), fails('tpm2.other-tpm'));
    await assert.rejects(stolen.signer().sign(Buffer.from('x')), fails('tpm2.other-tpm'));
    await assert.rejects(stolen.shown(), fails('tpm2.other-tpm'));
  } finally {
    await other.stop();
  }
});

test('TEST-KEY-24: after the wipe no file, handle or object remains, and no copy made before opens again', async () => {
  const doomed = await Swtpm.start({ certificates: true });
  try {
    await using held = await Tpm.open(doomed.address);
    const [own, copy] = [join(work, 'e-tpm'), join(work, 'e-copy')];
    await TpmDevice.create(own, held, { clock: fleet.clock });
    cpSync(own, copy, { recursive: true });
    const report = await TpmDevice.wipe(own, held, { clearOwner: true });
    assert.deepEqual(report, { files: ['secret.tpm2', 'idevid.tpm2', 'attestation.tpm2'], ownerCleared: true });
    assert.deepEqual(readdirSync(own), []);
    assert.equal(doomed.tool('tpm2_getcap', 'handles-transient').trim(), '');
    assert.equal(doomed.tool('tpm2_getcap', 'handles-loaded-session').trim(), '');
    const copied = TpmDevice.open(copy, held);
    await assert.rejects(copied.secret(), fails('tpm2.other-tpm'));
    await assert.rejects(copied.signer().sign(Buffer.from('x')), fails('tpm2.other-tpm'));
    // A power cut in the middle of it: what is left is wiped by the next.
    assert.deepEqual(await TpmDevice.wipe(own, held, { clearOwner: false }), { files: [], ownerCleared: false });
  } finally {
    await doomed.stop();
  }
});

test('no file of a device holds its secret', async () => {
  const own = join(work, 'f-tpm');
  const device = await TpmDevice.create(own, tpm, { clock: fleet.clock });
  using secret = await device.secret();
  for (const name of readdirSync(own)) {
    const file = readFileSync(join(own, name));
    assert.ok(
      !secret.use((bytes) => file.includes(Buffer.from(bytes)) || file.includes(Buffer.from(bytes).toString('base64'))),
    );
  }
});
