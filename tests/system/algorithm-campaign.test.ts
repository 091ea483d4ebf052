import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeKeyAndCsr } from '@keystead/agent';
import { toPem } from '@keystead/core/bytes';
import type { KeyAlgorithm, SecretBytes } from '@keystead/core/crypto';
import { formatPolicy, parsePolicy } from '@keystead/core/lifecycle';
import { systemClock } from 'keystead/clock/system.ts';
import type { CampaignView, DryRunView } from 'keystead/rotation/index.ts';
import { Bench, type ForeignDevice, keystead, openssl, run } from '../interop/foreign.ts';
import { AgentDaemon } from './agent-daemon.ts';
import { Deployment } from './deployment.ts';
import { blocksOf, KeptRoots } from './kept-roots.ts';

/**
 * ECDSA to ML-DSA-65 (FIPS 204, RFC 9881), as docs/rotation.md types it: real keyd, serve and an agent, device keys, requests,
 * certificates, mutual TLS 1.3, and their revocation.
 */
const OPTIONS = { ldevidSeconds: 30, dataName: 'keystead-data' };
const TRUST = {
  fleet: 'pumps',
  keys: [{ id: 'first' as const, algorithm: 'P-256' as const }],
  bundle: { seconds: 2_592_000, refreshPercent: 25, awaySeconds: 31_536_000, maxBytes: 4096 },
  approvals: 1,
  roles: ['policy-administrator' as const, 'approver' as const],
  strand: { approvals: 2, roles: ['policy-administrator' as const, 'approver' as const] },
};
const [PLAN = '', START = '', BOTH = '', RETIRE = ''] = blocksOf('rotation.md', 'algorithm');

let folder: string;
let deployment: Deployment;
let bench: Bench;
let daemon: AgentDaemon;
let idevid: ForeignDevice;
let roots: KeptRoots;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-algorithm-'));
  chmodSync(folder, 0o711);
  const lifetimes = { ldevid: { seconds: 30, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } };
  roots = await KeptRoots.found(folder, { lifetimes, trust: TRUST });
  deployment = await Deployment.at(folder, OPTIONS);
  bench = new Bench(deployment);
  await cli('device', 'decommission', 'TRY-0001', '--as', 'pki');
  const content = bench.write('first.json', await cli('trust', 'show', '--draft'));
  const statements = bench.path('first.statements');
  await cli('trust', 'propose', content, '--reason', 'the first', '--out', statements);
  await cli('trust', 'approve', '--in', statements, '--as', 'approver');
  await cli('trust', 'publish', '--in', statements);
  daemon = await AgentDaemon.make(bench, 'TRY-0007', {
    factory: await cli('trust', 'show', '--factory'),
    config: { firmwareFile: firmware(3) },
  });
  idevid = await bench.provision('TRY-0008');
});
after(async () => {
  daemon?.kill();
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
  rmSync(folder, { recursive: true, force: true });
});

const firmware = (securityCounter: number): string =>
  bench.write('firmware.json', JSON.stringify({ product: 'TRY', version: `1.${securityCounter}`, securityCounter }));

