import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { codeOf, csrFor, DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { TpmMachine } from '../../keyd/tests/tpm-machine.ts';
import type { ChallengeOrder, UnitOrder } from '../index.ts';

/** Units with a TPM (swtpm) before the rooms of the domain, over the real keyd. */
let machine: TpmMachine;
let bed: DomainBed;
before(async () => {
  machine = await TpmMachine.start(new SimulatedClock(new Date()));
  bed = await DomainBed.make({}, { attestation: machine.maker() });
  bed.clock.set(new Date());
  await bed.openBatch();
  const ticket = await bed.keyd.ticket({ id: 'batch-tpm', attestation: 'required' });
  await bed.provisioning.openBatch({ ticket, actor: { kind: 'operator', id: 'lin' }, requestId: 'open' });
});
after(async () => {
  await bed?.remove();
  await machine.stop();
});

const at = (deviceId: string, more: Partial<UnitOrder> = {}) => ({
  ...{ ticketId: 'batch-tpm', deviceId, station: 'lin', operator: 'lin', line: 'line-1', requestId: `r-${deviceId}` },
  ...more,
});
const challenge = (deviceId: string, more: Partial<ChallengeOrder> = {}) =>
  bed.provisioning.challengeUnit({ ...at(deviceId), shown: machine.params(), ...more });

/** A challenge, its answer, and the unit's request, as a station sends them. */
async function order(deviceId: string): Promise<UnitOrder> {
  const { challengeId, ...credential } = await challenge(deviceId);
  const csr = await machine.csr(deviceId);
  return { ...at(deviceId), csr, attestation: { challengeId, secret: await machine.answer(credential) } };
}

/** Asserts that `act` is refused with `code`, audited once under `what`, and certifies nothing. */
async function refused(what: string, code: string, act: Promise<unknown>): Promise<void> {
  const refusals = bed.entries('request.refused').length;
  const { certificates } = bed.counts();
  assert.equal(await codeOf(act), code);
  assert.equal(bed.counts().certificates, certificates);
  const entries = bed.entries('request.refused');
  assert.equal(entries.length, refusals + 1);
  assert.deepEqual([entries.at(-1)?.subject.what, entries.at(-1)?.detail?.code], [what, code]);
}

test('TEST-KEY-03: a unit that is known without attestation cannot be attested afterwards, neither step by step nor at once', async () => {
  const device = await bed.device('KS-0001');
  assert.equal(bed.store.read((records) => records.device('KS-0001'))?.keyOrigin, 'proof-of-possession');
  await refused('challenge unit', 'device.already-provisioned', challenge('KS-0001', { ticketId: 'batch-1' }));
  const attestation = { challengeId: '00'.repeat(16), secret: new Uint8Array(32) };
  const again = { ...at('KS-0001', { ticketId: 'batch-1' }), csr: await csrFor('KS-0001', device.key) };
  await refused(
    'provision unit',
    'device.already-provisioned',
    bed.provisioning.provisionUnit({ ...again, attestation }),
  );
  assert.equal((await bed.provisioning.provisionUnit(again)).repeated, true);
});

test('what is refused at either step is audited, and a wrong answer gives nothing', async () => {
  await refused('challenge unit', 'ticket.unknown', challenge('KS-0002', { ticketId: 'batch-9' }));
  await refused('challenge unit', 'device.id-malformed', challenge('../etc'));
  await refused('challenge unit', 'operator.forbidden', challenge('KS-0002', { operator: 'aud' }));
  const { attest, ...rest } = machine.params();
  const shown = { ...rest, attest: attest.subarray(1) };
  await refused('challenge unit', 'attestation.statement-refused', challenge('KS-0002', { shown }));
  const csr = await machine.csr('KS-0002');
  await refused('provision unit', 'attestation.required', bed.provisioning.provisionUnit({ ...at('KS-0002'), csr }));
  const wrong = await order('KS-0002');
  wrong.attestation?.secret.fill(7);
  await refused('provision unit', 'attestation.challenge-refused', bed.provisioning.provisionUnit(wrong));
  assert.equal(
    bed.store.read((records) => records.device('KS-0002')),
    undefined,
  );
});

test('TEST-KEY-03: an attested unit stands as such in the records, in its file and in the log; when its answer was lost it comes again', async () => {
  const unit = await order('KS-0003');
  const [one, two] = await Promise.all([bed.provisioning.provisionUnit(unit), bed.provisioning.provisionUnit(unit)]);
  assert.deepEqual(one.certificate, two.certificate);
  assert.equal(bed.store.read((records) => records.device('KS-0003'))?.keyOrigin, 'tpm2-attested');
  const file = readFileSync(join(bed.keyd.rehearsal.layout.records, 'KS-0003.yaml'), 'utf8');
  assert.equal(file, one.record);
  assert.match(file, /^key:\n {2}origin: "tpm2-attested"$/m);
  const [entry, ...more] = bed.entries('device.provisioned').filter(({ subject }) => subject.device === 'KS-0003');
  assert.deepEqual([entry?.detail?.keyOrigin, entry?.detail?.endorsedBy, more], ['tpm2-attested', 'certificate', []]);
  const [challenged] = bed.entries('attestation.challenged').filter(({ subject }) => subject.device === 'KS-0003');
  assert.equal(challenged?.detail?.ekCertificateSha256, entry?.detail?.ekCertificateSha256);
  // The station begins again from the first step, with a new challenge; or repeats the second.
  const begun = await bed.provisioning.provisionUnit(await order('KS-0003'));
  assert.deepEqual([begun.repeated, begun.record], [true, one.record]);
  assert.equal((await bed.provisioning.provisionUnit(unit)).record, one.record);
  // Nobody else gets it by repeating what was answered.
  const stolen = { ...unit, csr: await csrFor('KS-0003', makeKey()) };
  await refused('provision unit', 'device.already-provisioned', bed.provisioning.provisionUnit(stolen));
});

test('a device that was stolen is challenged no more', async () => {
  await bed.authority.revoke({
    selector: { deviceId: 'KS-0003' },
    reason: 'keyCompromise',
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'stolen',
  });
  await refused('challenge unit', 'device.blocked', challenge('KS-0003'));
});
