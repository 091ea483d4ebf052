import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import {
  certify,
  DEMO_FIRMWARE,
  type FirmwareKey,
  firmwareProfileOf,
  formatBundle,
  formatFirmwareRequest,
  type Policy,
  profileOf,
  signKeyOrder,
} from '@keystead/core/lifecycle';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { verifyCeremony } from '../../ceremony/verify.ts';
import { openKeystore, readKeystoreConfig } from '../../keystore/index.ts';
import { destroyFirmwareKey } from '../destroy-firmware-key.ts';
import { loadHierarchy, pinsPath } from '../hierarchy.ts';
import { Journal } from '../journal.ts';
import { changesOf } from '../later-changes.ts';
import { KEYD_PASSPHRASE, makeKey } from './bed.ts';
import { FirmwareBed, type OrderParts, registerTestFormat } from './firmware-bed.ts';
import { LaterCeremonies } from './later-bed.ts';

const [FIRST] = DEMO_FIRMWARE.keys;
assert.ok(FIRST);
const keyed = (id: string, more: Partial<FirmwareKey> = {}): FirmwareKey => ({ ...FIRST, id, ...more });

let bed: FirmwareBed;
let later: LaterCeremonies;
let unregister: () => void;
before(async () => {
  unregister = registerTestFormat();
  bed = await FirmwareBed.make({
    quorums: { 'firmware-emergency': { approvals: 2, roles: ['approver', 'policy-administrator'] } },
  });
  later = new LaterCeremonies(bed.keyd);
});
after(async () => {
  await bed.keyd.remove();
  unregister();
});

const line = (policy: Policy) => {
  const found = policy.firmware?.products[0]?.environments.production;
  assert.ok(found && policy.firmware);
  return { line: found, keys: policy.firmware.keys };
};
const why = async (id: string) => (await bed.keyd.client.firmwareKeys()).keys.find((one) => one.id === id)?.refused;
const journal = () =>
  readFileSync(join(bed.keyd.dir, 'journal'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text) as { kind: string; key?: string });
const adopted = () => journal().flatMap(({ kind, key }) => (kind === 'firmware-certificate' ? [key] : []));
const counters = { securityCounter: 1 };
const refused = (code: string, parts: OrderParts) => assert.rejects(bed.sign({ ...counters, ...parts }), { code });

test('TEST-KEY-22 TEST-KEY-15 a key that a later policy names is certified in a ceremony, keyd adopts it and signs with it, as openssl verifies to the signing root [openssl: X.509 path codeSigning]', async () => {
  assert.deepEqual(adopted(), ['pump-1'], 'what the founding certified is written down too');
  await bed.sign({ version: '1.0.0' });
  await bed.change((policy) => {
    line(policy).keys.push(keyed('pump-2', { algorithm: 'P-384' }));
    line(policy).line.trusted = ['pump-2'];
  });
  await bed.keyd.restart();
  assert.match((await why('pump-2')) ?? '', /certified by the signing root/);
  const policy = await bed.policy();
  // Asked for while keyd runs: it has made the key by now.
  await later.firmware('pump-2', [], { policy });
  await later.take();
  assert.deepEqual(adopted(), ['pump-1', 'pump-2']);
  assert.equal(await why('pump-2'), null);
  await refused('firmware-key.scope', { version: '1.0.1', keys: ['pump-2'] });
  await bed.change((next) => {
    line(next).line.keys = ['pump-1', 'pump-2'];
    delete line(next).line.trusted;
  });
  const made = await bed.sign({ version: '1.0.1', keys: ['pump-2'] });
  const [signature] = made.signatures;
  assert.ok(signature);
  const { certificates } = await bed.keyd.client.trust();
  assert.ok(certificates['signing-root']);
  const paths = [later.pem('signing-root', certificates['signing-root']), later.pem('signer', signature.signer)];
  const at = ['-attime', String(Math.floor(bed.keyd.clock.now().getTime() / 1000))];
  const [root = '', signer = ''] = paths;
  assert.match(execFileSync('openssl', ['verify', ...at, '-CAfile', root, signer], { encoding: 'utf8' }), /OK/);
  const text = execFileSync('openssl', ['x509', '-in', signer, '-noout', '-subject'], { encoding: 'utf8' });
  assert.match(text, /OU = firmware production, CN = KS-PUMP-1 pump-2/);
  // The same again changes nothing, and the journal has each certificate once.
  await later.take();
  assert.deepEqual(adopted(), ['pump-1', 'pump-2']);
});

