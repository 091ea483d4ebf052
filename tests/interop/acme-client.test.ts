import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import acme from 'acme-client';
import { AcmeBed, freePorts } from 'keystead/acme/tests/bed.ts';
import { DnsServer } from './dns-server.ts';
import { ok, openssl } from './foreign.ts';

let bed: AcmeBed;
let dns: DnsServer;
let folder: string;
let ports: number[];
const agents: Agent[] = [];

before(async () => {
  ports = await freePorts(2);
  folder = mkdtempSync(join(tmpdir(), 'keystead-acme-dns-'));
  dns = await DnsServer.start('plant.example', join(folder, 'texts'));
  bed = await AcmeBed.make({ settings: { httpPort: ports[0], tlsPort: ports[1], resolvers: [dns.address] } });
  const agent = new Agent({ ca: readFileSync(bed.root) });
  agents.push(agent);
  acme.axios.defaults.httpsAgent = agent;
});
after(async () => {
  for (const agent of agents) agent.destroy();
  dns.close();
  rmSync(folder, { recursive: true });
  await bed.remove();
});

async function clientOf(key?: Buffer): Promise<{ client: acme.Client; key: Buffer }> {
  const accountKey = key ?? (await acme.crypto.createPrivateEcdsaKey('P-384'));
  const { id, secret } = await bed.authorise();
  const externalAccountBinding = { kid: id, hmacKey: secret };
  const waits = { backoffAttempts: 20, backoffMin: 50, backoffMax: 200 };
  const client = new acme.Client({ directoryUrl: bed.directory, accountKey, externalAccountBinding, ...waits });
  await client.createAccount({ termsOfServiceAgreed: true, contact: ['mailto:ops@plant.example'] });
  return { client, key: accountKey };
}

/** Answers a challenge with whatever its type wants; the returned function takes the answer away again. */
async function answer(
  client: acme.Client,
  authorization: acme.Authorization,
  type: string,
): Promise<() => Promise<void>> {
  const challenge = authorization.challenges.find((one) => one.type === type);
  assert.ok(challenge, type);
  const keyAuthorization = await client.getChallengeKeyAuthorization(challenge);
  const { value } = authorization.identifier;
  if (type === 'dns-01') {
    writeFileSync(
      join(folder, 'texts'),
      `_acme-challenge.${value} other\n_acme-challenge.${value} ${keyAuthorization}\n`,
    );
    await client.completeChallenge(challenge);
    await client.waitForValidStatus(challenge);
    return async () => rmSync(join(folder, 'texts'));
  }
  const server =
    type === 'http-01' ? httpServer(keyAuthorization) : await tlsServer(client, authorization, keyAuthorization);
  await new Promise<void>((resolve) => server.listen(type === 'http-01' ? ports[0] : ports[1], '127.0.0.1', resolve));
  await client.completeChallenge(challenge);
  await client.waitForValidStatus(challenge);
  return () => new Promise((resolve) => void server.close(() => resolve()));
}

/** A request with a new key for these names, by openssl. PEM. */
async function csrOf(names: readonly string[]): Promise<string> {
  const key = bed.path('request.key');
  await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key);
  return openssl('req', '-new', '-key', key, '-subj', '/', '-addext', `subjectAltName=${names.join(',')}`);
}

const httpServer = (keyAuthorization: string) =>
  createServer((_request, response) => {
    response.setHeader('Connection', 'close');
    response.end(`${keyAuthorization}\n`);
  });

async function tlsServer(_client: acme.Client, authorization: acme.Authorization, keyAuthorization: string) {
  const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization);
  return createTlsServer({ key, cert, ALPNProtocols: ['acme-tls/1'] }, (socket) => socket.end());
}

test('acme-client gets one certificate for names that it shows by all three challenges, a wildcard among them [acme-client: ACME newAccount with EAB, ACME http-01, ACME dns-01, ACME dns-01 for a wildcard, ACME tls-alpn-01]', async () => {
  const { client } = await clientOf();
  const names = { a: 'http-01', b: 'dns-01', c: 'tls-alpn-01', '*.lab': 'dns-01' };
  const hosts = Object.keys(names).map((name) => `${name}.plant.example`);
  const order = await client.createOrder({ identifiers: hosts.map((value) => ({ type: 'dns', value })) });
  for (const authorization of await client.getAuthorizations(order)) {
    const { value } = authorization.identifier;
    const [first = ''] = value.split('.');
    const type = authorization.wildcard ? 'dns-01' : (names as Record<string, string>)[first];
    const undo = await answer(client, authorization, type ?? '');
    await undo();
  }
  // Its own requests ask for keyEncipherment, which no key of these curves can do: that is passed over and not given.
  const [, request] = await acme.crypto.createCsr({ altNames: hosts }, await acme.crypto.createPrivateEcdsaKey());
  const done = await client.finalizeOrder(order, request);
  const chain = await client.getCertificate(done);
  const file = bed.path('many.pem');
  writeFileSync(file, chain);
  const verify = ['verify', '-x509_strict', '-CAfile', bed.root, '-untrusted', bed.serverCa, '-purpose', 'sslserver'];
  assert.match(await openssl(...verify, '-verify_hostname', 'pump.lab.plant.example', file), /: OK/);
  const usage = await openssl('x509', '-in', file, '-noout', '-ext', 'keyUsage');
  assert.match(usage, /Digital Signature/);
  assert.doesNotMatch(usage, /Encipherment/);
  assert.deepEqual(acme.crypto.readCertificateInfo(chain).domains.altNames.sort(), hosts.sort());
});

