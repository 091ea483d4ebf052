import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { AcmeSettingsSchema } from '../../files/acme-settings.ts';
import type { Trial } from '../index.ts';
import { AllowedNetworks } from '../validation/networks.ts';
import { reverseName } from '../validation/tls-alpn-01.ts';
import { validator } from '../validation/validator.ts';
import { freePorts } from './bed.ts';

let port = 0;
let behave: (response: ServerResponse, path: string) => void = () => {};
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  behave(response, request.url ?? '');
});
before(async () => {
  [port = 0] = await freePorts(1);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
});
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const END = new AbortController().signal;
const trial = (value: string, type: Trial['type'] = 'http-01'): Trial => ({
  type,
  identifier: { type: 'dns', value },
  token: 'token',
  keyAuthorization: 'token.thumbprint',
});

const look = (settings: Record<string, unknown> = {}) =>
  validator(
    AcmeSettingsSchema.parse({
      allowedNetworks: ['127.0.0.1/32'],
      httpPort: port,
      tlsPort: port,
      tryTimeoutSeconds: 1,
      ...settings,
    }),
  );

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

test('http-01: the key authorization, with white space after it, and nothing else', async () => {
  behave = (response) => response.end('token.thumbprint \r\n');
  await look()(trial('localhost'), END);
  assert.deepEqual(asked.splice(0), ['/.well-known/acme-challenge/token']);
  for (const body of ['', 'token', ' token.thumbprint', 'token.thumbprintx', '<html>']) {
    behave = (response) => response.end(body);
    await assert.rejects(look()(trial('localhost'), END), fails('acme.response-incorrect'), body);
  }
  behave = (response) => response.writeHead(404).end('token.thumbprint');
  await assert.rejects(look()(trial('localhost'), END), fails('acme.response-incorrect', /404/));
  behave = (response) => response.end('x'.repeat(4_000_000));
  await assert.rejects(look()(trial('localhost'), END), fails('acme.response-incorrect', /more than 512 bytes/));
});

test('http-01: a redirect is followed a few times, only to http and https, their ports, and allowed addresses', async () => {
  const to = (location: string) => {
    behave = (response, path) =>
      path === '/there' ? response.end('token.thumbprint') : response.writeHead(302, { Location: location }).end();
  };
  to(`http://localhost:${port}/there`);
  await look()(trial('localhost'), END);
  to('/there');
  await look()(trial('localhost'), END);
  asked.splice(0);
  for (const [location, code, seen] of [
    [`http://localhost:${port}/again`, 'acme.response-incorrect', /more than 4 redirects/],
    ['http://localhost:22/', 'acme.response-incorrect', /port 22/],
    ['file:///etc/passwd', 'acme.response-incorrect', /file:/],
    ['gopher://localhost/', 'acme.response-incorrect', /gopher:/],
    [`http://user:secret@localhost:${port}/there`, 'acme.response-incorrect', /a user/],
    [`http://127.0.0.2:${port}/there`, 'acme.network-forbidden', /127\.0\.0\.2/],
    [`http://[::1]:${port}/there`, 'acme.network-forbidden', /::1/],
    [`http://0x7f000002:${port}/there`, 'acme.network-forbidden', /127\.0\.0\.2/],
    ['http://169.254.169.254/latest/meta-data', 'acme.network-forbidden', /169\.254/],
    ['http://[::ffff:169.254.169.254]/', 'acme.network-forbidden', /./],
  ] as const) {
    to(location);
    await assert.rejects(look()(trial('localhost'), END), fails(code, seen), location);
    assert.equal(asked.splice(0).includes('/there'), false, location);
  }
});

test('a host that answers nothing, or slowly, or in another protocol is given up in time', async () => {
  behave = () => {};
  const before = performance.now();
  await assert.rejects(look()(trial('localhost'), END), fails('acme.connection', /no answer/));
  assert.ok(performance.now() - before < 10_000);
  await assert.rejects(look()(trial('localhost', 'tls-alpn-01'), END), fails('acme.tls'));
  const [closed = 0] = await freePorts(1);
  await assert.rejects(look({ httpPort: closed })(trial('localhost'), END), fails('acme.connection', /ECONNREFUSED/));
  await assert.rejects(look({ tlsPort: closed })(trial('localhost', 'tls-alpn-01'), END), fails('acme.connection'));
  const deaf = { resolvers: [`127.0.0.1:${closed}`] };
  await assert.rejects(look(deaf)(trial('gw1.plant.example', 'dns-01'), END), fails('acme.dns'));
});

test('an address outside of the allowed networks is never connected to, whatever name leads there', async () => {
  behave = (response) => response.end('token.thumbprint');
  asked.splice(0);
  for (const type of ['http-01', 'tls-alpn-01'] as const) {
    const only = look({ allowedNetworks: ['10.0.0.0/8'] });
    await assert.rejects(only(trial('localhost', type), END), fails('acme.network-forbidden'));
    assert.deepEqual(asked.splice(0), []);
  }
});

test('allowed networks: what is in one of them and not in those that never are', () => {
  const all = new AllowedNetworks(['0.0.0.0/0', '::/0']);
  const one = (address: string): string[] => all.require([address], 'a');
  for (const address of ['10.1.2.3', '8.8.8.8', '127.0.0.1', '2001:db8::1', '::1'])
    assert.deepEqual(one(address), [address]);
  for (const address of [
    '0.0.0.0',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:169.254.1.1',
    'x',
    '',
  ]) {
    assert.throws(() => one(address), fails('acme.network-forbidden'), address);
  }
  const some = new AllowedNetworks(['192.168.0.0/16']);
  assert.deepEqual(some.require(['10.0.0.1', '192.168.1.1'], 'a'), ['192.168.1.1']);
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const inside = address.startsWith('192.168.');
      if (inside) assert.deepEqual(some.require([address], 'a'), [address]);
      else assert.throws(() => some.require([address], 'a'));
    }),
  );
});

test('RFC 8738 section 6: the reverse names of addresses', () => {
  assert.equal(reverseName('192.0.2.7'), '7.2.0.192.in-addr.arpa');
  const zeros = Array<string>(19).fill('0').join('.');
  assert.equal(reverseName('2001:db8::1'), `1.0.0.0.${zeros}.0.8.b.d.0.1.0.0.2.ip6.arpa`);
  assert.equal(reverseName('::1').split('.').length, 34);
});

test('settings say which part of them is wrong', () => {
  const wrong = (settings: Record<string, unknown>) =>
    AcmeSettingsSchema.safeParse(settings).error?.issues[0]?.path.join('.');
  assert.equal(wrong({ allowedNetworks: ['10.0.0.0'] }), 'allowedNetworks.0');
  assert.equal(wrong({ allowedNetworks: ['10.0.0.0/33'] }), 'allowedNetworks.0');
  assert.equal(wrong({ resolvers: ['ns.plant.example'] }), 'resolvers.0');
  assert.equal(wrong({ baseUrl: 'http://a' }), 'baseUrl');
  assert.equal(wrong({ other: 1 }), '');
  assert.equal(
    wrong({ resolvers: ['[::1]:53', '10.0.0.1:5353', '::1', '10.0.0.1'], baseUrl: 'https://a:8443' }),
    undefined,
  );
});
