import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { AcmeBed, freePorts } from 'keystead/acme/tests/bed.ts';
import { DnsServer } from './dns-server.ts';
import { type Outcome, openssl, run } from './foreign.ts';

let bed: AcmeBed;
let dns: DnsServer;
let httpPort = 0;
let authorisation: { id: string; secret: string };

before(async () => {
  [httpPort = 0] = await freePorts(1);
  dns = await DnsServer.start('plant.example', '/nonexistent');
  bed = await AcmeBed.make({ settings: { httpPort, resolvers: [dns.address] } });
  authorisation = await bed.authorise();
});
after(async () => {
  dns.close();
  await bed.remove();
});

/** certbot with all of its directories in the test's own. */
function certbot(...args: string[]): Promise<Outcome> {
  const dirs = ['config', 'work', 'logs'].flatMap((name) => [`--${name}-dir`, bed.path(`certbot/${name}`)]);
  const env = { ...process.env, REQUESTS_CA_BUNDLE: bed.root };
  return run('certbot', [...args, '--server', bed.directory, '--non-interactive', ...dirs], { env });
}

const standalone = (): string[] => [
  '--standalone',
  '--http-01-port',
  String(httpPort),
  '--http-01-address',
  '127.0.0.1',
];
const certificate = (): string => bed.path('certbot/config/live/gw1.plant.example/cert.pem');
const serial = (): Promise<string> => openssl('x509', '-in', certificate(), '-noout', '-serial');

test('certbot registers with an external account binding and an RSA key, and gets a certificate for two names by http-01 [certbot: ACME newAccount with EAB, ACME http-01]', async () => {
  const binding = ['--eab-kid', authorisation.id, '--eab-hmac-key', authorisation.secret];
  const account = ['--agree-tos', '--email', 'ops@plant.example', '--no-eff-email'];
  const names = ['-d', 'gw1.plant.example', '-d', 'gw2.plant.example'];
  const { status, stdout, stderr } = await certbot('certonly', ...standalone(), ...account, ...binding, ...names);
  assert.equal(status, 0, stdout + stderr);
  const verify = ['verify', '-x509_strict', '-CAfile', bed.root, '-untrusted', bed.serverCa, '-purpose', 'sslserver'];
  assert.match(await openssl(...verify, certificate()), /: OK/);
  const printed = await openssl('x509', '-in', certificate(), '-noout', '-ext', 'subjectAltName');
  assert.match(printed, /DNS:gw1\.plant\.example, DNS:gw2\.plant\.example/);
});

test('certbot renews with a new key [certbot: ACME renew]', async () => {
  const before = await serial();
  const key = readFileSync(bed.path('certbot/config/live/gw1.plant.example/privkey.pem'), 'utf8');
  const { status, stdout, stderr } = await certbot('renew', '--force-renewal', '--no-random-sleep-on-renew');
  assert.equal(status, 0, stdout + stderr);
  assert.notEqual(await serial(), before);
  assert.notEqual(readFileSync(bed.path('certbot/config/live/gw1.plant.example/privkey.pem'), 'utf8'), key);
});

test('certbot revokes by the key of the certificate, with a reason, and then ends its account [certbot: ACME revokeCert by certificate key, ACME account deactivation]', async () => {
  const revoked = (await serial()).trim().replace('serial=', '').toLowerCase();
  const key = bed.path('certbot/config/live/gw1.plant.example/privkey.pem');
  const by = ['--cert-path', certificate(), '--key-path', key, '--reason', 'keycompromise', '--no-delete-after-revoke'];
  const { status, stdout, stderr } = await certbot('revoke', ...by);
  assert.equal(status, 0, stdout + stderr);
  const [entry] = bed.domain.entries('certificate.revoked');
  assert.equal(entry?.subject.serial, revoked);
  assert.equal(entry?.detail?.reason, 'keyCompromise');
  const ended = await certbot('unregister');
  assert.equal(ended.status, 0, ended.stdout + ended.stderr);
  assert.equal(bed.domain.entries('acme.account-deactivated').length, 1);
});
