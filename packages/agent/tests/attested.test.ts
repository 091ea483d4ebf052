import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { decodePublic, makeCredential, nameOf, Tpm } from '@keystead/tpm2';
import { Swtpm } from '../../tpm2/tests/swtpm.ts';
import { tpmOfFile } from '../../tpm2/tests/tpm-of-file.ts';
import { type AttestingStation, DeviceState, provisionAttested, type ShownTpm, TpmDevice } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-attested-'));
const fleet = new Fleet();
let tpm: Tpm;
tpmOfFile({ certificates: true }, (made) => {
  tpm = made;
});
after(() => rmSync(work, { recursive: true }));

const areaOf = (bytes: Uint8Array) => {
  const area = decodePublic(bytes);
  assert.ok(area.type !== 'sealed');
  return area;
};

/** A station of the test's own: it challenges as keyd does, and can be made to fail. */
class Station implements AttestingStation {
  readonly shown: ShownTpm[] = [];
  readonly requests: Uint8Array[] = [];
  lost = false;
  #secret = SecretBytes.random(32);

  async challenge(shown: ShownTpm) {
    this.shown.push(shown);
    this.#secret = SecretBytes.random(32);
    const credential = makeCredential(areaOf(shown.ekPublic), nameOf(areaOf(shown.akPublic)), this.#secret);
    return { challengeId: `${this.shown.length}`, credential };
  }

  async provision(csr: Uint8Array, answer: { challengeId: string; secret: SecretBytes }) {
    assert.equal(answer.challengeId, `${this.shown.length}`);
    const hash = (secret: SecretBytes) => secret.use((bytes) => Buffer.from(sha256(bytes)).toString('hex'));
    assert.equal(hash(answer.secret), hash(this.#secret));
    this.requests.push(csr);
    if (this.lost) throw new Error('the line is down');
    const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
    assert.ok(certificate);
    return { certificate, chain };
  }
}

test('TEST-KEY-03: a device is provisioned in two steps with its key in the TPM; after a lost answer it sends the same request under a new challenge', async () => {
  const device = await TpmDevice.create(join(work, 'tpm'), tpm, { clock: fleet.clock });
  using secret = await device.secret();
  const state = DeviceState.create(join(work, 'state'), {
    deviceId: 'pump-1',
    anchors: [fleet.root.certificate],
    secret,
  });
  const station = new Station();
  station.lost = true;
  await assert.rejects(provisionAttested(state, fleet.clock, station, device), /the line is down/);
  state.close();

  station.lost = false;
  using again = DeviceState.open(join(work, 'state'), { secret });
  const reopened = TpmDevice.open(join(work, 'tpm'), tpm);
  const certificate = await provisionAttested(again, fleet.clock, station, reopened);
  assert.deepEqual(station.requests[0], station.requests[1]);
  assert.equal(station.shown.length, 2);
  assert.equal(again.credential('idevid')?.held, true);
  // Who has an IDevID asks for nothing.
  assert.deepEqual(await provisionAttested(again, fleet.clock, station, reopened), certificate);
  assert.equal(station.shown.length, 2);
  assert.deepEqual(
    readdirSync(join(work, 'state')).filter((name) => name.startsWith('key.')),
    [],
  );
});

test('a TPM whose maker left no certificate in it shows its endorsement key alone, and opens a credential for it', async () => {
  const bare = await Swtpm.start();
  try {
    await using held = await Tpm.open(bare.address);
    const device = await TpmDevice.create(join(work, 'bare'), held, { clock: fleet.clock });
    const shown = await device.shown();
    assert.equal(shown.ekCertificate, undefined);
    using secret = SecretBytes.random(32);
    const credential = makeCredential(areaOf(shown.ekPublic), nameOf(areaOf(shown.akPublic)), secret);
    using opened = await device.activate(credential);
    assert.ok(opened.use((a) => secret.use((b) => Buffer.compare(a, b) === 0)));
  } finally {
    await bare.stop();
  }
});

test('a device in a TPM whose owner has a value: with it everything works, without it the error says so, and no file holds it', async () => {
  const owned = await Swtpm.start({ certificates: true });
  try {
    owned.tool('tpm2_changeauth', '-c', 'o', 'the owner');
    await using held = await Tpm.open(owned.address);
    const directory = join(work, 'owned');
    using ownerAuth = SecretBytes.copy(Buffer.from('the owner'));
    const failed = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'tpm2.auth-failed';
    await assert.rejects(TpmDevice.create(directory, held, { clock: fleet.clock }), failed);
    const device = await TpmDevice.create(directory, held, { clock: fleet.clock, ownerAuth });
    (await device.secret()).wipe();
    assert.ok((await device.signer().sign(Buffer.from('x'))).length > 60);
    assert.ok((await device.shown()).statement.attest.length > 0);
    await assert.rejects(TpmDevice.open(directory, held).secret(), failed);
    (await TpmDevice.open(directory, held, { ownerAuth }).secret()).wipe();
    for (const name of readdirSync(directory)) assert.ok(!readFileSync(join(directory, name)).includes('the owner'));
  } finally {
    await owned.stop();
  }
});
