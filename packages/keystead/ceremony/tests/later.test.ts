import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { parseBundle, readChain } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { loadHierarchy, pinsPath } from '../../keyd/hierarchy.ts';
import { importBundle } from '../../keyd/import.ts';
import { importLater } from '../../keyd/later-import.ts';
import { requestRenewal } from '../../keyd/renewal-request.ts';
import { becomeSole } from '../../keyd/single.ts';
import { holdIntermediate } from '../intermediate.ts';
import type { LaterOptions } from '../options.ts';
import { type CrlOptions, holdCrl } from '../revocation-lists.ts';
import { holdRollover } from '../rollover.ts';
import type { CeremonyIo } from '../session.ts';
import { verifyCeremony } from '../verify.ts';
import { passphrase, Rehearsal } from './rehearsal.ts';

const KEYD = 'the passphrase of keyd';
const silent: CeremonyIo = { print() {}, confirm: async () => 'yes' };
let rehearsal: Rehearsal;
before(async () => {
  rehearsal = await Rehearsal.make();
  await rehearsal.run();
  await importBundle(rehearsal.layout, passphrase(KEYD), rehearsal.clock);
});
after(() => rehearsal.remove());

const dir = (name: string): string => join(rehearsal.dir, name);
const founding = (): string => rehearsal.layout.ceremony;
const bundleIn = (out: string, prefix = '') => parseBundle(readFileSync(join(out, `${prefix}bundle.json`)));
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });

function later(previous: string, out: string, more: Partial<LaterOptions> = {}): LaterOptions {
  const { request: _request, policy: _policy, ...common } = rehearsal.options({ out: dir(out) });
  return { ...common, previous, ...more };
}
const crl = async (previous: string, out: string, more: Partial<CrlOptions> = {}): Promise<string> => {
  await holdCrl({ ...later(previous, out), ...more }, silent);
  return dir(out);
};
const take = (from: string) => importLater(rehearsal.layout, rehearsal.clock, { from });

/** keyd refuses the outputs, and nothing of its own has changed. */
async function refused(from: string, expected: object): Promise<void> {
  const { layout } = rehearsal;
  const all = () =>
    [
      pinsPath(layout),
      ...[layout.trust, layout.crl].flatMap((at) => readdirSync(at).map((name) => join(at, name))),
    ].map((path) => toHex(sha256(readFileSync(path))));
  const unchanged = all();
  await assert.rejects(take(from), expected);
  assert.deepEqual(all(), unchanged);
}

test('TEST-KEY-02 a later ceremony makes the next CRLs, names the transcript before it by hash, and keyd takes them over', async () => {
  const out = await crl(founding(), 'crl-2');
  const bundle = bundleIn(out);
  const named = toHex(sha256(readFileSync(join(founding(), 'transcript.jsonl'))));
  assert.deepEqual([bundle.ceremony, bundle.number, bundle.previousTranscriptSha256], ['crl', 2, named]);
  assert.equal(readChain(readFileSync(join(out, 'transcript.jsonl')))[0]?.detail.previousTranscriptSha256, named);
  assert.equal(readCrl(bundle.crls.root).number, 2);
  assert.deepEqual(bundle.certificates, bundleIn(founding()).certificates);

  const pins = await take(out);
  assert.deepEqual(
    pins.later.map(({ ceremony }) => ceremony),
    ['crl'],
  );
  for (const role of ['root', 'signing-root']) {
    assert.deepEqual(readFileSync(join(rehearsal.layout.crl, `${role}.crl`)), readFileSync(join(out, `${role}.crl`)));
  }
  assert.deepEqual(await take(out), pins);
});

test('TEST-KEY-02 the command of docs/ceremony.md tells the ceremony before from another', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../../docs/ceremony.md', import.meta.url)), 'utf8');
  const command = /^ {4}(head -n 1 transcript\.jsonl \| .*)$/m.exec(page)?.[1] ?? 'exit 2';
  const follows = (previous: string) =>
    spawnSync('sh', ['-euc', command], { cwd: dir('crl-2'), env: { ...process.env, PREVIOUS: previous } }).status;
  assert.deepEqual([follows(founding()), follows(dir('crl-2'))], [0, 1]);
});

