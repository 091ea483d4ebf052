import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { checkFactoryCa, factoryCaProfile, parseCommission, verifyCommission } from '@keystead/core/lifecycle';
import { assembleSigned, CertificateTemplate, namesFor, newSerial, readCertificate } from '@keystead/core/x509';
import { factoryEvidencePath } from '../factory-evidence.ts';
import type { Result } from '../protocol.ts';
import { readJournal } from '../read-journal.ts';
import { KeydBed, makeKey } from './bed.ts';
import { commissionBy, commissioned, quorumFor, TestNode } from './factory-bed.ts';

const DAY = 86_400;
let bed: KeydBed;
let node: TestNode;
let first: Result<'commissionFactory'>;
const dir = mkdtempSync(join(tmpdir(), 'keystead-commission-'));

before(async () => {
  bed = await KeydBed.make({ factory: {}, urls: { crl: 'http://crl.example/{ca}.crl' } });
  node = await TestNode.make();
  first = await commissioned(bed, node);
});
after(async () => {
  await bed.remove();
  rmSync(dir, { recursive: true, force: true });
});

const journal = () => readJournal(join(bed.dir, 'journal')).entries;

const openssl = (args: readonly string[]): string => spawnSync('openssl', args, { encoding: 'utf8' }).stdout;

function pem(name: string, ...ders: DerCertificate[]): string {
  const path = join(dir, `${name}.pem`);
  writeFileSync(path, ders.map((der) => toPem('CERTIFICATE', der)).join(''));
  return path;
}

/** What openssl says of a certificate below the root, with these CAs between. */
async function verified(leaf: DerCertificate, ...between: DerCertificate[]): Promise<string> {
  const { root } = (await bed.client.trust()).certificates;
  assert.ok(root);
  const at = String(Math.floor(bed.clock.now().getTime() / 1000));
  const cas = between.length === 0 ? [] : ['-untrusted', pem('cas', ...between)];
  const args = ['verify', '-x509_strict', '-attime', at, '-CAfile', pem('root', root), ...cas, pem('leaf', leaf)];
  const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  return stdout + stderr;
}

async function ca(role: 'manufacturing' | 'server'): Promise<DerCertificate> {
  const certificate = (await bed.client.trust()).certificates[role];
  assert.ok(certificate);
  return certificate;
}

test('TEST-KEY-17 the quorum commissions a factory: openssl verifies root, manufacturing CA, factory, IDevID, and refuses a device of another factory [openssl: X.509 verify chain of a factory]', async () => {
  const { manufacturing } = first.certified;
  const above = await ca('manufacturing');
  const own = await node.idevid(bed, manufacturing.certificate, 'KS-0001');
  assert.match(await verified(own.certificate, manufacturing.certificate, above), /: OK/);
  // The key of the sub-CA is in the hands of the factory: it can sign what it likes, and nobody believes it.
  const loose = await looseCertificate();
  const foreign = await node.idevid(bed, loose, 'KS-0001', makeKey(), 'lyon-2');
  assert.match(await verified(foreign.certificate, manufacturing.certificate, above), /permitted subtree violation/);
  const text = openssl(['x509', '-in', pem('sub', manufacturing.certificate), '-noout', '-text']);
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  assert.match(text, /X509v3 Name Constraints: critical[\s\S]*DirName:O = Keystead, OU = berlin-1/);
  assert.match(text, /URI:http:\/\/crl\.example\/manufacturing\.crl/);
});

/** A certificate of the sub-CA's name and key without its constraints, by which a thief makes what he likes. */
async function looseCertificate(): Promise<DerCertificate> {
  const { signer, spki } = node.keys.manufacturing;
  const profile = factoryCaProfile(bed.policy, 'manufacturing', 'berlin-1', DAY, []);
  const loose = { ...profile, ca: { pathLength: 0 } };
  const template = new CertificateTemplate(loose, { certificate: await ca('manufacturing') }, {});
  const tbs = template.tbs({
    ...namesFor(loose, {}),
    serial: newSerial(),
    notBefore: bed.clock.now(),
    notAfter: new Date(bed.clock.now().getTime() + DAY * 1000),
    spki,
    signatureAlgorithm: signer.signatureAlgorithm,
  });
  return assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
}

