import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { toBase64url } from '@keystead/core/bytes';
import { certificationRequest } from '@keystead/core/x509';
import fc from 'fast-check';
import { makeKey } from '../../authority/tests/bed.ts';
import { AcmeBed, freePorts } from './bed.ts';
import { bindingOf, jwsOf, problem, RawClient, rawKey, thumbprintOf } from './raw-client.ts';

let bed: AcmeBed;
let client: RawClient;
let httpPort = 0;
const LOCALHOST = [{ type: 'dns', value: 'localhost' }];

before(async () => {
  [httpPort = 0] = await freePorts(1);
  bed = await AcmeBed.make({ settings: { httpPort, retrySeconds: [2, 5] } });
  client = new RawClient(bed);
  assert.equal((await client.register(await bed.authorise())).status, 201);
});
after(() => bed.remove());

/** A host that answers http-01 for whatever account asks. */
async function answering<T>(answer: (token: string) => string, act: () => Promise<T>): Promise<T> {
  const server = createServer((request, response) => response.end(answer(request.url?.split('/').at(-1) ?? '')));
  await new Promise<void>((resolve) => server.listen(httpPort, '127.0.0.1', resolve));
  try {
    return await act();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const right = (who: RawClient) => (token: string) => `${token}.${thumbprintOf(who.key)}`;

/** An order whose one authorization is valid. */
async function ready(who = client, more: Record<string, unknown> = {}) {
  const made = await who.order(LOCALHOST, more);
  const [authorization] = made.authorizations;
  assert.ok(authorization);
  await answering(right(who), async () => {
    assert.equal((await who.answer(authorization, 'http-01')).status, 200);
    await bed.acme.tick();
  });
  return { ...made, authorization };
}

const csr = async (host: string, key = makeKey()): Promise<string> =>
  toBase64url(await certificationRequest(host, key.signer));

test('the directory and new nonces need no signature; every answer to a POST brings a nonce, also a refusal', async () => {
  const directory = await client.send('GET', bed.directory);
  assert.equal(directory.status, 200);
  assert.deepEqual(directory.body.meta, { externalAccountRequired: true });
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
  ] as const) {
    const answer = await client.send(method, client.url('new-nonce'));
    assert.equal(answer.status, status);
    assert.match(String(answer.headers['replay-nonce']), /^[A-Za-z0-9_-]+$/);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.match(String(answer.headers.link), /acme\/directory>;rel="index"/);
  }
  const refused = await client.send('POST', client.url('new-order'), '{}');
  assert.equal(problem(refused), '400 malformed');
  assert.ok(refused.headers['replay-nonce']);
});

test('a nonce is good once: the second time the answer is badNonce with a fresh one, which is good', async () => {
  const nonce = await client.freshNonce();
  client.nonce = nonce;
  assert.equal((await client.post(client.kid ?? '')).status, 200);
  const again = await client.post(client.kid ?? '', undefined, { nonce });
  assert.equal(problem(again), '400 badNonce');
  assert.notEqual(again.headers['replay-nonce'], nonce);
  assert.equal((await client.post(client.kid ?? '')).status, 200);
  assert.equal(problem(await client.post(client.kid ?? '', undefined, { nonce: undefined })), '400 badNonce');
});

test('a wrong URL, key, algorithm, method, content type and path each get their own problem', async () => {
  const kid = client.kid ?? '';
  const post = (header: Record<string, unknown>, key = client.key) => client.post(kid, undefined, header, key);
  assert.equal(problem(await post({ url: client.url('new-order') })), '403 unauthorized');
  assert.equal(problem(await post({ url: kid.replace('localhost', '127.0.0.1') })), '403 unauthorized');
  assert.equal(problem(await post({}, rawKey())), '400 malformed');
  const none = await post({ alg: 'none' });
  assert.equal(problem(none), '400 badSignatureAlgorithm');
  assert.deepEqual(none.body.algorithms, ['ES256', 'ES384', 'EdDSA', 'RS256']);
  assert.equal(problem(await post({ alg: 'HS256' })), '400 badSignatureAlgorithm');
  assert.equal(problem(await post({ kid: `${kid}x` })), '400 accountDoesNotExist');
  assert.equal(problem(await post({ kid: 'https://elsewhere.example/acme/account/1' })), '400 accountDoesNotExist');
  assert.equal(problem(await post({ jwk: client.key.jwk })), '400 malformed');
  assert.equal(problem(await post({ kid: undefined, jwk: { kty: 'oct', k: 'AAAA' } })), '400 badPublicKey');
  assert.equal(problem(await post({ kid: undefined, jwk: client.key.jwk })), '400 malformed');
  assert.equal(problem(await client.send('GET', kid)), '405 malformed');
  assert.equal(problem(await client.send('POST', kid, '{}', 'application/json')), '415 malformed');
  assert.equal(problem(await client.send('POST', client.url('no-such-thing'), '{}')), '404 malformed');
  assert.equal(problem(await client.send('POST', kid, JSON.stringify('x'.repeat(70_000)))), '413 malformed');
  assert.equal(problem(await client.post(client.url('order/AAAA'))), '404 malformed');
});

