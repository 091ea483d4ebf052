import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toBase64url, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { type AuthorisationDraft, signAuthorisation } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Issued, Pending } from '../index.ts';
import { codeOf, csrFor, DomainBed, makeKey } from './bed.ts';

let bed: DomainBed;
let count = 0;
const ADA = { actor: { kind: 'operator', id: 'ada' }, requestId: 'register' } as const;

before(async () => {
  bed = await DomainBed.make();
});
after(() => bed.remove());

/** An authorisation of ada's for servers of the plant, and its secret. */
async function authorise(
  draft: Partial<AuthorisationDraft> = {},
  signer: 'ada' | 'lin' = 'ada',
): Promise<{ id: string; secret: string; document: string }> {
  count += 1;
  const now = bed.clock.now();
  const whole = (ms: number): string => `${new Date(now.getTime() + ms).toISOString().slice(0, 19)}Z`;
  const id = draft.id ?? `auth-${count}`;
  const named = draft.deviceIds === undefined ? { hosts: ['gw1.plant.example', '*.lab.plant.example'] } : {};
  const document = await signAuthorisation(
    {
      profile: 'tls-server',
      uses: 2,
      notBefore: whole(-60_000),
      notAfter: whole(3_600_000),
      ways: ['est', 'acme'],
      approval: false,
      ...named,
      ...draft,
      id,
    },
    signer,
    bed.keyd.people[signer].signer,
  );
  return { id, secret: toBase64url(randomBytes(32)), document };
}

async function registered(draft: Partial<AuthorisationDraft> = {}): Promise<{ id: string; secret: string }> {
  const made = await authorise(draft);
  await bed.authority.authorisations.register(made.document, made.secret, ADA);
  return made;
}

async function enrol(authorisationId: string, hosts: string[], csr?: Uint8Array): Promise<Issued | Pending> {
  return bed.authority.enrolAuthorised({
    way: 'est',
    authorisationId,
    csr: csr ?? (await csrFor(hosts[0] ?? '')),
    subject: { hosts },
    requestId: `enrol-${authorisationId}`,
  });
}

const issued = (answer: Issued | Pending): Issued => {
  assert.ok('certificate' in answer, 'a certificate and not a request that waits');
  return answer;
};

test('TEST-KEY-13 an operator authorises names, and a server without a certificate gets one for them, twice and no more', async () => {
  const { id, secret } = await registered();
  const opened = await bed.authority.authorisations.verifySecret(id, secret, 'est', 'r');
  assert.equal(opened.profile, 'tls-server');
  const csr = await csrFor('gw1.plant.example');
  const first = issued(await enrol(id, ['gw1.plant.example'], csr));
  assert.deepEqual(readCertificate(first.certificate).san, ['DNS:gw1.plant.example']);
  const again = issued(await enrol(id, ['gw1.plant.example'], csr));
  assert.equal(again.repeated, true);
  assert.deepEqual(again.certificate, first.certificate);
  issued(await enrol(id, ['a.b.lab.plant.example']));
  assert.equal(await codeOf(enrol(id, ['gw1.plant.example'])), 'authorisation.spent');
  const [entry] = bed.entries('certificate.issued').filter(({ actor }) => actor.id === id);
  assert.equal(entry?.actor.kind, 'authorised');
});

test('keyd counts the uses itself, also after it was started again', async () => {
  const { id } = await registered({ uses: 1 });
  issued(await enrol(id, ['gw1.plant.example']));
  await bed.keyd.restart();
  await bed.restart();
  assert.equal(await codeOf(enrol(id, ['gw1.plant.example'])), 'authorisation.spent');
});

test('a name, a way, a time and a signer that are not allowed are refused, each with its rule, and nothing is issued', async () => {
  const { id } = await registered();
  const before = bed.counts().certificates;
  assert.equal(await codeOf(enrol(id, ['gw2.plant.example'])), 'authorisation.name-forbidden');
  assert.equal(await codeOf(enrol(id, ['lab.plant.example'])), 'authorisation.name-forbidden');
  assert.equal(await codeOf(enrol(id, ['gw1.plant.example', 'evil.example'])), 'authorisation.name-forbidden');
  assert.equal(await codeOf(enrol('no-such', ['gw1.plant.example'])), 'authorisation.unknown');
  const wrongWay = bed.authority.authorisations.verifySecret(id, toBase64url(randomBytes(32)), 'scep', 'r');
  assert.equal(await codeOf(wrongWay), 'authorisation.secret-wrong');
  const { id: other, secret } = await registered({ ways: ['cmp'] });
  assert.equal(
    await codeOf(bed.authority.authorisations.verifySecret(other, secret, 'est', 'r')),
    'authorisation.way-forbidden',
  );
  const past = await authorise({ notBefore: '2026-01-01T00:00:00Z', notAfter: '2026-01-02T00:00:00Z' });
  assert.equal(
    await codeOf(bed.authority.authorisations.register(past.document, past.secret, ADA)),
    'authorisation.expired',
  );
  const lin = await authorise({}, 'lin');
  assert.equal(
    await codeOf(bed.authority.authorisations.register(lin.document, lin.secret, ADA)),
    'authorisation.signer-forbidden',
  );
  const forged = (await authorise()).document.replace('"signer":"ada"', '"signer":"lin"');
  assert.equal(
    await codeOf(bed.authority.authorisations.register(forged, lin.secret, ADA)),
    'authorisation.signer-forbidden',
  );
  const many = await authorise({ uses: 10_001 });
  assert.equal(
    await codeOf(bed.authority.authorisations.register(many.document, many.secret, ADA)),
    'authorisation.exceeds-policy',
  );
  assert.equal(bed.counts().certificates, before);
});

