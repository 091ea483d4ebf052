import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { type CeremonyBundle, certificateOf } from '@keystead/core/lifecycle';
import { OcspIssuer, readCertificate, readCrl } from '@keystead/core/x509';
import { type CeremonyOfKind, holdCeremony } from '../../ceremony/hold.ts';
import { intermediate } from '../../ceremony/intermediate.ts';
import type { Plan } from '../../ceremony/plan.ts';
import { revocationLists } from '../../ceremony/revocation-lists.ts';
import { rollover } from '../../ceremony/rollover.ts';
import type { Result } from '../../keyd-client/index.ts';
import { loadHierarchy, pinsPath } from '../hierarchy.ts';
import { KeydBed } from './bed.ts';
import { LaterCeremonies, silent } from './later-bed.ts';

const YEAR = 365 * 86_400;
let bed: KeydBed;
let ceremonies: LaterCeremonies;
let idevid: DerCertificate;
let before_: { root: DerCertificate; ldevid: DerCertificate; operational: DerCertificate };

before(async () => {
  bed = await KeydBed.make({
    lifetimes: { ldevid: { seconds: 300 * 86_400 } },
    roots: { transitionSeconds: 2 * YEAR },
    revocation: { rootCrlSeconds: 5 * YEAR },
  });
  ceremonies = new LaterCeremonies(bed);
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
  const { certificate: ldevid } = await bed.enrol('KS-0001', idevid);
  const { root, operational } = (await bed.client.trust()).certificates;
  assert.ok(root && operational);
  before_ = { root, ldevid, operational };
});
after(() => bed.remove());

/** keyd refuses the outputs, and nothing of its own has changed. */
async function refused(from: string, expected: object): Promise<void> {
  const { layout } = bed.rehearsal;
  const all = () =>
    [pinsPath(layout), ...readdirSync(layout.trust).map((name) => join(layout.trust, name))].map((path) =>
      readFileSync(path, 'latin1'),
    );
  const unchanged = all();
  await assert.rejects(ceremonies.import(from), expected);
  assert.deepEqual(all(), unchanged);
  loadHierarchy(layout);
}

/** A ceremony whose program was changed: it says of its bundle what `lie` makes of it. */
const lying = (honest: CeremonyOfKind, lie: (bundle: CeremonyBundle) => Partial<CeremonyBundle>): CeremonyOfKind => ({
  policy: honest.policy,
  plan(making, keys) {
    const plan: Plan = honest.plan(making, keys);
    return { ...plan, bundle: () => ({ ...plan.bundle(), ...lie(plan.bundle()) }) };
  },
});

test('what the root signed is refused when it changes more than the ceremony was held for, brings something back, or is revoked', async () => {
  await bed.stop();
  const founding = ceremonies.bundle();
  const request = await ceremonies.request({ ca: 'server', key: 'same' });
  const renewal = { ...ceremonies.options('renewal'), request };
  await holdCeremony(renewal, () => intermediate(renewal), silent);
  const fresh = ceremonies.bundle(renewal.out).certificates.server;

  const lists = ceremonies.options('lists');
  const certificates = { ...founding.certificates, server: fresh };
  await holdCeremony(lists, () => lying(revocationLists(lists), () => ({ certificates })), silent);
  await refused(lists.out, { code: 'bundle.change-unexpected', field: 'certificates', seen: 'server' });

  const forgetful = {
    ...ceremonies.options('forgetful'),
    request: await ceremonies.request({ ca: 'operational', key: 'successor' }),
  };
  await holdCeremony(forgetful, () => lying(intermediate(forgetful), () => ({ earlier: [] })), silent);
  await refused(forgetful.out, { code: 'bundle.change-unexpected', field: 'the keys of operational' });

  const back = { ...ceremonies.options('back'), request, revokeOld: 'superseded' as const };
  await holdCeremony(back, () => lying(intermediate(back), () => ({ crls: founding.crls })), silent);
  // The old list is as it was; a list that goes back needs one that went forward first.
  await ceremonies.import(back.out);
  ceremonies.dirs.push(back.out);
  await ceremonies.crl('forward', { ca: 'operational', reason: 'cACompromise' });
  await ceremonies.import();
  const older = ceremonies.options('older');
  await holdCeremony(older, () => lying(revocationLists(older), () => ({ crls: founding.crls })), silent);
  await refused(older.out, { code: 'bundle.older', field: 'crls.root' });

  const again = {
    ...ceremonies.options('again'),
    request: await ceremonies.request({ ca: 'operational', key: 'successor' }),
  };
  const successor = (): CeremonyOfKind => intermediate(again);
  /** The list revokes the very certificate that the ceremony is held for. */
  const selfRevoking = (): CeremonyOfKind => {
    const honest = successor();
    return {
      policy: honest.policy,
      plan(making, keys) {
        const plan = honest.plan(making, keys);
        const steps = plan.steps.map((step) => ({
          ...step,
          async act(session: Parameters<typeof step.act>[0]) {
            await step.act(session);
            if (!step.title.startsWith('Certificate')) return;
            const { serial } = readCertificate(plan.bundle().certificates.operational);
            crlOfRoot = await revoking(plan, making, serial);
          },
        }));
        return {
          ...plan,
          steps,
          bundle: () => ({
            ...plan.bundle(),
            crls: { ...plan.bundle().crls, root: crlOfRoot ?? plan.bundle().crls.root },
          }),
        };
      },
    };
  };
  let crlOfRoot: CeremonyBundle['crls']['root'] | undefined;
  await holdCeremony(again, selfRevoking, silent);
  await refused(again.out, { code: 'bundle.revoked', field: 'certificates.operational' });
});

