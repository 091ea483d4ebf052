import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicketDraft, type Policy, policyFile } from '@keystead/core/lifecycle';
import { formatName, readCertificate } from '@keystead/core/x509';
import { decodePublic, spkiOf } from '@keystead/tpm2';
import { parse } from 'yaml';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import type { Params, Result } from '../../keyd-client/index.ts';
import { meaningOf } from '../origin-meaning.ts';
import { readJournal } from '../read-journal.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';
import { TpmMachine } from './tpm-machine.ts';

/*
 * keyd with a policy that believes the maker of one TPM, and two machines: `one` by that maker, `two` by another. Both
 * are swtpm, with endorsement certificates by swtpm_setup's own CA.
 */
const clock = new SimulatedClock(new Date());
let one: TpmMachine;
let two: TpmMachine;
let bed: KeydBed;

before(async () => {
  one = await TpmMachine.start(clock);
  two = await TpmMachine.start(clock);
  bed = await KeydBed.make({ attestation: one.maker() });
  // The maker's certificates begin when they were made, a moment ago.
  bed.clock.set(new Date());
});
after(async () => {
  await bed?.remove();
  await one.stop();
  await two.stop();
});

const at = (deviceId: string, ticket: string) => ({
  ticket,
  deviceId,
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
});
const batch = (id: string, more: Partial<BatchTicketDraft> = {}): Promise<string> =>
  bed.ticket({ id, attestation: 'required', ...more });

/** An operator asks for few challenges in a second: time passes between the tests' own. */
const challenge = (
  deviceId: string,
  ticket: string,
  more: Partial<Params<'challengeAttestation'>> = {},
): Promise<Result<'challengeAttestation'>> => {
  bed.clock.advance(1);
  return bed.client.challengeAttestation({ ...at(deviceId, ticket), ...one.params(), ...more });
};
const provision = async (
  deviceId: string,
  ticket: string,
  attestation: Params<'provision'>['attestation'],
  more: Partial<Params<'provision'>> = {},
): Promise<Result<'provision'>> =>
  bed.client.provision({ ...at(deviceId, ticket), csr: await one.csr(deviceId), attestation, ...more });

/** Asserts a refusal by its code and field, after which no unit is taken and nothing is in the journal. */
async function refused(code: string, field: RegExp, act: Promise<unknown>): Promise<void> {
  const entries = (): number => readJournal(join(bed.dir, 'journal')).entries.length;
  const before = entries();
  await assert.rejects(act, (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(`${error.field}: ${error.seen}`, field);
    return true;
  });
  assert.equal(entries(), before);
}

/** What a second identity in the same TPM shows. */
async function shownBy(name: string): Promise<ReturnType<TpmMachine['params']>> {
  const { statement, ...keys } = await (await one.another(name, clock)).shown();
  return { ...keys, attest: statement.attest, signature: statement.signature };
}

test('TEST-KEY-03: where the ticket demands attestation, a unit without it is refused; where it does not, its record says that it only proved possession', async () => {
  const demanding = await batch('demanding');
  const csr = await csrFor('KS-0002', makeKey());
  await refused(
    'attestation.required',
    /ticket: demanding/,
    bed.client.provision({ ...at('KS-0002', demanding), csr }),
  );
  const lenient = await bed.ticket({ id: 'lenient' });
  const unit = await bed.client.provision({ ...at('KS-0002', lenient), csr });
  assert.deepEqual((parse(unit.record) as { key: unknown }).key, {
    origin: 'proof-of-possession',
    meaning: meaningOf('proof-of-possession'),
  });
  assert.deepEqual(unit.key, { origin: 'proof-of-possession' });
});

