import assert from 'node:assert/strict';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CrlCache, connectMutual, type DeviceIdentity, OcspClient, type PeerRules } from '@keystead/agent';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { systemClock } from 'keystead/clock/system.ts';
import { MqttClient } from 'mqtt';
import { altNames, type ForgedCertificate, forge, forgeCrl } from '../../packages/core/x509/tests/forge.ts';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, keystead, openssl, run } from './foreign.ts';
import { freePort, type Program, RelyingSide, until } from './verifying.ts';

/**
 * nginx and mosquitto as packaging/ has them, in front of a whole deployment. Beside Keystead's CAs they trust one of the
 * test's own, which can do what Keystead does not: issue a certificate that has ended.
 */
let bench: Bench;
let side: RelyingSide;
let good: ForeignDevice;
let stolen: ForeignDevice;
let own: { ca: ForgedCertificate; valid: ForeignDevice; expired: ForeignDevice };
let nginx: Program;
let broker: Program;
let withoutOcsp: Program;
let vouching: readonly [from: string, to: string];
const NO_OCSP = [
  ['ssl_ocsp leaf;', ''],
  ['ssl_ocsp_responder http://127.0.0.1:8080/ocsp/operational;', ''],
] as const;
const ports = { nginx: 0, withoutOcsp: 0, broker: 0 };

const DAY = 86_400_000;
const ago = (days: number): Date => new Date(Date.now() - days * DAY);
const pem = (path: string): string => readFileSync(path, 'utf8');

function ownHierarchy(): typeof own {
  const ca = forge({ subject: ['CN=Another CA'], ca: true, notBefore: ago(30), notAfter: ago(-30) });
  const device = (name: string, notAfter: Date): ForeignDevice => {
    const made = forge({ subject: [`CN=${name}`], by: ca, notBefore: ago(20), notAfter, extKeyUsage: ['clientAuth'] });
    return {
      id: name,
      certificate: bench.write(`${name}.pem`, toPem('CERTIFICATE', made.der)),
      key: keyFile(name, made),
    };
  };
  return { ca, valid: device('other-valid', ago(-1)), expired: device('other-expired', ago(1)) };
}

const keyFile = (name: string, made: ForgedCertificate): string =>
  bench.write(`${name}.key`, made.key.privateKey.export({ format: 'pem', type: 'pkcs8' }));