test('keyd refuses what the front end makes up: another profile, other names, a document that is not signed', async () => {
  const { document, id } = await authorise({ uses: 5 });
  const csr = await csrFor('gw1.plant.example');
  const ask = (over: object, requester: object = {}) =>
    codeOf(
      bed.keyd.client.issue({
        profile: 'tls-server',
        csr,
        hosts: ['gw1.plant.example'],
        requestId: 'r',
        requester: { kind: 'authorised', id, authorisation: document, ...requester },
        ...over,
      }),
    );
  assert.equal(await ask({ hosts: ['evil.example'] }), 'authorisation.name-forbidden');
  assert.equal(
    await ask({ profile: 'ldevid', hosts: undefined }, { deviceId: 'KS-0001' }),
    'authorisation.profile-forbidden',
  );
  assert.equal(await ask({}, { authorisation: undefined }), 'request.malformed');
  assert.equal(await ask({}, { id: 'another' }), 'request.malformed');
  const tampered = JSON.parse(document) as { payload: string };
  const payload = Buffer.from(tampered.payload, 'base64url').toString().replace('"uses":5', '"uses":6');
  const changed = JSON.stringify({ ...tampered, payload: toBase64url(Buffer.from(payload)) });
  assert.equal(await ask({}, { authorisation: changed }), 'authorisation.signature-invalid');
  const held = await authorise({ approval: true });
  assert.equal(await ask({}, { authorisation: held.document, id: held.id }), 'authorisation.needs-approval');
  const pump = await authorise({ profile: 'ldevid', deviceIds: { prefix: 'KS-', from: 1, to: 9, width: 4 } });
  assert.equal(
    await ask(
      { profile: 'ldevid', hosts: undefined },
      { authorisation: pump.document, id: pump.id, deviceId: 'KS-0009' },
    ),
    'device.unknown',
  );
});

test('a known device enrols by authorisation, and a blocked one does not', async () => {
  const device = await bed.device('KS-0001');
  const { id } = await registered({ profile: 'ldevid', deviceIds: { prefix: 'KS-', from: 1, to: 9, width: 4 } });
  const ask = async () =>
    bed.authority.enrolAuthorised({
      way: 'est',
      authorisationId: id,
      csr: await csrFor('KS-0001'),
      subject: { deviceId: 'KS-0001' },
      requestId: 'device',
    });
  const certificate = issued(await ask()).certificate;
  assert.deepEqual(readCertificate(certificate).san, ['URI:urn:keystead:device:KS-0001']);
  await bed.authority.revoke({
    selector: { deviceId: device.id },
    reason: 'keyCompromise',
    actor: ADA.actor,
    requestId: 'stolen',
  });
  assert.equal(await codeOf(ask()), 'device.blocked');
});

test('a request that needs approval waits, and gets what an operator signs for it alone', async () => {
  const { id } = await registered({ approval: true });
  const csr = await csrFor('gw1.plant.example');
  const first = await enrol(id, ['gw1.plant.example'], csr);
  assert.ok('pending' in first);
  assert.deepEqual(await enrol(id, ['gw1.plant.example'], csr), first, 'asking again is the same request');
  const other = await csrFor('gw1.plant.example', makeKey());
  const second = await enrol(id, ['gw1.plant.example'], other);
  assert.ok('pending' in second);

  const approval = await authorise({
    uses: 1,
    hosts: ['gw1.plant.example'],
    request: { sha256: toHex(sha256(csr)), under: id },
  });
  assert.equal(
    await codeOf(bed.authority.authorised.approve(second.pending, approval.document, ADA)),
    'authorisation.request-differs',
  );
  await bed.authority.authorised.approve(first.pending, approval.document, ADA);
  await bed.authority.authorised.approve(first.pending, approval.document, ADA);
  const got = issued(await enrol(id, ['gw1.plant.example'], csr));
  assert.deepEqual(issued(await enrol(id, ['gw1.plant.example'], csr)).certificate, got.certificate);

  await bed.authority.authorised.refuse(second.pending, 'not ours', ADA);
  assert.equal(await codeOf(enrol(id, ['gw1.plant.example'], other)), 'authorisation.refused');
  const late = await authorise({ uses: 1, request: { sha256: toHex(sha256(other)), under: id } });
  assert.equal(
    await codeOf(bed.authority.authorised.approve(second.pending, late.document, ADA)),
    'enrolment-request.decided',
  );
});

