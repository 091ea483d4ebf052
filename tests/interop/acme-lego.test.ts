import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AcmeBed, freePorts } from 'keystead/acme/tests/bed.ts';
import { DnsServer } from './dns-server.ts';
import { type Outcome, openssl, run } from './foreign.ts';

let bed: AcmeBed;
let dns: DnsServer;
let ports: number[];
let folder: string;
let authorisation: { id: string; secret: string };

before(async () => {
  ports = await freePorts(2);
  folder = mkdtempSync(join(tmpdir(), 'keystead-acme-dns-'));
  const texts = join(folder, 'texts');
  dns = await DnsServer.start('plant.example', texts);
  bed = await AcmeBed.make({ settings: { httpPort: ports[0], tlsPort: ports[1], resolvers: [dns.address] } });
  authorisation = await bed.authorise();
  const script = bed.path('dns.sh');
  writeFileSync(script, `#!/bin/sh\ncase "$1" in present) echo "$2 $3" >> ${texts};; cleanup) rm -f ${texts};; esac\n`);
  chmodSync(script, 0o755);
});
after(async () => {
  dns.close();
  rmSync(folder, { recursive: true });
  await bed.remove();
});

const HTTP = (): string[] => ['--http', '--http.port', `127.0.0.1:${ports[0]}`];
const TLS = (): string[] => ['--tls', '--tls.port', `127.0.0.1:${ports[1]}`];
const DNS = (): string[] => ['--dns', 'exec', '--dns.disable-cp', '--dns.resolvers', dns.address];

function lego(
  domain: string,
  way: readonly string[],
  command: readonly string[],
  more: { email?: string; secret?: string } = {},
): Promise<Outcome> {
  const { email = 'ops@plant.example', secret = authorisation.secret } = more;
  const account = ['--server', bed.directory, '--accept-tos', '--email', email, '--path', bed.path('lego')];
  const binding = ['--eab', '--kid', authorisation.id, '--hmac', secret];
  const env = {
    ...process.env,
    LEGO_CA_CERTIFICATES: bed.root,
    EXEC_PATH: bed.path('dns.sh'),
    EXEC_POLLING_INTERVAL: '1',
  };
  return run('lego', [...account, ...binding, ...way, '--domains', domain, ...command], { env });
}

const file = (name: string): string => bed.path(`lego/certificates/${name.replace('*', '_')}`);

/** `openssl verify` of what lego stored, and the names in it. */
async function verified(domain: string): Promise<string> {
  const certificate = file(`${domain}.crt`);
  const verify = ['verify', '-x509_strict', '-CAfile', bed.root, '-untrusted', bed.serverCa, '-purpose', 'sslserver'];
  assert.match(await openssl(...verify, certificate), /: OK/);
  const names = await openssl('x509', '-in', certificate, '-noout', '-ext', 'subjectAltName');
  assert.match(names, new RegExp(`DNS:${domain.replaceAll('*', '\\*')}\\n`));
  assert.equal(readFileSync(certificate, 'utf8').match(/BEGIN CERTIFICATE/g)?.length, 2);
  return openssl('x509', '-in', certificate, '-noout', '-serial');
}

test('lego registers with an external account binding and gets a certificate by http-01 [lego: ACME newAccount with EAB, ACME http-01] [openssl: X.509 verify of what ACME gave]', async () => {
  const { status, stderr } = await lego('gw1.plant.example', HTTP(), ['run']);
  assert.equal(status, 0, stderr);
  await verified('gw1.plant.example');
});

test('lego renews with a new key, by tls-alpn-01 this time [lego: ACME tls-alpn-01, ACME renew]', async () => {
  const before = await verified('gw1.plant.example');
  const key = readFileSync(file('gw1.plant.example.key'), 'utf8');
  const renew = ['renew', '--days', '3650', '--no-random-sleep'];
  const { status, stderr } = await lego('gw1.plant.example', TLS(), renew);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /tls-alpn-01/);
  assert.notEqual(await verified('gw1.plant.example'), before);
  assert.notEqual(readFileSync(file('gw1.plant.example.key'), 'utf8'), key);
});

test('lego gets a certificate by dns-01, and one for a wildcard [lego: ACME dns-01, ACME dns-01 for a wildcard]', async () => {
  for (const domain of ['gw2.plant.example', '*.lab.plant.example']) {
    const { status, stderr } = await lego(domain, DNS(), ['run']);
    assert.equal(status, 0, stderr);
    await verified(domain);
  }
});

test('lego revokes; the certificate is on the next CRL [lego: ACME revokeCert] [openssl: CRL lists what ACME revoked]', async () => {
  const serial = (await verified('gw2.plant.example')).trim().replace('serial=', '');
  const { status, stderr } = await lego('gw2.plant.example', DNS(), ['revoke', '--keep']);
  assert.equal(status, 0, stderr);
  const crl = await openssl('crl', '-in', bed.domain.crlPath('server'), '-inform', 'DER', '-noout', '-text');
  assert.match(crl, new RegExp(`Serial Number: ${serial}`));
  const again = await lego('gw2.plant.example', DNS(), ['revoke', '--keep']);
  assert.match(again.stderr, /alreadyRevoked/);
});

test('lego is told what is wrong: a name that the authorisation has not, and a wrong binding', async () => {
  const name = await lego('gw1.elsewhere.example', HTTP(), ['run']);
  assert.match(name.stderr, /rejectedIdentifier.*authorisation/s);
  const secret = Buffer.alloc(32, 7).toString('base64url');
  const binding = await lego('gw4.plant.example', HTTP(), ['run'], { email: 'other@plant.example', secret });
  assert.match(binding.stderr, /unauthorized.*external account binding/s);
  assert.equal(bed.domain.entries('acme.account-created').length, 1);
});