test('acme-client gets a certificate for an address, by http-01 and by tls-alpn-01 [acme-client: ACME http-01 for an address, ACME tls-alpn-01 for an address]', async () => {
  const { client } = await clientOf();
  for (const type of ['http-01', 'tls-alpn-01']) {
    const order = await client.createOrder({ identifiers: [{ type: 'ip', value: '127.0.0.1' }] as never });
    const [authorization] = await client.getAuthorizations(order);
    assert.ok(authorization);
    assert.deepEqual(authorization.challenges.map((one) => String(one.type)).sort(), ['http-01', 'tls-alpn-01']);
    const undo = await answer(client, authorization, type);
    await undo();
    const csr = await csrOf(['IP:127.0.0.1']);
    const chain = await client.getCertificate(await client.finalizeOrder(order, csr));
    writeFileSync(bed.path('ip.pem'), chain);
    const verify = ['verify', '-CAfile', bed.root, '-untrusted', bed.serverCa, '-verify_ip', '127.0.0.1'];
    assert.match(await openssl(...verify, bed.path('ip.pem')), /: OK/);
  }
});

test('acme-client changes the key of its account, and goes on with the new one only [acme-client: ACME keyChange]', async () => {
  const { client, key } = await clientOf();
  const next = await acme.crypto.createPrivateRsaKey(2048);
  await client.updateAccountKey(next);
  const account = await client.updateAccount({ contact: ['mailto:new@plant.example'] });
  assert.deepEqual(account.contact, ['mailto:new@plant.example']);
  const old = new acme.Client({ directoryUrl: bed.directory, accountKey: key, accountUrl: client.getAccountUrl() });
  await assert.rejects(old.updateAccount({ contact: [] }), /malformed|signature/i);
});

test('acme-client gives up an authorization, revokes by its account, and ends the account [acme-client: ACME authorization deactivation, ACME revokeCert, ACME account deactivation]', async () => {
  const { client } = await clientOf();
  const abandoned = await client.createOrder({ identifiers: [{ type: 'dns', value: 'd.plant.example' }] });
  const [given] = await client.getAuthorizations(abandoned);
  assert.ok(given);
  assert.equal((await client.deactivateAuthorization(given)).status, 'deactivated');
  assert.equal((await client.getOrder(abandoned)).status, 'invalid');
  const order = await client.createOrder({ identifiers: [{ type: 'dns', value: 'e.plant.example' }] });
  const [authorization] = await client.getAuthorizations(order);
  assert.ok(authorization);
  const undo = await answer(client, authorization, 'http-01');
  await undo();
  const csr = await csrOf(['DNS:e.plant.example']);
  const chain = await client.getCertificate(await client.finalizeOrder(order, csr));
  await client.revokeCertificate(chain, { reason: 4 });
  assert.equal(bed.domain.entries('certificate.revoked').at(-1)?.detail?.reason, 'superseded');
  await assert.rejects(client.revokeCertificate(chain), /already|revoked once/i);
  assert.equal((await client.updateAccount({ status: 'deactivated' } as never)).status, 'deactivated');
  await assert.rejects(client.createOrder({ identifiers: [{ type: 'dns', value: 'f.plant.example' }] }), /deactivated/);
});

test("curl and openssl alone make an account: the binding by openssl's HMAC, the request by its RSA signature [curl and openssl: ACME directory, ACME newNonce, ACME newAccount with EAB]", async () => {
  const { id, secret } = await bed.authorise();
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const keyFile = bed.path('account.pem');
  writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const b64 = (value: string | Buffer): string => Buffer.from(value).toString('base64url');
  const curl = (...args: string[]): Promise<string> => ok('curl', ['-sS', '--cacert', bed.root, ...args]);
  const directory = JSON.parse(await curl(bed.directory)) as Record<string, string>;
  const url = directory.newAccount ?? '';
  const nonce = /replay-nonce: (\S+)/i.exec(await curl('--head', directory.newNonce ?? ''))?.[1];
  const jwk = publicKey.export({ format: 'jwk' });
  const hmacKey = Buffer.from(secret, 'base64url').toString('hex');
  const digest = async (data: string, ...how: string[]): Promise<string> => {
    writeFileSync(bed.path('data'), data);
    await openssl('dgst', '-sha256', ...how, '-binary', '-out', bed.path('digest'), bed.path('data'));
    return b64(readFileSync(bed.path('digest')));
  };
  const bound = `${b64(JSON.stringify({ alg: 'HS256', kid: id, url }))}.${b64(JSON.stringify(jwk))}`;
  const [bindingHead, bindingPayload] = bound.split('.');
  const mac = await digest(bound, '-mac', 'HMAC', '-macopt', `hexkey:${hmacKey}`);
  const externalAccountBinding = { protected: bindingHead, payload: bindingPayload, signature: mac };
  const head = b64(JSON.stringify({ alg: 'RS256', nonce, url, jwk }));
  const payload = b64(JSON.stringify({ contact: ['mailto:curl@plant.example'], externalAccountBinding }));
  const signature = await digest(`${head}.${payload}`, '-sign', keyFile);
  writeFileSync(bed.path('request'), JSON.stringify({ protected: head, payload, signature }));
  const posted = [
    '--include',
    '--header',
    'Content-Type: application/jose+json',
    '--data-binary',
    `@${bed.path('request')}`,
  ];
  const answered = await curl(...posted, url);
  assert.match(answered, /^HTTP\/1\.1 201 /);
  assert.match(answered, /location: https:\/\/localhost:\d+\/acme\/account\//i);
  assert.match(await curl(...posted, url), /badNonce/, 'the same request again');
});
