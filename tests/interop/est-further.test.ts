import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromHex, fromPem, toBase64 } from '@keystead/core/bytes';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import {
  assembleSigned,
  context,
  integer,
  nameDer,
  octetString,
  oid,
  REQUEST_ATTRIBUTES,
  readCertificate,
  sequence,
  setOf,
} from '@keystead/core/x509';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, keystead, ok, openssl, run } from './foreign.ts';

let bench: Bench;
let device: ForeignDevice;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  device = await bench.provision('TRY-0002');
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

interface Opened {
  readonly id: string;
  readonly secret: string;
}

const command = (...args: string[]) => keystead([...args, '--data', bench.deployment.layout.data]);

async function authorise(id: string, ...args: string[]): Promise<Opened> {
  const { status, stdout, stderr } = await command('authorisation', 'create', '--id', id, '--json', ...args);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Opened;
}

/** Posts a request; the secret goes to curl through its configuration on standard input. */
function post(path: string, body: string, who: { basic?: Opened; device?: ForeignDevice } = {}) {
  const { basic, device: shown } = who;
  const identity = shown === undefined ? [] : ['--cert', shown.certificate, '--key', shown.key];
  const type = ['--header', 'Content-Type: application/pkcs10', '--data-binary', `@${body}`];
  const config = basic === undefined ? '' : `user = "${basic.id}:${basic.secret}"\n`;
  return bench.curl(`${bench.est}/${path}`, ['--config', '-', ...identity, ...type], config);
}

async function hostCsr(name: string, ...hosts: string[]): Promise<string> {
  const out = bench.path(`${name}.csr`);
  const key = await bench.key(name);
  const san = `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}`;
  await openssl('req', '-new', '-key', key, '-subj', `/CN=${hosts[0]}`, '-addext', san, '-out', out);
  return out;
}

test('a host enrols by an authorisation over HTTP Basic, under the label of its profile, and openssl verifies its certificate [curl: EST simpleenroll HTTP Basic, EST label]', async () => {
  const auth = await authorise('gw-1', '--host', 'gw1.plant.example', '*.lab.plant.example', '--way', 'est');
  const csr = await hostCsr('gw1', 'gw1.plant.example', 'a.lab.plant.example');
  const { status, body } = await post('tls-server/simpleenroll', csr, { basic: auth });
  assert.equal(status, 200, body);
  const certificate = await bench.certificateIn('gw1', body);
  const chain = ['-x509_strict', '-CAfile', bench.root, '-untrusted', bench.ca('server'), '-purpose', 'sslserver'];
  await openssl('verify', ...chain, '-verify_hostname', 'a.lab.plant.example', certificate);
  const again = await post('tls-server/simpleenroll', csr, { basic: auth });
  assert.equal(again.body, body, 'the answer to the same request is the same');
  assert.equal(
    await openssl('x509', '-in', certificate, '-noout', '-pubkey'),
    await openssl('pkey', '-in', bench.path('gw1.key'), '-pubout'),
  );
});

test('without a certificate and without an authorisation, and with a wrong secret, the answer is 401 and asks for Basic', async () => {
  const csr = await hostCsr('nobody', 'gw1.plant.example');
  const auth = await authorise('gw-2', '--host', 'gw2.plant.example', '--way', 'est');
  const wrong = { id: auth.id, secret: `${auth.secret.slice(0, -1)}${auth.secret.endsWith('A') ? 'E' : 'A'}` };
  for (const basic of [undefined, wrong, { ...auth, id: 'gw-9' }]) {
    const { status, head, body } = await post('tls-server/simpleenroll', csr, { basic });
    assert.equal(status, 401, body);
    assert.match(head, /^www-authenticate: Basic realm="Keystead EST", charset="UTF-8"\r?$/im);
    assert.equal(body.includes(auth.secret), false);
  }
  const bearer = await bench.curl(`${bench.est}/simpleenroll`, [
    '--header',
    'Authorization: Bearer AAAA',
    '--header',
    'Content-Type: application/pkcs10',
    '--data-binary',
    `@${csr}`,
  ]);
  assert.equal(bearer.status, 401);
  assert.match(bearer.body, /^est\.authorization-malformed: /);
  const other = await post('tls-server/simpleenroll', csr, { basic: auth });
  assert.equal(other.status, 403, other.body);
  assert.match(other.body, /^authorisation\.name-forbidden: /);
});