test('a new account needs an external account binding, and each wrong one is refused', async () => {
  const authorisation = await bed.authorise();
  const url = client.url('new-account');
  const key = rawKey('EdDSA');
  const stranger = new RawClient(bed, key);
  const attempt = async (externalAccountBinding: unknown) =>
    problem(await stranger.post('new-account', { externalAccountBinding }));
  assert.equal(await attempt(undefined), '403 externalAccountRequired');
  assert.equal(await attempt('x'), '400 malformed');
  const good = bindingOf(authorisation, key, url);
  assert.equal(
    await attempt({ ...good, signature: bindingOf({ ...authorisation, secret: 'AAAA' }, key, url).signature }),
    '403 unauthorized',
  );
  assert.equal(await attempt(bindingOf({ ...authorisation, id: 'no-such' }, key, url)), '403 unauthorized');
  assert.equal(await attempt(bindingOf(authorisation, rawKey(), url)), '403 unauthorized');
  assert.equal(await attempt(bindingOf(authorisation, key, client.url('new-order'))), '403 unauthorized');
  assert.equal(await attempt(bindingOf(authorisation, key, url, { nonce: 'AAAA' })), '403 unauthorized');
  assert.equal(await attempt(bindingOf(authorisation, key, url, { alg: 'HS512' })), '400 badSignatureAlgorithm');
  assert.equal(
    await attempt(jwsOf({ alg: 'ES256', kid: authorisation.id, url }, key.jwk, rawKey())),
    '400 badSignatureAlgorithm',
  );
  const est = await bed.authorise({ ways: ['est'] });
  assert.equal(await attempt(bindingOf(est, key, url)), '403 unauthorized');
  assert.equal(bed.domain.entries('acme.account-created').length, 1, 'nothing was made');
  const made = await stranger.register(authorisation, { contact: ['mailto:ops@plant.example'] });
  assert.equal(made.status, 201);
  assert.deepEqual(made.body.externalAccountBinding, good);
  assert.equal(made.text.includes(authorisation.secret), false);
  const again = await stranger.register(authorisation);
  assert.equal(again.status, 200);
  assert.equal(again.headers.location, made.headers.location);
  const existing = await new RawClient(bed, key).post('new-account', { onlyReturnExisting: true });
  assert.equal(existing.headers.location, made.headers.location);
  const nobody = await new RawClient(bed).post('new-account', { onlyReturnExisting: true });
  assert.equal(problem(nobody), '400 accountDoesNotExist');
});

test('whether an authorisation is withdrawn is told to the holder of its secret, and to nobody else', async () => {
  const url = client.url('new-account');
  const withdrawn = await bed.authorise();
  await bed.domain.authority.authorisations.withdraw(withdrawn.id, {
    actor: { kind: 'operator', id: 'ada' },
    requestId: 'end',
  });
  const told = async (authorisation: { id: string; secret: string }): Promise<unknown> => {
    const key = rawKey();
    const payload = { externalAccountBinding: bindingOf(authorisation, key, url) };
    return (await new RawClient(bed, key).post('new-account', payload)).body;
  };
  const stranger = await told({ ...withdrawn, secret: 'AAAA' });
  assert.deepEqual(stranger, await told({ id: 'no-such', secret: 'AAAA' }));
  assert.doesNotMatch(JSON.stringify(stranger), /withdrawn/);
  assert.match(JSON.stringify(await told(withdrawn)), /withdrawn/);
});

