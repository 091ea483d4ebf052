import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toBase64, toBase64url } from '../../bytes/index.ts';
import { generateSoftwareKey, type Signer, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  addTicketSignature,
  type BatchTicketDraft,
  checkPolicy,
  demoPolicy,
  draftTicket,
  joinTickets,
  type Policy,
  parseTicket,
  policyDifferences,
  requireTicketFactory,
  requireTicketKeyOrigin,
  requireTicketStation,
  signersOf,
  signTicket,
  TICKET_KEY_ORIGINS,
  ticketQuorum,
  verifyTicket,
} from '../index.ts';

const keyOf = (algorithm: 'P-256' | 'P-384' | 'Ed25519') => {
  const { pkcs8, spki } = generateSoftwareKey(algorithm);
  return { spki, signer: softwareSigner(algorithm, pkcs8) };
};
const people = { ada: keyOf('P-256'), bob: keyOf('Ed25519'), cleo: keyOf('P-384'), lin: keyOf('P-256') };
type Person = keyof typeof people;

const policyOf = (demonstration: boolean): Policy =>
  demoPolicy({
    issued: new Date('2026-01-01T00:00:00Z'),
    demonstration,
    operators: [
      { name: 'ada', roles: ['ca-operator'], spki: people.ada.spki },
      { name: 'bob', roles: ['policy-administrator'], spki: people.bob.spki },
      { name: 'cleo', roles: ['policy-administrator', 'approver'], spki: people.cleo.spki },
      { name: 'lin', roles: ['line-operator'], spki: people.lin.spki },
      { name: 'axel', roles: ['approver'], spki: keyOf('P-256').spki },
    ],
  });
const earnest = policyOf(false);
const demonstration = policyOf(true);

const draft: BatchTicketDraft = {
  id: 'batch-7',
  model: 'KS-PUMP-1',
  quota: 10,
  notBefore: '2026-03-01T08:00:00Z',
  notAfter: '2026-03-01T20:00:00Z',
  lines: ['line-1', 'line-2'],
  deviceIds: { prefix: 'KS-', from: 1, to: 10, width: 4 },
  profile: 'idevid',
  factory: 'graz',
};
const code = (expected: string, field?: string) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError);
  assert.equal(error.code, expected, error.message);
  if (field !== undefined) assert.equal(error.field, field);
  return true;
};

async function signedBy(...names: Person[]): Promise<string> {
  let text = draftTicket(draft);
  for (const name of names) text = await addTicketSignature(text, name, people[name].signer);
  return text;
}

/** As the program of before there were quorums wrote a ticket. */
async function firstForm(signerName: string, signer: Signer, change: object = {}): Promise<string> {
  const { factory: _, ...old } = draft;
  const entries = Object.entries({ ...old, v: 1, ...change }).sort(([a], [b]) => (a < b ? -1 : 1));
  const ids = { from: 1, prefix: 'KS-', to: 10, width: 4 };
  const payload = Buffer.from(JSON.stringify({ ...Object.fromEntries(entries), deviceIds: ids }));
  const signature = await signer.sign(Buffer.concat([Buffer.from('keystead batch ticket v1\n'), payload]));
  return JSON.stringify({ payload: toBase64url(payload), signer: signerName, signature: toBase64url(signature) });
}

test('in earnest two people sign a batch ticket, in a demonstration one; a policy may ask for more', async () => {
  assert.deepEqual(ticketQuorum(earnest), { signatures: 2, roles: ['policy-administrator', 'ca-operator'] });
  assert.equal(ticketQuorum(demonstration).signatures, 1);
  const one = await signedBy('ada');
  assert.throws(() => verifyTicket(one, earnest), code('ticket.too-few-signatures', 'signatures'));
  assert.deepEqual(signersOf(verifyTicket(one, demonstration)), ['ada']);
  const two = await signedBy('ada', 'bob');
  assert.deepEqual(signersOf(verifyTicket(two, earnest)), ['ada', 'bob']);
  const three = withQuorum(3, ['ca-operator']) as Policy;
  assert.throws(() => verifyTicket(two, three), code('ticket.signer-forbidden', 'signatures[1].signer'));
  assert.throws(() => verifyTicket(draftTicket(draft), demonstration), code('ticket.too-few-signatures'));
});

test('the order of signatures, and who joined them, makes no difference to what a ticket is', async () => {
  const names: Person[] = ['ada', 'bob', 'cleo'];
  const copies = new Map(await Promise.all(names.map(async (name) => [name, await signedBy(name)] as const)));
  fc.assert(
    fc.property(fc.shuffledSubarray(names, { minLength: 2 }), (order) => {
      const joined = joinTickets(order.map((name) => copies.get(name) ?? ''));
      const signed = verifyTicket(joined, earnest);
      assert.deepEqual(signersOf(signed), order);
      assert.equal(signed.sha256, parseTicket(copies.get('ada') ?? '').sha256);
      assert.equal(joinTickets([joined, joined]), joined);
    }),
  );
});