test('an authorisation for devices goes together with a certificate of the same device, and with no other', async () => {
  const auth = await authorise(
    'dev-1',
    '--profile',
    'ldevid',
    '--devices',
    'TRY-0001..TRY-0009',
    '--uses',
    '5',
    '--way',
    'est',
  );
  const both = await post('ldevid/simpleenroll', await bench.csr('both', device.id, await bench.key('both')), {
    basic: auth,
    device,
  });
  assert.equal(both.status, 200, both.body);
  await bench.verify(await bench.certificateIn('both', both.body), 'operational');
  const alone = await post('simpleenroll', await bench.csr('alone', device.id, await bench.key('alone')), {
    basic: auth,
  });
  assert.equal(alone.status, 200, alone.body);
  const foreign = await post('simpleenroll', await bench.csr('foreign', 'TRY-0001', await bench.key('foreign')), {
    basic: auth,
    device,
  });
  assert.equal(foreign.status, 403);
  assert.match(foreign.body, /^csr\.subject-mismatch: /);
  const label = await post('tls-server/simpleenroll', await bench.csr('label', device.id, await bench.key('label')), {
    basic: auth,
  });
  assert.equal(label.status, 403);
  assert.match(label.body, /^authorisation\.profile-forbidden: /);
  const unknown = await post('simpleenroll', await bench.csr('unknown', 'TRY-0008', await bench.key('unknown')), {
    basic: auth,
  });
  assert.match(unknown.body, /^device\.unknown: /);
});

test('strongSwan pki enrols a device by its authorisation over HTTP Basic [strongSwan pki: EST simpleenroll HTTP Basic]', async () => {
  const auth = await authorise('dev-2', '--profile', 'ldevid', '--devices', 'TRY-0002..TRY-0002', '--way', 'est');
  const key = await bench.key('swan');
  const csr = await bench.csr('swan', device.id, key);
  // pki takes user and password on its command line or from a file of options.
  const options = bench.write('pki.options', `--userpass ${auth.id}:${auth.secret}\n`);
  const cas = [bench.root, bench.ca('server'), bench.ca('operational')].flatMap((ca) => ['--cacert', ca]);
  const out = bench.path('swan.pem');
  const { status, stderr } = await run('sh', [
    '-c',
    'out=$1; shift; exec pki "$@" > "$out"',
    'sh',
    out,
    '--est',
    '--options',
    options,
    '--url',
    bench.deployment.world.httpsUrl,
    '--in',
    csr,
    ...cas,
    '--outform',
    'pem',
  ]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Issued certificate is trusted/);
  await bench.verify(out, 'operational');
});

test('a request that needs an approval waits: 202 and Retry-After; the same again gives the certificate after approval, and a refusal after refusal [curl: EST pending]', async () => {
  const auth = await authorise('gw-3', '--host', 'gw3.plant.example', '--uses', '3', '--way', 'est', '--approval');
  const csr = await hostCsr('gw3', 'gw3.plant.example');
  const first = await post('tls-server/simpleenroll', csr, { basic: auth });
  assert.equal(first.status, 202, first.body);
  assert.match(first.head, /^retry-after: \d+\r?$/im);
  const id = /request ([0-9a-f]{16})/.exec(first.body)?.[1] ?? '';
  assert.equal((await post('tls-server/simpleenroll', csr, { basic: auth })).body, first.body);
  assert.equal((await command('authorisation', 'approve', id)).status, 0);
  const granted = await post('tls-server/simpleenroll', csr, { basic: auth });
  assert.equal(granted.status, 200, granted.body);
  await bench.certificateIn('gw3', granted.body);
  const second = await hostCsr('gw3b', 'gw3.plant.example');
  const waits = await post('tls-server/simpleenroll', second, { basic: auth });
  const waiting = /request ([0-9a-f]{16})/.exec(waits.body)?.[1] ?? '';
  assert.equal((await command('authorisation', 'refuse', waiting, '--reason', 'not ours')).status, 0);
  const refused = await post('tls-server/simpleenroll', second, { basic: auth });
  assert.equal(refused.status, 403);
  assert.match(refused.body, /^authorisation\.refused: .*not ours/);
});