test('TEST-KEY-15 version and security counter are of the product and its target: no new key goes behind what the old one signed', async () => {
  await bed.sign({ version: '1.5.0', securityCounter: 4, keys: ['pump-1'] });
  await bed.keyd.restart();
  await refused('firmware-order.rollback', { version: '1.4.9', securityCounter: 4, keys: ['pump-2'] });
  await refused('firmware-order.rollback', { version: '1.5.1', securityCounter: 3, keys: ['pump-2'] });
  await bed.sign({ version: '1.5.1', securityCounter: 4, keys: ['pump-2'] });
  await refused('firmware-order.rollback', { version: '1.5.0', securityCounter: 4, keys: ['pump-1'] });
});

test('what is asked for wrongly gets no certificate: a development key, one that the policy has not, another policy, an old request, a foreign evidence key, a key twice', async () => {
  const policy = await bed.policy();
  const none = { code: 'ceremony.firmware-key' };
  await assert.rejects(later.firmwareRequest(['pump-1-dev']), none);
  await assert.rejects(later.firmwareRequest(['nobody']), none);
  await assert.rejects(later.firmwareRequest(['pump-2', 'pump-2']), none);
  await assert.rejects(later.firmwareRequest([]), none);
  const request = await later.firmwareRequest(['pump-2']);
  const stale = (field: string) => ({ code: 'ceremony.request-stale', field });
  const founding = readFileSync(join(later.dirs[0] ?? '', 'policy.json'));
  const held = (bytes: Uint8Array, by: Uint8Array = policy) => later.firmware('no', [], { request: bytes, policy: by });
  await assert.rejects(held(request, founding), stale('policySha256'));
  const facts = JSON.parse(Buffer.from(request).toString());
  const evidence = bed.keyd.rehearsal.layout;
  const keystore = await openKeystore(readKeystoreConfig(evidence.keyd), passphrase(KEYD_PASSPHRASE), bed.keyd.clock);
  const signed = async (more: object) =>
    Buffer.from(await formatFirmwareRequest({ ...facts, ...more }, keystore.signer('evidence')));
  await assert.rejects(held(await signed({ transcriptSha256: '0'.repeat(64) })), stale('transcriptSha256'));
  await assert.rejects(held(await signed({ signingRootSha256: '0'.repeat(64) })), stale('signingRootSha256'));
  const csrOf = async (name: string, key = makeKey('P-384')) =>
    toPem('CERTIFICATE REQUEST', await certificationRequest(name, key.signer));
  const asked = (key: string, certificateRequest: string) => ({ firmware: [{ key, certificateRequest }] });
  // An id keeps its key, and no key has two.
  await assert.rejects(held(await signed(asked('pump-2', await csrOf('firmware-pump-2')))), none);
  await assert.rejects(held(await signed(asked('pump-1-dev', await csrOf('firmware-pump-1-dev')))), none);
  const other = toPem(
    'CERTIFICATE REQUEST',
    await certificationRequest('firmware-pump-2', keystore.signer('firmware-pump-1')),
  );
  await assert.rejects(held(await signed(asked('pump-2', other))), { code: 'key.algorithm-forbidden' });
  await assert.rejects(held(await signed(asked('pump-2', await csrOf('firmware-pump-1')))), {
    code: 'csr.subject-mismatch',
  });
  keystore.close();
  const forged = Buffer.from(await formatFirmwareRequest(facts, makeKey().signer));
  await assert.rejects(held(forged), { code: 'ceremony.request-signature' });
  await assert.rejects(held(Buffer.from(JSON.stringify(facts))), { code: 'ceremony.request-malformed' });
});