test('a person counts once, however often they signed, and so does a key that stands under two names', async () => {
  const one = await signedBy('ada');
  await assert.rejects(addTicketSignature(one, 'ada', people.ada.signer), code('ticket.signer-twice'));
  const [again] = parseTicket(await signedBy('ada')).signatures;
  const envelope = JSON.parse(one);
  envelope.signatures.push({ signer: 'ada', signature: toBase64url(again?.signature ?? new Uint8Array()) });
  const twice = JSON.stringify(envelope);
  assert.throws(() => verifyTicket(twice, earnest), code('ticket.signer-twice', 'signatures[1].signer'));
  // Joined, they are the one signature that they are.
  assert.throws(() => verifyTicket(joinTickets([one, twice]), earnest), code('ticket.too-few-signatures'));
  const doubled = structuredClone(earnest);
  const bob = doubled.operators.find(({ name }) => name === 'bob');
  assert.ok(bob);
  bob.spki = toBase64(people.ada.spki);
  const both = await addTicketSignature(one, 'bob', people.ada.signer);
  assert.throws(() => verifyTicket(both, doubled), code('ticket.signer-twice', 'signatures[1].signer'));
  bob.spki += '\n';
  assert.throws(() => verifyTicket(both, doubled), code('ticket.signer-twice', 'signatures[1].signer'));
});

test('every signature in a ticket must be good, also one more than are needed', async () => {
  const three = await signedBy('ada', 'bob', 'cleo');
  verifyTicket(three, earnest);
  const without = { ...earnest, operators: earnest.operators.filter(({ name }) => name !== 'cleo') };
  assert.throws(() => verifyTicket(three, without), code('ticket.signer-unknown', 'signatures[2].signer'));
  const demoted = structuredClone(earnest);
  for (const one of demoted.operators) if (one.name === 'cleo') one.roles = ['approver'];
  assert.throws(() => verifyTicket(three, demoted), code('ticket.signer-forbidden', 'signatures[2].signer'));
  const forged = await addTicketSignature(await signedBy('ada'), 'bob', people.lin.signer);
  assert.throws(() => verifyTicket(forged, earnest), code('ticket.signature-invalid', 'signatures[1].signature'));
  const byLine = await signedBy('ada', 'lin');
  assert.throws(() => verifyTicket(byLine, earnest), code('ticket.signer-forbidden', 'signatures[1].signer'));
});

test('copies that say different things are not joined', async () => {
  const other = draftTicket({ ...draft, quota: 11 });
  assert.throws(() => joinTickets([draftTicket(draft), other]), code('ticket.other-ticket', 'files[1]'));
  assert.throws(() => joinTickets([]), code('ticket.malformed'));
});

test('a ticket is for the one node that it names, and every member of it is covered by each signature', async () => {
  const { ticket } = verifyTicket(await signedBy('ada', 'bob'), earnest);
  requireTicketFactory(ticket, 'graz');
  for (const name of ['headquarters', 'linz', 'graz2', 'Graz', '']) {
    assert.throws(() => requireTicketFactory(ticket, name), code('ticket.other-factory', 'factory'));
  }
  const rich = {
    ...draft,
    keyOrigins: ['secure-element' as const],
    stations: ['st-1'],
    attestation: 'required' as const,
  };
  const text = await signTicket(rich, 'ada', people.ada.signer);
  const payload = Buffer.from(parseTicket(text).payload).toString();
  for (const [from, to] of [
    ['"graz"', '"linz"'],
    ['secure-element', 'injected'],
    ['"st-1"', '"st-2"'],
    ['"quota":10', '"quota":99'],
    ['"attestation":"required",', ''],
  ] as const) {
    const changed = payload.replace(from, to);
    assert.notEqual(changed, payload);
    const broken = JSON.stringify({ ...JSON.parse(text), payload: toBase64url(Buffer.from(changed)) });
    assert.throws(() => verifyTicket(broken, demonstration), code('ticket.signature-invalid'), from);
  }
});

test('a ticket allows the ways to a key and the stations that it names, and all of them where it names none', async () => {
  const open = parseTicket(await signedBy('ada')).ticket;
  for (const origin of TICKET_KEY_ORIGINS) requireTicketKeyOrigin(open, origin);
  requireTicketStation(open, 'anywhere');
  const narrow = { ...open, keyOrigins: ['tpm2-attested', 'secure-element'] as const, stations: ['st-1'] };
  const ticket = { ...narrow, keyOrigins: [...narrow.keyOrigins] };
  requireTicketKeyOrigin(ticket, 'tpm2-attested');
  assert.throws(() => requireTicketKeyOrigin(ticket, 'injected'), code('ticket.key-origin-forbidden', 'keyOrigins'));
  requireTicketStation(ticket, 'st-1');
  assert.throws(() => requireTicketStation(ticket, 'st-2'), code('ticket.station-forbidden', 'station'));
  const wrong: [Partial<BatchTicketDraft>, string][] = [
    [{ factory: 'Graz' }, 'factory'],
    [{ factory: '' }, 'factory'],
    [{ factory: 'a'.repeat(33) }, 'factory'],
    [{ keyOrigins: [] }, 'keyOrigins'],
    [{ keyOrigins: ['injected', 'injected'] }, 'keyOrigins'],
    [{ keyOrigins: ['guessed' as never] }, 'keyOrigins[0]'],
    [{ stations: [] }, 'stations'],
  ];
  for (const [change, field] of wrong) {
    assert.throws(() => draftTicket({ ...draft, ...change }), code('ticket.malformed', field));
  }
});