test('an unknown label is 404 and names those there are; a label of hosts is not for devices; fullcmc is 404 and says what to use', async () => {
  const csr = await bench.csr('labels', device.id, await bench.key('labels'));
  for (const label of [
    'idevid',
    'root-ca',
    'ocsp-responder',
    'evidence-signer',
    'scep-ra',
    'operator',
    'x%2F..',
    'constructor',
  ]) {
    const { status, body } = await post(`${label}/simpleenroll`, csr, { device });
    assert.equal(status, 404, `${label}: ${body}`);
    assert.match(body, /^est\.label-unknown: [\s\S]*the labels here are ldevid, tls-server/, label);
    assert.equal((await bench.curl(`${bench.est}/${label}/cacerts`)).status, 404, label);
  }
  const host = await post('tls-server/simpleenroll', csr, { device });
  assert.equal(host.status, 403);
  assert.match(host.body, /^profile\.requester-forbidden: /);
  for (const path of ['fullcmc', 'ldevid/fullcmc']) {
    const type = ['--header', 'Content-Type: application/pkcs7-mime', '--data-binary', `@${csr}`];
    const { status, body } = await bench.curl(`${bench.est}/${path}`, type);
    assert.equal(status, 404);
    assert.match(body, /^est\.fullcmc: [\s\S]*simpleenroll/);
  }
});

test('cacerts of a label has the CA that issues by it', async () => {
  const { body } = await bench.curl(`${bench.est}/ldevid/cacerts`);
  assert.equal(body, (await bench.curl(`${bench.est}/cacerts`)).body);
  const { body: server } = await bench.curl(`${bench.est}/tls-server/cacerts`);
  await ok('openssl', ['base64', '-d', '-A', '-out', bench.path('server.p7')], { input: server });
  const printed = await openssl('pkcs7', '-inform', 'DER', '-in', bench.path('server.p7'), '-print_certs', '-noout');
  assert.match(printed, /subject=.*Root CA[\s\S]*subject=.*server CA/);
  assert.doesNotMatch(printed, /operational/);
});

test('csrattrs of a label names key, signature and extensions, and for a device that shows its certificate its own name; openssl reads all of it', async () => {
  const printed = async (label: string, identity: string[] = []): Promise<string> => {
    const { status, head, body } = await bench.curl(`${bench.est}/${label}/csrattrs`, identity);
    assert.equal(status, 200, body);
    assert.match(head, /^content-type: application\/csrattrs/im);
    const der = bench.path('csrattrs.der');
    await ok('openssl', ['base64', '-d', '-A', '-out', der], { input: body });
    return openssl('asn1parse', '-inform', 'DER', '-in', der, '-dump');
  };
  const server = await printed('tls-server');
  for (const name of [
    'id-ecPublicKey',
    'prime256v1',
    'ecdsa-with-SHA256',
    'Extension Request',
    'X509v3 Subject Alternative Name',
    '1.2.840.113549.1.9.16.2.61',
  ])
    assert.ok(server.includes(name), name);
  const own = await printed('ldevid', ['--cert', device.certificate, '--key', device.key]);
  assert.match(own, /UTF8STRING +:TRY-0002/);
  assert.doesNotMatch(await printed('ldevid'), /TRY-0002/);
  assert.doesNotMatch(own, /challengePassword/);
});

