import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  CHUNK_BYTES,
  formatPolicy,
  formatStatements,
  type Policy,
  type PolicyFile,
  policyFile,
  signStatement,
} from '@keystead/core/lifecycle';
import { formatName, readCertificate, readCrl } from '@keystead/core/x509';
import { csrFor, makeKey } from '../../tests/bed.ts';
import { NodeBed } from './node-bed.ts';

const HOUR = 3600;

let bed: NodeBed;
before(async () => {
  bed = await NodeBed.make();
});
after(() => bed.remove());

const refused = (code: string, field?: RegExp) => (error: unknown) =>
  error instanceof KeysteadError &&
  error.code === code &&
  (field === undefined || field.test(`${error.field} ${error.seen}`));

function openssl(leaf: DerCertificate): string {
  const path = (name: string, ...ders: DerCertificate[]): string => {
    const file = join(bed.dir, name);
    writeFileSync(file, ders.map((der) => toPem('CERTIFICATE', der)).join(''));
    return file;
  };
  const { root, manufacturing } = bed.headquarters.cas;
  const sub = path('sub.pem', readCertificate(nodeCa).der, manufacturing.certificate);
  const at = String(Math.floor(bed.clock.now().getTime() / 1000));
  return execFileSync(
    'openssl',
    [
      'verify',
      '-x509_strict',
      '-attime',
      at,
      '-CAfile',
      path('root.pem', root.certificate),
      '-untrusted',
      sub,
      path('leaf.pem', leaf),
    ],
    { encoding: 'utf8', stdio: 'pipe' },
  );
}
let nodeCa: DerCertificate;

test('an IDevID of a node names its factory, points to the list at headquarters, and openssl verifies it to the root (TEST-KEY-17) [openssl: X.509 verify IDevID of a factory]', async () => {
  const trust = await bed.client.trust();
  nodeCa = trust.issuers.find(({ ca }) => ca === 'manufacturing')?.certificate ?? assert.fail();
  const { certificate, issuer, record } = await bed.provision('B1-0001', await bed.ticket());
  const info = readCertificate(certificate);
  assert.deepEqual(
    info.subject.rdns.map(({ type, value }) => `${type}=${value}`),
    ['O=Keystead', 'OU=berlin-1', 'CN=B1-0001', 'serialNumber=B1-0001'],
  );
  assert.equal(issuer, 'manufacturing');
  assert.equal(info.notAfter.toISOString(), '9999-12-31T23:59:59.000Z');
  assert.deepEqual(info.ocspUrls, []);
  assert.deepEqual(info.caIssuersUrls, ['http://hq.example/ca/factory.berlin-1.cer']);
  const text = execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], {
    input: certificate,
  }).toString();
  assert.match(text, /http:\/\/hq\.example\/crl\/factory\.berlin-1\.crl/);
  assert.match(text, /CRL Issuer:\s+DirName:\s?O ?= ?Keystead, ?CN ?= ?Keystead manufacturing CA/);
  assert.match(record, /issuer: "CN=manufacturing CA berlin-1,OU=berlin-1,O=Keystead"/);
  assert.match(openssl(certificate), /: OK/);
});

test('a device id that is not one of the factory is refused, whatever a ticket says, and takes no unit', async () => {
  const ticket = await bed.ticket({ id: 'batch-2', deviceIds: { prefix: 'KS-', from: 1, to: 100, width: 4 } });
  await assert.rejects(bed.provision('KS-0001', ticket), refused('factory.device-outside', /KS-0001.*B1-/));
  const { tickets } = await bed.client.status();
  assert.equal(
    tickets.find(({ id }) => id === 'batch-2'),
    undefined,
  );
});

test('what a node does not do is refused with the place where it is done', async () => {
  const { client } = bed;
  const key = makeKey();
  const { certificate } = await bed.provision('B1-0002', await bed.ticket(), key);
  const csr = await csrFor('B1-0002', key);
  const device = { kind: 'device', id: 'B1-0002', certificate } as const;
  const requestId = 'r';
  const here = refused('factory.not-here');
  await assert.rejects(client.issue({ profile: 'ldevid', csr, requester: device, requestId }), here);
  const operator = { kind: 'operator', id: 'lin' } as const;
  await assert.rejects(client.issue({ profile: 'operator', csr, requester: operator, requestId }), here);
  const authorised = { kind: 'authorised', id: 'a', authorisation: 'x' } as const;
  await assert.rejects(
    client.issue({ profile: 'tls-server', csr, requester: authorised, hosts: ['x.example'], requestId }),
    here,
  );
  const shown = { id: 'B1-0002', certificate };
  await assert.rejects(client.issueServerKey({ profile: 'ldevid', csr, device: shown, requestId }), here);
  for (const issuer of ['operational', 'operator', 'manufacturing'] as const) {
    await assert.rejects(client.signCrl({ issuer, number: 1, entries: [] }), here, issuer);
    const responses = [{ certId: new Uint8Array([0x30, 0]), status: 'good' }] as const;
    await assert.rejects(client.signOcsp({ issuer, responses: [...responses] }), here, issuer);
  }
  const end = { deviceId: 'B1-0002', reason: 'end', operator: 'ada', wiped: [], revoked: [], requestId };
  await assert.rejects(client.signEvidence({ kind: 'decommission', ...end }), here);
  const sha256 = '0'.repeat(64);
  const payload = { bytes: 1, chunkBytes: CHUNK_BYTES, chunksSha256: sha256, recipient: 'age1x' };
  const members = [{ path: 'trust/root.pem', bytes: 1, sha256 }];
  const backup = {
    backupId: '0'.repeat(32),
    operator: 'ada',
    checkpoint: null,
    payload,
    members,
    shares: [],
    requestId,
  };
  await assert.rejects(client.signBackupManifest(backup), here);
});