test('a ticket of before quorums is read, is good at headquarters, and only where one signature is enough', async () => {
  const old = await firstForm('ada', people.ada.signer);
  const signed = verifyTicket(old, demonstration);
  assert.equal(signed.ticket.v, 1);
  assert.deepEqual(signersOf(signed), ['ada']);
  requireTicketFactory(signed.ticket, 'headquarters');
  assert.throws(() => requireTicketFactory(signed.ticket, 'graz'), code('ticket.other-factory'));
  assert.throws(() => verifyTicket(old, earnest), code('ticket.too-few-signatures', 'signatures'));
  const forged = await firstForm('ada', people.bob.signer);
  assert.throws(() => verifyTicket(forged, demonstration), code('ticket.signature-invalid'));
  // It can be given no factory, and its signature is none of a ticket of today.
  const given = await firstForm('ada', people.ada.signer, { factory: 'graz' });
  assert.throws(() => verifyTicket(given, demonstration), code('ticket.malformed', 'factory'));
  const { payload, signature } = JSON.parse(old);
  const lifted = JSON.stringify({ payload, signatures: [{ signer: 'ada', signature }] });
  assert.throws(() => verifyTicket(lifted, demonstration), code('ticket.malformed', 'v'));
  const mixed = JSON.stringify({ ...JSON.parse(old), signatures: [] });
  assert.throws(() => verifyTicket(mixed, demonstration), code('ticket.malformed'));
});

test('whatever was drafted is read back as it was, and another encoding of it is refused', () => {
  const word = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
  const drafts = fc.record(
    {
      id: word,
      model: word,
      quota: fc.integer({ min: 1, max: 1_000_000 }),
      lines: fc.array(word, { minLength: 1, maxLength: 4 }),
      factory: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/),
      stations: fc.array(word, { minLength: 1, maxLength: 3 }),
      keyOrigins: fc.shuffledSubarray([...TICKET_KEY_ORIGINS], { minLength: 1 }),
    },
    { requiredKeys: ['id', 'model', 'quota', 'lines', 'factory'] },
  );
  fc.assert(
    fc.property(drafts, (change) => {
      const made = { ...draft, ...change };
      const { ticket, payload } = parseTicket(draftTicket(made));
      assert.deepEqual(ticket, { v: 2, ...made });
      const other = JSON.stringify({ payload: toBase64url(Buffer.from(` ${Buffer.from(payload)}`)), signatures: [] });
      assert.throws(() => parseTicket(other), code('ticket.malformed', 'payload'));
    }),
  );
});

test('a policy whose tickets nobody could sign, or one person in earnest, is refused; a change of it is told', () => {
  const next = structuredClone({ ...earnest, version: 2 });
  const told = (signatures: number, roles: ('ca-operator' | 'policy-administrator')[]) => {
    next.quorums['batch-ticket'] = { signatures, roles };
    return policyDifferences(earnest, next, {
      now: new Date('2026-03-01T09:00:00Z'),
      certificates: [],
      tickets: [
        { id: 'batch-7', signers: ['ada', 'bob'], quota: 10, notBefore: draft.notBefore, notAfter: draft.notAfter },
      ],
      late: [],
      authorities: [],
    }).map(({ severity, field, text }) => `${severity} ${field}: ${text}`);
  };
  const both = ['policy-administrator', 'ca-operator'] as const;
  assert.ok(told(3, [...both]).some((line) => /^breaks quorums\.batch-ticket\.signatures: .*batch-7/.test(line)));
  assert.ok(told(1, [...both]).some((line) => /^warns quorums\.batch-ticket\.signatures: .*fewer people/.test(line)));
  assert.ok(told(2, ['ca-operator']).some((line) => /^breaks quorums\.batch-ticket: .*1 operator may/.test(line)));
  assert.throws(() => checkPolicy(withQuorum(1, ['ca-operator'])), code('policy.quorum-too-small'));
  assert.throws(() => checkPolicy(withQuorum(4, [...both])), code('policy.quorum-impossible'));
  assert.throws(
    () => checkPolicy(withQuorum(2, ['approver'])),
    code('policy.quorum-impossible', 'quorums.batch-ticket.roles'),
  );
});

const withQuorum = (signatures: number, roles: string[]) => ({
  ...earnest,
  quorums: { ...earnest.quorums, 'batch-ticket': { signatures, roles } },
});