test('contacts: another scheme and header fields are unsupported, a malformed address is invalid; an update keeps the rest', async () => {
  const contact = async (...list: string[]) => client.post(client.kid ?? '', { contact: list });
  assert.equal(problem(await contact('tel:+4930123456')), '400 unsupportedContact');
  assert.equal(problem(await contact('mailto:a@b.example?subject=x')), '400 unsupportedContact');
  assert.equal(problem(await contact('mailto:a@b.example,c@d.example')), '400 unsupportedContact');
  assert.equal(problem(await contact('mailto:nobody')), '400 invalidContact');
  assert.equal(problem(await client.post(client.kid ?? '', { status: 'revoked' })), '400 malformed');
  const changed = await contact('mailto:ops@plant.example');
  assert.deepEqual(changed.body.contact, ['mailto:ops@plant.example']);
  assert.equal((await client.post(client.kid ?? '', {})).body.status, 'valid');
});

test('what an order may not name is refused, name by name, and no order is made', async () => {
  const before = bed.domain.entries('acme.order-created').length;
  const order = async (...values: { type: string; value: string }[]) =>
    client.post('new-order', { identifiers: values });
  const dns = (value: string) => ({ type: 'dns', value });
  const both = await order(dns('localhost'), dns('evil.example'), dns('other.example'));
  assert.equal(problem(both), '403 rejectedIdentifier');
  const subproblems = both.body.subproblems as { type: string; identifier: unknown }[];
  assert.deepEqual(
    subproblems.map((one) => one.identifier),
    [dns('evil.example'), dns('other.example')],
  );
  for (const value of [
    'LOCALHOST',
    'a b.example',
    '10.0.0.1',
    '*.example',
    'x.*.plant.example',
    'plant.example.',
    'ex_ample',
    '-a.plant.example',
  ]) {
    assert.equal(problem(await order(dns(value))), '403 rejectedIdentifier', value);
  }
  assert.equal(problem(await order({ type: 'ip', value: '127.0.0.01' })), '400 malformed');
  assert.equal(problem(await order({ type: 'ip', value: '::0001' })), '400 malformed');
  assert.equal(problem(await order({ type: 'ip', value: '10.9.8.7' })), '403 rejectedIdentifier');
  assert.equal(problem(await order({ type: 'email', value: 'a@b.example' })), '400 unsupportedIdentifier');
  assert.equal(problem(await order({ type: 'permanent-identifier', value: 'KS-0001' })), '403 rejectedIdentifier');
  assert.equal(problem(await order({ type: 'permanent-identifier', value: 'KS/1.x' })), '400 malformed');
  assert.equal(problem(await order()), '400 malformed');
  assert.equal(
    problem(await client.post('new-order', { identifiers: LOCALHOST, notAfter: '2030-01-01T00:00:00Z' })),
    '400 malformed',
  );
  assert.equal(problem(await client.post('new-order', { identifiers: LOCALHOST, replaces: 'AAAA' })), '400 malformed');
  assert.equal(bed.domain.entries('acme.order-created').length, before);
});

test('an order is finalised once it is ready, with exactly its names; the same request again gets the same certificate', async () => {
  const pending = await client.order(LOCALHOST);
  const finalize = (url: string, request: string) => client.post(`${url}/finalize`, { csr: request });
  assert.equal(problem(await finalize(pending.url, await csr('localhost'))), '403 orderNotReady');
  const { url } = await ready();
  assert.equal((await client.post(url)).body.status, 'ready');
  assert.equal(problem(await finalize(url, await csr('plant.example'))), '400 badCSR');
  assert.equal(problem(await finalize(url, 'AAAA')), '400 badCSR');
  assert.equal(problem(await finalize(url, '!')), '400 malformed');
  const broken = Buffer.from(await csr('localhost'), 'base64url');
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
  assert.equal(problem(await finalize(url, broken.toString('base64url'))), '400 badCSR');
  const accountKey = makeKey('Ed25519');
  assert.equal(
    problem(await finalize(url, await csr('localhost', accountKey))),
    '400 badCSR',
    'an algorithm that the profile has not',
  );
  assert.equal((await client.post(url)).body.status, 'ready', 'a bad request leaves the order as it is');
  const request = await csr('localhost');
  const done = await finalize(url, request);
  assert.equal(done.status, 200, done.text);
  assert.equal(done.body.status, 'valid');
  const certificate = await client.post(String(done.body.certificate));
  assert.equal(certificate.headers['content-type'], 'application/pem-certificate-chain');
  assert.equal(certificate.text.match(/BEGIN CERTIFICATE/g)?.length, 2);
  const again = await finalize(url, request);
  assert.deepEqual(again.body, done.body);
  assert.equal(problem(await finalize(url, await csr('localhost'))), '403 orderNotReady', 'another request');
  const [, alternate] = /<([^>]+)>;rel="alternate"/.exec(String(certificate.headers.link)) ?? [];
  const whole = await client.post(alternate ?? '');
  assert.equal(whole.text.match(/BEGIN CERTIFICATE/g)?.length, 3, 'the other chain has the root');
  assert.equal(problem(await client.post(`${String(done.body.certificate)}/9`)), '404 malformed');
});