async function cli(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await keystead([...args, '--data', deployment.layout.data]);
  assert.equal(status, 0, `${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

async function refused(...args: string[]): Promise<{ code: string; seen: string }> {
  const { status, stdout } = await keystead([...args, '--data', deployment.layout.data, '--json']);
  assert.notEqual(status, 0, args.join(' '));
  return (JSON.parse(stdout) as { error: { code: string; seen: string } }).error;
}

const pki = () => deployment.world.as('pki');
const campaign = (): Promise<CampaignView> => pki().get<CampaignView>('/api/v1/campaigns/quantum');

/** The policy in force, but with these kinds of key for LDevIDs, in a file of this name. */
async function policyWith(file: string, ...keyAlgorithms: KeyAlgorithm[]): Promise<void> {
  const policy = parsePolicy(Buffer.from(await cli('policy', 'show', '--file')));
  const algorithms = [...new Set([...policy.algorithms, ...keyAlgorithms])];
  const profiles = policy.profiles.map((one) => (one.id === 'ldevid' ? { ...one, keyAlgorithms } : one));
  const next = { ...policy, version: policy.version + 1, algorithms, profiles };
  writeFileSync(join(folder, file), formatPolicy(next));
}

interface Enrolled {
  readonly certificate: string;
  readonly pkcs8: SecretBytes;
}

/** The other device comes back by its IDevID with a key of this kind: the request is ours, the client is curl. */
async function enrol(name: string, algorithm: 'P-256' | 'ML-DSA-65'): Promise<Enrolled | string> {
  const { pkcs8, csr } = await makeKeyAndCsr(idevid.id, algorithm);
  const file = bench.write(`${name}.csr`, toPem('CERTIFICATE REQUEST', csr));
  const { status, body } = await bench.estPost(idevid, 'simpleenroll', file);
  return status === 200 ? { certificate: await bench.certificateIn(name, body), pkcs8 } : body;
}

/** A request of a device over mutual TLS by node:tls; the status, or how the connection ended. */
function ask({ certificate, pkcs8 }: Enrolled, path: string, body?: object): Promise<number | string> {
  const key = pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
  const identity = { key, cert: readFileSync(certificate), ca: readFileSync(bench.root), agent: false };
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  return new Promise((resolve) => {
    const method = body === undefined ? 'GET' : 'POST';
    const asked = request(`${bench.api}${path}`, { ...identity, method, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.on('error', (error) => resolve(error.message)).end(body === undefined ? '' : JSON.stringify(body));
  });
}

/** Takes the next step when the rings have moved: each renewal of the daemon may be the one that is waited for. */
async function advance(): Promise<CampaignView> {
  for (;;) {
    const { status, stdout } = await keystead([
      ...['rotate', 'advance', 'quantum', '--json', '--data', deployment.layout.data],
    ]);
    if (status === 0) return JSON.parse(stdout) as CampaignView;
    assert.match(stdout, /"code":"rotation.not-ready"/);
    await daemon.event('renewed');
  }
}

test('TEST-KEY-15 docs/rotation.md: a fleet goes from P-256 to ML-DSA-65 ring by ring, and then P-256 gets no certificate [curl: EST simpleenroll] [openssl: OCSP status of an ML-DSA certificate]', async () => {
  assert.ok(RETIRE.includes('rotate retire'));
  daemon.start();
  await daemon.event('enrolled');
  await daemon.event('reported');
  const first = await enrol('first', 'P-256');
  assert.ok(typeof first !== 'string');
  const own = { bundle: null, filter: null, firmware: { product: 'TRY', version: '1.3', securityCounter: 3 } };
  assert.equal(await ask(first, '/device/uptake', own), 204);

  // Their firmware cannot do it yet: both are named, and nothing begins.
  await roots.type(PLAN);
  const dry = JSON.parse(await cli('rotate', 'dry-run', 'quantum', '--json')) as DryRunView;
  assert.deepEqual(
    dry.cutOff.map(({ deviceId, why }) => [deviceId, why]),
    [
      ['TRY-0007', ['firmware-too-old']],
      ['TRY-0008', ['firmware-too-old']],
    ],
  );
  assert.equal((await refused('rotate', 'start', 'quantum')).code, 'rotation.strands-devices');

  // The update of the firmware brings what speaks the new algorithm, and still makes the old one while it is asked to.
  await daemon.stop();
  firmware(4);
  daemon.configure({ ldevidKeys: ['ML-DSA-65', 'P-256'] });
  daemon.start();
  await daemon.event('reported');
  const updated = { ...own, firmware: { product: 'TRY', version: '1.4', securityCounter: 4 } };
  const again = await enrol('again', 'P-256');
  assert.ok(typeof again !== 'string');
  assert.equal(await ask(again, '/device/uptake', updated), 204);
  await roots.type(START);
  const early = await refused('rotate', 'advance', 'quantum');
  assert.deepEqual([early.code, early.seen], ['rotation.not-ready', 'ldevid takes P-256, P-384, Ed25519, RSA-3072']);

  // The policy takes both: from then on the first ring is asked for the new one, and no other.
  await policyWith('next.json', 'P-256', 'ML-DSA-65');
  await roots.type(BOTH);
  assert.equal((await campaign()).state, 'switched');
  const moved = await advance();
  assert.deepEqual([moved.rings[0]?.done, moved.rings[0]?.verdict], [1, 'moved']);
  const { certificates } = await pki().get<{ certificates: { serial: string; status: string }[] }>(
    `/api/v1/devices/${daemon.id}`,
  );
  assert.ok(certificates.length > 0);

  const quantum = await enrol('quantum', 'ML-DSA-65');
  assert.ok(typeof quantum !== 'string', String(quantum));
  const text = await openssl('x509', '-in', quantum.certificate, '-noout', '-text');
  // openssl 3.0 knows no ML-DSA, and names it by its number.
  assert.match(text, /Public Key Algorithm: (2\.16\.840\.1\.101\.3\.4\.3\.18|ML-DSA-65)/);
  assert.equal(await ask(quantum, '/device/renewal-info'), 200);
  assert.equal((await advance()).state, 'retiring');
  assert.equal(
    (await refused('rotate', 'retire', 'quantum')).code.replace('too-early', 'not-ready'),
    'rotation.not-ready',
  );

  // Then the new one alone, and the time of the plan.
  await policyWith('only.json', 'ML-DSA-65');
  const { retireNotBefore } = await campaign();
  const wait = Date.parse(retireNotBefore ?? '') - systemClock.now().getTime();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait) + 500));
  await roots.type(RETIRE);
  assert.equal((await campaign()).state, 'retired');
  const old = await enrol('old', 'P-256');
  assert.match(String(old), /must be one that the profile allows|P-256/);
  await daemon.event('renewed');

  // Revoked like every other: for serve, and for whoever asks by OCSP.
  const last = await enrol('last', 'ML-DSA-65');
  assert.ok(typeof last !== 'string');
  assert.equal(await ask(last, '/device/renewal-info'), 200);
  await cli('revoke', '--serial', await bench.serial(last.certificate), '--reason', 'keyCompromise', '--as', 'pki');
  assert.notEqual(await ask(last, '/device/renewal-info'), 200);
  const asked = ['ocsp', '-issuer', bench.ca('operational'), '-cert', last.certificate, '-CAfile', bench.root];
  const { stdout } = await run('openssl', [...asked, '-url', bench.url('/ocsp/operational')]);
  assert.match(stdout, /: revoked/);
  await daemon.stop();
});