/** Imports, and expects a refusal after which nothing has changed. */
async function importRefused(code: string, from?: string, field?: string): Promise<void> {
  await bed.keyd.stop();
  const { layout } = bed.keyd.rehearsal;
  const unchanged = readFileSync(pinsPath(layout));
  await assert.rejects(later.import(from), field === undefined ? { code } : { code, field });
  assert.deepEqual(readFileSync(pinsPath(layout)), unchanged);
  await bed.keyd.start();
}

test('keyd takes no certificate for another key, of another product, from a lookalike root, of development as production, or under a policy that is not in force', async () => {
  await bed.change((policy) => {
    line(policy).keys.push(keyed('pump-3'));
  });
  await bed.keyd.restart();
  const policy = await bed.policy();
  await later.firmware('pump-3', ['pump-3'], { policy });
  const bundle = later.bundle();
  const hierarchy = loadHierarchy(bed.keyd.rehearsal.layout);
  const parsed = JSON.parse(Buffer.from(policy).toString()) as Policy;
  const profile = profileOf(parsed, 'firmware-signer');
  // A root of the same name, and what it certifies.
  const root = makeKey('P-384');
  const { keys } = await bed.keyd.client.firmwareKeys();
  const spki = readCertificate(keys.find(({ id }) => id === 'pump-2')?.certificate ?? new Uint8Array()).spki;
  const now = bed.keyd.clock.now();
  const signingRoot = await certify({
    profile: profileOf(parsed, 'signing-root-ca'),
    issuer: 'self',
    signer: root.signer,
    spki: root.spki,
    urls: {},
    now,
  });
  const lookalike = (key: FirmwareKey) =>
    certify({
      profile: firmwareProfileOf(profile, key),
      issuer: signingRoot,
      signer: root.signer,
      spki,
      urls: {},
      now,
    });
  const { checkBundle } = await import('@keystead/core/lifecycle');
  const pump3 = keyed('pump-3');
  const others = bundle.firmware?.filter(({ key }) => key !== 'pump-3') ?? [];
  const with3 = async (certificate: Awaited<ReturnType<typeof lookalike>>) => ({
    ...bundle,
    firmware: [...others, { key: 'pump-3', certificate }],
  });
  const altered = { code: 'bundle.altered' };
  const fromLookalike = await with3(await lookalike(pump3));
  assert.throws(() => checkBundle(fromLookalike, parsed, now), altered);
  // With the lookalike root in the bundle its pinned hash tells.
  const replaced = { ...fromLookalike, certificates: { ...bundle.certificates, 'signing-root': signingRoot } };
  assert.throws(() => changesOf(replaced, hierarchy, parsed), { code: 'bundle.change-unexpected' });
  // That of another key of this very keyd, and a development certificate.
  const second = others.find(({ key }) => key === 'pump-2')?.certificate;
  const development = keys.find(({ environment }) => environment === 'development')?.certificate;
  assert.ok(second && development);
  for (const certificate of [second, development])
    assert.throws(
      () => checkBundle({ ...bundle, firmware: [...others, { key: 'pump-3', certificate }] }, parsed, now),
      altered,
    );
  // What was changed after the ceremony is not what its transcript lists.
  const changed = later.out('changed');
  cpSync(later.latest, changed, { recursive: true });
  writeFileSync(
    join(changed, 'bundle.json'),
    formatBundle({ ...bundle, firmware: [...others, { key: 'pump-3', certificate: second }] }),
  );
  await importRefused('bundle.altered', changed);
  // For a key that this keystore does not have: the same ceremony at a keyd whose key is another.
  await bed.keyd.stop();
  const { layout } = bed.keyd.rehearsal;
  const sealed = join(layout.keyd, 'keystore.sealed');
  const kept = readFileSync(sealed);
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase(KEYD_PASSPHRASE), bed.keyd.clock);
  await keystore.destroy('firmware-pump-3');
  await keystore.generate('firmware-pump-3', 'P-256', 'another');
  keystore.close();
  await assert.rejects(later.import(), { code: 'bundle.foreign', field: 'firmware pump-3' });
  writeFileSync(sealed, kept);
  await bed.keyd.start();
  // The policy went on since the ceremony.
  await bed.change((next) => {
    next.document.reviewSeconds -= 1;
  });
  await importRefused('bundle.policy-differs', undefined, 'policy.json');
  later.dirs.pop();
  assert.match((await why('pump-3')) ?? '', /certified by the signing root/);
});