/** A serverkeygen answer taken apart, and the key in it opened with openssl as a device would. */
async function openKey(
  name: string,
  answer: { head: string; body: string },
  recipient: ForeignDevice,
): Promise<ForeignDevice> {
  const boundary = /^content-type: multipart\/mixed; boundary="([^"]+)"/im.exec(answer.head)?.[1];
  assert.ok(boundary);
  const parts = answer.body.split(`--${boundary}`);
  assert.equal(parts.length, 4);
  const [, keyPart = '', certPart = '', end] = parts;
  assert.match(keyPart, /^Content-Type: application\/pkcs7-mime; smime-type=server-generated-key\r$/m);
  assert.match(certPart, /^Content-Type: application\/pkcs7-mime; smime-type=certs-only\r$/m);
  assert.equal(end, '--\r\n');
  const content = (part: string): string => part.split('\r\n\r\n')[1]?.trim() ?? '';
  await ok('openssl', ['base64', '-d', '-A', '-out', bench.path(`${name}.env`)], { input: content(keyPart) });
  const with_ = ['-inkey', recipient.key, '-recip', recipient.certificate];
  await openssl(
    'cms',
    '-decrypt',
    '-binary',
    '-inform',
    'DER',
    '-in',
    bench.path(`${name}.env`),
    ...with_,
    '-out',
    bench.path(`${name}.signed`),
  );
  // RFC 5652 section 6.1: what is encrypted is the SignedData itself; openssl wants a ContentInfo around it.
  const signed = bench.read(`${name}.signed`);
  const length = (n: number): Buffer => Buffer.from([0x82, n >> 8, n & 255]);
  const id = Buffer.from('06092a864886f70d010702', 'hex');
  const inner = Buffer.concat([Buffer.from([0xa0]), length(signed.length), signed]);
  bench.write(`${name}.p7`, Buffer.concat([Buffer.from([0x30]), length(id.length + inner.length), id, inner]));
  const from = ['-inform', 'DER', '-in', bench.path(`${name}.p7`), '-CAfile', bench.root, '-purpose', 'any'];
  await openssl('cms', '-verify', '-binary', ...from, '-out', bench.path(`${name}.package`));
  const packed = bench.read(`${name}.package`);
  bench.write(`${name}.p8`, packed.subarray((packed[1] ?? 0) < 0x80 ? 2 : 2 + ((packed[1] ?? 0) & 0x7f)));
  await openssl('pkey', '-inform', 'DER', '-in', bench.path(`${name}.p8`), '-out', bench.path(`${name}.key`));
  const certificate = await bench.certificateIn(name, content(certPart));
  assert.equal(
    await openssl('x509', '-in', certificate, '-noout', '-pubkey'),
    await openssl('pkey', '-in', bench.path(`${name}.key`), '-pubout'),
  );
  return { id: recipient.id, key: bench.path(`${name}.key`), certificate };
}

for (const [id, algorithm] of [
  ['TRY-0020', 'P-256'],
  ['TRY-0021', 'P-384'],
  ['TRY-0022', 'RSA-3072'],
] as const) {
  test(`TEST-KEY-12 a device with a ${algorithm} key gets a key that keyd made, wrapped to it: openssl decrypts it, verifies who made it, and uses it [openssl: EST serverkeygen]`, async () => {
    const shown = await bench.provision(id, algorithm);
    const csr = await bench.csr(`${id}-skg`, id, await bench.key(`${id}-skg`));
    const answer = await post('serverkeygen', csr, { device: shown });
    assert.equal(answer.status, 200, answer.body);
    const made = await openKey(`${id}-made`, answer, shown);
    await bench.verify(made.certificate, 'operational');
    const { body } = await bench.curl(`${bench.api}/whoami`, ['--cert', made.certificate, '--key', made.key]);
    assert.equal(JSON.parse(body).id, id);
  });
}

