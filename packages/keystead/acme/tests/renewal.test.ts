import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromPem, toBase64url } from '@keystead/core/bytes';
import { generateSoftwareKey } from '@keystead/core/crypto';
import { signAuthorisation } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { makeKey, type TestKey } from '../../authority/tests/bed.ts';
import { csrFor } from '../../keyd/tests/bed.ts';
import { AcmeBed } from './bed.ts';
import { problem, RawClient, type RawKey } from './raw-client.ts';

const LOCALHOST = [{ type: 'dns', value: 'localhost' }];
let bed: AcmeBed;
let client: RawClient;
/** What the next try of a challenge finds. */
let host: () => Promise<void> = async () => {};

before(async () => {
  bed = await AcmeBed.make({
    look: () => host(),
    settings: { limits: { openOrders: 5, failuresPerHour: 2 }, retrySeconds: [] },
  });
  client = await registered();
});
after(() => bed.remove());

async function registered(draft: Parameters<AcmeBed['authorise']>[0] = {}): Promise<RawClient> {
  const who = new RawClient(bed);
  assert.equal((await who.register(await bed.authorise(draft))).status, 201);
  return who;
}

async function ready(who: RawClient, identifiers = LOCALHOST, more: Record<string, unknown> = {}): Promise<string> {
  const { url, authorizations } = await who.order(identifiers, more);
  for (const authorization of authorizations) await who.answer(authorization, 'http-01');
  await bed.acme.tick();
  return url;
}

const finalize = async (who: RawClient, url: string, key: TestKey = makeKey(), name = 'localhost') =>
  who.post(`${url}/finalize`, { csr: toBase64url(await csrFor(name, key)) });

async function issued(
  who: RawClient,
  key: TestKey = makeKey(),
  more: Record<string, unknown> = {},
): Promise<DerCertificate> {
  const done = await finalize(who, await ready(who, LOCALHOST, more), key);
  assert.equal(done.body.status, 'valid', done.text);
  const chain = await who.post(String(done.body.certificate));
  const [leaf] = fromPem('CERTIFICATE', chain.text) as DerCertificate[];
  assert.ok(leaf);
  return leaf;
}

/** RFC 9773 section 4.1, made from what OpenSSL reads. */
function renewalName(der: DerCertificate): string {
  const { aki = '' } = readCertificate(der);
  const serial = new X509Certificate(der).serialNumber;
  const positive = Number.parseInt(serial.slice(0, 1), 16) >= 8 ? `00${serial}` : serial;
  return `${Buffer.from(aki, 'hex').toString('base64url')}.${Buffer.from(positive, 'hex').toString('base64url')}`;
}

const renewal = async (name: string) => client.send('GET', client.url(`renewal-info/${name}`));
const times = (body: Record<string, unknown>): { start: number; end: number } => {
  const window = body.suggestedWindow as { start: string; end: string };
  return { start: Date.parse(window.start), end: Date.parse(window.end) };
};

test('renewal information: a window in the life of the certificate, one that is over for what was revoked, and none for what is not ours', async () => {
  const der = await issued(client);
  const { notBefore, notAfter } = readCertificate(der);
  const told = await renewal(renewalName(der));
  assert.equal(told.status, 200, told.text);
  assert.ok(Number(told.headers['retry-after']) > 0);
  const window = times(told.body);
  const life = notAfter.getTime() - notBefore.getTime();
  assert.ok(Math.abs(window.start - (notBefore.getTime() + life / 2)) < 10 * 60_000, JSON.stringify(told.body));
  assert.ok(window.end > window.start && window.end < notAfter.getTime());
  assert.equal((await client.post('revoke-cert', { certificate: toBase64url(der), reason: 1 })).status, 200);
  const over = times((await renewal(renewalName(der))).body);
  assert.ok(over.start < over.end && over.end <= bed.domain.clock.now().getTime());
  const [aki = '', serial = ''] = renewalName(der).split('.');
  assert.equal(problem(await renewal('x')), '400 malformed');
  assert.equal(problem(await renewal(`${aki}.AA${serial.slice(2)}`)), '400 malformed');
  assert.equal(problem(await renewal(`${aki.split('').reverse().join('')}.${serial}`)), '404 malformed');
  assert.equal(problem(await renewal(`${aki}.AQID`)), '404 malformed');
});