test('keyd that is killed between the pins and its journal adopts the certificate at the next start, once, and is told by trust/', async () => {
  await later.firmware('pump-3-again', ['pump-3'], { policy: await bed.policy() });
  await bed.keyd.stop();
  const { layout } = bed.keyd.rehearsal;
  await later.import();
  // As a kill leaves it: the pins are written, trust/ is not.
  const pins = JSON.parse(readFileSync(pinsPath(layout), 'utf8'));
  writeFileSync(pinsPath(layout), `${JSON.stringify({ ...pins, publishing: true }, null, 2)}\n`);
  rmSync(join(layout.trust, 'firmware-pump-3.pem'));
  assert.ok(!adopted().includes('pump-3'));
  await bed.keyd.start();
  await bed.keyd.restart();
  assert.deepEqual(adopted(), ['pump-1', 'pump-2', 'pump-3']);
  assert.equal(await why('pump-3'), null);
});

test('TEST-KEY-15 a key leaves its line only while another one that devices trust signs on, unless the quorum says cutOver; then keyd refuses it', async () => {
  const none = { code: 'policy.firmware-no-transition' };
  await assert.rejects(
    bed.change((policy) => {
      line(policy).line.keys = ['pump-3'];
    }),
    none,
    'pump-3 is in no device yet',
  );
  await bed.change((policy) => {
    line(policy).line.keys = ['pump-2'];
    line(policy).line.trusted = ['pump-1', 'pump-3'];
  });
  await refused('firmware-key.scope', { version: '1.6.0', securityCounter: 4, keys: ['pump-1'] });
  await bed.sign({ version: '1.6.0', securityCounter: 4, keys: ['pump-2'] });
  await bed.change((policy) => {
    line(policy).line.keys = ['pump-2', 'pump-3'];
    delete line(policy).line.trusted;
  });
  await refused('firmware-key.scope', { version: '1.6.1', securityCounter: 4, keys: ['pump-1'] });
  await bed.change((policy) => {
    line(policy).line.keys = ['pump-1'];
    line(policy).line.cutOver = true;
  });
  await bed.sign({ version: '1.6.2', securityCounter: 4, keys: ['pump-1'] });
  await bed.change((policy) => {
    line(policy).line.keys = ['pump-1', 'pump-2', 'pump-3'];
    delete line(policy).line.cutOver;
  });
});

const one = async (change: 'suspend' | 'resume' | 'compromise' | 'deactivate', id = 'pump-2') => {
  const { keys } = await bed.keyd.client.firmwareKeys();
  const key = keys.find((candidate) => candidate.id === id);
  assert.ok(key);
  const draft = {
    spkiSha256: key.spkiSha256 as never,
    change,
    after: key.ordered,
    reason: 'a test',
    at: bed.keyd.clock.now(),
  };
  const [name, signer] =
    change === 'resume' ? (['pia', bed.people.pia.signer] as const) : (['ada', bed.keyd.people.ada.signer] as const);
  return bed.keyd.client.changeKey({ order: await signKeyOrder(draft, name, signer), requestId: change });
};

test('TEST-KEY-23 one person suspends a firmware key and does no more; it comes back by a quorum, whose statements are of this one suspension', async () => {
  for (const change of ['compromise', 'deactivate'] as const)
    await assert.rejects(one(change), { code: 'firmware-key.needs-quorum' });
  await one('suspend');
  await refused('key.use-forbidden', { version: '1.7.0', securityCounter: 4, keys: ['pump-2'] });
  await assert.rejects(one('resume'), { code: 'firmware-key.needs-quorum' });
  const order = (statements: string[]) => bed.keyd.client.orderFirmwareKey({ statements, requestId: 'resume' });
  const early = await bed.keyStatements('pump-2', 'resume', ['pia'], { after: 0 });
  await assert.rejects(order(early), { code: 'firmware-key-order.stale' });
  await assert.rejects(order(await bed.keyStatements('pump-2', 'resume', [])), { code: 'firmware-key-order.too-few' });
  const statements = await bed.keyStatements('pump-2', 'resume', ['pia']);
  const done = await order(statements);
  assert.deepEqual([done.change, done.by, done.approvers], ['resume', 'ada', ['pia']]);
  await bed.sign({ version: '1.7.0', securityCounter: 4, keys: ['pump-2'] });
  await one('suspend');
  // The same again is the answer of the first time, and ends no second suspension.
  assert.deepEqual(await order(statements), done);
  await refused('key.use-forbidden', { version: '1.7.1', securityCounter: 4, keys: ['pump-2'] });
  await bed.keyd.restart();
  await refused('key.use-forbidden', { version: '1.7.1', securityCounter: 4, keys: ['pump-2'] });
  await order(await bed.keyStatements('pump-2', 'resume', ['pia']));
});