test('TEST-KEY-03: an answer is good for the unit, key, batch and line that the challenge was made for, and each wrong one uses it up', async () => {
  const ticket = await batch('bound');
  const other = await batch('bound-2');
  const software = makeKey();
  const wrong: readonly (readonly [RegExp, (id: string, secret: Uint8Array) => Promise<unknown>])[] = [
    [/deviceId/, (challengeId, secret) => provision('KS-0011', ticket, { challengeId, secret })],
    [/ticket/, (challengeId, secret) => provision('KS-0010', other, { challengeId, secret })],
    [/station/, (challengeId, secret) => provision('KS-0010', ticket, { challengeId, secret }, { station: 'b' })],
    [
      /csr: another key/,
      async (challengeId, secret) =>
        provision('KS-0010', ticket, { challengeId, secret }, { csr: await csrFor('KS-0010', software) }),
    ],
    [
      /secret/,
      (challengeId, secret) => provision('KS-0010', ticket, { challengeId, secret: secret.map((byte) => byte ^ 1) }),
    ],
    [/secret/, (challengeId, secret) => provision('KS-0010', ticket, { challengeId, secret: secret.subarray(0, 31) })],
  ];
  for (const [field, act] of wrong) {
    const { challengeId, ...credential } = await challenge('KS-0010', ticket);
    const secret = await one.answer(credential);
    await refused('attestation.challenge-refused', field, act(challengeId, Uint8Array.from(secret)));
    await refused(
      'attestation.challenge-refused',
      /challengeId: unknown/,
      provision('KS-0010', ticket, { challengeId, secret }),
    );
  }
  await refused(
    'ticket.line-forbidden',
    /line-9/,
    provision('KS-0010', ticket, { challengeId: '00'.repeat(16), secret: new Uint8Array(32) }, { line: 'line-9' }),
  );
});

test('TEST-KEY-03: another TPM cannot open the challenge, also not with the keys of this one shown beside its own', async () => {
  const ticket = await batch('others');
  const made = await challenge('KS-0012', ticket);
  const cannot = { code: 'tpm2.refused' };
  await assert.rejects(two.answer(made), cannot);
  // Its own attestation key and key under the endorsement of the believed TPM: neither TPM opens that.
  const { ekCertificate, ekPublic } = one.params();
  const mixed = await challenge('KS-0012', ticket, { ...two.params(), ekCertificate, ekPublic });
  await assert.rejects(one.answer(mixed), cannot);
  await assert.rejects(two.answer(mixed), cannot);
  // The statement of another attestation key says nothing of this one.
  const { akPublic } = two.params();
  await refused('attestation.statement-refused', /signature/, challenge('KS-0012', ticket, { akPublic }));
});

test('a TPM of a maker whom the policy does not name is refused, and so is its key without a certificate', async () => {
  const ticket = await batch('makers');
  await refused(
    'attestation.ek-refused',
    /EK certificate: (no-anchor|signature)/,
    challenge('KS-0013', ticket, two.params()),
  );
  await refused(
    'attestation.ek-refused',
    /EK certificate: none, and [0-9a-f]{64} is no endorsement key of the policy/,
    challenge('KS-0013', ticket, { ekCertificate: undefined }),
  );
  await refused(
    'attestation.ek-refused',
    /one of another key/,
    challenge('KS-0013', ticket, { ekPublic: two.params().ekPublic }),
  );
  await refused(
    'attestation.ek-refused',
    /not one for an endorsement key/,
    challenge('KS-0013', ticket, { ekCertificate: one.swtpm.authorities().issuer }),
  );
});