test('an import follows the order of the ceremonies, and never goes back', async () => {
  await refused(founding(), { code: 'bundle.older', field: 'number' });
  // Another ceremony after the founding: two hierarchies would grow from one.
  await refused(await crl(founding(), 'fork-2'), { code: 'bundle.older' });
  const fork = await crl(dir('fork-2'), 'fork-3');
  await refused(fork, { code: 'bundle.foreign', field: 'previousTranscriptSha256' });
  await refused(await crl(fork, 'fork-4'), { code: 'bundle.gap' });
});

test('while keyd runs, nothing is taken over under it', async () => {
  // Where a keyd that runs holds its right (keyd/main.ts).
  mkdirSync(rehearsal.layout.run, { recursive: true, mode: 0o700 });
  const right = await becomeSole(rehearsal.layout.run);
  await refused(dir('crl-2'), { code: 'keyd.already-running' });
  right.release();
});

test('a CA is certified again for the key that it has, and keyd takes the certificate', async () => {
  const request = await requestRenewal(rehearsal.layout, passphrase(KEYD), rehearsal.clock, {
    ca: 'operational',
    key: 'same',
  });
  const bytes = Buffer.from(request);
  await holdIntermediate({ ...later(dir('crl-2'), 'intermediate-3'), request: bytes, revokeOld: 'superseded' }, silent);
  const out = dir('intermediate-3');
  const before = bundleIn(dir('crl-2'));
  const bundle = bundleIn(out);
  const [old, fresh] = [before, bundle].map(({ certificates }) => readCertificate(certificates.operational));
  assert.ok(old && fresh);
  assert.notEqual(fresh.serial, old.serial);
  assert.equal(fresh.spkiSha256, old.spkiSha256);
  assert.equal(readCrl(bundle.crls.root).entries.get(old.serial)?.reason, 'superseded');
  assert.equal(readCrl(bundle.crls.root).number, 3);
  assert.match(
    openssl('verify', '-x509_strict', '-CAfile', join(out, 'root.pem'), join(out, 'operational.pem')),
    /: OK/,
  );

  const pins = await take(out);
  assert.deepEqual(pins.revoked, []);
  assert.deepEqual(loadHierarchy(rehearsal.layout).certificates.operational, bundle.certificates.operational);

  // The request was for the ceremony after number 2: it is not answered twice.
  const again = { ...later(out, 'intermediate-again'), request: bytes };
  await assert.rejects(holdIntermediate(again, silent), { code: 'ceremony.request-stale', field: 'transcriptSha256' });
  const forged = Buffer.from(request.replace('"ca": "operational"', '"ca": "server"'));
  await assert.rejects(holdIntermediate({ ...again, request: forged }, silent), { code: 'ceremony.request-signature' });
});

test('a rollover leads from the old root to the new one and back, as openssl sees it', async () => {
  await holdRollover({ ...later(dir('intermediate-3'), 'rollover-4'), root: 'root' }, silent);
  const out = (name: string) => join(dir('rollover-4'), name);
  const through = (anchor: string, cross: string, ca: string) =>
    openssl('verify', '-x509_strict', '-CAfile', out(anchor), '-untrusted', out(cross), ca);
  // Who knows the old root only, and meets a certificate under the new one; and the other way round.
  assert.match(through('root-1.pem', 'root-1-new-with-old.pem', out('server.pem')), /: OK/);
  assert.match(through('root.pem', 'root-1-old-with-new.pem', join(dir('intermediate-3'), 'server.pem')), /: OK/);
  assert.throws(() => openssl('verify', '-CAfile', out('root-1.pem'), out('server.pem')));
  const [rollover] = bundleIn(dir('rollover-4')).rollovers;
  assert.ok(rollover);
  assert.equal(
    readCertificate(rollover.newWithOld).notAfter.getTime(),
    readCertificate(rollover.old).notAfter.getTime(),
  );
  assert.deepEqual(readdirSync(rehearsal.layout.offline).sort(), [
    'root-2.sealed',
    'root.sealed',
    'signing-root.sealed',
  ]);
  // The new root goes on: its next CRL is by the new key.
  const next = bundleIn(await crl(dir('rollover-4'), 'crl-5'));
  assert.ok(readCrl(next.crls.root).verify(next.certificates.root));
  // And so does the old one, as long as it is an anchor: with its own numbers.
  const again = next.rollovers[0];
  assert.ok(again);
  assert.ok(readCrl(again.crl).verify(again.old));
  assert.ok(readCrl(again.crl).number > readCrl(rollover.crl).number);
  assert.equal(readCertificate(next.certificates.root).spkiSha256, readCertificate(again.newWithOld).spkiSha256);
});