test('TEST-KEY-23 a key is killed by the emergency quorum that the policy names, each fault of its order is refused, and nothing takes it back', async () => {
  const order = (statements: string[]) => bed.keyd.client.orderFirmwareKey({ statements, requestId: 'kill' });
  const fails = async (code: string, ...args: Parameters<FirmwareBed['keyStatements']>) =>
    assert.rejects(order(await bed.keyStatements(...args)), { code });
  await fails('firmware-key-order.too-few', 'pump-1', 'kill', ['amy']);
  await fails('firmware-key-order.signer-forbidden', 'pump-1', 'kill', ['amy', 'rel']);
  await fails('firmware-key-order.duplicate', 'pump-1', 'kill', ['amy', 'amy']);
  await fails('firmware-key-order.key-unknown', 'pump-1', 'kill', ['amy', 'pia'], { name: 'pump-2' });
  await fails('firmware-key-order.key-unknown', 'pump-1', 'kill', ['amy', 'pia'], { spkiSha256: '0'.repeat(64) });
  const [first = '', ...others] = await bed.keyStatements('pump-1', 'kill', ['amy', 'pia']);
  await assert.rejects(order(others), { code: 'firmware-key-order.malformed' });
  const [elsewhere = ''] = await bed.keyStatements('pump-2', 'kill', []);
  await assert.rejects(order([elsewhere, ...others]), { code: 'firmware-key-order.other-order' });
  await assert.rejects(order(['{}']), { code: 'firmware-key-order.malformed' });
  const statements = [first, ...others];
  bed.keyd.clock.advance(3601);
  await assert.rejects(order(statements), { code: 'firmware-key-order.expired' });
  await bed.sign({ version: '1.8.0', securityCounter: 4, keys: ['pump-1'] });
  const done = await bed.kill('pump-1', ['amy', 'pia']);
  assert.deepEqual([done.change, done.approvers, done.certificateSerial !== null], ['kill', ['amy', 'pia'], true]);
  await refused('key.use-forbidden', { version: '1.8.1', securityCounter: 4, keys: ['pump-1'] });
  await bed.keyd.restart();
  await refused('key.use-forbidden', { version: '1.8.1', securityCounter: 4, keys: ['pump-1'] });
  await fails('key.transition-forbidden', 'pump-1', 'resume', ['pia']);
  await fails('key.transition-forbidden', 'pump-1', 'kill', ['amy', 'pia']);
  await assert.rejects(one('suspend', 'pump-1'), { code: 'key.transition-forbidden' });
  const told = (await bed.keyd.client.keys()).keys.find(({ id }) => id === 'firmware-pump-1')?.changes.at(-1);
  assert.deepEqual([told?.change, told?.by], ['compromise', 'ada']);
  assert.match(told?.reason ?? '', /approved by amy, pia/);
});

test('a killed key gets no certificate again, neither by a new request nor by the file of a ceremony that was held before', async () => {
  const policy = await bed.policy();
  const request = await later.firmwareRequest(['pump-3']);
  await later.firmware('before-the-kill', [], { request, policy });
  await bed.kill('pump-3', ['amy', 'pia']);
  await importRefused('bundle.revoked', undefined, 'firmware pump-3');
  later.dirs.pop();
  await assert.rejects(later.firmwareRequest(['pump-3']), { code: 'ceremony.firmware-key' });
  // An older ceremony again.
  await importRefused('bundle.older', later.out('pump-2'));
});