test('TEST-KEY-03: a challenge is open for two minutes, one to a device, until keyd is started again', async () => {
  const ticket = await batch('times');
  const slow = await challenge('KS-0014', ticket);
  const late = await one.answer(slow);
  bed.clock.advance(120);
  const expired = /challengeId: expired/;
  await refused(
    'attestation.challenge-refused',
    expired,
    provision('KS-0014', ticket, { challengeId: slow.challengeId, secret: late }),
  );

  const first = await challenge('KS-0014', ticket);
  const second = await challenge('KS-0014', ticket);
  await refused(
    'attestation.challenge-refused',
    /unknown, forgotten/,
    provision('KS-0014', ticket, { challengeId: first.challengeId, secret: await one.answer(first) }),
  );
  const secret = await one.answer(second);
  await bed.restart();
  await assert.rejects(provision('KS-0014', ticket, { challengeId: second.challengeId, secret }), (error) => {
    assert.ok(error instanceof KeysteadError);
    assert.equal(error.code, 'attestation.challenge-refused');
    assert.match(error.remedy ?? '', /begin again with a new challenge; a restart of keyd/);
    return true;
  });
});

test("TEST-KEY-03: a unit whose TPM opens keyd's challenge gets its IDevID, and its signed record says in which TPM its key is", async () => {
  const ticket = await batch('attested');
  const made = await challenge('KS-0001', ticket);
  assert.match(made.challengeId, /^[0-9a-f]{32}$/);
  const secret = await one.answer(made);
  const unit = await provision('KS-0001', ticket, { challengeId: made.challengeId, secret });
  const { ekCertificate, ekPublic } = one.shown;
  assert.ok(ekCertificate !== undefined);
  const ek = decodePublic(ekPublic);
  assert.ok(ek.type === 'ecc');
  assert.equal(unit.spkiSha256, spkiSha256(one.device.signer().spki));
  const { record_version: version, key } = parse(unit.record) as { record_version: number; key: unknown };
  assert.equal(version, 3);
  assert.deepEqual(key, {
    origin: 'tpm2-attested',
    endorsed_by: 'certificate',
    ek_certificate_sha256: certSha256(ekCertificate),
    ek_issuer: formatName(readCertificate(ekCertificate).issuer),
    ek_spki_sha256: spkiSha256(spkiOf(ek)),
    attestation_key_name: made.key.attestationKeyName,
    key_name: made.key.keyName,
    meaning: meaningOf('tpm2-attested'),
  });
  assert.match(made.key.keyName, /^000b[0-9a-f]{64}$/);

  await refused(
    'attestation.challenge-refused',
    /challengeId: unknown, forgotten, or answered before/,
    provision('KS-0001', ticket, { challengeId: made.challengeId, secret: await one.answer(made) }),
  );
  // The same device with the same key comes again, when the answer was lost on the way.
  const again = await challenge('KS-0001', ticket);
  const answer = { challengeId: again.challengeId, secret: await one.answer(again) };
  assert.match((await provision('KS-0001', ticket, answer)).record, /tpm2-attested/);
  const { tickets } = await bed.client.status();
  assert.equal(tickets.find(({ id }) => id === 'attested')?.units, 1);
  await refused(
    'device.already-provisioned',
    /KS-0001 with another key/,
    challenge('KS-0001', ticket, await shownBy('another-1')),
  );
});

test('a challenge is asked for by an operator who may, on a good ticket, for a device of its range', async () => {
  const ticket = await batch('rules');
  const forged = await bed.ticket({ id: 'rules' }, { name: 'ada', key: makeKey() });
  await refused('ticket.signature-invalid', /signature/, challenge('KS-0015', forged));
  await refused('operator.forbidden', /aud/, challenge('KS-0015', ticket, { operator: 'aud' }));
  await refused('operator.unknown', /eve/, challenge('KS-0015', ticket, { operator: 'eve' }));
  await refused('ticket.device-forbidden', /KS-9999/, challenge('KS-9999', ticket));
  await refused('request.malformed', /attest/, challenge('KS-0015', ticket, { attest: new Uint8Array(2000) }));
});