test('no more requests are approved under an authorisation than it has uses, and the same document comes with one secret', async () => {
  const { id } = await registered({ approval: true, uses: 1 });
  const asked = await Promise.all(
    [1, 2].map(async () => {
      const csr = await csrFor('gw1.plant.example', makeKey());
      const answer = await enrol(id, ['gw1.plant.example'], csr);
      assert.ok('pending' in answer);
      const approval = await authorise({ uses: 1, request: { sha256: toHex(sha256(csr)), under: id } });
      return { csr, pending: answer.pending, document: approval.document };
    }),
  );
  const [first, second] = asked;
  assert.ok(first !== undefined && second !== undefined);
  await bed.authority.authorised.approve(first.pending, first.document, ADA);
  assert.equal(
    await codeOf(bed.authority.authorised.approve(second.pending, second.document, ADA)),
    'authorisation.spent',
  );
  issued(await enrol(id, ['gw1.plant.example'], first.csr));
  assert.equal(
    await codeOf(bed.authority.authorised.approve(second.pending, second.document, ADA)),
    'authorisation.spent',
  );
  assert.equal(
    await codeOf(enrol(id, ['gw1.plant.example'], await csrFor('gw1.plant.example', makeKey()))),
    'authorisation.spent',
  );
  assert.ok('certificate' in (await enrol(id, ['gw1.plant.example'], first.csr)), 'the same request again');

  const made = await authorise();
  await bed.authority.authorisations.register(made.document, made.secret, ADA);
  await bed.authority.authorisations.register(made.document, made.secret, ADA);
  const another = toBase64url(randomBytes(32));
  assert.equal(
    await codeOf(bed.authority.authorisations.register(made.document, another, ADA)),
    'authorisation.id-reused',
  );
});

test('a request that could never be granted does not wait, and what was issued is given again after its approval has ended', async () => {
  const { id } = await registered({ approval: true });
  const waiting = () => bed.store.read((records) => records.countWaiting(id));
  assert.equal(
    await codeOf(enrol(id, ['gw1.plant.example'], await csrFor('gw9.plant.example', makeKey()))),
    'csr.subject-mismatch',
  );
  assert.equal(waiting(), 0);
  const csr = await csrFor('gw1.plant.example', makeKey());
  const waits = await enrol(id, ['gw1.plant.example'], csr);
  assert.ok('pending' in waits);
  const now = bed.clock.now().getTime();
  const notAfter = `${new Date(now + 120_000).toISOString().slice(0, 19)}Z`;
  const approval = await authorise({ uses: 1, notAfter, request: { sha256: toHex(sha256(csr)), under: id } });
  await bed.authority.authorised.approve(waits.pending, approval.document, ADA);
  const got = issued(await enrol(id, ['gw1.plant.example'], csr));
  bed.clock.advance(180);
  assert.deepEqual(issued(await enrol(id, ['gw1.plant.example'], csr)).certificate, got.certificate);
});

test('what was withdrawn gives nothing any more, also what was approved under it', async () => {
  const { id, secret } = await registered({ approval: true });
  const csr = await csrFor('gw1.plant.example');
  const waits = await enrol(id, ['gw1.plant.example'], csr);
  assert.ok('pending' in waits);
  const approval = await authorise({ uses: 1, request: { sha256: toHex(sha256(csr)), under: id } });
  await bed.authority.authorised.approve(waits.pending, approval.document, ADA);
  await bed.authority.authorisations.withdraw(id, ADA);
  assert.equal(await codeOf(enrol(id, ['gw1.plant.example'], csr)), 'authorisation.withdrawn');
  assert.equal(
    await codeOf(bed.authority.authorisations.verifySecret(id, secret, 'est', 'r')),
    'authorisation.withdrawn',
  );
});

test('TEST-KEY-12 the database has no secret of an authorisation, and another channel key opens none', async () => {
  const { id, secret } = await registered();
  const row = bed.store.read((records) => records.authorisation(id));
  assert.ok(row?.sealedSecret);
  const plain = Buffer.from(secret, 'base64url');
  assert.equal(Buffer.from(row.sealedSecret).includes(plain), false);
  using same = await bed.authority.authorisations.secretOf(id, 'acme', 'r');
  assert.ok(same?.use((bytes) => plain.equals(bytes)));
});