test('TEST-KEY-15 the signing root revokes the certificate of a killed key in a ceremony, as openssl sees it; the ceremony is proven and the revoked key refused [openssl: X.509 CRL check]', async () => {
  const reason = 'keyCompromise' as const;
  await assert.rejects(later.crl('nobody', { ca: 'firmware-nobody', reason }), { code: 'issuer.unknown' });
  await later.crl('revoked', { ca: 'firmware-pump-1', reason });
  assert.ok(verifyCeremony(later.latest).every(({ verdict }) => verdict !== 'failed'));
  const { crls, certificates, firmware = [] } = later.bundle();
  const file = (id: string) => later.pem(id, firmware.find(({ key }) => key === id)?.certificate ?? new Uint8Array());
  const args = ['-crl_check', '-CRLfile', later.crlPem('signing', crls['signing-root'])];
  const anchors = ['-CAfile', later.pem('anchor', certificates['signing-root'])];
  assert.throws(() => later.verify(...args, ...anchors, file('pump-1')), /certificate revoked/);
  assert.match(later.verify(...args, ...anchors, file('pump-2')), /: OK/);
  await later.take();
  assert.match((await why('pump-1')) ?? '', /revoked by the signing root/);
  await assert.rejects(later.crl('twice', { ca: 'firmware-pump-1', reason }), { code: 'ceremony.revoked-already' });
});

test('TEST-KEY-23 a firmware key of production that comes out of a backup is suspended until a quorum of after it brings it back: it may have been killed since', async () => {
  const old = await bed.keyStatements('pump-2', 'resume', ['pia']);
  await bed.keyd.stop();
  bed.keyd.clock.advance(1);
  const path = join(bed.keyd.dir, 'journal');
  // The kill of pump-2 is what the backup does not know.
  const restored = {
    n: journal().length + 1,
    time: bed.keyd.clock.now().toISOString(),
    kind: 'restored',
    backupId: 'ab',
    manifestSha256: '00',
    custodians: ['cus'],
    log: { backup: 0, restored: 0, newestSeen: 0 },
    acceptedLoss: false,
    crlNumbers: {},
    refused: [],
  };
  appendFileSync(path, `${JSON.stringify(restored)}\n`);
  await bed.keyd.start();
  bed.keyd.clock.advance(2);
  await refused('key.use-forbidden', { version: '1.9.0', securityCounter: 4, keys: ['pump-2'] });
  await bed.sign({ version: '0.0.1', environment: 'development' });
  const order = (statements: string[]) => bed.keyd.client.orderFirmwareKey({ statements, requestId: 'resume' });
  await assert.rejects(order(old), { code: 'firmware-order.before-restore' });
  await order(await bed.keyStatements('pump-2', 'resume', ['pia']));
  await bed.sign({ version: '1.9.0', securityCounter: 4, keys: ['pump-2'], rollback: true }, ['amy', 'ben']);
  await bed.keyd.restart();
  await bed.sign({ version: '1.9.1', securityCounter: 4, keys: ['pump-2'] });
  // A journal in which somebody suspended it between the restore and its return, as one of before this rule has.
  await bed.keyd.stop();
  const [resumed = ''] = readFileSync(path, 'utf8')
    .split('\n')
    .filter((text) => text.includes('"firmware-key"'))
    .slice(-1);
  const { spkiSha256 } = JSON.parse(resumed) as { spkiSha256: string };
  bed.keyd.clock.advance(1);
  const kinds = [restored, { kind: 'key', key: 'firmware-pump-2', spkiSha256, change: 'suspend', by: 'ada' }];
  for (const entry of kinds) {
    const { time: _time, n: _n, ...facts } = { time: '', n: 0, reason: 'a test', requestId: 'a', ...entry };
    const { reason, requestId, ...bare } = facts;
    const told = entry === restored ? bare : { ...bare, reason, requestId };
    const at = { n: journal().length + 1, time: bed.keyd.clock.now().toISOString() };
    appendFileSync(path, `${JSON.stringify({ ...at, ...told })}\n`);
  }
  await bed.keyd.start();
  await refused('key.use-forbidden', { version: '1.9.1', securityCounter: 4, keys: ['pump-2'] });
  bed.keyd.clock.advance(2);
  await order(await bed.keyStatements('pump-2', 'resume', ['pia']));
});