test('a node gives its own server a certificate with the factory in it, and a CRL of its server sub-CA', async () => {
  const { client } = bed;
  const issued = await client.issue({
    profile: 'tls-server',
    csr: await csrFor('localhost'),
    requester: { kind: 'system', id: 'serve' },
    hosts: ['localhost'],
    requestId: 'tls',
  });
  const info = readCertificate(issued.certificate);
  assert.deepEqual(
    info.subject.rdns.map(({ value }) => value),
    ['Keystead', 'berlin-1', 'localhost'],
  );
  assert.deepEqual([info.crlUrls, info.ocspUrls], [[], []]);
  const trust = await client.trust();
  assert.equal(trust.issuers.length, 2);
  assert.deepEqual(trust.certificates.operator, bed.headquarters.cas.operator.certificate);
  const { crl } = await client.signCrl({ issuer: 'server', number: 1, entries: [] });
  const server = trust.issuers.find(({ ca }) => ca === 'server')?.certificate ?? assert.fail();
  assert.ok(readCrl(crl).verify(server));
});

test('keyd of a node certifies no server that its commission does not name, whatever serve asks', async () => {
  const { client } = bed;
  const server = async (...hosts: string[]) =>
    client.issue({
      profile: 'tls-server',
      csr: await csrFor(hosts[0] ?? ''),
      requester: { kind: 'system', id: 'serve' },
      hosts,
      requestId: `tls-${hosts[0]}`,
    });
  const outside = refused(
    'factory.host-outside',
    /^hosts .*where the servers of berlin-1 are localhost, berlin-1\.example/,
  );
  await assert.rejects(server('localhost', 'hq.example'), outside);
  await assert.rejects(server('192.0.2.1'), outside);
  await assert.rejects(server('notberlin-1.example'), outside);
  const { certificate } = await server('rig-7.berlin-1.example', '127.0.0.1');
  assert.deepEqual(readCertificate(certificate).san, ['DNS:rig-7.berlin-1.example', 'IP:127.0.0.1']);
  const { factory } = await client.trust();
  assert.deepEqual(factory?.serverNames, ['localhost', 'berlin-1.example', '127.0.0.1', '::1']);
});

test('a node that has not heard from headquarters for longer than the policy says provisions nothing until it does', async () => {
  const { clock, headquarters, client } = bed;
  const { factory } = await client.status();
  const left = Math.floor(((factory?.goodUntil.getTime() ?? 0) - clock.now().getTime()) / 1000);
  assert.equal(left, 73 * HOUR);
  clock.advance(72 * HOUR);
  const ticket = await bed.ticket({ id: 'batch-3' });
  await bed.provision('B1-0010', ticket);
  clock.advance(2 * HOUR);
  const late = refused('factory.offline-too-long', /factory.offlineSeconds CRL \d+ of the \w+ CA/);
  await assert.rejects(bed.provision('B1-0011', ticket), late);
  // One newer list is not enough: all that it goes by must be young enough.
  await client.takeCrls({ crls: [await headquarters.crl('operator')] });
  await assert.rejects(bed.provision('B1-0011', ticket), late);
  const lists = [await headquarters.crl('manufacturing'), await headquarters.crl('server')];
  const taken = await client.takeCrls({ crls: lists });
  assert.deepEqual(taken.fresh, ['manufacturing', 'server']);
  await bed.provision('B1-0011', ticket);
  // What was heard is still known after a restart, and a damaged list is no reason to go back to an older one.
  const path = join(bed.layout.keyd, 'headquarters', 'operator.crl');
  const list = readFileSync(path);
  await bed.stop();
  writeFileSync(path, list.subarray(0, 40));
  await assert.rejects(bed.start(), refused('bundle.altered', /operator.crl/));
  writeFileSync(path, list);
  await bed.start();
  await bed.provision('B1-0012', ticket);
});

