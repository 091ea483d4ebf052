import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { certificateOf, formatBundle, parseBundle } from '@keystead/core/lifecycle';
import { checkPath, readCertificate, readCrl } from '@keystead/core/x509';
import { type CeremonyOfKind, holdCeremony } from '../../ceremony/hold.ts';
import {
  holdIntermediate,
  type IntermediateOptions,
  intermediate as intermediateKind,
} from '../../ceremony/intermediate.ts';
import type { Plan } from '../../ceremony/plan.ts';
import { holdCrl, revocationLists } from '../../ceremony/revocation-lists.ts';
import { holdRollover } from '../../ceremony/rollover.ts';
import { passphrase, Rehearsal } from '../../ceremony/tests/rehearsal.ts';
import { verifyCeremony } from '../../ceremony/verify.ts';
import { lastTranscript, loadHierarchy, pinsPath, readPins } from '../hierarchy.ts';
import { importBundle } from '../import.ts';
import { requestRenewal } from '../renewal.ts';
import { KEYD_PASSPHRASE, KeydBed } from './bed.ts';

let bed: KeydBed;
let ours: Rehearsal;
/** The outputs of each ceremony in their order; the founding first. */
const dirs: string[] = [];

before(async () => {
  bed = await KeydBed.make();
  ours = bed.rehearsal;
  dirs.push(ours.layout.ceremony);
  await bed.stop();
});
after(() => bed.remove());

const importFrom = (from: string) => importBundle(ours.layout, passphrase(KEYD_PASSPHRASE), bed.clock, { from });
const latest = (): string => dirs.at(-1) ?? '';
const bundleIn = (dir: string) => parseBundle(readFileSync(join(dir, 'bundle.json')));
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
/** `openssl verify` at the simulated time. */
const verify = (...args: string[]): string =>
  openssl('verify', '-x509_strict', '-attime', String(Math.floor(bed.clock.now().getTime() / 1000)), ...args);
const request = (wanted: Parameters<typeof requestRenewal>[3]) =>
  requestRenewal(ours.layout, passphrase(KEYD_PASSPHRASE), bed.clock, wanted);
const out = (name: string): string => join(ours.dir, name);

/** Time passes, a ceremony is held, and its outputs are the latest. */
async function held(name: string, hold: (previous: string) => Promise<unknown>): Promise<string> {
  bed.clock.advance(86_400);
  const previous = latest();
  await hold(previous);
  dirs.push(out(name));
  const proven = verifyCeremony(out(name), { previous });
  assert.deepEqual(
    proven.filter(({ verdict }) => verdict === 'failed'),
    [],
  );
  return out(name);
}

async function intermediate(
  name: string,
  wanted: Parameters<typeof requestRenewal>[3],
  more: Partial<IntermediateOptions> = {},
) {
  const { path } = await request(wanted);
  return held(name, (previous) =>
    holdIntermediate({ ...ours.later(previous, name), request: readFileSync(path), ...more }, ours.io),
  );
}

/** Expects the refusal, and that nothing of keyd has changed. */
async function refused(code: string, from: string, field?: string): Promise<void> {
  const before = readFileSync(pinsPath(ours.layout));
  await assert.rejects(importFrom(from), (error) => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    if (field !== undefined) assert.equal(error.field, field);
    return true;
  });
  assert.deepEqual(readFileSync(pinsPath(ours.layout)), before);
  loadHierarchy(ours.layout);
}

test('while keyd runs nothing is imported and no request is made', async () => {
  await bed.start();
  await assert.rejects(importFrom(latest()), { code: 'keyd.already-running' });
  await assert.rejects(request({ ca: 'server', key: 'same' }), { code: 'keyd.already-running' });
  await bed.stop();
});

test('TEST-KEY-22 a CA is certified again for the key that it has, and keyd goes on with it', async () => {
  const old = readCertificate(loadHierarchy(ours.layout).certificates.operational);
  const dir = await intermediate('renewed', { ca: 'operational', key: 'same' });
  const pins = await importFrom(dir);
  assert.deepEqual(
    pins.later.map(({ number, ceremony }) => [number, ceremony]),
    [[2, 'intermediate']],
  );
  assert.deepEqual(await importFrom(dir), pins);
  const { operational } = loadHierarchy(ours.layout).certificates;
  const fresh = readCertificate(operational);
  assert.equal(fresh.spkiSha256, old.spkiSha256);
  assert.ok(fresh.notAfter > old.notAfter);
  assert.match(verify('-CAfile', join(dir, 'root.pem'), join(dir, 'operational.pem')), /: OK/);

  await bed.start();
  const { certificate } = await bed.provision('KS-0001', await bed.ticket({ id: 'batch-1' }));
  const ldevid = await bed.enrol('KS-0001', certificate);
  const { root } = (await bed.client.trust()).certificates;
  assert.ok(root);
  const path = checkPath(ldevid.certificate, [operational], [root], { now: bed.clock.now() });
  assert.equal(path.ok, true);
  assert.deepEqual(
    (await bed.client.trust()).later.map(({ number }) => number),
    [2],
  );
  await bed.stop();
  // A new certificate makes no key younger.
  assert.ok(new Date(pins.activated.operational ?? 0) < fresh.notBefore);
});