test('TEST-KEY-15 a new certificate for its key neither makes it younger nor lifts its suspension by a restore, and keyd starts after each', async () => {
  const ledgered = async () => {
    const { keys } = await bed.keyd.client.keys();
    const key = keys.find(({ id }) => id === 'firmware-pump-2');
    return { activatedAt: key?.activatedAt?.toISOString(), state: key?.changes.at(-1)?.change };
  };
  const before = await ledgered();
  assert.equal(before.state, 'resume');
  await later.firmware('pump-2-renewed', ['pump-2'], { policy: await bed.policy() });
  await later.take();
  assert.deepEqual(await ledgered(), before);
  const parts = { version: '1.9.2', securityCounter: 4, keys: ['pump-2'], rollback: true };
  await bed.sign(parts, ['amy', 'ben']);
});

test('a key that the policy names no more is left out by the next ceremony, and the hierarchy is proven without it', async () => {
  await bed.change((policy) => {
    const { firmware } = policy;
    assert.ok(firmware);
    firmware.keys = firmware.keys.filter(({ id }) => id !== 'pump-1');
    line(policy).line.keys = ['pump-2', 'pump-3'];
  });
  const policy = await bed.policy();
  await later.held('without', async (options) => {
    const { holdCrl } = await import('../../ceremony/revocation-lists.ts');
    await holdCrl({ ...options, policy }, { print() {}, confirm: async () => 'yes' });
  });
  const pins = await later.take();
  assert.deepEqual(Object.keys(pins.firmware).sort(), ['pump-2', 'pump-3']);
  await bed.sign({ version: '1.9.3', securityCounter: 4, keys: ['pump-2'] });
});

test('a key of production is never one of development, nor the other way: not even when the policy names it so after it was left out', async () => {
  await bed.change((policy) => {
    line(policy).keys.push(
      keyed('pump-1', { environment: 'development' }),
      keyed('pump-4', { environment: 'development' }),
    );
  });
  await bed.keyd.restart();
  assert.match((await why('pump-1')) ?? '', /without a certificate/);
  assert.equal(await why('pump-4'), null);
  await bed.change((policy) => {
    const { firmware } = policy;
    assert.ok(firmware);
    firmware.keys = firmware.keys.map((key) => (key.id === 'pump-4' ? { ...key, environment: 'production' } : key));
  });
  await assert.rejects(later.firmwareRequest(['pump-4']), {
    code: 'ceremony.firmware-key',
    seen: /a key of development/,
  });
  // Also where the request was made nevertheless.
  const { layout } = bed.keyd.rehearsal;
  const [file, kept] = [join(layout.keyd, 'firmware', 'pump-4.pem'), later.out('pump-4.kept')];
  renameSync(file, kept);
  await later.firmware('pump-4', ['pump-4'], { policy: await bed.policy() });
  renameSync(kept, file);
  await importRefused('bundle.foreign', undefined, 'firmware pump-4');
  later.dirs.pop();
});

test('TEST-KEY-15 a key that was killed is destroyed, one that devices trust is not; keyd starts without it and makes no other under its id', async () => {
  const { layout } = bed.keyd.rehearsal;
  const destroy = (id: string) => destroyFirmwareKey(layout, passphrase(KEYD_PASSPHRASE), bed.keyd.clock, id);
  await assert.rejects(destroy('pump-3'), { code: 'keyd.already-running' });
  await bed.keyd.stop();
  await assert.rejects(destroy('pump-2'), { code: 'firmware-key.in-use' });
  await assert.rejects(destroy('nobody'), { code: 'keystore.key-missing' });
  // Killed between the entry in the journal and the keystore: the next start ends it.
  const keystore = join(layout.keyd, 'keystore.sealed');
  const sealed = readFileSync(keystore);
  const spki = await destroy('pump-3');
  writeFileSync(keystore, sealed);
  await bed.keyd.start();
  assert.equal(await why('pump-3'), undefined);
  await bed.keyd.stop();
  await assert.rejects(destroy('pump-3'), { code: 'keystore.key-missing' });
  await bed.keyd.start();
  const { destroyed } = await bed.keyd.client.keys();
  assert.deepEqual(
    destroyed.map(({ id, spkiSha256, why: reason }) => [id, spkiSha256, reason]),
    [['firmware-pump-3', spki, 'killed']],
  );
  await refused('keystore.key-missing', { version: '2.0.0', securityCounter: 4, keys: ['pump-3'] });
  await bed.sign({ version: '2.0.0', securityCounter: 4, keys: ['pump-2'] });
  await bed.keyd.restart();
  assert.ok(!(await bed.keyd.client.keys()).keys.some(({ id }) => id === 'firmware-pump-3'));
});