test('an order replaces one certificate of its account with a name in common, and no other order replaces it again', async () => {
  const der = await issued(client);
  const replaces = renewalName(der);
  const url = await ready(client, LOCALHOST, { replaces });
  assert.equal((await client.post(url)).body.replaces, replaces);
  const again = await client.post('new-order', { identifiers: LOCALHOST, replaces });
  assert.equal(problem(again), '409 alreadyReplaced');
  const other = await registered();
  assert.equal(problem(await other.post('new-order', { identifiers: LOCALHOST, replaces })), '400 malformed');
  const names = [{ type: 'dns', value: 'plant.example' }];
  assert.equal(
    problem(await client.post('new-order', { identifiers: names, replaces: renewalName(await issued(client)) })),
    '400 malformed',
  );
  const [authorization] = (await client.post(url)).body.authorizations as string[];
  await client.post(authorization ?? '', { status: 'deactivated' });
  assert.equal(
    (await client.post('new-order', { identifiers: LOCALHOST, replaces })).status,
    201,
    'the first one came to nothing',
  );
});

test('a certificate is revoked by its account, by one that controls its names, or by its key; by nobody else, and once', async () => {
  const software = generateSoftwareKey('P-256');
  const privateKey = software.pkcs8.use((bytes) =>
    createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' }),
  );
  const own: TestKey & { raw: RawKey } = {
    ...makeKey(),
    raw: { privateKey, jwk: {}, alg: 'ES256' },
  };
  const der = await issued(client, own);
  const body = (reason?: number, certificate = der) => ({ certificate: toBase64url(certificate), reason });
  const stranger = await registered();
  assert.equal(problem(await stranger.post('revoke-cert', body())), '403 unauthorized');
  const anybody = new RawClient(bed);
  assert.equal(problem(await anybody.post('revoke-cert', body())), '403 unauthorized');
  for (const reason of [2, 6, 8, 9, 10, 255]) {
    assert.equal(problem(await client.post('revoke-cert', body(reason))), '400 badRevocationReason');
  }
  assert.equal(problem(await client.post('revoke-cert', { certificate: 'AAAA' })), '400 malformed');
  assert.equal(problem(await client.post('revoke-cert', body(0, bed.domain.cas.server))), '404 malformed');
  const device = await bed.domain.device('KS-0001');
  assert.equal(
    problem(await client.post('revoke-cert', body(0, device.idevid))),
    '404 malformed',
    'an IDevID is not for this door',
  );
  assert.equal((await client.post('revoke-cert', body())).status, 200);
  assert.equal(problem(await client.post('revoke-cert', body())), '400 alreadyRevoked');
  const second = await issued(client);
  await ready(stranger);
  assert.equal((await stranger.post('revoke-cert', body(4, second))).status, 200, 'it controls the name too');
  assert.equal(bed.domain.entries('certificate.revoked').at(-1)?.detail?.reason, 'superseded');
});

test('a request that an operator looks at first stays in process, and moves when it is approved; one that is refused is invalid', async () => {
  const careful = await registered({ id: 'careful', approval: true });
  const decide = async (approve: boolean): Promise<void> => {
    const [request] = bed.domain.store.read((records) => records.enrolmentRequests('waiting', 5));
    assert.ok(request);
    const ada = { actor: { kind: 'operator', id: 'ada' }, requestId: 'decide' } as const;
    if (!approve) return bed.domain.authority.authorised.refuse(request.id, 'not this one', ada);
    const now = bed.domain.clock.now().getTime();
    const whole = (ms: number): string => `${new Date(now + ms).toISOString().slice(0, 19)}Z`;
    const document = await signAuthorisation(
      {
        id: `ok-${request.id}`,
        profile: 'tls-server',
        hosts: ['localhost'],
        uses: 1,
        notBefore: whole(-60_000),
        notAfter: whole(3_600_000),
        ways: ['acme'],
        approval: false,
        request: { sha256: request.csrSha256, under: 'careful' },
      },
      'ada',
      bed.domain.keyd.people.ada.signer,
    );
    await bed.domain.authority.authorised.approve(request.id, document, ada);
  };
  for (const approve of [true, false]) {
    const url = await ready(careful);
    const waits = await finalize(careful, url);
    assert.equal(waits.body.status, 'processing', waits.text);
    assert.ok(Number(waits.headers['retry-after']) > 0);
    assert.equal((await careful.post(url)).body.status, 'processing');
    await decide(approve);
    const decided = await careful.post(url);
    assert.equal(decided.body.status, approve ? 'valid' : 'invalid', decided.text);
    if (!approve) assert.match(JSON.stringify(decided.body.error), /not this one/);
  }
});

