import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { signAuthorisation } from '@keystead/core/lifecycle';
import { parseRequest, readCertificate, requestSha256 } from '@keystead/core/x509';
import { CmpBed, type FileDevice, run } from './cmp-bed.ts';

let bed: CmpBed;
let device: FileDevice;
/** The LDevID that the device holds, as files. */
let ldevid: { certFile: string; keyFile: string };
before(async () => {
  bed = await CmpBed.make();
  device = await bed.device('KS-0001');
});
after(async () => {
  await bed?.end();
});

const statusOf = (certFile: string) => {
  const { serial } = readCertificate(bed.certificate(certFile.slice(bed.path('').length)));
  return bed.domain.store.read((records) => records.certificatesBySerial(serial)[0]);
};
const subjectOf = async (certFile: string): Promise<string> =>
  (await run(['x509', '-in', certFile, '-noout', '-subject', '-ext', 'subjectAltName'])).text;

async function enrol(name: string, args: string[]): Promise<{ certFile: string; keyFile: string; text: string }> {
  const [keyFile, certFile] = [bed.key(`${name}.key`), bed.path(`${name}.pem`)];
  const done = await bed.cmp(...args, '-newkey', keyFile, '-certout', certFile);
  assert.equal(done.status, 0, done.text);
  return { certFile, keyFile, text: done.text };
}

test('TEST-KEY-12 ir signed with the IDevID gives the first LDevID, confirmed [openssl cmp: CMP ir, CMP certConf]', async () => {
  ldevid = await enrol('first', ['-cmd', 'ir', ...bed.signing(device), '-subject', '/CN=KS-0001']);
  assert.match(await subjectOf(ldevid.certFile), /CN = KS-0001.*[\s\S]*urn:keystead:device:KS-0001/);
  const verified = await run([
    'verify',
    '-x509_strict',
    '-CAfile',
    bed.path('root.pem'),
    '-untrusted',
    bed.path('operational.pem'),
    ldevid.certFile,
  ]);
  assert.equal(verified.status, 0, verified.text);
  assert.equal(statusOf(ldevid.certFile)?.status, 'good');
  assert.equal(bed.domain.entries('certificate.confirmed').length, 1);
});

test('kur signed with the LDevID gives its successor for a new key [openssl cmp: CMP kur]', async () => {
  const before = statusOf(ldevid.certFile)?.serial;
  const next = await enrol('second', ['-cmd', 'kur', ...bed.signing(ldevid)]);
  assert.notEqual(statusOf(next.certFile)?.serial, before);
  assert.equal(await subjectOf(next.certFile), await subjectOf(ldevid.certFile));
  ldevid = next;
});

test('cr signed with the LDevID, with implicit confirmation [openssl cmp: CMP cr, CMP implicitConfirm]', async () => {
  const confirmed = bed.domain.entries('certificate.confirmed').length;
  const next = await enrol('third', [
    '-cmd',
    'cr',
    ...bed.signing(ldevid),
    '-subject',
    '/CN=KS-0001',
    '-implicit_confirm',
  ]);
  assert.equal(bed.domain.entries('certificate.confirmed').length, confirmed);
  assert.equal(statusOf(next.certFile)?.status, 'good');
});

test('p10cr with a request that openssl req made, by IDevID and by LDevID [openssl cmp: CMP p10cr]', async () => {
  for (const [name, by] of [
    ['p10-first', device],
    ['p10-next', ldevid],
  ] as const) {
    const key = bed.key(`${name}.key`);
    const csr = bed.path(`${name}.csr`);
    assert.equal((await run(['req', '-new', '-key', key, '-subj', '/CN=KS-0001', '-out', csr])).status, 0);
    const out = bed.path(`${name}.pem`);
    const done = await bed.cmp('-cmd', 'p10cr', ...bed.signing(by), '-csr', csr, '-certout', out);
    assert.equal(done.status, 0, done.text);
    assert.equal(statusOf(out)?.status, 'good');
  }
});

test('genm gives the CA certificates, a template and no root update [openssl cmp: CMP genm]', async () => {
  for (const [info, printed] of [
    ['caCerts', /caCerts/],
    ['certReqTemplate', /certReqTemplate/],
  ] as const) {
    const done = await bed.cmp('-cmd', 'genm', ...bed.signing(ldevid), '-infotype', info);
    assert.equal(done.status, 0, done.text);
    assert.match(done.text, printed);
  }
});

test('rr revokes the own LDevID at once, and no other [openssl cmp: CMP rr]', async () => {
  const doomed = await enrol('doomed', ['-cmd', 'cr', ...bed.signing(ldevid), '-subject', '/CN=KS-0001']);
  const done = await bed.cmp('-cmd', 'rr', ...bed.signing(ldevid), '-oldcert', doomed.certFile, '-revreason', '1');
  assert.equal(done.status, 0, done.text);
  assert.deepEqual(
    [statusOf(doomed.certFile)?.status, statusOf(doomed.certFile)?.reason],
    ['revoked', 'keyCompromise'],
  );
  const other = await bed.device('KS-0002');
  const foreign = await enrol('foreign', ['-cmd', 'ir', ...bed.signing(other), '-subject', '/CN=KS-0002']);
  const refused = await bed.cmp('-cmd', 'rr', ...bed.signing(ldevid), '-oldcert', foreign.certFile);
  assert.notEqual(refused.status, 0);
  assert.match(refused.text, /notAuthorized.*cmp\.revocation-refused/s);
  const idevid = await bed.cmp('-cmd', 'rr', ...bed.signing(other), '-oldcert', other.certFile);
  assert.match(idevid.text, /cmp\.revocation-refused/);
  const held = await bed.cmp('-cmd', 'rr', ...bed.signing(ldevid), '-oldcert', ldevid.certFile, '-revreason', '6');
  assert.match(held.text, /cmp\.revocation-refused.*certificateHold/s);
  assert.equal(statusOf(foreign.certFile)?.status, 'good');
  // A revoked certificate signs nothing any more.
  const after = await bed.cmp(
    '-cmd',
    'kur',
    ...bed.signing(doomed),
    '-newkey',
    bed.key('after.key'),
    '-certout',
    bed.path('after.pem'),
  );
  assert.match(after.text, /certRevoked.*client\.certificate-revoked/s);
});