test('a new list of the roots goes up by one number and is published; what came before is older', async () => {
  const dir = await held('lists', (previous) => holdCrl(ours.later(previous, 'lists'), ours.io));
  await importFrom(dir);
  const published = readFileSync(join(ours.layout.crl, 'root.crl'));
  assert.deepEqual([readCrl(published).number, readCrl(published).entries.size], [2, 0]);
  assert.match(
    openssl(
      'crl',
      '-inform',
      'DER',
      '-in',
      join(ours.layout.crl, 'root.crl'),
      '-noout',
      '-CAfile',
      join(dir, 'root.pem'),
      '-crlnumber',
    ),
    /crlNumber=(0x)?0?2\b/,
  );
  await refused('bundle.older', dirs[0] ?? '', 'number');
  await refused('bundle.older', dirs[1] ?? '', 'number');
});

test('a bundle that leaves one out, that is of another branch, of another hierarchy or of a rehearsal is refused by name', async () => {
  const first = out('branch-a');
  const second = out('branch-b');
  await holdCrl(ours.later(latest(), 'branch-a'), ours.io);
  await holdCrl(ours.later(first, 'branch-b'), ours.io);
  await refused('bundle.gap', second, 'number');
  await holdCrl(ours.later(dirs[1] ?? '', 'fork'), ours.io);
  await refused('bundle.older', out('fork'), 'number');
  await holdCrl(ours.later(out('fork'), 'fork-2'), ours.io);
  await refused('bundle.foreign', out('fork-2'), 'previousTranscriptSha256');

  const theirs = await Rehearsal.make({}, new SimulatedClock(bed.clock.now()));
  await theirs.run();
  await refused('bundle.already-imported', theirs.layout.ceremony);
  await holdCrl(theirs.later(theirs.layout.ceremony, 'crl'), theirs.io);
  await refused('bundle.foreign', join(theirs.dir, 'crl'), 'root');
  theirs.remove();

  await holdCrl({ ...ours.later(latest(), 'rehearsed'), rehearsal: true }, ours.io);
  await refused('bundle.rehearsal', out('rehearsed'), 'bundle.rehearsal');
});

test('what a medium may hold in the place of a bundle is refused by name before it is used', async () => {
  const copy = (change: (file: (name: string) => string) => void): string => {
    const dir = mkdtempSync(join(ours.dir, 'medium-'));
    cpSync(out('branch-a'), dir, { recursive: true });
    change((name) => join(dir, name));
    return dir;
  };
  const edited = (edit: (text: string) => string) =>
    copy((file) => writeFileSync(file('bundle.json'), edit(readFileSync(file('bundle.json'), 'utf8'))));
  await refused(
    'bundle.version',
    edited((text) => text.replace('"version": 2', '"version": 3')),
    'version',
  );
  await refused(
    'bundle.not-canonical',
    edited((text) => text.replace('"version": 2,', '"version": 2,\n  "number": 99,')),
  );
  await refused(
    'bundle.malformed',
    edited((text) => text.replace('"version": 2,', '"version": 2,\n  "backdoor": 1,')),
    'backdoor',
  );
  await refused(
    'bundle.altered',
    edited((text) => text.replace('"number": 4', '"number": 5')),
    'bundle.json',
  );
  await refused(
    'bundle.too-large',
    copy((file) => truncateSync(file('bundle.json'), 3 * 1024 * 1024)),
    'bundle.json',
  );
  await refused(
    'bundle.file-name',
    copy((file) => {
      cpSync(file('policy.json'), file('elsewhere'));
      execFileSync('rm', [file('policy.json')]);
      symlinkSync('elsewhere', file('policy.json'));
    }),
    'policy.json',
  );
  await refused(
    'bundle.file-name',
    copy((file) => {
      execFileSync('rm', [file('transcript.sig')]);
      execFileSync('mkfifo', [file('transcript.sig')]);
    }),
    'transcript.sig',
  );
});