test('asked again for a key, for the answer was lost, keyd makes another; the certificate of the first is revoked as superseded', async () => {
  const csr = await bench.csr('skg', device.id, await bench.key('skg'));
  const lost = await openKey('lost', await post('ldevid/serverkeygen', csr, { device }), device);
  const made = await openKey('made', await post('ldevid/serverkeygen', csr, { device }), device);
  assert.notEqual(await bench.serial(lost.certificate), await bench.serial(made.certificate));
  assert.notDeepEqual(readFileSync(lost.key), readFileSync(made.key));
  const status = async (certificate: string): Promise<string> =>
    openssl(
      'ocsp',
      '-issuer',
      bench.ca('operational'),
      '-CAfile',
      bench.root,
      '-cert',
      certificate,
      '-url',
      bench.url('/ocsp/operational'),
    );
  assert.match(await status(lost.certificate), /: revoked[\s\S]*Reason: superseded/);
  assert.match(await status(made.certificate), /: good/);
});

test('a key is made only where it can be wrapped and the policy says so: each refusal names its rule, and nothing is issued', async () => {
  const refused = async (code: RegExp, path: string, csr: string, who: Parameters<typeof post>[2]): Promise<void> => {
    const { status, body } = await post(path, csr, who);
    assert.ok(status >= 400 && status < 500, `${status} ${body}`);
    assert.match(body, code);
  };
  const csr = await bench.csr('skg-no', device.id, await bench.key('skg-no'));
  await refused(/^client\.certificate-missing: /, 'serverkeygen', csr, {});
  const auth = await authorise('dev-3', '--profile', 'ldevid', '--devices', 'TRY-0002..TRY-0002', '--way', 'est');
  await refused(/^server-key\.recipient-missing: /, 'serverkeygen', csr, { basic: auth });
  const ed = await bench.provision('TRY-0023', 'Ed25519');
  await refused(
    /^server-key\.recipient-unfit: /,
    'serverkeygen',
    await bench.csr('skg-ed', ed.id, await bench.key('skg-ed')),
    { device: ed },
  );
  await refused(/^profile\.requester-forbidden: /, 'tls-server/serverkeygen', csr, { device });
  const rsa = await bench.csr('skg-rsa', device.id, await bench.key('skg-rsa', 'RSA-3072'));
  await refused(/^server-key\.algorithm: /, 'serverkeygen', rsa, { device });
  const other = await bench.csr('skg-other', 'TRY-0001', await bench.key('skg-other'));
  await refused(/^csr\.subject-mismatch: /, 'serverkeygen', other, { device });
});

/** A request whose attribute names the key to wrap to: openssl writes it from its configuration. */
async function csrWith(name: string, deviceId: string, section: string): Promise<string> {
  const config = bench.write(
    `${name}.cnf`,
    `oid_section = oids\n[oids]\nasymmDecryptKeyID = 1.2.840.113549.1.9.16.2.54\ndecryptKeyID = 1.2.840.113549.1.9.16.2.37\n[req]\nprompt = no\ndistinguished_name = dn\nattributes = attrs\n[dn]\nO = Keystead\nCN = ${deviceId}\nserialNumber = ${deviceId}\n[attrs]\n${section}\n`,
  );
  const out = bench.path(`${name}.csr`);
  await openssl('req', '-new', '-key', await bench.key(name), '-config', config, '-out', out);
  return out;
}

/** A request whose attribute is an OCTET STRING: openssl writes strings only. */
async function csrWithOctets(name: string, deviceId: string, oids: Record<string, Uint8Array>): Promise<string> {
  const key = generateSoftwareKey('P-256');
  const signer = softwareSigner('P-256', key.pkcs8);
  const subject = nameDer({ rdns: [{ type: 'CN', value: deviceId }] });
  const attributes = Object.entries(oids).map(([id, value]) => sequence(oid(id), setOf(octetString(value))));
  const info = sequence(integer(0), subject, key.spki, context(0, ...attributes));
  const der = assembleSigned(info, signer.signatureAlgorithm, await signer.sign(info));
  return bench.write(`${name}.csr`, toBase64(der));
}