test('an operator who asks again and again is told to wait, whatever the answers were, and is served again a second later', async () => {
  const ticket = await batch('rates');
  bed.clock.advance(60);
  const codes: string[] = [];
  for (let n = 0; n < 20; n += 1) {
    const asked = bed.client.challengeAttestation({ ...at('KS-0016', ticket), ...two.params() });
    codes.push(
      await asked.then(
        () => 'done',
        (error: KeysteadError) => error.code,
      ),
    );
  }
  assert.deepEqual(codes.slice(0, 16), Array(16).fill('attestation.ek-refused'));
  assert.deepEqual(codes.slice(16), Array(4).fill('attestation.too-many'));
  bed.clock.advance(1);
  await challenge('KS-0016', ticket, await shownBy('another-2'));
});

test('TEST-KEY-03: a policy that demands attestation of all refuses every unit without it; a change of the policy ends the challenges that are open, and new ones go by it', async () => {
  const parties = new PolicyParties();
  const others = parties.operators.filter(({ name }) => !['lin', 'aud'].includes(name));
  const strict = await KeydBed.make({}, undefined, others);
  try {
    strict.clock.set(new Date());
    const change = async (edit: (policy: Policy) => void): Promise<void> => {
      const current = policyFile((await strict.client.trust()).policy);
      const next = successor(current, edit);
      const approvals = await parties.approvals([current, next], strict.clock.now());
      await strict.client.changePolicy({ policy: next.bytes, approvals, requestId: 'change' });
    };
    const ticket = await strict.ticket({ id: 'strict' });
    const asked = { ...at('KS-0001', ticket), ...one.params() };
    await assert.rejects(strict.client.challengeAttestation(asked), { code: 'attestation.not-configured' });
    const csr = await one.csr('KS-0001');
    await change((policy) => {
      policy.attestation = one.maker(true);
    });
    await assert.rejects(strict.client.provision({ ...at('KS-0001', ticket), csr }), {
      code: 'attestation.required',
      field: 'policy',
    });
    const open = await strict.client.challengeAttestation(asked);
    // The endorsement key itself instead of its maker.
    const ek = decodePublic(one.shown.ekPublic);
    assert.ok(ek.type === 'ecc');
    const key = spkiSha256(spkiOf(ek));
    await change((policy) => {
      policy.attestation = { required: true, anchors: [], endorsementKeys: [key] };
    });
    const stale = { challengeId: open.challengeId, secret: await one.answer(open) };
    await assert.rejects(strict.client.provision({ ...at('KS-0001', ticket), csr, attestation: stale }), {
      code: 'attestation.challenge-refused',
    });
    await assert.rejects(strict.client.challengeAttestation(asked), { code: 'attestation.ek-refused' });
    const { ekCertificate: _, ...bare } = asked;
    const made = await strict.client.challengeAttestation(bare);
    const attestation = { challengeId: made.challengeId, secret: await one.answer(made) };
    const { record } = await strict.client.provision({ ...at('KS-0001', ticket), csr, attestation });
    const origin = (parse(record) as { key: Record<string, string> }).key;
    assert.deepEqual(
      [origin.origin, origin.endorsed_by, origin.ek_spki_sha256, origin.ek_certificate_sha256],
      ['tpm2-attested', 'policy', key, undefined],
    );
  } finally {
    await strict.remove();
  }
});

test('where the policy names no TPM none is believed', async () => {
  const plain = await KeydBed.make();
  try {
    plain.clock.set(new Date());
    const ticket = await plain.ticket({ id: 'plain', attestation: 'required' });
    const asked = { ...at('KS-0001', ticket), ...one.params() };
    await assert.rejects(plain.client.challengeAttestation(asked), { code: 'attestation.not-configured' });
  } finally {
    await plain.remove();
  }
});

test('no journal and no record holds the secret of a challenge', async () => {
  const ticket = await batch('secrets');
  const shown = await shownBy('another-3');
  const made = await challenge('KS-0017', ticket, shown);
  const journal = readFileSync(join(bed.dir, 'journal'), 'latin1');
  assert.ok(!journal.includes(made.challengeId));
  assert.ok(!journal.includes(toBase64(made.encryptedSecret)));
});
