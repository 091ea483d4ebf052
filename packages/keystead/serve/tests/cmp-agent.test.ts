import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CmpClient,
  CmpRefusal,
  DeviceState,
  type DeviceToken,
  type EstClient,
  enrolmentClient,
  openDeviceToken,
  provision,
  type RenewalEvent,
  RenewalLoop,
  TokenDevice,
  TpmDevice,
} from '@keystead/agent';
import { parseCmpMessage, verifySigned } from '@keystead/core/cmp';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { pin, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { Tpm } from '@keystead/tpm2';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { CmpBed } from './cmp-bed.ts';

let bed: CmpBed;
let swtpm: Swtpm;
let tpm: Tpm;
const work = mkdtempSync(join(tmpdir(), 'keystead-cmp-agent-'));
let hsm: SoftHsmTokens;
let token: DeviceToken;
before(async () => {
  hsm = new SoftHsmTokens('one');
  swtpm = await Swtpm.start();
  tpm = await Tpm.open(swtpm.address);
  bed = await CmpBed.make({ deviceProof: 'message' });
  await bed.domain.openBatch();
  using secret = pin();
  token = await openDeviceToken(hsm.config({ sessions: 1 }), secret, bed.domain.clock);
});
after(async () => {
  await token?.end();
  hsm?.remove();
  await tpm?.close();
  await swtpm?.stop();
  await bed?.end();
  rmSync(work, { recursive: true });
});

const tpmDevice = async (deviceId: string) =>
  heldDevice(deviceId, await TpmDevice.create(join(work, `${deviceId}-tpm`), tpm, { clock: bed.domain.clock }));
const tokenDevice = async (deviceId: string) =>
  heldDevice(deviceId, await TokenDevice.create(join(work, `${deviceId}-token`), token, { deviceId }));

/** A device whose IDevID has its key in the TPM or on the token, provisioned by the real station's room. */
async function heldDevice(deviceId: string, device: TpmDevice | TokenDevice) {
  const { clock, provisioning } = bed.domain;
  using secret = await device.secret();
  const { certificates } = await bed.domain.keyd.client.trust();
  const { root, manufacturing } = certificates;
  assert.ok(root !== undefined && manufacturing !== undefined);
  const state = DeviceState.create(join(work, deviceId), { deviceId, anchors: [root], secret });
  await provision(
    state,
    clock,
    async (csr) => {
      const line = { station: 'station-1', operator: 'lin', line: 'line-1', ticketId: 'batch-1' };
      const { certificate } = await provisioning.provisionUnit({
        ...line,
        deviceId,
        csr,
        requestId: `unit-${deviceId}`,
      });
      return { certificate, chain: [manufacturing] };
    },
    device.signer(),
  );
  const cmp = () =>
    new CmpClient({
      url: `${bed.url}/.well-known/cmp`,
      clock,
      anchors: () => state.anchors,
      intermediates: () => state.intermediates,
      held: device.signer(),
    });
  const est = (): EstClient => assert.fail('EST has no way to use a key in a TPM or token');
  const events: RenewalEvent[] = [];
  const loop = new RenewalLoop({
    state,
    est: enrolmentClient(state, { est, cmp }),
    clock,
    prove: async ({ certificate }) => {
      await bed.domain.client(certificate);
    },
    graceSeconds: 30 * 86_400,
    onEvent: (event) => events.push(event),
  });
  return { device, state, loop, events, cmp };
}

for (const [where, deviceId, made] of [
  ['in a TPM', 'KS-0001', tpmDevice],
  ['on a PKCS#11 token', 'KS-0006', tokenDevice],
] as const)
  test(`TEST-KEY-12 TEST-KEY-03: a device whose IDevID key is ${where} enrols, renews and recovers by messages that its keys signed, where nothing else is proof`, async () => {
    bed.wire.splice(0);
    const { device, state, loop, events } = await made(deviceId);
    const { clock } = bed.domain;
    await loop.step();
    assert.deepEqual(
      events.map(({ type }) => type),
      ['enrolled'],
      JSON.stringify(events),
    );
    // What the TPM signed is in the first message, over its header and body as they stand.
    const requests = bed.wire.filter((_, index) => index % 2 === 0).map(parseCmpMessage);
    const p10cr = requests.find(({ bodyType }) => bodyType === 'p10cr');
    assert.ok(p10cr !== undefined);
    verifySigned(p10cr, 'ecdsa-with-SHA256', device.signer().spki);

    const first = readCertificate(state.identity('current').certificate);
    clock.set(new Date(first.notAfter.getTime() - 600_000));
    await loop.step();
    const second = readCertificate(state.identity('current').certificate);
    assert.notEqual(second.spkiSha256, first.spkiSha256);
    clock.set(new Date(second.notAfter.getTime() + 3_600_000));
    await loop.step();
    assert.deepEqual(
      events.map(({ type }) => type),
      ['enrolled', 'renewed', 'recovered'],
      JSON.stringify(events),
    );

    // No private key of the device is in what it sent or wrote.
    const scalar = state.identity('current').withKey((pkcs8) => Buffer.from(pkcs8.subarray(36, 68)));
    const places = [
      ...bed.wire,
      ...readdirSync(join(work, deviceId)).map((name) => readFileSync(join(work, deviceId, name))),
    ];
    for (const place of places) assert.equal(Buffer.from(place).includes(scalar), false);
    assert.throws(() => state.identity('idevid').withKey(() => undefined), { code: 'state.key-held' });
    state.close();
  });

test('a device whose token is away renews by its LDevID, cannot recover by its IDevID until the token is back, and then does, without a restart', async () => {
  const { state, loop, events } = await tokenDevice('KS-0007');
  const { clock } = bed.domain;
  await loop.step();
  const first = readCertificate(state.identity('current').certificate);
  hsm.unplug();
  try {
    clock.set(new Date(first.notAfter.getTime() - 600_000));
    await loop.step();
    const second = readCertificate(state.identity('current').certificate);
    clock.set(new Date(second.notAfter.getTime() + 3_600_000));
    await loop.step();
    const failed = events.at(-1);
    assert.ok(failed !== undefined && 'error' in failed && failed.error instanceof KeysteadError, failed?.type);
    assert.equal(failed.error.code, 'keystore.token-absent');
  } finally {
    hsm.plug();
  }
  // The pool rests a moment after a connection that failed; the loop would come again by itself.
  for (let left = 60; left > 0 && events.at(-1)?.type !== 'recovered'; left -= 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await loop.step();
  }
  assert.deepEqual(
    events.flatMap(({ type }) => (['enrolled', 'renewed', 'recovered'].includes(type) ? [type] : [])),
    ['enrolled', 'renewed', 'recovered'],
    JSON.stringify(events),
  );
  state.close();
});

test('a lost answer costs nothing: the same request again, signed anew, gets the same certificate', async () => {
  const { state, cmp } = await tpmDevice('KS-0002');
  const { csr } = await state.beginKey('ldevid');
  const idevid = state.identity('idevid');
  const one = await cmp().enrol(idevid, csr);
  const two = await cmp().enrol(idevid, csr);
  assert.ok(one.status === 'issued' && two.status === 'issued');
  assert.deepEqual(one.certificates[0], two.certificates[0]);
  state.close();
});

test('where messages are wanted as proof, the same device gets nothing by the word of the front end', async () => {
  const { state } = await tpmDevice('KS-0003');
  const { csr } = await state.beginKey('ldevid');
  const client = await bed.domain.client(state.identity('idevid').certificate);
  const refused = bed.domain.authority.enrol({ client, csr, requestId: 'by-tls' });
  await assert.rejects(refused, { code: 'requester.message-missing' });
  state.close();
});

test('a stolen device is refused in words that its loop takes for final', async () => {
  const { state, cmp } = await tpmDevice('KS-0004');
  await bed.domain.authority.revoke({
    selector: { deviceId: 'KS-0004' },
    reason: 'keyCompromise',
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'stolen',
  });
  const { csr } = await state.beginKey('ldevid');
  await assert.rejects(cmp().enrol(state.identity('idevid'), csr), (error: unknown) => {
    assert.ok(error instanceof CmpRefusal);
    assert.deepEqual(
      [error.failure, error.serverCode, error.isPassing],
      ['certRevoked', 'client.certificate-revoked', false],
    );
    return true;
  });
  state.close();
});

test('an answer of somebody else, or to another message, is not believed', async () => {
  const { state, cmp } = await tpmDevice('KS-0005');
  const identity = state.identity('idevid');
  await cmp().caCertificates(identity);
  const old = bed.wire.at(-1);
  assert.ok(old !== undefined);
  const { responder } = bed;
  const honest = responder.answer;
  const answers = async (body: Uint8Array, code: string): Promise<void> => {
    responder.answer = async () => ({ status: 200, body });
    await assert.rejects(cmp().caCertificates(identity), (error: unknown) => {
      assert.ok(error instanceof KeysteadError);
      assert.equal(error.code, code, error.message);
      return true;
    });
    responder.answer = honest;
  };
  await answers(old, 'cmp.answer-untrusted');
  await answers(old.subarray(0, -3), 'cmp.malformed');
  await answers(new Uint8Array(0), 'cmp.malformed');
  // One that names the right nonces, signed by a device: no registration authority.
  responder.answer = async (asked) => {
    const given = await honest(asked);
    const changed = Uint8Array.from(given.body);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    return { ...given, body: changed };
  };
  await assert.rejects(cmp().caCertificates(identity), /cmp|untrusted|answer/);
  responder.answer = honest;
  state.close();
});