test('AsymmetricDecryptKeyIdentifier chooses another certificate of the same device; one of another device, or a symmetric key, is refused', async () => {
  const { asymmetricDecryptKeyIdentifier, decryptKeyIdentifier } = REQUEST_ATTRIBUTES;
  const ldevid = await bench.enrol(device, 'simpleenroll', 'skg-ldevid');
  const skiOf = (certificate: string): Uint8Array => {
    const [der] = fromPem('CERTIFICATE', readFileSync(certificate, 'utf8'));
    return fromHex(readCertificate(der as DerCertificate).ski ?? '');
  };
  const named = (certificate: string) => ({ [asymmetricDecryptKeyIdentifier]: skiOf(certificate) });
  const csr = await csrWithOctets('skg-named', device.id, named(ldevid.certificate));
  const answer = await post('serverkeygen', csr, { device });
  assert.equal(answer.status, 200, answer.body);
  await openKey('skg-named', answer, ldevid);
  const other = await bench.provision('TRY-0024');
  const foreign = await csrWithOctets('skg-foreign', device.id, named(other.certificate));
  assert.match((await post('serverkeygen', foreign, { device })).body, /^server-key\.recipient-unknown: /);
  const symmetric = await csrWithOctets('skg-sym', device.id, { [decryptKeyIdentifier]: Uint8Array.of(1) });
  assert.match((await post('serverkeygen', symmetric, { device })).body, /^server-key\.symmetric: /);
});

