import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromBase64, toPem } from '@keystead/core/bytes';
import { operatorOf, type PolicyFile, verifyUpdate } from '@keystead/core/lifecycle';
import { type Party, PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { DomainBed } from '../../authority/tests/bed.ts';
import { Layout } from '../../files/layout.ts';
import { approvalsPathOf, approve, liveInventory, policyInPlace, propose } from '../index.ts';

const parties = new PolicyParties({ axel: 'Ed25519', pia: 'RSA-3072' });
const current = parties.policy();
const next = successor(current);
const now = new Date('2026-03-02T10:00:00.250Z');
const dir = mkdtempSync(join(tmpdir(), 'keystead-policy-'));
const path = approvalsPathOf(join(dir, 'next.json'));
after(() => rmSync(dir, { recursive: true }));
beforeEach(() => rmSync(path, { force: true }));

const order = (name: Party, more: Partial<Parameters<typeof propose>[0]> = {}) => ({
  current,
  next,
  path,
  name,
  signer: parties.signer(name),
  now,
  seconds: 3600,
  ...more,
});

test('what propose and approve write is what keyd takes', async () => {
  await propose(order('paul'));
  await approve(order('anna'));
  const statement = await approve(order('axel'));
  assert.deepEqual(
    [statement.role, statement.signedAt, statement.expiresAt],
    ['approver', '2026-03-02T10:00:00Z', '2026-03-02T11:00:00Z'],
  );
  const { approvers } = verifyUpdate(current, next, readFileSync(path, 'utf8'), now);
  assert.deepEqual(
    approvers.map(({ name }) => name),
    ['anna', 'axel'],
  );
});

test('TEST-KEY-23 each signer is told at once what keyd would refuse, and the file of the others stays as it was', async () => {
  await assert.rejects(approve(order('anna')), { code: 'approval.proposal-missing' });
  await assert.rejects(propose(order('anna')), { code: 'approval.signer-forbidden' });
  assert.equal(existsSync(path), false);
  await propose(order('paul'));
  await approve(order('anna'));
  const kept = readFileSync(path, 'utf8');
  const other: PolicyFile = successor(current, (policy) => {
    policy.tickets.maxQuota = 1;
  });
  for (const [code, act] of [
    ['approval.proposal-exists', () => propose(order('pia'))],
    ['approval.self', () => approve(order('paul'))],
    ['approval.duplicate', () => approve(order('anna'))],
    ['approval.signer-forbidden', () => approve(order('olga'))],
    ['approval.signature-invalid', () => approve(order('axel', { signer: parties.signer('pia') }))],
    ['approval.other-policy', () => approve(order('axel', { next: other }))],
    ['approval.too-long', () => approve(order('axel', { seconds: 31 * 86_400 }))],
    ['policy.version-used', () => approve(order('axel', { current: next, next }))],
  ] as const) {
    await assert.rejects(act(), { code }, code);
    assert.equal(readFileSync(path, 'utf8'), kept, code);
  }
});

test('TEST-KEY-23 openssl verifies each statement with the public key that stands in the policy, without Keystead', async () => {
  await propose(order('paul'));
  for (const name of ['axel', 'pia'] as const) await approve(order(name));
  const file: { statements: { payload: string; signature: string }[] } = JSON.parse(readFileSync(path, 'utf8'));
  for (const { payload, signature } of file.statements) {
    const bytes = Buffer.from(payload, 'base64url');
    const { signer } = JSON.parse(bytes.toString('utf8'));
    const spki = fromBase64(operatorOf(current.policy, signer)?.spki ?? '');
    const at = (name: string): string => join(dir, name);
    writeFileSync(at('key.pem'), toPem('PUBLIC KEY', spki));
    writeFileSync(at('signed'), Buffer.concat([Buffer.from('keystead policy statement v1\n'), bytes]));
    writeFileSync(at('signature'), Buffer.from(signature, 'base64url'));
    const args =
      signer === 'axel'
        ? [
            'pkeyutl',
            '-verify',
            '-pubin',
            '-inkey',
            at('key.pem'),
            '-rawin',
            '-in',
            at('signed'),
            '-sigfile',
            at('signature'),
          ]
        : ['dgst', '-sha256', '-verify', at('key.pem'), '-signature', at('signature'), at('signed')];
    assert.match(execFileSync('openssl', args, { encoding: 'utf8' }), /Verified (OK|Successfully)/, signer);
    writeFileSync(
      at('signed'),
      Buffer.concat([Buffer.from('keystead policy statement v1\n'), bytes, Buffer.from(' ')]),
    );
    assert.throws(() => execFileSync('openssl', args, { stdio: 'pipe' }), signer);
  }
});

test('the records of a deployment say what a policy would break, and its files which policy is in force', async () => {
  const bed = await DomainBed.make();
  try {
    const device = await bed.device('KS-0001');
    await bed.enrol(device);
    const { layout } = bed.keyd.rehearsal;
    const live = liveInventory(layout, bed.clock.now());
    assert.ok(live !== undefined);
    const ldevid = live.certificates.find(({ profile }) => profile === 'ldevid');
    assert.deepEqual([ldevid?.owner, ldevid?.keyAlgorithm], ['KS-0001', 'P-256']);
    assert.deepEqual(
      live.tickets.flatMap(({ signers }) => signers),
      ['ada'],
    );
    assert.equal(live.authorities.length, 4);
    assert.deepEqual(live.late, []);
    bed.clock.advance(3600);
    const later = liveInventory(layout, bed.clock.now());
    assert.deepEqual(
      later?.late.map(({ deviceId }) => deviceId),
      ['KS-0001'],
    );
    assert.equal(
      later?.certificates.some(({ profile }) => profile === 'ldevid'),
      false,
    );
    const { file, history } = policyInPlace(layout);
    assert.equal(file.policy.name, bed.policy.name);
    assert.deepEqual(
      history.map(({ by }) => by.kind),
      ['ceremony'],
    );
  } finally {
    await bed.remove();
  }
});

test('where no ceremony was taken over there is no policy in force, and it is said so', async () => {
  assert.throws(() => policyInPlace(new Layout(join(dir, 'nothing'))), { code: 'config.missing' });
  assert.equal(liveInventory(new Layout(join(dir, 'nothing')), now), undefined);
});

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
function keystead(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, 'policy', ...args], { encoding: 'utf8', cwd: dir });
}

test('check ends with 1 when something breaks, 0 when not, and 3 for what is no policy; each also as JSON', () => {
  writeFileSync(join(dir, 'old.json'), current.bytes);
  writeFileSync(join(dir, 'good.json'), next.bytes);
  writeFileSync(join(dir, 'skips.json'), successor(next).bytes);
  writeFileSync(join(dir, 'bad.json'), '{"version":');
  const good = keystead('check', 'good.json', '--against', 'old.json', '--json');
  assert.equal(good.status, 0, good.stderr);
  const report = JSON.parse(good.stdout);
  assert.deepEqual([report.breaks, report.live, report.to.sha256], [false, false, next.sha256]);
  const skips = keystead('check', 'skips.json', '--against', 'old.json');
  assert.equal(skips.status, 1);
  assert.match(skips.stdout, /^breaks {2}version: keyd refuses it: /);
  const bad = keystead('check', 'bad.json', '--against', 'old.json', '--json');
  assert.equal(bad.status, 3);
  assert.equal(JSON.parse(bad.stdout).error.code, 'policy.malformed');
  const nowhere = keystead('show', '--data', 'nowhere');
  assert.equal(nowhere.status, 3);
  assert.match(nowhere.stderr, /\[config\.missing\]/);
});