test('the commission carries what a node needs, signed by the evidence key, and every constraint is really there', async () => {
  const trust = await bed.client.trust();
  const { content } = verifyCommission(first.commission, readCertificate(trust.evidenceSigner).spki);
  assert.deepEqual(
    [content.act, content.factory, content.number, content.deviceIdPrefixes, content.serverNames],
    ['commission', 'berlin-1', 1, ['KS-'], ['berlin-1.example', '127.0.0.1']],
  );
  assert.deepEqual(content.crls, {});
  assert.deepEqual(Buffer.from(content.policy, 'base64'), Buffer.from(trust.policy));
  for (const role of ['manufacturing', 'server'] as const) {
    const expected = { policy: bed.policy, ca: role, factory: 'berlin-1', serverNames: content.serverNames };
    checkFactoryCa(first.certified[role].certificate, { ...expected, issuer: await ca(role) });
  }
  const info = readCertificate(first.certified.evidence.certificate);
  assert.equal(info.ca, false);
  assert.match(await verified(info.der, await ca('server')), /: OK/);
});

test('the same order again has the answer of the first time, also after a restart, and the file can be had again', async () => {
  const again = await bed.client.factoryCommission({ factory: 'berlin-1', number: 1 });
  assert.equal(again.commission, first.commission);
  const order = { ...node.order(), id: first.order };
  const statements = await quorumFor(bed, order);
  const ask = () =>
    bed.client.commissionFactory({ request: node.request, statements, crls: [], requestId: 'commission-1' });
  const before = journal().length;
  const published = factoryEvidencePath(bed.rehearsal.layout.policy);
  const evidence = readFileSync(published, 'latin1');
  // What a first time that failed after its entry has left: the answer is given when everything is there.
  rmSync(published);
  assert.deepEqual(await ask(), first);
  assert.equal(readFileSync(published, 'latin1'), evidence);
  await bed.restart();
  assert.deepEqual(await ask(), first);
  assert.equal(journal().length, before);
  const { factories } = await bed.client.factories();
  assert.deepEqual(
    factories.map(({ name, acts, closed, units }) => [name, acts.length, closed, units]),
    [['berlin-1', 1, null, 0]],
  );
});

test('TEST-KEY-17 what a quorum did not sign is refused, each with its code, and nothing is changed', async () => {
  const lyon = await TestNode.make('lyon-2');
  const order = lyon.order();
  const other = await TestNode.make('lyon-2');
  const by = { act: 'approve' } as const;
  const [ask, yes] = await quorumFor(bed, order);
  assert.ok(ask !== undefined && yes !== undefined);
  const cases: readonly [string, readonly string[], Uint8Array?][] = [
    ['commission.too-few', [ask]],
    ['commission.malformed', [yes, ask]],
    ['commission.self', [ask, await commissionBy(bed, 'ada', order, by)]],
    ['commission.signer-forbidden', [ask, await commissionBy(bed, 'lin', order, by)]],
    ['commission.signer-forbidden', [ask, await commissionBy(bed, 'pol', order, { ...by, role: 'approver' })]],
    ['commission.other-order', [ask, await commissionBy(bed, 'pol', { ...order, seconds: 2 }, by)]],
    ['commission.duplicate', [ask, yes, yes]],
    ['commission.expired', [ask, await commissionBy(bed, 'pol', order, { ...by, age: 7200 })]],
    ['commission.not-yet-valid', [ask, await commissionBy(bed, 'pol', order, { ...by, age: -3600, seconds: 7200 })]],
    ['commission.too-long', [ask, await commissionBy(bed, 'pol', order, { ...by, seconds: 31 * DAY })]],
    ['commission.signature-invalid', [ask, forged(yes)]],
    ['commission.malformed', [ask, 'approved']],
    ['commission.request-differs', [ask, yes], other.request],
  ];
  const before = journal().length;
  for (const [code, statements, request = lyon.request] of cases) {
    const asked = bed.client.commissionFactory({ request, statements: [...statements], crls: [], requestId: 'x' });
    await assert.rejects(asked, { code });
  }
  assert.equal(journal().length, before);
  assert.equal((await bed.client.factories()).factories.length, 1);
});

/** A statement whose signature is another one. */
function forged(text: string): string {
  const statement = JSON.parse(text) as { signature: string };
  const signature = Buffer.from(statement.signature, 'base64url');
  signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
  return JSON.stringify({ ...statement, signature: signature.toString('base64url') });
}