test('a CA that a root revokes is named by the CRL; keyd takes the CRL, and what is revoked stays so', async () => {
  const revoke = { ca: 'manufacturing', reason: 'cACompromise' } as const;
  const out = await crl(dir('intermediate-3'), 'revoked-4', { revoke });
  const pem = dir('revoked.pem');
  openssl('crl', '-inform', 'DER', '-in', join(out, 'root.crl'), '-out', pem);
  const verify = (ca: string) =>
    openssl('verify', '-crl_check', '-CRLfile', pem, '-CAfile', join(out, 'root.pem'), join(out, `${ca}.pem`));
  assert.throws(() => verify('manufacturing'), /certificate revoked/);
  assert.match(verify('server'), /: OK/);
  const pins = await take(out);
  assert.deepEqual(pins.revoked, ['manufacturing']);
  await assert.rejects(crl(out, 'twice', { revoke }), { code: 'ceremony.revoked-already', field: 'revoke' });
  // No new certificate brings a revoked key back, neither by a request nor under a new root.
  const { layout, clock } = rehearsal;
  const request = await requestRenewal(layout, passphrase(KEYD), clock, { ca: 'manufacturing', key: 'same' });
  await assert.rejects(holdIntermediate({ ...later(out, 'back'), request: Buffer.from(request) }, silent), {
    code: 'ceremony.ca-revoked',
    field: 'manufacturing',
  });
  await assert.rejects(holdRollover({ ...later(out, 'back'), root: 'root' }, silent), { code: 'ceremony.ca-revoked' });
  const next = bundleIn(await crl(out, 'crl-after'));
  assert.deepEqual([readCrl(next.crls.root).number, readCrl(next.crls.root).entries.size], [5, 2]);
});

test('a later ceremony needs the passphrase and the files of its own roots', async () => {
  await assert.rejects(crl(founding(), 'wrong', { passphrase: passphrase('another passphrase') }), {
    code: 'keystore.wrong-passphrase',
  });
  await assert.rejects(crl(founding(), 'wrong', { offline: dir('empty') }), { code: 'ceremony.root-missing' });
  assert.throws(() => readdirSync(dir('wrong')), { code: 'ENOENT' });
});

test('the auditor verifies each ceremony against the one before, and hears what is wrong', () => {
  const failures = (at: string, previous?: string) =>
    verifyCeremony(at, { previous }).filter(({ verdict }) => verdict === 'failed');
  assert.deepEqual(failures(dir('crl-2'), founding()), []);
  assert.deepEqual(failures(dir('intermediate-3'), dir('crl-2')), []);
  assert.deepEqual(failures(dir('rollover-4'), dir('intermediate-3')), []);
  const [finding] = failures(dir('intermediate-3'), founding());
  assert.equal(finding?.check, 'the ceremony before');
  const [other] = verifyCeremony(dir('crl-2'), { rootSha256: 'ab'.repeat(32) }).filter((f) => f.verdict === 'failed');
  assert.equal(other?.check, 'root');
});
