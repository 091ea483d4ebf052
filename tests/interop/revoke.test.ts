import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, keystead, ok, openssl, run } from './foreign.ts';

/** Revocation as an act, given at the command line and by a device itself, and seen by openssl at once. */
let bench: Bench;
let device: ForeignDevice;
let ldevid: ForeignDevice;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  device = await bench.provision('TRY-0002');
  ldevid = await bench.enrol(device, 'simpleenroll', 'ldevid');
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

const revoke = (...args: string[]) => keystead(['revoke', ...args, '--data', bench.deployment.layout.data]);

async function done(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await revoke(...args);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function refused(code: string, ...args: string[]): Promise<void> {
  const { status, stdout, stderr } = await revoke(...args);
  assert.equal(status, 3, stdout);
  assert.match(stderr, new RegExp(`\\[${code.replaceAll('.', '\\.')}\\]`));
}

/** What `openssl ocsp` says: `good`, or `revoked` and why. That it verified the answer is asserted. */
async function ocsp({ certificate }: ForeignDevice, issuer: 'operational' | 'manufacturing' = 'operational') {
  const ca = ['-issuer', bench.ca(issuer), '-CAfile', bench.root, '-url', bench.url(`/ocsp/${issuer}`)];
  const { stdout, stderr } = await run('openssl', ['ocsp', ...ca, '-cert', certificate]);
  assert.match(stderr, /^Response verify OK$/m);
  const status = /: (good|revoked|unknown)$/m.exec(stdout)?.[1];
  const reason = /Reason: (\S+)/.exec(stdout)?.[1];
  return reason === undefined ? status : `${status} ${reason}`;
}

/** What `openssl crl -text` prints of this certificate; undefined where it is not listed. */
async function listed({ certificate }: ForeignDevice, issuer = 'operational'): Promise<string | undefined> {
  const der = bench.path('now.crl');
  await ok('curl', ['--silent', '--show-error', '--fail', '--output', der, bench.url(`/crl/${issuer}.crl`)]);
  const text = await openssl('crl', '-inform', 'DER', '-in', der, '-noout', '-text');
  const serial = (await bench.serial(certificate)).toUpperCase();
  return text
    .split('Serial Number: ')
    .slice(1)
    .find((one) => one.startsWith(serial));
}

test('TEST-KEY-08 TEST-KEY-09 a hold is revoked with certificateHold in OCSP and CRL at once, and good again at once when it is released [openssl ocsp: OCSP hold, OCSP release] [openssl crl: CRL hold, CRL release]', async () => {
  const serial = await bench.serial(ldevid.certificate);
  const spelt = serial.toUpperCase().replace(/(..)(?=.)/g, '$1:');
  assert.equal(await ocsp(ldevid), 'good');
  assert.match(await done('--serial', spelt, '--hold'), /1 certificate on hold; its CRL is out/);
  assert.equal(await ocsp(ldevid), 'revoked certificateHold');
  assert.match((await listed(ldevid)) ?? '', /Certificate Hold/);
  const csr = await bench.csr('held', ldevid.id, await bench.key('held'));
  assert.equal((await bench.estPost(ldevid, 'simplereenroll', csr)).status, 401);

  // Not by an unsigned request, and not by who may not.
  const plain = await ask('pki', 'revocations', { serial, act: 'release' });
  assert.equal(plain.status, 403);
  assert.match(plain.body, /revocation\.signature-needed/);
  await refused('revocation-request.signer-forbidden', '--serial', serial, '--release', '--as', 'architect');
  assert.equal(await ocsp(ldevid), 'revoked certificateHold');

  assert.match(await done('--serial', serial, '--issuer', 'operational', '--release'), /is done; 1 certificate/);
  assert.equal(await ocsp(ldevid), 'good');
  assert.equal(await listed(ldevid), undefined);
  assert.equal((await bench.estPost(ldevid, 'simplereenroll', csr)).status, 200);
});

test('TEST-KEY-08 a device revokes its own LDevID over mutual TLS, and no other certificate [curl: REST self revoke]', async () => {
  const own = await bench.enrol(device, 'simpleenroll', 'own');
  const other = await bench.provision('TRY-0003');
  const post = (body: object) => {
    const file = bench.write('self.json', JSON.stringify(body));
    const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${file}`];
    return bench.curl(`${bench.api}/self/revocations`, ['--cert', own.certificate, '--key', own.key, ...json]);
  };
  const foreign = await post({ serial: await bench.serial(other.certificate), reason: 'keyCompromise' });
  assert.equal(foreign.status, 403);
  assert.match(foreign.body, /revocation\.not-own/);
  assert.match((await post({ reason: 'privilegeWithdrawn' })).body, /revocation\.reason-forbidden/);
  assert.equal(await ocsp(own), 'good');
  assert.equal((await post({ reason: 'keyCompromise' })).status, 200);
  assert.equal(await ocsp(own), 'revoked keyCompromise');
  assert.match((await listed(own)) ?? '', /Key Compromise/);
  assert.equal(await ocsp(device, 'manufacturing'), 'good', 'the IDevID goes on');
  assert.equal((await post({ reason: 'superseded' })).status, 401, 'it cannot speak with what it revoked');
});

/** Asks over REST, by curl. */
function ask(person: string, path: string, body: object): ReturnType<Bench['curlAs']> {
  const file = bench.write('ask.json', JSON.stringify(body));
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${file}`];
  return bench.curlAs(person, `${bench.api}/${path}`, json);
}

test('what cannot be is refused with a code of its own, and nothing changes', async () => {
  const serial = await bench.serial(ldevid.certificate);
  const reason = 'superseded';
  const ca = readFileSync(bench.ca('operational'), 'utf8');
  for (const [code, body, person = 'pki'] of [
    ['certificate.unknown', { serial: '0102', reason }],
    ['certificate.unknown', { serial, issuer: 'server', reason }],
    ['certificate.unknown', { certificate: ca, reason }],
    ['revocation.ca-unknown', { serial, issuer: 'root', reason }],
    ['revocation.ca-unknown', { ca: 'root', reason: 'cACompromise' }],
    ['revocation.ca-key-in-use', { ca: 'operational', reason: 'cACompromise' }],
    ['revocation.reason-forbidden', { serial, reason: 'cACompromise' }],
    ['revocation.hold-forbidden', { ca: 'operational', act: 'hold' }],
    ['ticket.unknown', { ticketId: 'none', reason }],
    ['device.unknown', { deviceId: 'TRY-9999', reason }],
    ['revocation.invalidity-date', { serial, reason, invalidityDate: '2099-01-01T00:00:00Z' }],
    ['access.forbidden', { serial, reason }, 'auditor'],
    ['request.malformed', { serial, reason: 'removeFromCRL' }],
  ] as const) {
    const answer = await ask(person, 'revocations', body);
    assert.equal((JSON.parse(answer.body) as { error: { code: string } }).error.code, code, JSON.stringify(body));
  }
  assert.equal((await revoke('--serial', serial, '--reason', 'removeFromCRL')).status, 2);
  await refused('request.malformed', '--reason', reason);
  assert.equal(await ocsp(ldevid), 'good');
});

test('--dry-run tells what a revocation would take, and changes nothing', async () => {
  const printed = await done('--device', 'TRY-0002', '--reason', 'keyCompromise', '--dry-run');
  assert.match(printed, /certificates +\d/);
  assert.match(printed, /devices +1 would lose one; 1 would have none left/);
  const one = JSON.parse(
    await done('--certificate', ldevid.certificate, '--reason', 'superseded', '--dry-run', '--json'),
  );
  assert.equal(one.certificates, 1);
  assert.equal(one.cutOff, 0);
  assert.equal(await ocsp(ldevid), 'good');
});

test('TEST-KEY-23 where the policy asks for two, the one who asks alone revokes nothing; with the approval of another it is done [openssl ocsp: OCSP revoke by quorum]', async () => {
  const { layout } = bench.deployment;
  const policy = JSON.parse(readFileSync(layout.policy, 'utf8'));
  policy.version += 1;
  policy.revocation.authority = [
    { selectors: ['device', 'batch'], approvals: 1, roles: ['approver', 'policy-administrator'] },
  ];
  const next = bench.write('next.json', `${JSON.stringify(policy, null, 2)}\n`);
  for (const args of [
    ['propose', next, '--as', 'architect'],
    ['approve', next, '--as', 'approver'],
    ['apply', next],
  ]) {
    const { status, stderr } = await keystead(['policy', ...args, '--data', layout.data]);
    assert.equal(status, 0, stderr);
  }
  const stolen = await bench.provision('TRY-0007');
  const alone = await ask('pki', 'revocations', { deviceId: stolen.id, reason: 'keyCompromise' });
  assert.match(alone.body, /revocation\.quorum-needed/);
  const asked = JSON.parse(await done('--device', stolen.id, '--reason', 'keyCompromise', '--propose', '--json'));
  assert.equal(asked.state, 'proposed');
  assert.match(await done('requests'), new RegExp(`${asked.id} +proposed +revoke +device TRY-0007`));
  assert.equal(await ocsp(stolen, 'manufacturing'), 'good');
  // Issued since: who approves would agree to something else than the one who asked.
  await bench.enrol(stolen, 'simpleenroll', 'since');
  await refused('revocation-request.list-differs', 'approve', asked.id, '--as', 'approver');
  assert.equal((await ask('pki', `revocation-requests/${asked.id}/withdrawal`, {})).status, 200);
  const again = JSON.parse(await done('--device', stolen.id, '--reason', 'keyCompromise', '--propose', '--json'));
  assert.match(
    await done('approve', again.id, '--as', 'approver'),
    /is done; 2 certificates, 1 devices; by pki, approver/,
  );
  assert.equal(await ocsp(stolen, 'manufacturing'), 'revoked keyCompromise');
});

test('TEST-KEY-08 all that a CA issued is revoked when its key is compromised; the answer says what its root must do [openssl ocsp: OCSP CA compromise]', async () => {
  await refused('revocation.unconfirmed', '--ca', 'operational', '--reason', 'cACompromise');
  assert.equal(await ocsp(ldevid), 'good');
  const printed = await done('--ca', 'operational', '--reason', 'cACompromise', '--yes');
  assert.match(printed, /ca operational is done/);
  assert.match(printed, /next: .*keystead ceremony crl --revoke operational --reason cACompromise/);
  assert.equal(await ocsp(ldevid), 'revoked cACompromise');
  assert.match((await listed(ldevid)) ?? '', /CA Compromise/);
  const { status } = await bench.estPost(
    device,
    'simpleenroll',
    await bench.csr('more', device.id, await bench.key('more')),
  );
  assert.notEqual(status, 200);
});