test('TEST-KEY-17 a name, a key or a life that a factory may not have is refused, each with its code', async () => {
  const device = makeKey();
  await bed.provision('KS-0050', await bed.ticket(), device);
  const one = makeKey();
  const lyon = await TestNode.make('lyon-2');
  const { log } = JSON.parse(Buffer.from(node.request).toString('utf8'));
  const cases: readonly [string, TestNode, Parameters<TestNode['order']>[0]?][] = [
    ['commission.name-used', await TestNode.make('berlin-1')],
    ['commission.key-used', await TestNode.make('lyon-2', { server: one, evidence: one })],
    ['commission.key-used', await TestNode.make('lyon-2', { server: node.keys.server })],
    ['commission.key-used', await TestNode.make('lyon-2', { manufacturing: device })],
    ['commission.key-used', await TestNode.make('lyon-2', {}, { log })],
    ['key.algorithm-forbidden', await TestNode.make('lyon-2', { manufacturing: makeKey('P-384') })],
    ['csr.subject-mismatch', await swapped()],
    ['commission.request-differs', lyon, { factory: 'lyon-3' }],
    ['commission.life-too-long', lyon, { seconds: 91 * DAY }],
    ['factory.unknown', lyon, { act: 'renew' }],
    ['factory.unknown', lyon, { act: 'close' }],
    ['commission.order-used', lyon, { id: first.order }],
  ];
  const before = journal().length;
  for (const [code, who, more] of cases) await assert.rejects(commissioned(bed, who, more), { code }, code);
  assert.equal(journal().length, before);
});

/** A node whose requests stand in each other's place. */
async function swapped(): Promise<TestNode> {
  const lyon = await TestNode.make('lyon-2');
  const { certificateRequests } = JSON.parse(Buffer.from(lyon.request).toString('utf8'));
  const { manufacturing, server } = certificateRequests;
  const wrong = { ...certificateRequests, manufacturing: server, server: manufacturing };
  return TestNode.make('lyon-2', {}, { certificateRequests: wrong });
}

test('CRLs of the commission are those of headquarters and in force; others are refused', async () => {
  const lyon = await TestNode.make('lyon-2');
  const statements = await quorumFor(bed, lyon.order());
  const { crl } = await bed.client.signCrl({ issuer: 'operator', number: 1, entries: [] });
  const served = (name: string) => readFileSync(join(bed.rehearsal.layout.crl, name)) as Uint8Array as typeof crl;
  const ask = (...crls: Result<'signCrl'>['crl'][]) =>
    bed.client.commissionFactory({ request: lyon.request, statements, crls, requestId: 'x' });
  await assert.rejects(ask(crl, crl), { code: 'commission.crl-unfit', field: 'crls[1]' });
  const strange = await KeydBed.make();
  const foreign = await strange.client.signCrl({ issuer: 'operator', number: 1, entries: [] });
  await strange.remove();
  await assert.rejects(ask(foreign.crl), { code: 'commission.crl-unfit' });
  await assert.rejects(ask(crl.subarray(1) as typeof crl), { code: 'crl.malformed' });
  const { commission } = await ask(crl, served('root.crl'), served('signing-root.crl'));
  const { crls } = parseCommission(commission).content;
  assert.deepEqual(Object.keys(crls).sort(), ['operator', 'root', 'signing-root']);
  assert.deepEqual(Buffer.from(crls.operator ?? '', 'base64'), Buffer.from(crl));
});

test('TEST-KEY-17 a renewal gives the same keys certificates that end later, and what the factory made goes on verifying', async () => {
  const made = await node.idevid(bed, first.certified.manufacturing.certificate, 'KS-0002');
  await assert.rejects(commissioned(bed, node, { act: 'renew', seconds: 30 * DAY }), {
    code: 'commission.renewal-shorter',
  });
  const stranger = await TestNode.make('berlin-1');
  await assert.rejects(commissioned(bed, stranger, { act: 'renew', seconds: 40 * DAY }), {
    code: 'commission.key-differs',
  });
  const renewed = await commissioned(bed, node, {
    act: 'renew',
    seconds: 40 * DAY,
    deviceIdPrefixes: ['KS-', 'KT-'],
  });
  assert.deepEqual([renewed.number, renewed.deviceIdPrefixes], [2, ['KS-', 'KT-']]);
  const [before, now] = [first, renewed].map(({ certified }) => readCertificate(certified.manufacturing.certificate));
  assert.ok(before && now && before.notAfter < now.notAfter && before.spkiSha256 === now.spkiSha256);
  assert.match(await verified(made.certificate, now.der, await ca('manufacturing')), /: OK/);
});