/** Drives `openssl s_client`: what it exports from the connection becomes part of the request that goes over it. */
async function bound(version: '1.3', label: string, change: (value: string) => string): Promise<string> {
  const { config } = bench.deployment.world;
  const args = [
    's_client',
    '-quiet',
    '-no_ign_eof',
    '-connect',
    `localhost:${config.ports.https}`,
    `-tls1_3`,
    '-CAfile',
    bench.root,
    '-cert',
    device.certificate,
    '-key',
    device.key,
    '-keymatexport',
    label,
    '-keymatexportlen',
    '32',
  ];
  assert.equal(version, '1.3');
  const child = spawn('openssl', args.filter((one) => one !== '-quiet' && one !== '-no_ign_eof').concat('-ign_eof'), {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString('latin1');
  });
  const until = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(printed);
      if (found !== null) return found;
      await new Promise<void>((resolve) => {
        child.stdout.once('data', () => resolve());
        child.stdout.once('end', () => resolve());
      });
      if (child.stdout.readableEnded) throw new Error(`no ${pattern} in ${printed}`);
    }
  };
  const [, hex = ''] = await until(/Keying material: ([0-9A-F]+)/);
  const csr = await csrWith(
    'bound',
    device.id,
    `challengePassword = ${change(Buffer.from(hex, 'hex').toString('base64'))}`,
  );
  const body = readFileSync(csr, 'utf8');
  child.stdin.write(
    `POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/pkcs10\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const [, status = ''] = await until(/HTTP\/1\.1 (\d{3})[\s\S]*\r\n\r\n[\s\S]*\n?/);
  child.kill();
  return `${status} ${printed.slice(printed.indexOf('HTTP/1.1'))}`;
}

test('a request that carries tls-exporter of its TLS 1.3 connection as challengePassword is taken, and one that carries another value refused [openssl s_client: EST channel binding tls-exporter]', async () => {
  assert.match(await bound('1.3', 'EXPORTER-Channel-Binding', (value) => value), /^200 /);
  const wrong = await bound(
    '1.3',
    'EXPORTER-Channel-Binding',
    (value) => `${value.startsWith('A') ? 'B' : 'A'}${value.slice(1)}`,
  );
  assert.match(wrong, /^403 [\s\S]*est\.channel-binding-wrong/);
  assert.match(await bound('1.3', 'EXPORTER-something-else', (value) => value), /^403 /);
});

/** Python's ssl gives tls-unique; it asks openssl for the request that carries it. */
const PYTHON = `
import base64, http.client, ssl, subprocess, sys
port, root, cert, key, config, newkey, mode = sys.argv[1:8]
context = ssl.create_default_context(cafile=root)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(cert, key)
connection = http.client.HTTPSConnection('localhost', int(port), context=context)
connection.connect()
value = base64.b64encode(connection.sock.get_channel_binding('tls-unique')).decode()
if mode == 'wrong':
    value = base64.b64encode(bytes(12)).decode()
with open(config, 'a') as file:
    file.write('challengePassword = ' + value + '\\n')
csr = subprocess.run(['openssl', 'req', '-new', '-key', newkey, '-config', config], check=True, capture_output=True).stdout
connection.request('POST', '/.well-known/est/ldevid/simpleenroll', csr, {'Content-Type': 'application/pkcs10'})
answer = connection.getresponse()
print(connection.sock.version() if connection.sock else 'TLSv1.2', answer.status, answer.read().decode()[:200])
`;

test('a request that carries tls-unique of its TLS 1.2 connection is taken, and one that carries another value refused [python ssl: EST channel binding tls-unique]', async () => {
  const { config } = bench.deployment.world;
  const ask = async (mode: string): Promise<string> => {
    const cnf = bench.write(
      `unique-${mode}.cnf`,
      `[req]\nprompt = no\ndistinguished_name = dn\nattributes = attrs\n[dn]\nO = Keystead\nCN = ${device.id}\nserialNumber = ${device.id}\n[attrs]\n`,
    );
    const key = await bench.key(`unique-${mode}`);
    return ok('python3', [
      '-c',
      PYTHON,
      String(config.ports.https),
      bench.root,
      device.certificate,
      device.key,
      cnf,
      key,
      mode,
    ]);
  };
  assert.match(await ask('right'), / 200 /);
  assert.match(await ask('wrong'), / 403 est\.channel-binding-wrong/);
});

test('TEST-KEY-25 a policy may demand the binding, and may forbid keys of keyd: from then on requests without it, and serverkeygen, are refused', async () => {
  const { layout } = bench.deployment;
  const policy = JSON.parse(readFileSync(join(layout.trust, 'policy.json'), 'utf8')) as Record<string, unknown>;
  const next = bench.path('next.json');
  writeFileSync(next, JSON.stringify({ ...policy, version: 2, est: { channelBinding: ['ldevid'] } }, null, 2));
  const checked = await command('policy', 'check', next);
  assert.match(checked.stdout, /warns +est\.serverKeys/);
  assert.match(checked.stdout, /warns +est\.channelBinding/);
  for (const [act, who] of [
    ['propose', 'architect'],
    ['approve', 'approver'],
    ['apply', 'architect'],
  ] as const) {
    const { status, stderr } = await command('policy', act, next, '--as', who);
    assert.equal(status, 0, stderr);
  }
  const csr = await bench.csr('unbound', device.id, await bench.key('unbound'));
  const unbound = await post('simpleenroll', csr, { device });
  assert.equal(unbound.status, 403);
  assert.match(unbound.body, /^est\.channel-binding-missing: /);
  assert.match(await bound('1.3', 'EXPORTER-Channel-Binding', (value) => value), /^200 /);
  const attributes = await bench.curl(`${bench.est}/csrattrs`);
  await ok('openssl', ['base64', '-d', '-A', '-out', bench.path('a.der')], { input: attributes.body });
  assert.match(await openssl('asn1parse', '-inform', 'DER', '-in', bench.path('a.der')), /challengePassword/);
});