test('what even the root signed is refused when it changes more than the ceremony was held for, or goes back', async () => {
  const { path } = await request({ ca: 'server', key: 'same' });
  const options = { ...ours.later(latest(), 'mislabelled'), request: readFileSync(path) };
  /** A ceremony whose program was changed: it says of itself and of its bundle what `lie` makes of it. */
  const lying = (honest: CeremonyOfKind, lie: (plan: Plan) => Partial<Plan>): CeremonyOfKind => ({
    policy: honest.policy,
    plan(making, keys) {
      const plan = honest.plan(making, keys);
      return { ...plan, ...lie(plan) };
    },
  });
  const asCrl = (plan: Plan) => ({
    kind: 'crl' as const,
    begin: { ...plan.begin, requestSha256: undefined as never },
    bundle: () => ({ ...plan.bundle(), ceremony: 'crl' as const, requestSha256: null }),
  });
  await holdCeremony(options, () => lying(intermediateKind(options), asCrl), ours.io);
  await refused('bundle.change-unexpected', out('mislabelled'), 'ceremony crl');

  const { crls } = bundleIn(dirs[0] ?? '');
  const back = ours.later(latest(), 'back');
  const goingBack = (plan: Plan) => ({ bundle: () => ({ ...plan.bundle(), crls }) });
  await holdCeremony(back, () => lying(revocationLists(back), goingBack), ours.io);
  await refused('bundle.older', out('back'), 'crls.root');
});

test('a request that is not by the evidence key, or follows from another ceremony, is refused by the root', async () => {
  const { path } = await request({ ca: 'server', key: 'same' });
  const text = readFileSync(path, 'utf8');
  const rejects = (bytes: string, expected: object, previous = latest()) =>
    assert.rejects(
      holdIntermediate({ ...ours.later(previous, 'never'), request: Buffer.from(bytes) }, ours.io),
      expected,
    );
  await rejects(text.replace('"ca": "server"', '"ca": "operator"'), {
    code: 'ceremony.request-signature',
    field: 'signature',
  });
  await rejects(text.replace('"key": "same"', '"key": "same", "key": "successor"'), {
    code: 'ceremony.request-malformed',
  });
  await rejects(text, { code: 'ceremony.request-stale', field: 'transcriptSha256' }, dirs[0]);
  const { signer } = JSON.parse(readFileSync(path, 'utf8')) as { signer: string };
  await rejects(text.replace(signer, 'AAAA'), { code: 'ceremony.request-signature', field: 'signer' });
  assert.equal(existsSync(out('never')), false);
});

test('a successor whose old certificate lives on is more than keyd serves yet, and is refused whole', async () => {
  const { path } = await request({ ca: 'operator', key: 'successor' });
  await holdIntermediate({ ...ours.later(latest(), 'overlap'), request: readFileSync(path) }, ours.io);
  await refused('bundle.overlap-planned', out('overlap'), 'certificates.operator');
});

test('TEST-KEY-22 a CA whose key is lost gets a successor in the ceremony that revokes the old certificate', async () => {
  const old = loadHierarchy(ours.layout).certificates.operational;
  const dir = await intermediate('replaced', { ca: 'operational', key: 'successor' }, { revokeOld: 'keyCompromise' });
  const pins = await importFrom(dir);
  assert.deepEqual(pins.keys, { operational: 'ca-operational-2' });
  const { entries } = readCrl(readFileSync(join(ours.layout.crl, 'root.crl')));
  assert.equal(entries.get(readCertificate(old).serial)?.reason, 'keyCompromise');
  await bed.start();
  const { certificate } = await bed.provision('KS-0002', await bed.ticket({ id: 'batch-2' }));
  const { certificate: ldevid } = await bed.enrol('KS-0002', certificate);
  const { root, operational } = (await bed.client.trust()).certificates;
  assert.ok(root && operational);
  assert.notEqual(readCertificate(operational).spkiSha256, readCertificate(old).spkiSha256);
  assert.equal(checkPath(ldevid, [operational], [root], { now: bed.clock.now() }).ok, true);
  assert.equal(checkPath(ldevid, [old], [root], { now: bed.clock.now() }).ok, false);
  await bed.stop();
});

