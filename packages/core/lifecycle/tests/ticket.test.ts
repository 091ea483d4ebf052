import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateSoftwareKey, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  type BatchTicketDraft,
  demoPolicy,
  deviceIdAt,
  isInRange,
  parseTicket,
  requireTicketDevice,
  requireTicketLine,
  requireTicketTime,
  signersOf,
  signTicket,
  verifyTicket,
} from '../index.ts';

const keyOf = (algorithm: 'P-256' | 'P-384' | 'Ed25519') => {
  const { pkcs8, spki } = generateSoftwareKey(algorithm);
  return { spki, signer: softwareSigner(algorithm, pkcs8) };
};
const ada = keyOf('P-256');
const bob = keyOf('Ed25519');
const lin = keyOf('P-256');
const policy = demoPolicy({
  issued: new Date('2026-01-01T00:00:00Z'),
  operators: [
    { name: 'ada', roles: ['ca-operator'], spki: ada.spki },
    { name: 'bob', roles: ['policy-administrator'], spki: bob.spki },
    { name: 'lin', roles: ['line-operator'], spki: lin.spki },
  ],
  tickets: { maxQuota: 50, maxSeconds: 86_400 },
});

const draft: BatchTicketDraft = {
  id: 'batch-7',
  model: 'KS-PUMP-1',
  quota: 10,
  notBefore: '2026-03-01T08:00:00.123Z',
  notAfter: '2026-03-01T20:00:00.999Z',
  lines: ['line-1', 'line-2'],
  deviceIds: { prefix: 'KS-', from: 1, to: 10, width: 4 },
  profile: 'idevid',
};
const code = (expected: string, field?: string) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError);
  assert.equal(error.code, expected, error.message);
  if (field !== undefined) assert.equal(error.field, field);
  return true;
};

test('a ticket signed by a person whom the policy lets sign tickets verifies, with any key algorithm', async () => {
  for (const [name, key] of Object.entries({ ada, bob })) {
    const signed = verifyTicket(await signTicket(draft, name, key.signer), policy);
    assert.deepEqual(signersOf(signed), [name]);
    const factory = 'headquarters';
    assert.deepEqual(signed.ticket, {
      v: 2,
      ...draft,
      factory,
      notBefore: '2026-03-01T08:00:00Z',
      notAfter: '2026-03-01T20:00:00Z',
    });
  }
});

test('a ticket by an unknown person, by a role that may not, or by another key than the policy has is refused', async () => {
  assert.throws(() => verifyTicketOf('eve', ada), code('ticket.malformed'));
  const eve = await signTicket(draft, 'eve', ada.signer);
  assert.throws(() => verifyTicket(eve, policy), code('ticket.signer-unknown', 'signatures[0].signer'));
  const byLine = await signTicket(draft, 'lin', lin.signer);
  assert.throws(() => verifyTicket(byLine, policy), code('ticket.signer-forbidden'));
  const forged = await signTicket(draft, 'ada', lin.signer);
  assert.throws(() => verifyTicket(forged, policy), code('ticket.signature-invalid', 'signatures[0].signature'));
});

const verifyTicketOf = (name: string, _key: unknown) => verifyTicket(JSON.stringify({ signer: name }), policy);

test('a ticket that was changed after it was signed is refused, whatever was changed', async () => {
  const envelope = JSON.parse(await signTicket(draft, 'ada', ada.signer)) as Record<string, string>;
  const payload = Buffer.from(envelope.payload ?? '', 'base64url').toString();
  const changes = [
    payload.replace('"quota":10', '"quota":11'),
    payload.replace('"to":10', '"to":99'),
    payload.replace('2026-03-01T20', '2026-03-01T23'),
    payload.replace('line-2', 'line-3'),
  ];
  for (const changed of changes) {
    assert.notEqual(changed, payload);
    const text = JSON.stringify({ ...envelope, payload: Buffer.from(changed).toString('base64url') });
    assert.throws(() => verifyTicket(text, policy), code('ticket.signature-invalid'));
  }
});

test('a ticket in a second encoding is refused, though it says the same', async () => {
  const envelope = JSON.parse(await signTicket(draft, 'ada', ada.signer)) as Record<string, string>;
  const payload = Buffer.from(envelope.payload ?? '', 'base64url').toString();
  for (const other of [
    ` ${payload}`,
    payload.replace('"quota":10', '"quota":99,"quota":10'),
    payload.replace('10', '1e1'),
  ]) {
    const text = JSON.stringify({ ...envelope, payload: Buffer.from(other).toString('base64url') });
    assert.throws(() => parseTicket(text), code('ticket.malformed', 'payload'));
  }
  const padded = JSON.stringify({ ...envelope, payload: `${envelope.payload}==` });
  assert.throws(() => parseTicket(padded), code('ticket.malformed', 'payload'));
});

test('a ticket may not allow more than the policy does', async () => {
  const many = await signTicket({ ...draft, quota: 51 }, 'ada', ada.signer);
  assert.throws(() => verifyTicket(many, policy), code('ticket.exceeds-policy', 'quota'));
  const long = await signTicket({ ...draft, notAfter: '2026-03-02T08:00:01Z' }, 'ada', ada.signer);
  assert.throws(() => verifyTicket(long, policy), code('ticket.exceeds-policy', 'notAfter'));
});