test('killed between any two entries of its journal keyd carries the order out when it comes again, and never twice', async () => {
  const from = journal().length;
  const oslo = await TestNode.make('oslo-3');
  const order = oslo.order();
  const statements = await quorumFor(bed, order);
  const ask = () => bed.client.commissionFactory({ request: oslo.request, statements, crls: [], requestId: 'oslo' });
  const whole = await ask();
  const path = join(bed.dir, 'journal');
  const lines = readFileSync(path, 'utf8').split('\n');
  const written = journal().length - from;
  assert.equal(written, 4);
  // What a power cut leaves: the entries up to one of them, and whatever files were there.
  for (let kept = 0; kept < written; kept += 1) {
    await bed.stop();
    writeFileSync(path, `${lines.slice(0, from + kept).join('\n')}\n`);
    await bed.start();
    assert.equal(
      (await bed.client.factories()).factories.some(({ name }) => name === 'oslo-3'),
      false,
    );
    const again = await ask();
    assert.equal(journal().length, from + kept + 4);
    assert.notEqual(again.commissionSha256, whole.commissionSha256);
    assert.deepEqual(await ask(), again);
  }
  await bed.stop();
  writeFileSync(join(bed.dir, 'factories', 'oslo-3-1.json'), 'another');
  await bed.start();
  await assert.rejects(ask(), { code: 'commission.file-lost' });
});

test('a policy without a section for factories commissions none, and says so', async () => {
  const plain = await KeydBed.make();
  try {
    await assert.rejects(commissioned(plain, node), { code: 'policy.factory-missing' });
  } finally {
    await plain.remove();
  }
});

test('TEST-KEY-17 a factory that was closed gets no certificate any more; closed with revocation, those of its keys are on the lists', async () => {
  const paris = await TestNode.make('paris-4');
  const opened = await commissioned(bed, paris);
  const closed = await commissioned(bed, paris, { act: 'close', revoke: true });
  assert.equal(parseCommission(closed.commission).content.act, 'close');
  assert.deepEqual(closed.certified, opened.certified);
  for (const act of ['renew', 'close'] as const) {
    await assert.rejects(commissioned(bed, paris, { act, seconds: 60 * DAY }), { code: 'factory.closed' });
  }
  await assert.rejects(commissioned(bed, paris), { code: 'commission.name-used' });
  await bed.restart();
  const { crl } = await bed.client.signCrl({ issuer: 'manufacturing', number: 1, entries: [] });
  const path = join(dir, 'manufacturing.crl');
  writeFileSync(path, crl);
  const text = openssl(['crl', '-inform', 'DER', '-in', path, '-noout', '-text']);
  const { serial } = readCertificate(opened.certified.manufacturing.certificate);
  assert.match(text, new RegExp(`Serial Number: ${serial}[\\s\\S]*Cessation Of Operation`, 'i'));
  const { factories } = await bed.client.factories();
  assert.equal(factories.find(({ name }) => name === 'paris-4')?.closed?.revoked, true);
});

test('a factory that is closed and not revoked can be renewed, for those who verify what it made; it stays closed', async () => {
  const rome = await TestNode.make('rome-5');
  await commissioned(bed, rome);
  await commissioned(bed, rome, { act: 'close' });
  const renewed = await commissioned(bed, rome, { act: 'renew', seconds: 60 * DAY });
  assert.equal(parseCommission(renewed.commission).content.act, 'close');
  const made = await rome.idevid(bed, renewed.certified.manufacturing.certificate, 'KS-0099');
  assert.match(
    await verified(made.certificate, renewed.certified.manufacturing.certificate, await ca('manufacturing')),
    /: OK/,
  );
  const known = (await bed.client.factories()).factories.find(({ name }) => name === 'rome-5');
  assert.deepEqual(
    [known?.closed?.revoked, known?.acts.map(({ act }) => act)],
    [false, ['commission', 'close', 'renew']],
  );
  await assert.rejects(commissioned(bed, rome, { act: 'close' }), { code: 'factory.closed' });
});