/** The next CRL of the root with one more serial. */
async function revoking(
  plan: Plan,
  making: Parameters<CeremonyOfKind['plan']>[0],
  serial: ReturnType<typeof readCertificate>['serial'],
): Promise<CeremonyBundle['crls']['root']> {
  const { entriesOf, rootCrl } = await import('../../ceremony/hierarchy.ts');
  const last = plan.bundle().crls.root;
  const entries = [...entriesOf(last), { serial, reason: 'superseded' as const, revokedAt: bed.clock.now() }];
  return rootCrl(plan.certifier(), readCrl(last).number + 1, entries, making);
}

test('a revoked CA gets its successor before the root can get a new key', async () => {
  const request = await ceremonies.request({ ca: 'operational', key: 'successor' });
  const next = ceremonies.options('successor');
  assert.throws(() => rollover({ ...next, root: 'root' }), { code: 'ceremony.ca-revoked', field: 'operational' });
  await ceremonies.held('successor', (options) =>
    holdCeremony(options, () => intermediate({ ...options, request }), silent),
  );
  await ceremonies.take();
  before_ = { ...before_, ldevid: (await bed.enrol('KS-0001', idevid)).certificate };
});

test('TEST-KEY-22 a root gets a new key and both anchors lead to what was issued before and after [openssl: X.509 verify across a rollover, CRL verify, OCSP verify]', async () => {
  await bed.stop();
  const dir = await ceremonies.rollover('rolled');
  const pins = await ceremonies.take();
  assert.equal(pins.rollovers.length, 1);
  const trust = await bed.client.trust();
  const { root } = trust.certificates;
  const [rolled] = trust.rollovers;
  assert.ok(root && rolled);
  assert.deepEqual([rolled.role, rolled.old, rolled.next], ['root', 'root', 'root.2']);
  assert.notEqual(certSha256(root), certSha256(before_.root));
  assert.equal(rolled.until.getTime(), readCertificate(root).notBefore.getTime() + 2 * YEAR * 1000);

  const issued = await bed.enrol('KS-0001', idevid);
  assert.equal(issued.issuer, 'operational.2');
  const { layout } = bed.rehearsal;
  const trusted = (name: string) => join(layout.trust, `${name}.pem`);
  const old = ceremonies.pem('old-root', before_.root);
  const chain = join(layout.trust, 'ca-chain.pem');
  const leaves = { fresh: issued.certificate, earlier: before_.ldevid };
  for (const [name, leaf] of Object.entries(leaves)) {
    const path = ceremonies.pem(name, leaf);
    for (const anchor of [old, trusted('root')]) {
      assert.match(ceremonies.verify('-CAfile', anchor, '-untrusted', chain, path), /: OK/, `${name} under ${anchor}`);
    }
  }
  // The one way over is by the certificates of the rollover: without them the other anchor leads nowhere.
  const leaf = ceremonies.pem('leaf', issued.certificate);
  assert.throws(() => ceremonies.verify('-CAfile', old, '-untrusted', trusted('operational'), leaf));

  // Status: the list of the CA, and of both keys of the root, under each anchor, by their names in the certificates.
  const { crl } = await bed.client.signCrl({ issuer: 'operational.2', number: 1, entries: [] });
  const lists = ceremonies.crlPem(
    'lists',
    crl,
    ...['root', 'root.2'].map((id) => readFileSync(join(layout.crl, `${id}.crl`))),
  );
  for (const anchor of [old, trusted('root')]) {
    const checked = ceremonies.verify(
      '-crl_check_all',
      '-CRLfile',
      lists,
      '-CAfile',
      anchor,
      '-untrusted',
      chain,
      leaf,
    );
    assert.match(checked, /: OK/, anchor);
  }
  assert.match(
    Buffer.from(readCertificate(loadHierarchy(layout).certificates.server).der).toString('latin1'),
    /\/ca\/root\.2\.cer/,
  );
  assert.match(Buffer.from(before_.operational).toString('latin1'), /\/ca\/root\.cer/);
  assert.ok(readCrl(readFileSync(join(layout.crl, 'root.crl'))).verify(before_.root));
  assert.ok(readCrl(readFileSync(join(layout.crl, 'root.2.crl'))).verify(root));

  const { serial } = issued;
  const operational = trust.issuers.find(({ id }) => id === 'operational.2')?.certificate;
  assert.ok(operational);
  const certId = new OcspIssuer(readCertificate(operational)).certId(serial);
  const { response } = await bed.client.signOcsp({ issuer: 'operational.2', responses: [{ certId, status: 'good' }] });
  const answer = ceremonies.out('answer.der');
  writeFileSync(answer, response);
  const issuer = ceremonies.pem('issuer', operational);
  const at = String(Math.floor(bed.clock.now().getTime() / 1000));
  for (const anchor of [old, trusted('root')]) {
    const args = ['ocsp', '-respin', answer, '-issuer', issuer, '-sha256', '-cert', leaf, '-CAfile', anchor];
    const more = ['-verify_other', chain, '-attime', at, '-no_nonce'];
    const said = spawnSync('openssl', [...args, ...more], { encoding: 'utf8' });
    // It judges the path at the simulated time, and the age of the answer by the clock on the wall.
    assert.match(said.stderr, /Response verify OK/, anchor);
    assert.match(said.stdout, /^good$/m, anchor);
  }
  assert.deepEqual(
    readdirSync(layout.trust)
      .filter((name) => /^root/.test(name))
      .sort(),
    ['root-1-new-with-old.pem', 'root-1-old-with-new.pem', 'root-1.pem', 'root-crl-signer.pem', 'root.pem'],
  );
  const file = join(dir, 'root-1.pem');
  assert.deepEqual(certificateOf(readFileSync(file, 'latin1'), file), before_.root);
});