/** A server certificate of the deployment for `localhost`; its files are `<name>.pem` and `<name>.key`. */
async function serverCertificate(name: string): Promise<{ serial: string }> {
  const key = await bench.key(name);
  const csr = bench.path(`${name}.csr`);
  await openssl('req', '-new', '-key', key, '-subj', '/CN=localhost', '-out', csr);
  const body = bench.write(`${name}.json`, JSON.stringify({ csr: pem(csr), hosts: ['localhost', '127.0.0.1'] }));
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${body}`];
  const answer = await bench.curlAs('pki', `${bench.api}/server-certificates`, json);
  assert.equal(answer.status, 200, answer.body);
  const issued = JSON.parse(answer.body) as { certificate: string; chain: string };
  const file = side.write(`${name}.pem`, `${issued.certificate}${issued.chain}`);
  side.write(`${name}.key`, pem(key));
  return { serial: await bench.serial(file) };
}

async function revoke(what: { deviceId: string } | { serial: string }): Promise<void> {
  const body = bench.write('revoke.json', JSON.stringify({ ...what, reason: 'keyCompromise' }));
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${body}`];
  const answer = await bench.curlAs('pki', `${bench.api}/revocations`, json);
  assert.equal(answer.status, 200, answer.body);
}

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  side = new RelyingSide(join(bench.deployment.folder, 'relying'));
  ports.nginx = await freePort();
  ports.withoutOcsp = await freePort();
  ports.broker = await freePort();
  good = await bench.enrol(await bench.provision('TRY-0030'), 'simpleenroll', 'verifying-good');
  stolen = await bench.enrol(await bench.provision('TRY-0031'), 'simpleenroll', 'verifying-stolen');
  own = ownHierarchy();
  const signer = join(bench.deployment.layout.trust, 'root-crl-signer.pem');
  const ours = [bench.root, bench.ca('operational'), signer].map(pem).join('');
  side.write('device-cas.pem', ours + toPem('CERTIFICATE', own.ca.der));
  // The test's own CA publishes nowhere: its CRL stands in the bundle from the start, and stays there.
  const list = forgeCrl({ by: own.ca, thisUpdate: ago(1), nextUpdate: ago(-1) });
  side.write('crls.pem', toPem('X509 CRL', list));
  await serverCertificate('server');
  chmodSync(bench.deployment.folder, 0o711);
  const flags = ['--ca', side.path('device-cas.pem'), '--out', side.path('crls.pem')];
  const urls = ['root', 'operational'].flatMap((ca) => ['--url', bench.url(`/crl/${ca}.crl`)]);
  const first = await keystead(['crl', 'sync', ...flags, ...urls]);
  assert.equal(first.status, 0, first.stdout + first.stderr);
  const operational = await openssl(
    'x509',
    '-in',
    bench.ca('operational'),
    '-noout',
    '-subject',
    '-nameopt',
    'RFC2253',
  );
  vouching = ['CN=Operational CA,O=Keystead', operational.trim().replace('subject=', '')];
  nginx = side.nginx(ports.nginx, [
    vouching,
    ['http://127.0.0.1:8080', bench.url('').replace('localhost', '127.0.0.1')],
  ]);
  withoutOcsp = side.nginx(ports.withoutOcsp, [vouching, ...NO_OCSP], 'without-ocsp');
  broker = side.mosquitto(ports.broker);
  for (const port of [ports.nginx, ports.withoutOcsp])
    await until('nginx', async () => (await get(undefined, port)).status !== 0);
  await until('mosquitto', async () => publish(good));
  side.sync(
    ['root', 'operational'].map((ca) => bench.url(`/crl/${ca}.crl`)),
    `kill -HUP ${nginx.pid} ${withoutOcsp.pid} ${broker.pid}`,
  );
});
after(async () => {
  await side?.stop();
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

const withChain = (device: ForeignDevice): string =>
  bench.write(
    `${device.id}-chain.pem`,
    pem(device.certificate) + (device.id.startsWith('TRY') ? pem(bench.ca('operational')) : ''),
  );

/** What nginx answers to a device, by curl; 0 when there is no answer. */
async function get(device?: ForeignDevice, port = ports.nginx): Promise<{ status: number; body: string }> {
  const identity = device === undefined ? [] : ['--cert', withChain(device), '--key', device.key];
  const { stdout } = await run('curl', [
    ...['--silent', '--max-time', '10', '--write-out', '\n%{http_code}', '--cacert', bench.root, ...identity],
    `https://localhost:${port}/`,
  ]);
  const lines = stdout.trimEnd().split('\n');
  return { status: Number(lines.pop()), body: lines.join('\n') };
}

/** Whether the broker takes a message of a device from mosquitto_pub. */
async function publish(device: ForeignDevice, port = ports.broker): Promise<boolean> {
  const identity = ['--cafile', bench.root, '--cert', withChain(device), '--key', device.key];
  const message = ['-t', `devices/${device.id}/beat`, '-m', 'on', '-q', '1'];
  return (await run('mosquitto_pub', ['-h', 'localhost', '-p', String(port), ...identity, ...message])).status === 0;
}

/** Until the client tells of `event`; a client that ends first has told of its end. */
const told = (client: MqttClient, event: 'connect' | 'close'): Promise<void> =>
  new Promise((resolve) => {
    client.on('error', () => undefined);
    if (event === 'connect') client.once('connect', () => resolve());
    client.once('close', () => resolve());
  });

/** The device's side, as the agent has it. */
function identity(device: ForeignDevice): DeviceIdentity {
  const [pkcs8] = fromPem('PRIVATE KEY', pem(device.key));
  const [certificate] = fromPem('CERTIFICATE', pem(device.certificate)) as DerCertificate[];
  const chain = fromPem('CERTIFICATE', pem(bench.ca('operational'))) as DerCertificate[];
  assert.ok(pkcs8 !== undefined && certificate !== undefined);
  return { deviceId: device.id, certificate, chain, withKey: (use) => use(pkcs8) };
}

type Sources = Pick<PeerRules, 'crls' | 'ocsp' | 'cover'>;

/** The npm client mqtt over a connection that the agent has judged; the rule that refused the broker, or the client. */
/** Who signs the root's indirect CRL: a peer that looks at the status of CAs has its certificate, as it has the root's. */
function crlSigner(): DerCertificate {
  const [der] = fromPem('CERTIFICATE', pem(join(bench.deployment.layout.trust, 'root-crl-signer.pem')));
  assert.ok(der);
  return der as DerCertificate;
}

async function mqttBy(
  device: ForeignDevice,
  port: number,
  sources: Sources,
  anchors?: string,
): Promise<MqttClient | string> {
  const roots = fromPem('CERTIFICATE', anchors ?? pem(bench.root)) as DerCertificate[];
  try {
    const to = { host: 'localhost', port };
    const rules = { clock: systemClock, anchors: roots, intermediates: [crlSigner()], ...sources };
    const socket = await connectMutual(to, identity(device), rules);
    return new MqttClient(() => socket, { clientId: `mqtt-${device.id}`, reconnectPeriod: 0 });
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'peer.refused') return error.field ?? '';
    throw error;
  }
}

test('TEST-KEY-07 nginx lets a device in, and refuses one without a certificate and one of another CA [nginx: TLS device certificate accepted, TLS stranger refused]', async () => {
  for (const port of [ports.nginx, ports.withoutOcsp]) {
    const inside = await get(good, port);
    assert.equal(inside.status, 200);
    assert.match(inside.body, /CN=TRY-0030/);
    assert.equal((await get(undefined, port)).status, 400);
  }
  assert.equal(
    (await get(own.valid, ports.withoutOcsp)).status,
    403,
    'verified, but by no CA that vouches for devices',
  );
  assert.equal((await get(own.valid)).status, 400, 'the responder does not know it');
});

test('TEST-KEY-07 nginx and mosquitto refuse a device whose certificate has ended, beside one of the same CA whose has not [nginx: TLS expired device refused] [mosquitto: MQTT expired device refused]', async () => {
  assert.equal((await get(own.valid, ports.withoutOcsp)).status, 403);
  assert.equal((await get(own.expired, ports.withoutOcsp)).status, 400);
  assert.equal(await publish(own.valid), true);
  assert.equal(await publish(own.expired), false);
});

test('TEST-KEY-07 devices talk over the broker: mosquitto_pub to the npm client mqtt, each under its own name [mosquitto: MQTT publish] [mqtt: MQTT subscribe]', async () => {
  const crls = new CrlCache({ clock: systemClock });
  const client = await mqttBy(good, ports.broker, { crls, cover: 'path' });
  assert.ok(client instanceof MqttClient, String(client));
  await told(client, 'connect');
  await client.subscribeAsync('devices/TRY-0030/beat', { qos: 1 });
  const heard = new Promise<string>((resolve) => {
    client.once('message', (topic, payload) => resolve(`${topic} ${payload}`));
  });
  assert.equal(await publish(good), true);
  assert.equal(await heard, 'devices/TRY-0030/beat on');
  await client.endAsync(true);
  crls.close();
});

test('TEST-KEY-07 a stolen device is refused by nginx at once through OCSP, and by nginx and mosquitto as soon as the CRL is there [nginx: TLS revoked device refused, OCSP client, CRL of each CA] [mosquitto: MQTT revoked device refused, CRL of each CA]', async () => {
  assert.equal((await get(stolen)).status, 200);
  assert.equal(await publish(stolen), true);
  const open = await mqttBy(stolen, ports.broker, {});
  assert.ok(open instanceof MqttClient, String(open));
  await told(open, 'connect');
  await revoke({ deviceId: stolen.id });
  assert.equal((await get(stolen)).status, 400, 'no cache between: the next handshake');
  await until('mosquitto refuses the stolen device', async () => !(await publish(stolen)));
  await until('nginx refuses by the CRL alone', async () => (await get(stolen, ports.withoutOcsp)).status === 400);
  assert.equal((await get(good, ports.withoutOcsp)).status, 200);
  assert.equal((await get(good)).status, 200);
  assert.equal(await publish(good), true);
  // What docs/verifying.md says of the limit: a session that was open goes on until the broker ends it.
  assert.equal(open.connected, true);
  await open.endAsync(true);
  const again = await mqttBy(stolen, ports.broker, {});
  assert.ok(again instanceof MqttClient);
  await told(again, 'close');
  assert.equal(again.connected, false, 'the npm client as well');
  again.end(true);
});

test('TEST-KEY-07 a device refuses a broker whose certificate is revoked, by CRL and by OCSP, and one whose certificate has ended', async () => {
  const { serial } = await serverCertificate('second');
  const port = await freePort();
  side.mosquitto(port, 'second', [
    ['server.pem', 'second.pem'],
    ['server.key', 'second.key'],
  ]);
  await until('the second broker', async () => publish(good, port));
  const ended = forge({
    subject: ['CN=localhost'],
    by: own.ca,
    notBefore: ago(20),
    notAfter: ago(1),
    extKeyUsage: ['serverAuth'],
    extensions: [altNames('DNS:localhost')],
  });
  side.write('ended.pem', toPem('CERTIFICATE', ended.der));
  side.write('ended.key', pem(keyFile('ended', ended)));
  const endedPort = await freePort();
  side.mosquitto(endedPort, 'ended', [
    ['server.pem', 'ended.pem'],
    ['server.key', 'ended.key'],
  ]);
  const ocsp = () => new OcspClient({ clock: systemClock });
  const crls = () => new CrlCache({ clock: systemClock });
  for (const sources of [{ ocsp: ocsp() }, { crls: crls(), cover: 'path' as const }]) {
    const client = await mqttBy(good, port, sources);
    assert.ok(client instanceof MqttClient, String(client));
    await told(client, 'connect');
    assert.equal(client.connected, true);
    await client.endAsync(true);
  }
  await revoke({ serial });
  assert.equal(await mqttBy(good, port, { ocsp: ocsp() }), 'revoked');
  await until(
    'the CRL tells it',
    async () => (await mqttBy(good, port, { crls: crls(), cover: 'path' })) === 'revoked',
  );
  const trusted = pem(bench.root) + toPem('CERTIFICATE', own.ca.der);
  await until('the broker whose certificate has ended', async () => {
    try {
      return (await mqttBy(good, endedPort, {}, trusted)) === 'expired';
    } catch (error) {
      if (error instanceof KeysteadError && error.code === 'peer.unreachable') return false;
      throw error;
    }
  });
});

test('TEST-KEY-07 when the OCSP responder cannot be reached, nginx refuses: unknown is not let in', async () => {
  const port = await freePort();
  const alone = new RelyingSide(join(bench.deployment.folder, 'alone'));
  for (const name of ['device-cas.pem', 'server.pem', 'server.key', 'crls.pem'])
    alone.write(name, pem(side.path(name)));
  try {
    alone.nginx(port, [vouching, ['http://127.0.0.1:8080', `http://127.0.0.1:${await freePort()}`]]);
    await until('the nginx without a responder', async () => (await get(undefined, port)).status !== 0);
    assert.equal((await get(good, port)).status, 400);
  } finally {
    await alone.stop();
  }
});

test('TEST-KEY-07 when the CRL of a CA has ended, nginx and mosquitto refuse everybody below it, and the others go on', async () => {
  const [port, http] = [await freePort(), await freePort()];
  const stale = new RelyingSide(join(bench.deployment.folder, 'stale'));
  for (const name of ['device-cas.pem', 'server.pem', 'server.key']) stale.write(name, pem(side.path(name)));
  const lists = pem(side.path('crls.pem')).split(/(?=^# )/m);
  const others = lists.filter((block) => !block.includes('CN=Another CA'));
  assert.equal(others.length, lists.length - 1);
  const ended = toPem('X509 CRL', forgeCrl({ by: own.ca, thisUpdate: ago(3), nextUpdate: ago(2) }));
  stale.write('crls.pem', others.join('') + ended);
  try {
    stale.mosquitto(port);
    stale.nginx(http, [vouching, ...NO_OCSP]);
    await until('the third broker', async () => publish(good, port));
    await until('the third nginx', async () => (await get(good, http)).status === 200);
    assert.equal(await publish(own.valid, port), false);
    assert.equal((await get(own.valid, http)).status, 400);
  } finally {
    await stale.stop();
  }
});