test('TEST-KEY-15 the worklist has each image that a key signed, by whom it was signed again, and what would go back', async () => {
  const of = async (key: string) => (await bed.keyd.client.firmwareSignatures({ key, from: 0, limit: 500 })).orders;
  const parts = { version: '3.0.0', target: 'radio', environment: 'development' as const, keys: ['pump-1-dev'] };
  const first = await bed.sign(parts);
  const row = async () => (await of('pump-1-dev')).find(({ order }) => order === first.order);
  assert.deepEqual([(await row())?.signedAgain, (await row())?.goesBack], [null, false]);
  await bed.change((policy) => {
    line(policy).keys.push(keyed('pump-2-dev', { environment: 'development' }));
    policy.firmware?.products[0]?.environments.development?.keys.push('pump-2-dev');
  });
  await bed.keyd.restart();
  const again = await bed.sign({ ...parts, keys: ['pump-2-dev'] });
  await bed.sign({ ...parts, version: '3.0.1', keys: ['pump-2-dev'] });
  await bed.keyd.restart();
  assert.deepEqual([(await row())?.signedAgain, (await row())?.goesBack], [again.order, true]);
  // Both keys in one order: it is no signature without the first.
  assert.ok((await of('pump-2-dev')).every(({ signedAgain }) => signedAgain === null || signedAgain === first.order));
  // What the first key signed stands for no image once that is killed, whatever becomes of the second one.
  const second = async () => (await of('pump-2-dev')).find(({ order }) => order === again.order)?.signedAgain;
  assert.equal(await second(), first.order);
  await bed.kill('pump-1-dev', ['amy', 'pia']);
  assert.equal(await second(), null);
  assert.equal((await row())?.signedAgain, again.order);
  await bed.keyd.stop();
  await destroyFirmwareKey(bed.keyd.rehearsal.layout, passphrase(KEYD_PASSPHRASE), bed.keyd.clock, 'pump-1-dev');
  await bed.keyd.start();
  assert.equal(await second(), null);
  assert.equal(await why('pump-1-dev'), undefined);
  await bed.keyd.restart();
  await bed.sign({ ...parts, version: '3.0.2', keys: ['pump-2-dev'] });
});

test('TEST-KEY-15 of a key that one operator deactivated, as a journal of before quorums for firmware keys has it, the journal says that, and not that a quorum killed it', async () => {
  const { keys } = await bed.keyd.client.keys();
  const key = keys.find(({ id }) => id === 'firmware-pump-2-dev') ?? assert.fail();
  await bed.keyd.stop();
  let time = '';
  const old = await Journal.open(join(bed.keyd.dir, 'journal'), (entry) => {
    time = entry.time;
  });
  const order = { key: key.id, spkiSha256: key.spkiSha256, change: 'deactivate' as const, by: 'ada' };
  await old.append({ kind: 'key', time, ...order, reason: 'its time is over', requestId: 'old-1' });
  await old.close();
  await destroyFirmwareKey(bed.keyd.rehearsal.layout, passphrase(KEYD_PASSPHRASE), bed.keyd.clock, 'pump-2-dev');
  await bed.keyd.start();
  const { destroyed } = await bed.keyd.client.keys();
  assert.deepEqual(
    destroyed.map(({ id, why: reason }) => [id, reason]),
    [
      ['firmware-pump-3', 'killed'],
      ['firmware-pump-1-dev', 'killed'],
      ['firmware-pump-2-dev', 'deactivated'],
    ],
  );
});