test('TEST-KEY-22 a rolled over root is reached from either anchor, by openssl too, and keyd serves what leads across', async () => {
  const before = latest();
  const dir = await held('rolled', (previous) =>
    holdRollover({ ...ours.later(previous, 'rolled'), root: 'root' }, ours.io),
  );
  const pins = await importFrom(dir);
  assert.notEqual(pins.certificates.root, certSha256(bundleIn(before).certificates.root));
  assert.deepEqual(Object.keys(pins.rollovers), ['root-1', 'root-1-new-with-old', 'root-1-old-with-new']);
  const file = (name: string) => join(dir, name);
  for (const ca of ['manufacturing', 'operational', 'server', 'operator']) {
    assert.match(verify('-CAfile', file('root.pem'), file(`${ca}.pem`)), /: OK/);
    assert.match(
      verify('-CAfile', file('root-1.pem'), '-untrusted', file('root-1-new-with-old.pem'), file(`${ca}.pem`)),
      /: OK/,
    );
    // A device that got the new anchor alone believes certificates of before by old with new.
    assert.match(
      verify('-CAfile', file('root.pem'), '-untrusted', file('root-1-old-with-new.pem'), join(before, `${ca}.pem`)),
      /: OK/,
    );
  }
  await bed.start();
  const trust = await bed.client.trust();
  assert.equal(trust.rollovers.length, 2);
  const { certificate } = await bed.provision('KS-0003', await bed.ticket({ id: 'batch-3' }));
  const { manufacturing } = trust.certificates;
  assert.ok(manufacturing);
  const oldRoot = certificateOf(readFileSync(file('root-1.pem'), 'latin1'), 'root-1.pem');
  const path = checkPath(certificate, [manufacturing, ...trust.rollovers], [oldRoot], { now: bed.clock.now() });
  assert.equal(path.ok, true);
  await bed.stop();
});

test('after a rollover the next ceremonies are held with the new root, and an old bundle is older, not foreign', async () => {
  const dir = await held('after', (previous) => holdCrl(ours.later(previous, 'after'), ours.io));
  await importFrom(dir);
  await refused('bundle.older', dirs[2] ?? '', 'number');
  const rolled = await held('rolled-signing', (previous) =>
    holdRollover({ ...ours.later(previous, 'rolled-signing'), root: 'signing-root' }, ours.io),
  );
  const pins = await importFrom(rolled);
  assert.equal(Object.keys(pins.rollovers).length, 6);
  assert.equal(existsSync(join(ours.layout.offline, 'signing-root-2.sealed')), true);
});

test('an import that was cut short is finished by the same import, and until then keyd refuses to start', async () => {
  const before = readFileSync(pinsPath(ours.layout));
  const dir = await intermediate('cut', { ca: 'server', key: 'same' });
  await importFrom(dir);
  const done = readFileSync(pinsPath(ours.layout));
  writeFileSync(pinsPath(ours.layout), before);
  assert.throws(() => loadHierarchy(ours.layout), {
    code: 'bundle.altered',
    field: join(ours.layout.trust, 'server.pem'),
  });
  await importFrom(dir);
  assert.deepEqual(readFileSync(pinsPath(ours.layout)), done);
  assert.equal(
    lastTranscript(readPins(ours.layout) ?? assert.fail()),
    (readPins(ours.layout) ?? assert.fail()).later.at(-1)?.transcriptSha256,
  );
});

test('TEST-KEY-22 a CA that the root has revoked issues nothing more, and the list says why', async () => {
  const revoke = { ca: 'operational', reason: 'cACompromise' } as const;
  const dir = await held('revoked', (previous) => holdCrl({ ...ours.later(previous, 'revoked'), revoke }, ours.io));
  const pins = await importFrom(dir);
  assert.deepEqual(pins.revoked, ['operational']);
  assert.throws(
    () =>
      verify(
        '-crl_check',
        '-CRLfile',
        join(dir, 'root.crl'),
        '-CAfile',
        join(dir, 'root.pem'),
        join(dir, 'operational.pem'),
      ),
    /certificate revoked/,
  );
  await bed.start();
  const { certificate } = await bed.provision('KS-0004', await bed.ticket({ id: 'batch-4' }));
  await assert.rejects(bed.enrol('KS-0004', certificate), { code: 'ca.revoked', field: 'operational' });
  await bed.stop();
  await assert.rejects(holdCrl({ ...ours.later(dir, 'again'), revoke }, ours.io), {
    code: 'ceremony.revoked-already',
    field: 'revoke',
  });
});

test('a bundle reads back as it was written', () => {
  for (const dir of dirs) {
    const text = readFileSync(join(dir, 'bundle.json'), 'utf8');
    assert.equal(formatBundle(parseBundle(Buffer.from(text))), text);
  }
});