test('after a rollover a CA is revoked under both keys of the root, and the old key signs its lists as long as it counts', async () => {
  await ceremonies.crl('both', { ca: 'manufacturing', reason: 'keyCompromise' });
  const { revoked } = await ceremonies.take();
  assert.deepEqual(revoked, ['manufacturing', 'operational']);
  const { layout } = bed.rehearsal;
  const [first, second] = ['root', 'root.2'].map((id) => readCrl(readFileSync(join(layout.crl, `${id}.crl`))));
  const founded = readCertificate(ceremonies.bundle(ceremonies.dirs[0]).certificates.manufacturing);
  const now = readCertificate(ceremonies.bundle().certificates.manufacturing);
  assert.ok(first?.entries.has(founded.serial), 'the certificate that the old root made');
  assert.ok(second?.entries.has(now.serial), 'the certificate that the new root made');
  await assert.rejects(bed.enrol('KS-0001', idevid), { code: 'requester.unproven' });

  // When the transition is over, the old root signs nothing more: its key may be gone.
  bed.clock.advance(2 * YEAR);
  await bed.stop();
  const dir = await ceremonies.crl('retired');
  const [before, after] = [ceremonies.dirs.at(-2), dir].map((at) => ceremonies.bundle(at).rollovers[0]);
  assert.deepEqual(after?.crl, before?.crl);
  await ceremonies.take();
});

test('the signing root gets a new key too, and what came before stays pinned', async () => {
  await bed.stop();
  await ceremonies.rollover('signing', 'signing-root');
  const pins = await ceremonies.take();
  assert.deepEqual(
    pins.rollovers.map(({ role }) => role),
    ['root', 'signing-root'],
  );
  const { rollovers } = await bed.client.trust();
  assert.deepEqual(
    rollovers.map(({ old, next }) => [old, next]),
    [
      ['root', 'root.2'],
      ['signing-root', 'signing-root.2'],
    ],
  );
  await bed.stop();
  const { layout } = bed.rehearsal;
  const across = join(layout.trust, 'root-1-new-with-old.pem');
  writeFileSync(across, readFileSync(join(layout.trust, 'root-1-old-with-new.pem')));
  await assert.rejects(bed.start(), { code: 'bundle.altered', field: across });
});

test('keyd tells of each later ceremony what it took over, in its order', async () => {
  const { layout } = bed.rehearsal;
  const { later } = JSON.parse(readFileSync(pinsPath(layout), 'utf8')) as { later: Result<'trust'>['later'] };
  assert.deepEqual(
    later.map(({ ceremony, offline }) => [ceremony, offline]),
    [
      ['intermediate', true],
      ['crl', true],
      ['intermediate', true],
      ['rollover', true],
      ['crl', true],
      ['crl', true],
      ['rollover', true],
    ],
  );
});