test('a key that has a certificate gets no second one, and the order waits for another request', async () => {
  const key = makeKey();
  const first = await ready();
  assert.equal((await client.post(`${first.url}/finalize`, { csr: await csr('localhost', key) })).body.status, 'valid');
  const second = await ready();
  const refused = await client.post(`${second.url}/finalize`, {
    csr: toBase64url(await certificationRequest('localhost', key.signer)),
  });
  assert.equal(problem(refused), '400 badCSR');
  assert.equal((await client.post(second.url)).body.status, 'ready');
});

test("what is another account's is not there", async () => {
  const { url, order, authorization } = await ready();
  const other = new RawClient(bed);
  await other.register(await bed.authorise());
  const [challenge] = authorization.challenges;
  for (const path of [url, authorization.url, challenge?.url ?? '', `${url}/finalize`, client.kid ?? '']) {
    const answer = await other.post(path, path.endsWith('finalize') ? { csr: await csr('localhost') } : undefined);
    assert.equal(problem(answer), '404 malformed', path);
  }
  assert.equal(problem(await other.post(authorization.url, { status: 'deactivated' })), '404 malformed');
  assert.equal(problem(await other.post(challenge?.url ?? '', {})), '404 malformed');
  assert.ok(order.finalize);
});

test('a challenge is tried by the schedule of the clock, and is invalid after the last try; the order falls with it', async () => {
  const made = await client.order(LOCALHOST);
  const [authorization] = made.authorizations;
  assert.ok(authorization);
  await answering(
    () => 'wrong',
    async () => {
      const answered = await client.answer(authorization, 'http-01');
      assert.equal(answered.body.status, 'processing');
      assert.ok(Number(answered.headers['retry-after']) >= 1);
      await bed.acme.tick();
      const once = await client.post(authorization.url);
      assert.equal(once.body.status, 'pending');
      const [tried] = (once.body.challenges as Record<string, unknown>[]).filter((one) => one.type === 'http-01');
      assert.match(JSON.stringify(tried?.error), /incorrectResponse/);
      await bed.acme.tick();
      assert.equal((await client.post(authorization.url)).body.status, 'pending', 'not before its time');
      bed.domain.clock.advance(2);
      await bed.acme.tick();
      assert.equal((await client.post(authorization.url)).body.status, 'pending');
      bed.domain.clock.advance(5);
      await bed.acme.tick();
    },
  );
  const over = await client.post(authorization.url);
  assert.equal(over.body.status, 'invalid');
  const order = await client.post(made.url);
  assert.equal(order.body.status, 'invalid');
  assert.match(JSON.stringify(order.body.error), /incorrectResponse.*acme\.response-incorrect/);
  assert.equal(
    problem(await client.post(`${made.url}/finalize`, { csr: await csr('localhost') })),
    '403 orderNotReady',
  );
  const [entry] = bed.domain.entries('acme.authorization-invalid').slice(-1);
  assert.equal(entry?.detail?.code, 'acme.response-incorrect');
});

test('an authorization that is given up takes its order with it, and its challenge cannot be answered', async () => {
  const { url, authorization } = await ready();
  const given = await client.post(authorization.url, { status: 'deactivated' });
  assert.equal(given.body.status, 'deactivated');
  assert.equal((await client.post(url)).body.status, 'invalid');
  assert.equal((await client.post(authorization.url, { status: 'deactivated' })).body.status, 'deactivated');
  const open = await client.order(LOCALHOST);
  const [pending] = open.authorizations;
  assert.ok(pending);
  await client.post(pending.url, { status: 'deactivated' });
  assert.equal(problem(await client.answer(pending, 'http-01')), '400 malformed');
  assert.equal(problem(await client.post(pending.url, { status: 'valid' })), '400 malformed');
});

