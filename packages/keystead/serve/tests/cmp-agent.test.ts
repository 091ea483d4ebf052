import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CmpClient,
  CmpRefusal,
  DeviceState,
  type EstClient,
  enrolmentClient,
  provision,
  type RenewalEvent,
  RenewalLoop,
  TpmDevice,
} from '@keystead/agent';
import { parseCmpMessage, verifySigned } from '@keystead/core/cmp';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { Tpm } from '@keystead/tpm2';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { CmpBed } from './cmp-bed.ts';

let bed: CmpBed;
let swtpm: Swtpm;
let tpm: Tpm;
const work = mkdtempSync(join(tmpdir(), 'keystead-cmp-agent-'));
before(async () => {
  swtpm = await Swtpm.start();
  tpm = await Tpm.open(swtpm.address);
  bed = await CmpBed.make({ deviceProof: 'message' });
  await bed.domain.openBatch();
});
after(async () => {
  await tpm?.close();
  await swtpm?.stop();
  await bed?.end();
  rmSync(work, { recursive: true });
});

/** A device whose IDevID has its key in the TPM, provisioned by the real station's room. */
async function tpmDevice(deviceId: string) {
  const { clock, provisioning } = bed.domain;
  const device = await TpmDevice.create(join(work, `${deviceId}-tpm`), tpm, { clock });
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
  const est = (): EstClient => assert.fail('EST has no way to use a key in a TPM');
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

test('TEST-KEY-12 TEST-KEY-03: a device whose IDevID key is in a TPM enrols, renews and recovers by messages that its keys signed, where nothing else is proof', async () => {
  const { device, state, loop, events } = await tpmDevice('KS-0001');
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
    ...readdirSync(join(work, 'KS-0001')).map((name) => readFileSync(join(work, 'KS-0001', name))),
  ];
  for (const place of places) assert.equal(Buffer.from(place).includes(scalar), false);
  assert.throws(() => state.identity('idevid').withKey(() => undefined), { code: 'state.key-held' });
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