test('a CRL that is older, of a stranger, from the future or a partition is not taken, and nothing is forgotten', async () => {
  const { clock, headquarters, client } = bed;
  const before = (await client.status()).factory?.crls;
  const older = await headquarters.crl('operator', { number: 1 });
  await assert.rejects(client.takeCrls({ crls: [older] }), refused('factory.crl-unfit', /operator.number/));
  const future = await headquarters.crl('operator', { at: new Date(clock.now().getTime() + 2 * HOUR * 1000) });
  await assert.rejects(client.takeCrls({ crls: [future] }), refused('factory.crl-unfit', /thisUpdate/));
  const stranger = await NodeBed.asking();
  try {
    const foreign = await stranger.headquarters.crl('operator', { number: 1000 });
    await assert.rejects(client.takeCrls({ crls: [foreign] }), refused('factory.crl-unfit'));
  } finally {
    await stranger.remove();
  }
  await assert.rejects(client.takeCrls({ crls: [Buffer.from('3000', 'hex') as never] }), refused('factory.crl-unfit'));
  assert.deepEqual((await client.status()).factory?.crls, before);
});

test('a sub-CA that headquarters has revoked makes no device any more', async () => {
  const { headquarters, client } = bed;
  headquarters.revoke('manufacturing', nodeCa);
  await client.takeCrls({ crls: [await headquarters.crl('manufacturing')] });
  const ticket = await bed.ticket({ id: 'batch-4' });
  await assert.rejects(
    bed.provision('B1-0020', ticket),
    refused('factory.commission-untrusted', /issued.manufacturing/),
  );
  headquarters.revoked.clear();
  await client.takeCrls({ crls: [await headquarters.crl('manufacturing')] });
});

test('a node takes the next policy with the approvals of its quorum, and none by which it could not name its devices', async () => {
  const { client, headquarters, clock } = bed;
  const current = policyFile(Buffer.from(headquarters.policyText));
  const successor = (change: (policy: Policy) => void): PolicyFile => {
    const next = structuredClone(headquarters.policy);
    next.version += 1;
    change(next);
    return policyFile(Buffer.from(formatPolicy(next)));
  };
  const approvals = async (next: PolicyFile): Promise<string> => {
    const at = clock.now().getTime();
    const second = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
    const draft = {
      policySha256: next.sha256,
      version: 2,
      previousSha256: current.sha256,
      proposer: 'pol',
      signedAt: second(at),
      expiresAt: second(at + 3_600_000),
    };
    const { pol, ann } = headquarters.people;
    return formatStatements([
      await signStatement({ ...draft, act: 'propose', signer: 'pol', role: 'policy-administrator' }, pol),
      await signStatement({ ...draft, act: 'approve', signer: 'ann', role: 'approver' }, ann),
    ]);
  };
  const shorter = successor((policy) => Object.assign(policy, { factory: { offlineSeconds: 60, maxSeconds: 86_400 } }));
  const change = async (next: PolicyFile, text?: string) =>
    client.changePolicy({ policy: next.bytes, approvals: text ?? (await approvals(next)), requestId: 'policy' });
  await assert.rejects(change(shorter, formatStatements([])), refused('approval.proposal-missing'));
  const without = successor((policy) => {
    for (const profile of policy.profiles)
      if (profile.id === 'idevid') Object.assign(profile.subject, { organization: 'Other' });
  });
  await assert.rejects(change(without), refused('policy.factory-names', /idevid/));
  assert.equal((await client.status()).policyVersion, 1);
  await change(shorter);
  const { factory, policyVersion } = await client.status();
  assert.equal(policyVersion, 2);
  const soonest = Math.min(...(factory?.crls.map(({ nextUpdate }) => nextUpdate.getTime()) ?? []));
  assert.equal(factory?.goodUntil.getTime(), soonest + 60_000);
  // Still in force after a restart, and the factory is in the subject.
  await bed.restart();
  assert.equal((await bed.client.status()).policyVersion, 2);
  const { certificate } = await bed.provision('B1-0040', await bed.ticket({ id: 'batch-6' }));
  assert.match(formatName(readCertificate(certificate).subject), /OU=berlin-1/);
});

test('a node that was closed issues nothing more, and says so', async () => {
  await bed.stop();
  await bed.import(await bed.commission({ act: 'close', number: 2 }), undefined);
  await bed.start();
  assert.equal((await bed.client.status()).factory?.closed, true);
  const ticket = await bed.ticket({ id: 'batch-5' });
  await assert.rejects(bed.provision('B1-0030', ticket), refused('factory.closed', /berlin-1/));
});