test('what is not finished in its time is over, and is forgotten in its time', async () => {
  const made = await client.order(LOCALHOST);
  const { url } = await ready();
  bed.domain.clock.advance(86_400 + 1);
  assert.equal((await client.post(made.url)).body.status, 'invalid');
  assert.match(JSON.stringify((await client.post(made.url)).body.error), /acme\.expired/);
  const [authorization] = made.authorizations;
  assert.equal((await client.post(authorization?.url ?? '')).body.status, 'expired');
  assert.ok(authorization);
  assert.equal(problem(await client.answer(authorization, 'http-01')), '400 malformed');
  assert.equal(problem(await client.post(`${url}/finalize`, { csr: await csr('localhost') })), '403 orderNotReady');
  bed.domain.clock.advance(30 * 86_400);
  await bed.acme.housekeeping();
  assert.equal(problem(await client.post(made.url)), '404 malformed');
  assert.ok(bed.domain.entries('acme.orders-forgotten').length > 0);
  const list = await client.post(`${client.kid}/orders`);
  assert.ok((list.body.orders as string[]).length > 0, 'orders with a certificate stay');
});

test('the list of orders has the newest first, in pages', async () => {
  const fresh = new RawClient(bed);
  await fresh.register(await bed.authorise());
  const made: string[] = [];
  for (let i = 0; i < 52; i += 1) {
    bed.domain.clock.advance(1);
    made.unshift((await fresh.order(LOCALHOST)).url);
  }
  const first = await fresh.post(`${fresh.kid}/orders`);
  const [, next = ''] = /<([^>]+)>;rel="next"/.exec(String(first.headers.link)) ?? [];
  const second = await fresh.post(next);
  assert.deepEqual([...(first.body.orders as string[]), ...(second.body.orders as string[])], made);
  assert.doesNotMatch(String(second.headers.link), /rel="next"/);
});

test('the key of an account changes with the consent of both keys, and of no third', async () => {
  const who = new RawClient(bed);
  await who.register(await bed.authorise());
  const [oldKey, newKey] = [who.key, rawKey('RS256')];
  const url = who.url('key-change');
  const inner = (more: Record<string, unknown> = {}, key = newKey, header: Record<string, unknown> = {}) =>
    jwsOf({ alg: key.alg, jwk: key.jwk, url, ...header }, { account: who.kid, oldKey: oldKey.jwk, ...more }, key);
  const refused = async (payload: unknown) => problem(await who.post('key-change', payload));
  assert.equal(await refused({}), '400 malformed');
  assert.equal(await refused(inner({ account: `${who.kid}x` })), '400 malformed');
  assert.equal(await refused(inner({ oldKey: rawKey().jwk })), '400 malformed');
  assert.equal(await refused(inner({}, newKey, { url: who.url('new-order') })), '403 unauthorized');
  assert.equal(await refused(inner({}, newKey, { nonce: 'AAAA' })), '400 malformed');
  assert.equal(await refused({ ...inner(), signature: inner({}, rawKey('RS256')).signature }), '400 malformed');
  const taken = await who.post('key-change', inner({}, client.key));
  assert.equal(problem(taken), '409 malformed');
  assert.equal(taken.headers.location, client.kid);
  assert.equal((await who.post('key-change', inner())).status, 200);
  assert.equal(problem(await who.post(who.kid ?? '')), '400 badSignatureAlgorithm', 'the old key opens nothing');
  who.key = newKey;
  assert.equal((await who.post(who.kid ?? '')).status, 200);
});

test('a deactivated account does nothing more, and its key opens no other', async () => {
  const who = new RawClient(bed);
  await who.register(await bed.authorise());
  assert.equal((await who.post(who.kid ?? '', { status: 'deactivated' })).body.status, 'deactivated');
  assert.equal(problem(await who.post('new-order', { identifiers: LOCALHOST })), '401 unauthorized');
  assert.equal(problem(await who.post(who.kid ?? '')), '401 unauthorized');
  who.kid = undefined;
  assert.equal(problem(await who.post('new-account', { onlyReturnExisting: true })), '401 unauthorized');
});

test('whatever JSON a signed request carries, the answer is a problem document or a resource, and nothing breaks', async () => {
  const who = new RawClient(bed);
  await who.register(await bed.authorise());
  const paths = ['new-order', 'new-account', 'key-change', 'revoke-cert', who.kid ?? ''];
  const { url, authorizations } = await who.order(LOCALHOST);
  paths.push(url, `${url}/finalize`, ...authorizations.map((one) => one.url));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 3 }), async (path, payload) => {
      const answer = await who.post(path, payload);
      assert.ok(answer.status < 500, answer.text);
      if (answer.status >= 400) problem(answer);
    }),
    { numRuns: 60 },
  );
});