for (const [mac, args] of [
  ['PasswordBasedMac with HMAC-SHA1, as openssl sends it', []],
  ['PasswordBasedMac with HMAC-SHA256', ['-mac', 'hmacWithSHA256', '-digest', 'sha384']],
] as const) {
  test(`ir under an authorisation: ${mac}, and the root comes along [openssl cmp: CMP ir by MAC]`, async () => {
    const id = `dev-${args.length}`;
    const secret = await bed.authorise(id, {});
    await bed.device(`KS-00${10 + args.length}`);
    const roots = bed.path(`${id}-roots.pem`);
    const got = await enrol(id, [
      ...['-cmd', 'ir', ...bed.secret(id, secret), ...args],
      ...['-subject', `/CN=KS-00${10 + args.length}`, '-cacertsout', roots],
    ]);
    assert.equal(statusOf(got.certFile)?.deviceId, `KS-00${10 + args.length}`);
    assert.equal(bed.read(`${id}-roots.pem`).trim(), bed.read('root.pem').trim());
  });
}

test('a host gets a server certificate under an authorisation for its names, and none for others [openssl cmp: CMP cr by MAC, CMP p10cr by MAC]', async () => {
  const secret = await bed.authorise('gw', { profile: 'tls-server', hosts: ['gw1.plant.example'] });
  const by = bed.secret('gw', secret);
  const got = await enrol('gw', [
    '-cmd',
    'cr',
    ...by,
    '-subject',
    '/CN=gw1.plant.example',
    '-sans',
    'gw1.plant.example',
  ]);
  assert.match(await subjectOf(got.certFile), /DNS:gw1\.plant\.example/);
  const csr = bed.path('gw.csr');
  await run(['req', '-new', '-key', bed.key('gw-p10.key'), '-subj', '/CN=gw1.plant.example', '-out', csr]);
  const p10 = await bed.cmp('-cmd', 'p10cr', ...by, '-csr', csr, '-certout', bed.path('gw-p10.pem'));
  assert.equal(p10.status, 0, p10.text);
  const other = await bed.cmp(
    '-cmd',
    'cr',
    ...by,
    '-subject',
    '/CN=gw2.plant.example',
    '-newkey',
    bed.key('o.key'),
    '-certout',
    bed.path('o.pem'),
  );
  assert.match(other.text, /badCertTemplate.*authorisation\.name-forbidden/s);
  const kur = await bed.cmp(
    '-cmd',
    'kur',
    ...by,
    '-oldcert',
    got.certFile,
    '-newkey',
    bed.key('o.key'),
    '-certout',
    bed.path('o.pem'),
  );
  assert.match(kur.text, /wrongIntegrity.*cmp\.not-by-mac/s);
  const rr = await bed.cmp('-cmd', 'rr', ...by, '-oldcert', got.certFile);
  assert.match(rr.text, /wrongIntegrity.*cmp\.not-by-mac/s);
});

test('a wrong secret, an unknown reference and a secret of another way open nothing', async () => {
  const secret = await bed.authorise('est-only', { ways: ['est'] });
  const right = await bed.authorise('right', {});
  const ask = (id: string, text: string) =>
    bed.cmp(
      '-cmd',
      'ir',
      ...bed.secret(id, text),
      '-subject',
      '/CN=KS-0001',
      '-newkey',
      bed.key('no.key'),
      '-certout',
      bed.path('no.pem'),
    );
  assert.match((await ask('est-only', secret)).text, /authorisation\.way-forbidden/);
  assert.match((await ask('right', `${right.slice(1)}A`)).text, /badMessageCheck.*cmp\.protection-invalid/s);
  assert.match((await ask('nobody', right)).text, /badMessageCheck.*cmp\.protection-invalid/s);
});

test('a request that waits for an operator is polled for, and given when it is approved [openssl cmp: CMP pollReq]', async () => {
  const secret = await bed.authorise('asks', { approval: true });
  await bed.device('KS-0020');
  const waiting = enrol('polled', ['-cmd', 'ir', ...bed.secret('asks', secret), '-subject', '/CN=KS-0020']);
  const { authority, store, keyd, clock } = bed.domain;
  let request = store.read((records) => records.enrolmentRequests('waiting', 1))[0];
  while (request === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    request = store.read((records) => records.enrolmentRequests('waiting', 1))[0];
  }
  assert.equal(requestSha256(parseRequest(request.csr, 'crmf')), request.csrSha256);
  const whole = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
  const now = clock.now().getTime();
  const document = await signAuthorisation(
    {
      ...{ id: `ok-${request.id}`, profile: 'ldevid', uses: 1, ways: ['cmp'], approval: false },
      deviceIds: { prefix: 'KS-', from: 20, to: 20, width: 4 },
      notBefore: whole(now - 60_000),
      notAfter: whole(now + 600_000),
      request: { sha256: request.csrSha256, under: 'asks' },
    },
    'ada',
    keyd.people.ada.signer,
  );
  await authority.authorised.approve(request.id, document, { actor: { kind: 'operator', id: 'ada' }, requestId: 'ok' });
  const got = await waiting;
  assert.match(got.text, /received POLLREP|polling/i);
  assert.equal(statusOf(got.certFile)?.deviceId, 'KS-0020');
});
