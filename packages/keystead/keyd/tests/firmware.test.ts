import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { sha256, verifySignature } from '@keystead/core/crypto';
import { type CeremonyBundle, checkBundle, DEMO_FIRMWARE, type Policy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { firmwareKeysPath, readFirmwareKeys } from '../../files/firmware-keys-file.ts';
import { loadHierarchy } from '../hierarchy.ts';
import { changesOf } from '../later-changes.ts';
import { FirmwareBed, type FirmwarePerson, type OrderParts, registerTestFormat, subjectOf } from './firmware-bed.ts';
import { LaterCeremonies } from './later-bed.ts';

let bed: FirmwareBed;
let dir: string;
let unregister: () => void;
before(async () => {
  unregister = registerTestFormat();
  dir = mkdtempSync(join(tmpdir(), 'keystead-fw-keyd-'));
  bed = await FirmwareBed.make();
});
after(async () => {
  await bed.keyd.remove();
  unregister();
  rmSync(dir, { recursive: true, force: true });
});

const pem = (name: string, der: Uint8Array): string => {
  const path = join(dir, `${name}.pem`);
  writeFileSync(path, toPem('CERTIFICATE', der as DerCertificate));
  return path;
};
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
async function counted(): Promise<number> {
  const { orders } = await bed.keyd.client.firmwareSignatures({ from: 0, limit: 500 });
  return orders.length;
}
const change = (edit: (policy: Policy) => void): Promise<void> => bed.change(edit);
async function refused(code: string, parts: OrderParts, by: readonly FirmwarePerson[] = ['amy']): Promise<void> {
  const before = await counted();
  await assert.rejects(bed.sign(parts, by), { code });
  assert.equal(await counted(), before);
}

test('TEST-KEY-23 TEST-KEY-22 keyd signs by a quorum, and openssl verifies signature and path to the signing root with the usage of code [openssl: X.509 path codeSigning]', async () => {
  const { statements, subject, requestId } = await bed.approved();
  const made = await bed.keyd.client.signFirmware({ statements, subject, requestId });
  assert.deepEqual([made.by, made.approvers, made.signatures.length], ['rel', ['amy'], 1]);
  const [one] = made.signatures;
  assert.ok(one);
  const composed = Buffer.concat([Buffer.from(`suit ${one.time.toISOString()} `), subject]);
  const [data, signature] = [join(dir, 'data'), join(dir, 'signature')];
  writeFileSync(data, composed);
  writeFileSync(signature, one.signature);
  const signer = pem('signer', one.signer);
  const key = join(dir, 'key.pem');
  writeFileSync(key, openssl('x509', '-in', signer, '-noout', '-pubkey'));
  assert.match(openssl('dgst', '-sha256', '-verify', key, '-signature', signature, data), /Verified OK/);
  const { certificates } = await bed.keyd.client.trust();
  const root = pem('signing-root', certificates['signing-root'] ?? new Uint8Array());
  const options = ['-purpose', 'codesign', '-attime', String(Math.floor(bed.keyd.clock.now().getTime() / 1000))];
  const usage = openssl('version').startsWith('OpenSSL 3.0') ? options.slice(2) : options;
  assert.match(openssl('verify', ...usage, '-CAfile', root, signer), /OK/);
  const text = openssl('x509', '-in', signer, '-noout', '-subject', '-issuer', '-ext', 'extendedKeyUsage');
  assert.match(text, /OU = firmware production, CN = KS-PUMP-1 pump-1[\s\S]*Signing Root[\s\S]*Code Signing/);
});

test('TEST-KEY-23 the same order again has the same signatures, also after a restart and when its statements have ended; nothing is signed twice', async () => {
  const { statements, subject, requestId } = await bed.approved({ version: '1.0.1' });
  const made = await bed.keyd.client.signFirmware({ statements, subject, requestId });
  const before = await counted();
  assert.deepEqual(await bed.keyd.client.signFirmware({ statements, subject, requestId: 'again' }), made);
  await bed.keyd.restart();
  assert.deepEqual(await bed.keyd.client.signFirmware({ statements, subject, requestId: 'again' }), made);
  bed.keyd.clock.advance(7200);
  assert.deepEqual(await bed.keyd.client.signFirmware({ statements, subject, requestId: 'again' }), made);
  assert.equal(await counted(), before);
});

test('keyd that is restarted between approvals goes by what it is shown, and asks at once give one signature', async () => {
  const { order, subject } = bed.order({ version: '1.0.2' });
  const proposal = await bed.statement('rel', order);
  await assert.rejects(bed.keyd.client.signFirmware({ statements: [proposal], subject, requestId: 'early' }), {
    code: 'firmware-order.too-few',
  });
  await bed.keyd.restart();
  const statements = [proposal, await bed.statement('ben', order)];
  const asked = { statements, subject, requestId: 'late' };
  const all = await Promise.all(Array.from({ length: 5 }, () => bed.keyd.client.signFirmware(asked)));
  for (const one of all) assert.deepEqual(one, all[0]);
});

test('TEST-KEY-23 each fault of an order is refused by its name, and nothing is written or signed', async () => {
  await refused('firmware-order.too-few', { version: '1.1.0' }, []);
  await refused('firmware-order.signer-forbidden', { version: '1.1.0' }, ['pia']);
  await refused('firmware-order.duplicate', { version: '1.1.0' }, ['amy', 'amy']);
  await refused('firmware-order.not-in-policy', { version: '1.1.0', product: 'KS-OTHER' });
  await refused('firmware-order.not-in-policy', { version: '1.1.0', keys: ['nobody'] });
  await refused('firmware-key.scope', { version: '1.1.0', keys: ['pump-1-dev'] });
  await refused('firmware-key.scope', { version: '1.1.0', environment: 'development', keys: ['pump-1'] });
  await refused('firmware-key.scope', { version: '1.1.0', keys: ['pump-1', 'pump-1-dev'] });
  await refused('firmware-order.subject-differs', { version: '1.1.0', subjectSha256: 'a'.repeat(64) });
  await refused('firmware.malformed', { version: '1.1.0', subject: Buffer.from('no JSON') });
  const other = subjectOf({ product: 'KS-PUMP-1', version: '9.9.9', securityCounter: 1 });
  await refused('firmware-order.claims-differ', { version: '1.1.0', subject: other });
  const product = subjectOf({ product: 'KS-OTHER', version: '1.1.0', securityCounter: 1 });
  await refused('firmware-order.claims-differ', { version: '1.1.0', subject: product });
  const counter = subjectOf({ version: '1.1.0', securityCounter: 9 });
  await refused('firmware-order.claims-differ', { version: '1.1.0', subject: counter });
  // An image that was swapped after the approval.
  const { statements, requestId } = await bed.approved({ version: '1.1.0' });
  await assert.rejects(bed.keyd.client.signFirmware({ statements, subject: other, requestId }), {
    code: 'firmware-order.subject-differs',
  });
  const { order, subject } = bed.order({ version: '1.1.0' });
  const old = [await bed.statement('rel', order, { age: 3700 }), await bed.statement('amy', order)];
  await assert.rejects(bed.keyd.client.signFirmware({ statements: old, subject, requestId }), {
    code: 'firmware-order.expired',
  });
  const forged = [await bed.statement('rel', order), await bed.statement('amy', order, { key: 'rel' })];
  await assert.rejects(bed.keyd.client.signFirmware({ statements: forged, subject, requestId }), {
    code: 'firmware-order.signature-invalid',
  });
});

test('neither version nor counter goes back, one version is one image, one id one order; the larger quorum goes back, after a restart too', async () => {
  await bed.sign({ version: '2.0.0', securityCounter: 5 });
  await bed.keyd.restart();
  await refused('firmware-order.rollback', { version: '1.9.9', securityCounter: 5 });
  await refused('firmware-order.rollback', { version: '2.0.1', securityCounter: 4 });
  await refused('firmware-order.rollback', { version: '2.0.1', securityCounter: null });
  await refused('firmware-order.version-taken', {
    version: '2.0.0',
    securityCounter: 5,
    subject: subjectOf({ version: '2.0.0', securityCounter: 5, more: 1 }),
  });
  // The same version in other words.
  await refused('firmware-order.version-taken', {
    version: '2.00',
    securityCounter: 5,
    subject: subjectOf({ version: '2.00', securityCounter: 5, more: 1 }),
  });
  const { order } = await bed.approved({ version: '2.1.0', securityCounter: 5 });
  await bed.sign({ version: '2.1.0', securityCounter: 5, id: order.id });
  await refused('firmware-order.id-reused', { version: '2.1.1', securityCounter: 5, id: order.id });
  // Another target and the other environment count by themselves.
  await bed.sign({ version: '0.1.0', target: 'radio' });
  await bed.sign({ version: '0.1.0', environment: 'development' });
  const back = { version: '1.9.9', securityCounter: 4, rollback: true };
  await refused('firmware-order.too-few', back);
  await refused('firmware-order.rollback-forbidden', { ...back, environment: 'development' });
  const made = await bed.sign(back, ['amy', 'pia']);
  assert.deepEqual(made.approvers, ['amy', 'pia']);
  await refused('firmware-order.rollback', { version: '2.0.5', securityCounter: 5 });
});

test('a development key has no path to the signing root, and what it signs no production key vouches for', async () => {
  const made = await bed.sign({ version: '0.2.0', environment: 'development' });
  const [one] = made.signatures;
  assert.ok(one);
  const { issuerDer, subjectDer, ca, extKeyUsage } = readCertificate(one.signer);
  assert.deepEqual([Buffer.from(issuerDer), ca, extKeyUsage], [Buffer.from(subjectDer), false, ['codeSigning']]);
  const { certificates } = await bed.keyd.client.trust();
  const root = pem('root-2', certificates['signing-root'] ?? new Uint8Array());
  const at = ['-attime', String(Math.floor(bed.keyd.clock.now().getTime() / 1000))];
  assert.throws(() => openssl('verify', ...at, '-CAfile', root, pem('development', one.signer)));
  const { keys } = await bed.keyd.client.firmwareKeys();
  assert.deepEqual(
    keys.map(({ id, environment, refused: why }) => [id, environment, why]),
    [
      ['pump-1', 'production', null],
      ['pump-1-dev', 'development', null],
    ],
  );
  const production = keys.find(({ id }) => id === 'pump-1');
  assert.ok(production?.certificate);
  const { signatureAlgorithm, tbs, signature } = readCertificate(one.signer);
  assert.ok(signatureAlgorithm);
  assert.equal(
    verifySignature(signatureAlgorithm, readCertificate(production.certificate).spki, tbs, signature),
    false,
  );
});

test('TEST-KEY-23 a key that an emergency quorum kills signs nothing more, and the journal lists what to sign again', async () => {
  const { layout } = bed.keyd.rehearsal;
  const told = () => readFirmwareKeys(firmwareKeysPath(layout.trust));
  const { keys } = await bed.keyd.client.firmwareKeys();
  const held = keys.map(({ id, spkiSha256 }) => ({ id, spkiSha256, compromised: false }));
  const policySha256 = toHex(sha256(await bed.policy()));
  assert.deepEqual(told(), { version: 1, policySha256, keys: held }, 'what anchors are held against');
  await bed.kill('pump-1', ['pia']);
  for (const dir of [layout.trust, layout.keyd]) {
    const killed = readFirmwareKeys(firmwareKeysPath(dir)).keys.filter(({ compromised }) => compromised);
    assert.deepEqual(
      killed.map(({ id }) => id),
      ['pump-1'],
    );
  }
  await refused('key.use-forbidden', { version: '3.0.0', securityCounter: 9 });
  await bed.keyd.restart();
  await refused('key.use-forbidden', { version: '3.0.0', securityCounter: 9 });
  await bed.sign({ version: '0.3.0', environment: 'development' });
  const list = await bed.keyd.client.firmwareSignatures({ key: 'pump-1', from: 0, limit: 500 });
  assert.ok(list.end && list.orders.length >= 6);
  assert.ok(list.orders.every(({ keys: used, signed }) => used[0]?.id === 'pump-1' && signed));
  const page = await bed.keyd.client.firmwareSignatures({ key: 'pump-1', from: 1, limit: 2 });
  assert.deepEqual([page.orders, page.next, page.end], [list.orders.slice(1, 3), 3, false]);
});

/** Stops keyd with a journal whose last entries, signatures and time stamps of an order, were never written; then `more` is. */
async function killedBeforeSignature(more: readonly object[] = []): Promise<void> {
  await bed.keyd.stop();
  const path = join(bed.keyd.dir, 'journal');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.match(lines.pop() ?? '', /firmware-stamp/);
  assert.match(lines.pop() ?? '', /firmware-signature/);
  const left = [...lines, ...more.map((one, at) => JSON.stringify({ n: lines.length + 1 + at, ...one }))];
  writeFileSync(path, `${left.join('\n')}\n`);
  await bed.keyd.start();
}
const restored = () => ({
  time: bed.keyd.clock.now().toISOString(),
  kind: 'restored',
  backupId: '00',
  manifestSha256: '00',
  custodians: ['cus'],
  log: { backup: 0, restored: 0, newestSeen: 0 },
  acceptedLoss: false,
  crlNumbers: {},
  refused: [],
});

test('what was taken and not yet signed when keyd was killed is signed once, with the time at which it was taken', async () => {
  const { statements, subject, requestId } = await bed.approved({ version: '0.4.0', environment: 'development' });
  const made = await bed.keyd.client.signFirmware({ statements, subject, requestId });
  await killedBeforeSignature();
  const before = await counted();
  const { orders } = await bed.keyd.client.firmwareSignatures({ from: before - 1, limit: 1 });
  assert.equal(orders[0]?.signed, false);
  bed.keyd.clock.advance(60);
  const again = await bed.keyd.client.signFirmware({ statements, subject, requestId });
  assert.deepEqual([again.at, again.signatures[0]?.time], [made.at, made.signatures[0]?.time]);
  assert.equal(await counted(), before);
});

test('TEST-KEY-23 what was taken and not yet signed is not signed after a higher version was, nor by statements of before a restore', async () => {
  const environment = 'development';
  const { order: _order, ...passed } = await bed.approved({ version: '0.4.1', environment });
  await bed.keyd.client.signFirmware(passed);
  await killedBeforeSignature();
  await bed.sign({ version: '0.4.2', environment });
  await assert.rejects(bed.keyd.client.signFirmware(passed), { code: 'firmware-order.rollback' });
  const parts = bed.order({ version: '0.4.3', environment });
  const statements = () => Promise.all((['rel', 'amy'] as const).map((who) => bed.statement(who, parts.order)));
  const asked = { statements: await statements(), subject: parts.subject, requestId: 'taken' };
  await bed.keyd.client.signFirmware(asked);
  bed.keyd.clock.advance(1);
  await killedBeforeSignature([restored()]);
  const before = await counted();
  await assert.rejects(bed.keyd.client.signFirmware(asked), { code: 'firmware-order.before-restore' });
  bed.keyd.clock.advance(2);
  await bed.keyd.client.signFirmware({ ...asked, statements: await statements() });
  assert.equal(await counted(), before);
});

test('TEST-KEY-23 an approver who was removed after approving does not count, a key signs no more orders than the policy lets it, and a policy moves no key', async () => {
  const { statements, subject, requestId } = await bed.approved({ version: '0.5.0', environment: 'development' });
  await change((policy) => {
    policy.operators = policy.operators.filter(({ name }) => name !== 'amy');
    for (const key of policy.firmware?.keys ?? []) if (key.id === 'pump-1-dev') key.maxSignatures = 1;
  });
  const removed = bed.keyd.client.signFirmware({ statements, subject, requestId });
  await assert.rejects(removed, { code: 'firmware-order.signer-unknown' });
  await refused('firmware-key.exhausted', { version: '0.5.0', environment: 'development' }, ['ben']);
  // What was certified as one thing is not made another by a policy, neither way.
  const { keys: certified } = await bed.keyd.client.firmwareKeys();
  await change(({ firmware }) => {
    for (const key of firmware?.keys ?? [])
      key.environment = key.environment === 'production' ? 'development' : 'production';
    const { production, development } = firmware?.products[0]?.environments ?? {};
    assert.ok(production && development);
    production.keys = ['pump-1-dev'];
    development.keys = ['pump-1'];
    production.cutOver = true;
    development.cutOver = true;
  });
  await refused('firmware-key.scope', { version: '9.0.0', securityCounter: 9, keys: ['pump-1-dev'] }, ['ben']);
  await refused('firmware-key.scope', { version: '9.0.0', environment: 'development', keys: ['pump-1'] }, ['ben']);
  await bed.keyd.restart();
  await refused('firmware-key.uncertified', { version: '9.0.0', securityCounter: 9, keys: ['pump-1-dev'] }, ['ben']);
  await refused('firmware-key.scope', { version: '9.0.0', environment: 'development', keys: ['pump-1'] }, ['ben']);
  const moved = (await bed.keyd.client.firmwareKeys()).keys.find(({ id }) => id === 'pump-1');
  assert.deepEqual(moved?.certificate, certified.find(({ id }) => id === 'pump-1')?.certificate);
  // A key that the policy has from now on is made at the next start: for development with its certificate.
  await change((policy) => {
    const firmware = structuredClone(DEMO_FIRMWARE);
    const [first] = firmware.keys;
    assert.ok(first);
    firmware.keys.push(
      { ...first, id: 'pump-2' },
      { ...first, id: 'pump-2-dev', environment: 'development', algorithm: 'Ed25519' },
    );
    firmware.products[0]?.environments.production?.keys.push('pump-2');
    firmware.products[0]?.environments.development?.keys.push('pump-2-dev');
    for (const made of Object.values(firmware.products[0]?.environments ?? {})) made.cutOver = true;
    policy.firmware = firmware;
  });
  await bed.keyd.restart();
  await bed.sign({ version: '9.0.0', environment: 'development', keys: ['pump-2-dev', 'pump-1-dev'] }, ['ben']);
  await refused('firmware-key.uncertified', { version: '9.0.0', securityCounter: 9, keys: ['pump-2'] }, ['ben']);
});

test('after a restore no statement of before counts: what was signed meanwhile may be forgotten', async () => {
  const parts = { version: '9.1.0', environment: 'development' } as const;
  const { order, subject } = bed.order(parts);
  const statements = [await bed.statement('rel', order), await bed.statement('ben', order)];
  await bed.keyd.stop();
  const path = join(bed.keyd.dir, 'journal');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  bed.keyd.clock.advance(1);
  appendFileSync(path, `${JSON.stringify({ n: lines.length + 1, ...restored() })}\n`);
  await bed.keyd.start();
  await assert.rejects(bed.keyd.client.signFirmware({ statements, subject, requestId: 'replay' }), {
    code: 'firmware-order.before-restore',
  });
  bed.keyd.clock.advance(2);
  await bed.sign(parts, ['ben']);
});

test('TEST-KEY-22 a later ceremony leaves the keys for firmware as they are, and a bundle that changes one is refused', async () => {
  const before = (await bed.keyd.client.firmwareKeys()).keys;
  const later = new LaterCeremonies(bed.keyd);
  await later.crl('next');
  await later.take();
  assert.deepEqual((await bed.keyd.client.firmwareKeys()).keys, before);
  await bed.sign({ version: '9.2.0', environment: 'development' }, ['ben']);
  await later.crl('third');
  const bundle = later.bundle();
  const { policy } = bed.keyd;
  const hierarchy = loadHierarchy(bed.keyd.rehearsal.layout);
  const [one] = bundle.firmware ?? [];
  assert.ok(one);
  for (const firmware of [
    [],
    [{ key: 'pump-2', certificate: one.certificate }],
    [{ ...one, certificate: bundle.certificates.root }],
  ])
    assert.throws(() => changesOf({ ...bundle, firmware }, hierarchy, policy), { code: 'bundle.change-unexpected' });
  const now = bed.keyd.clock.now();
  const altered = (firmware: CeremonyBundle['firmware']) =>
    assert.throws(() => checkBundle({ ...bundle, firmware }, policy, now), { code: 'bundle.altered' });
  altered([one, one]);
  altered([{ ...one, key: 'pump-1-dev' }]);
  altered([{ ...one, certificate: bundle.certificates.server }]);
  const development = before.find(({ id }) => id === 'pump-1-dev')?.certificate;
  assert.ok(development);
  altered([{ ...one, certificate: development }]);
});

test('TEST-KEY-23 where the policy names the targets no order is for another one, which would have no floor of versions; two that differ in capitals are refused', async () => {
  const name = (targets: string[]) =>
    change(({ firmware }) => {
      const line = firmware?.products[0]?.environments.development ?? assert.fail();
      line.targets = targets;
    });
  const parts = { version: '0.0.1', environment: 'development' } as const;
  await bed.sign({ ...parts, target: 'main-2' }, ['ben']);
  await name(['main', 'main-2']);
  await refused('firmware-order.not-in-policy', { ...parts, target: 'MAIN' }, ['ben']);
  await bed.sign({ ...parts, target: 'main-2', version: '0.0.2' }, ['ben']);
  await assert.rejects(name(['main', 'MAIN']), { code: 'policy.firmware-duplicate', message: /targets\[1\]/ });
});