test('whatever is lost between the request and its certificate, the same certificate comes of it, once', async () => {
  const key = makeKey();
  const csr = toBase64url(await csrFor('localhost', key));
  const url = await ready(client);
  const made = bed.domain.entries('certificate.issued').length;
  // keyd is away: the request is recorded, and the client is told to come again.
  await bed.domain.keyd.stop();
  const away = await client.post(`${url}/finalize`, { csr });
  assert.equal(problem(away), '503 serverInternal');
  assert.ok(away.headers['retry-after']);
  await bed.domain.keyd.start();
  await bed.restart();
  client.nonce = undefined;
  assert.equal(bed.domain.entries('certificate.issued').length, made + 1, 'the TLS certificate of the new start alone');
  await bed.acme.housekeeping();
  const done = await client.post(url);
  assert.equal(done.body.status, 'valid', done.text);
  assert.equal(bed.domain.entries('certificate.issued').length, made + 2);
  const again = await client.post(`${url}/finalize`, { csr });
  assert.deepEqual(again.body, done.body);
  await bed.restart();
  client.nonce = undefined;
  const chain = await client.post(String(done.body.certificate));
  const [leaf] = fromPem('CERTIFICATE', chain.text) as DerCertificate[];
  assert.deepEqual([...readCertificate(leaf as DerCertificate).spki], [...key.spki]);
  const two = await ready(client);
  const request = toBase64url(await csrFor('localhost'));
  const both = await Promise.all(
    [client, client].map(async (who) => {
      const twin = new RawClient(bed, who.key);
      twin.kid = who.kid;
      return twin.post(`${two}/finalize`, { csr: request });
    }),
  );
  assert.deepEqual(
    both.map((one) => one.body.status),
    ['valid', 'valid'],
  );
  assert.equal(both[0]?.body.certificate, both[1]?.body.certificate);
});

test('a challenge that was being tried when the process ended is tried again after the next start', async () => {
  const { authorizations } = await client.order(LOCALHOST);
  const [authorization] = authorizations;
  assert.ok(authorization);
  host = () => new Promise(() => {});
  await client.answer(authorization, 'http-01');
  host = async () => {};
  const restarted = bed.restart();
  await restarted;
  client.nonce = undefined;
  await bed.acme.tick();
  assert.equal((await client.post(authorization.url)).body.status, 'valid');
});

test('an account has only so many open orders, and fails only so often; others are not kept from theirs', async () => {
  const greedy = await registered();
  for (let i = 0; i < 5; i += 1) await greedy.order(LOCALHOST);
  const more = await greedy.post('new-order', { identifiers: LOCALHOST });
  assert.equal(problem(more), '429 rateLimited');
  assert.ok(Number(more.headers['retry-after']) > 0);
  const clumsy = await registered();
  host = async () => {
    throw new Error('a defect of the validator is no proof');
  };
  for (let i = 0; i < 2; i += 1) {
    const { authorizations } = await clumsy.order(LOCALHOST);
    assert.ok(authorizations[0]);
    await clumsy.answer(authorizations[0], 'http-01');
    await bed.acme.tick();
    assert.equal((await clumsy.post(authorizations[0].url)).body.status, 'invalid');
  }
  host = async () => {};
  const { authorizations } = await clumsy.order(LOCALHOST);
  assert.ok(authorizations[0]);
  assert.equal(problem(await clumsy.answer(authorizations[0], 'http-01')), '429 rateLimited');
  bed.domain.clock.advance(3600);
  assert.equal((await clumsy.answer(authorizations[0], 'http-01')).status, 200);
  assert.equal((await client.order(LOCALHOST)).authorizations.length, 1);
});

test('an authorisation that was withdrawn orders nothing more; an account that an operator ended does nothing more', async () => {
  const made = await bed.authorise();
  const who = new RawClient(bed);
  await who.register(made);
  const url = await ready(who);
  const ada = { actor: { kind: 'operator', id: 'ada' }, requestId: 'end' } as const;
  await bed.domain.authority.authorisations.withdraw(made.id, ada);
  assert.equal(problem(await who.post('new-order', { identifiers: LOCALHOST })), '403 unauthorized');
  assert.equal(problem(await finalize(who, url)), '403 unauthorized');
  const id = who.kid?.split('/').at(-1) ?? '';
  assert.equal(await bed.acme.accounts.revoke(id, ada.actor, 'end'), 'revoked');
  assert.equal(await bed.acme.accounts.revoke(id, ada.actor, 'end'), 'revoked');
  assert.equal(problem(await who.post(url)), '401 unauthorized');
  assert.equal(bed.domain.entries('acme.account-revoked').length, 1);
  await assert.rejects(bed.acme.accounts.revoke('none', ada.actor, 'end'), /resource must be there/);
});
