import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, ok, openssl, run } from './foreign.ts';

let bench: Bench;
let device: ForeignDevice;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

test('a station with curl gets an IDevID for a key and a request that openssl made [curl and openssl: REST unit provisioning]', async () => {
  device = await bench.provision('TRY-0002');
  await bench.verify(device.certificate, 'manufacturing');
  const text = await openssl('x509', '-in', device.certificate, '-noout', '-text');
  assert.match(text, /Subject: O = Keystead, CN = TRY-0002, serialNumber = TRY-0002/);
  assert.match(text, /URI:urn:keystead:device:TRY-0002/);
  assert.match(text, /Not After : Dec 31 23:59:59 9999 GMT/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
});

test('devices with P-384, Ed25519 and RSA-3072 keys get an IDevID that openssl verifies', async () => {
  for (const [id, algorithm] of [
    ['TRY-0010', 'P-384'],
    ['TRY-0011', 'Ed25519'],
    ['TRY-0012', 'RSA-3072'],
  ] as const) {
    const other = await bench.provision(id, algorithm);
    await bench.verify(other.certificate, 'manufacturing');
    const { body } = await bench.curl(`${bench.api}/whoami`, ['--cert', other.certificate, '--key', other.key]);
    assert.equal(JSON.parse(body).id, id);
  }
});

test('a station that repeats its request gets the same IDevID; another key for the same device is refused', async () => {
  const csr = readFileSync(bench.path('TRY-0002.csr'), 'utf8');
  const again = await bench.provisionRequest('TRY-0002', csr, device.key);
  assert.equal(await bench.serial(again.certificate), await bench.serial(device.certificate));
  const other = readFileSync(await bench.csr('other', 'TRY-0002', await bench.key('other')), 'utf8');
  const { ticketId } = bench.deployment.world.config.tryBatch;
  const unit = bench.write(
    'other.json',
    JSON.stringify({ ticketId, deviceId: 'TRY-0002', csr: other, line: 'line-1' }),
  );
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${unit}`];
  const { status, body } = await bench.curlAs('line-1', `${bench.api}/units`, json);
  assert.equal(status, 409, body);
});

test('cacerts gives anybody the anchor and the CAs, as openssl pkcs7 reads them [curl and openssl: EST cacerts]', async () => {
  const { status, head, body } = await bench.curl(`${bench.est}/cacerts`);
  assert.equal(status, 200);
  assert.match(head, /^content-type: application\/pkcs7-mime/im);
  assert.match(head, /^content-transfer-encoding: base64/im);
  assert.match(body, /^[A-Za-z0-9+/]+=*$/);
  const der = bench.path('cacerts.p7');
  await ok('openssl', ['base64', '-d', '-A', '-out', der], { input: body });
  const pem = await openssl('pkcs7', '-inform', 'DER', '-in', der, '-print_certs');
  for (const role of ['root', 'operational', 'server'] as const) {
    const expected = readFileSync(bench.ca(role), 'utf8').match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----/)?.[0];
    assert.ok(expected !== undefined && pem.includes(expected), role);
  }
});

test('csrattrs names the curve and the signature that the CA would like [curl and openssl: EST csrattrs]', async () => {
  const { status, head, body } = await bench.curl(`${bench.est}/csrattrs`);
  assert.equal(status, 200);
  assert.match(head, /^content-type: application\/csrattrs/im);
  const der = bench.path('csrattrs.der');
  await ok('openssl', ['base64', '-d', '-A', '-out', der], { input: body });
  const printed = await openssl('asn1parse', '-inform', 'DER', '-in', der);
  for (const name of ['id-ecPublicKey', 'prime256v1', 'ecdsa-with-SHA256']) assert.ok(printed.includes(name), name);
});

test('simpleenroll takes the request as base64 with and without line breaks, and as PEM [curl and openssl: EST simpleenroll]', async () => {
  const pem = (der: Buffer, label: string): string =>
    `-----BEGIN ${label}-----\n${lines(der, '\n')}-----END ${label}-----\n`;
  const lines = (der: Buffer, end: string): string =>
    `${(der.toString('base64').match(/.{1,64}/g) ?? []).join(end)}${end}`;
  const bodies: Record<string, (der: Buffer) => string> = {
    'one line': (der) => der.toString('base64'),
    'lines ended by LF': (der) => lines(der, '\n'),
    'lines ended by CRLF': (der) => lines(der, '\r\n'),
    PEM: (der) => pem(der, 'CERTIFICATE REQUEST'),
    'PEM of old tools': (der) => pem(der, 'NEW CERTIFICATE REQUEST'),
  };
  for (const [index, [how, body]] of Object.entries(bodies).entries()) {
    const name = `enrol-${index}`;
    const key = await bench.key(name);
    const der = bench.path(`${name}.der`);
    await openssl('req', '-in', await bench.csr(name, device.id, key), '-outform', 'DER', '-out', der);
    const file = bench.write(`${name}.body`, body(bench.read(`${name}.der`)));
    const answer = await bench.estPost(device, 'simpleenroll', file);
    assert.equal(answer.status, 200, `${how}: ${answer.body}`);
    assert.match(answer.head, /^content-type: application\/pkcs7-mime; smime-type=certs-only/im);
    const certificate = await bench.certificateIn(name, answer.body);
    await bench.verify(certificate, 'operational');
    const ofCertificate = await openssl('x509', '-in', certificate, '-noout', '-pubkey');
    assert.equal(ofCertificate, await openssl('pkey', '-in', key, '-pubout'), how);
  }
});

test('simplereenroll with the LDevID gives one for a new key, with the same subject [curl and openssl: EST simplereenroll]', async () => {
  const first = await bench.enrol(device, 'simpleenroll', 'first');
  const second = await bench.enrol(first, 'simplereenroll', 'second');
  await bench.verify(second.certificate, 'operational');
  const subject = (path: string): Promise<string> =>
    openssl('x509', '-in', path, '-noout', '-subject', '-ext', 'subjectAltName');
  assert.equal(await subject(second.certificate), await subject(first.certificate));
  assert.notEqual(await bench.serial(second.certificate), await bench.serial(first.certificate));
});

test('a lost answer costs nothing: the same request again gives the same certificate', async () => {
  const key = await bench.key('lost');
  const csr = await bench.csr('lost', device.id, key);
  const one = await bench.estPost(device, 'simpleenroll', csr);
  const two = await bench.estPost(device, 'simpleenroll', csr);
  assert.equal(one.status, 200);
  assert.equal(two.body, one.body);
});

test('refusals name the rule: no certificate, another device, a used key, another content type', async () => {
  const key = await bench.key('refused');
  const own = await bench.csr('refused', device.id, key);
  const anonymous = await bench.estPost(undefined, 'simpleenroll', own);
  assert.equal(anonymous.status, 401, anonymous.body);
  const foreign = await bench.csr('foreign', 'TRY-0099', key);
  const subject = await bench.estPost(device, 'simpleenroll', foreign);
  assert.equal(subject.status, 403);
  assert.match(subject.body, /^csr\.subject-mismatch: /);
  const used = await bench.estPost(device, 'simpleenroll', await bench.csr('used', device.id, device.key));
  assert.equal(used.status, 409);
  assert.match(used.body, /^key\.already-used: /);
  const identity = ['--cert', device.certificate, '--key', device.key];
  const form = await bench.curl(`${bench.est}/simpleenroll`, [...identity, '--data-binary', `@${own}`]);
  assert.equal(form.status, 415);
  assert.match(form.head, /^content-type: text\/plain/im);
});

for (const version of ['1.2', '1.3']) {
  test(`mutual TLS ${version} with curl: the server knows the device [curl and openssl: TLS mutual authentication]`, async () => {
    const identity = ['--cert', device.certificate, '--key', device.key];
    const only = [`--tlsv${version}`, '--tls-max', version];
    const { status, body } = await bench.curl(`${bench.api}/whoami`, [...identity, ...only]);
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body), { kind: 'device', id: device.id, roles: [] });
  });

  test(`mutual TLS ${version} with openssl s_client: chain, host name and client certificate are good [openssl s_client: TLS mutual authentication]`, async () => {
    const { config } = bench.deployment.world;
    const request = 'GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const args = ['s_client', '-connect', `localhost:${config.ports.https}`, `-tls${version.replace('.', '_')}`];
    args.push('-CAfile', bench.root, '-verify_return_error', '-verify_hostname', 'localhost', '-x509_strict');
    args.push('-cert', device.certificate, '-key', device.key, '-ign_eof');
    const printed = await ok('openssl', args, { input: request });
    assert.match(printed, /Verify return code: 0 \(ok\)/);
    assert.match(printed, new RegExp(`TLSv${version}, Cipher is (TLS_AES|TLS_CHACHA|ECDHE)`));
    assert.match(printed, /"id":"TRY-0002"/);
  });
}

test('TLS 1.1 is refused', async () => {
  const { config } = bench.deployment.world;
  const args = ['s_client', '-connect', `localhost:${config.ports.https}`, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'];
  const { status, stderr } = await run('openssl', args);
  assert.notEqual(status, 0);
  assert.match(stderr, /protocol version/);
});