test('a ticket is used from its first second to before its last, on its lines only', async () => {
  const { ticket } = verifyTicket(await signTicket(draft, 'ada', ada.signer), policy);
  assert.throws(() => requireTicketTime(ticket, new Date('2026-03-01T07:59:59.999Z')), code('ticket.not-yet-valid'));
  requireTicketTime(ticket, new Date('2026-03-01T08:00:00Z'));
  requireTicketTime(ticket, new Date('2026-03-01T19:59:59.999Z'));
  assert.throws(() => requireTicketTime(ticket, new Date('2026-03-01T20:00:00Z')), code('ticket.expired'));
  requireTicketLine(ticket, 'line-2');
  assert.throws(() => requireTicketLine(ticket, 'line-3'), code('ticket.line-forbidden', 'line'));
});

test('a device id is in the range in exactly one spelling', async () => {
  const { ticket } = verifyTicket(await signTicket(draft, 'ada', ada.signer), policy);
  requireTicketDevice(ticket, 'KS-0001');
  requireTicketDevice(ticket, 'KS-0010');
  for (const id of [
    'KS-0000',
    'KS-0011',
    'KS-1',
    'KS-00001',
    'ks-0001',
    'KS-001',
    'KS-+001',
    'KS-0x01',
    'KS- 001',
    'KS-00١٠',
  ]) {
    assert.throws(() => requireTicketDevice(ticket, id), code('ticket.device-forbidden', 'deviceId'), id);
  }
});

test('every number of a range, and no other, is in it', () => {
  fc.assert(
    fc.property(fc.nat(9999), fc.nat(9999), fc.nat(99_999), (a, b, number) => {
      const range = { prefix: 'P-', from: Math.min(a, b), to: Math.max(a, b), width: 5 };
      assert.equal(isInRange(range, deviceIdAt(range, number)), number >= range.from && number <= range.to);
    }),
  );
});

test('a ticket that makes no sense cannot be signed', async () => {
  const wrong: [Partial<BatchTicketDraft>, string][] = [
    [{ quota: 0 }, 'quota'],
    [{ notAfter: draft.notBefore }, 'notAfter'],
    [{ lines: [] }, 'lines'],
    [{ deviceIds: { prefix: 'KS-', from: 5, to: 4, width: 4 } }, 'deviceIds.to'],
    [{ deviceIds: { prefix: 'KS-', from: 1, to: 10_000, width: 4 } }, 'deviceIds.width'],
    [{ deviceIds: { prefix: 'KS-.*', from: 1, to: 2, width: 4 } }, 'deviceIds.prefix'],
    [{ id: '../x' }, 'id'],
  ];
  for (const [change, field] of wrong) {
    await assert.rejects(signTicket({ ...draft, ...change }, 'ada', ada.signer), code('ticket.malformed', field));
  }
});

test('no text makes the reader of tickets throw anything but its own error', () => {
  const signature = { signer: fc.string(), signature: fc.string() };
  const structured = fc
    .oneof(
      fc.record({ payload: fc.string(), ...signature }),
      fc.record({ payload: fc.string(), signatures: fc.array(fc.record(signature)) }),
    )
    .map((v) => JSON.stringify(v));
  const inner = fc
    .json()
    .map((json) =>
      JSON.stringify({ payload: Buffer.from(json).toString('base64url'), signer: 'ada', signature: 'AA' }),
    );
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), structured, inner), (text) => {
      assert.throws(() => parseTicket(text), code('ticket.malformed'));
    }),
    { numRuns: 500 },
  );
});

test('a ticket may demand attestation of its batch, which its signature covers; one from before says nothing of it and stays what it was', async () => {
  const plain = await signTicket(draft, 'ada', ada.signer);
  assert.equal(verifyTicket(plain, policy).ticket.attestation, undefined);
  assert.ok(!Buffer.from(parseTicket(plain).payload).toString().includes('attestation'));
  const demanding = await signTicket({ ...draft, attestation: 'required' }, 'ada', ada.signer);
  const signed = verifyTicket(demanding, policy);
  assert.equal(signed.ticket.attestation, 'required');
  assert.match(Buffer.from(signed.payload).toString(), /^\{"attestation":"required","deviceIds"/);
  // Taken out of it, the demand takes the signature along.
  const envelope = JSON.parse(demanding) as Record<string, string>;
  const without = Buffer.from(signed.payload).toString().replace('"attestation":"required",', '');
  const stripped = JSON.stringify({ ...envelope, payload: Buffer.from(without).toString('base64url') });
  assert.throws(() => verifyTicket(stripped, policy), code('ticket.signature-invalid'));
  for (const attestation of ['optional', '', true]) {
    const payload = Buffer.from(signed.payload).toString().replace('"required"', JSON.stringify(attestation));
    const text = JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64url') });
    assert.throws(() => parseTicket(text), code('ticket.malformed', 'attestation'));
  }
});
