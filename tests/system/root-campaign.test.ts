import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttps, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, type SoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { caProfile, formatPolicy, type Policy, parsePolicy, profileOf, transitionEnd } from '@keystead/core/lifecycle';
import {
  assembleSigned,
  CertificateTemplate,
  certificationRequest,
  namesFor,
  newSerial,
  readCertificate,
} from '@keystead/core/x509';
import { holdCrl } from 'keystead/ceremony/revocation-lists.ts';
import { SealedRoots } from 'keystead/ceremony/root-keys.ts';
import { systemClock } from 'keystead/clock/system.ts';
import type { IssuedView } from 'keystead/protocols/rest/domain.ts';
import type { CampaignView } from 'keystead/rotation/index.ts';
import { Bench, type ForeignDevice, keystead, openssl, run } from '../interop/foreign.ts';
import { AgentDaemon } from './agent-daemon.ts';
import { Deployment } from './deployment.ts';
import { blocksOf, KeptRoots, silent } from './kept-roots.ts';

/**
 * A root from one key to the next, as docs/rotation.md types it: real ceremonies, keyd, serve and agents, and trust bundles
 * that a quorum ordered. A device talks to its servers all the while.
 */
const OPTIONS = { ldevidSeconds: 3600, dataName: 'keystead-data' };
const YEARS_2 = 2 * 365 * 86_400;
const TRUST = {
  fleet: 'pumps',
  keys: [{ id: 'first' as const, algorithm: 'P-256' as const }],
  bundle: { seconds: 2_592_000, refreshPercent: 25, awaySeconds: 31_536_000, maxBytes: 4096 },
  approvals: 1,
  roles: ['policy-administrator' as const, 'approver' as const],
  strand: { approvals: 2, roles: ['policy-administrator' as const, 'approver' as const] },
};
const [CEREMONY = '', ANNOUNCE = '', IMPORT = '', SWITCH = '', LAST = '', RETIRE = ''] = blocksOf(
  'rotation.md',
  'root',
);

let folder: string;
let roots: KeptRoots;
let deployment: Deployment;
let bench: Bench;
let daemon: AgentDaemon;
/** A device whose bundle is what this test says. */
let other: ForeignDevice;
let oldRoot: DerCertificate;
/** How long it took to get so far, seconds: about as long as from the ceremony to the start with the new root. */
let madeSeconds: number;
const servers = new Map<string, Server>();

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-root-'));
  chmodSync(folder, 0o711);
  const lifetimes = { ldevid: { seconds: 3600, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } };
  const began = performance.now();
  roots = await KeptRoots.found(folder, { lifetimes, roots: { transitionSeconds: YEARS_2 }, trust: TRUST });
  await begin();
  [oldRoot] = certificatesIn(bench.root) as [DerCertificate];
  copyFileSync(bench.root, join(folder, 'old-root.pem'));
  // Nobody drives the device of the deployment: it would count as one that is away.
  await cli('device', 'decommission', 'TRY-0001', '--as', 'pki');
  writeFileSync(join(folder, 'first.json'), await cli('trust', 'show', '--draft'));
  await order('first');
  for (const name of ['old', 'new', 'thief']) await listen(name);
  await serveBy('old', await serverCertificate());
  daemon = await AgentDaemon.make(bench, 'TRY-0007', {
    factory: await cli('trust', 'show', '--factory'),
    // The responder is away while the new root is imported; the lifetimes of certificates must do.
    config: { ocsp: false },
    tunnels: [...servers].map(([socket, server]) => ({ socket, port: (server.address() as AddressInfo).port })),
  });
  other = await bench.enrol(await bench.provision('TRY-0008'), 'simpleenroll', 'other');
  madeSeconds = (performance.now() - began) / 1000;
});
after(async () => {
  talk.over();
  daemon?.kill();
  for (const server of servers.values()) {
    server.closeAllConnections();
    server.close();
  }
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function begin(): Promise<void> {
  deployment = await Deployment.at(folder, OPTIONS);
  bench = new Bench(deployment);
}

const certificatesIn = (path: string): DerCertificate[] =>
  fromPem('CERTIFICATE', readFileSync(path, 'utf8')) as DerCertificate[];

async function cli(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await keystead([...args, '--data', deployment.layout.data]);
  assert.equal(status, 0, `${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The same where it is refused: by which rule, with what was seen. */
async function refused(...args: string[]): Promise<{ code: string; seen: string }> {
  const { status, stdout } = await keystead([...args, '--data', deployment.layout.data, '--json']);
  assert.notEqual(status, 0, args.join(' '));
  return (JSON.parse(stdout) as { error: { code: string; seen: string } }).error;
}

/** Has the quorum order what stands in `<name>.json`, or begins to. */
async function order(name: string, publish = true): Promise<string> {
  const statements = join(folder, `${name}.${publish ? 'ordered' : 'tried'}`);
  rmSync(statements, { force: true });
  await cli('trust', 'propose', join(folder, `${name}.json`), '--reason', name, '--out', statements);
  await cli('trust', 'approve', '--in', statements, '--as', 'approver');
  if (publish) await cli('trust', 'publish', '--in', statements);
  return statements;
}

interface TrustView {
  readonly latest: { readonly version: number; readonly sha256: string };
  readonly uptake: readonly { readonly bundleVersion: number; readonly devices: number }[];
}
const trust = (): Promise<TrustView> => deployment.world.as('pki').get<TrustView>('/api/v1/trust');
const campaign = (): Promise<CampaignView> => deployment.world.as('pki').get<CampaignView>('/api/v1/campaigns/root-2');

/** The other device says that it goes by the newest bundle, over a connection for which it knows `anchor` alone. */
async function report(anchor: string): Promise<void> {
  const { version, sha256 } = (await trust()).latest;
  const body = bench.write(
    'uptake.json',
    JSON.stringify({ bundle: { version, sha256 }, filter: null, firmware: null }),
  );
  const json = ['--header', 'Content-Type: application/json', '--data-binary', `@${body}`];
  const identity = ['--cert', other.certificate, '--key', other.key, '--cacert', anchor];
  const { status, body: said } = await bench.curl(`${bench.api}/device/uptake`, [...identity, ...json]);
  assert.equal(status, 204, said);
}

/** Waits until the server knows that the device goes by the newest bundle. */
async function taken(): Promise<void> {
  const { version } = (await trust()).latest;
  while (!(await trust()).uptake.some((one) => one.bundleVersion === version)) await daemon.event('reported');
}

interface Shown {
  readonly key: SoftwareKey;
  /** PEM, leaf first. */
  readonly chain: string;
}

/** A server's certificate as the deployment gives one now. */
async function serverCertificate(): Promise<Shown> {
  const key = generateSoftwareKey('P-256');
  const csr = await certificationRequest('localhost', softwareSigner('P-256', key.pkcs8));
  const issued = await deployment.world.as('pki').post<IssuedView>('/api/v1/server-certificates', {
    csr: toPem('CERTIFICATE REQUEST', csr),
    hosts: ['localhost'],
  });
  return { key, chain: issued.certificate + issued.chain };
}

/** A certificate of a server by the old root's own key: what whoever has that key by then can make. */
async function thiefsCertificate(): Promise<Shown & { leaf: DerCertificate }> {
  const { offline, passphrase } = roots.offline();
  const safe = new SealedRoots(offline, passphrase, systemClock);
  try {
    const { signer } = await safe.open('root', 1, readCertificate(oldRoot).spki);
    const key = generateSoftwareKey('P-256');
    const profile = { ...profileOf(await policyInForce(), 'tls-server'), issuer: 'root' as const };
    const now = Math.floor(systemClock.now().getTime() / 1000) * 1000;
    const { signatureAlgorithm } = signer;
    const tbs = new CertificateTemplate(profile, { certificate: oldRoot }, {}, {}).tbs({
      ...{ serial: newSerial(), notBefore: new Date(now - 10_000), notAfter: new Date(now + 3_600_000) },
      ...namesFor(profile, { hosts: ['localhost'] }),
      ...{ spki: key.spki, signatureAlgorithm },
    });
    const leaf = assembleSigned(tbs, signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
    return { key, leaf, chain: toPem('CERTIFICATE', leaf) };
  } finally {
    safe.close();
    passphrase.wipe();
  }
}

const policyInForce = async (): Promise<Policy> => parsePolicy(Buffer.from(await cli('policy', 'show', '--file')));

/** The policy in force, but that an old root counts for `seconds` from the ceremony on, and no certificate longer. */
function shortened(policy: Policy, seconds: number, version = policy.version): Policy {
  const brief = ['ldevid', 'tls-server'];
  const profiles = policy.profiles.map((one) =>
    brief.includes(one.id) ? { ...one, validity: { ...one.validity, seconds } } : one,
  );
  // Roots are dated back, and their transition counts from that.
  const { backdateSeconds } = caProfile(policy, 'root').validity;
  return { ...policy, version, profiles, roots: { transitionSeconds: backdateSeconds + seconds } };
}

/** A server of the device's application: it tells who it takes the device for. */
async function listen(name: string): Promise<void> {
  const server = createHttps(
    { minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false },
    (asked, answer) => {
      const socket = asked.socket as import('node:tls').TLSSocket;
      answer.end(
        socket.authorized ? String(socket.getPeerX509Certificate()?.subject) : String(socket.authorizationError),
      );
    },
  );
  servers.set(name, server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}

/** What a server shows, and that it believes devices below one root alone. */
async function serveBy(name: string, { key, chain }: Shown, anchor: string = bench.root): Promise<void> {
  const across = readFileSync(join(deployment.layout.trust, 'ca-chain.pem'), 'utf8');
  const pem = key.pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
  servers.get(name)?.setSecureContext({
    ...{ minVersion: 'TLSv1.3', key: pem, cert: chain },
    ca: [readFileSync(anchor, 'utf8'), ...(across.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [])],
  });
}

/** The device asks its servers again and again; every answer that it does not get is a gap. */
class Talk {
  readonly gaps: string[] = [];
  readonly #answers = new Map<string, number>();
  readonly #sockets = new Set<string>();
  #over = false;
  #going: Promise<void> = Promise.resolve();
  #heard: () => void = () => undefined;

  begin(): void {
    this.#going = this.#go();
  }

  /** Resolves when each of these servers has answered once more. */
  async heard(...sockets: string[]): Promise<void> {
    for (const one of sockets) this.#sockets.add(one);
    const before = new Map(this.#answers);
    const missing = () => sockets.some((one) => (this.#answers.get(one) ?? 0) <= (before.get(one) ?? 0));
    while (missing() && this.gaps.length === 0) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
    assert.deepEqual(this.gaps, []);
  }

  over(): void {
    this.#over = true;
  }

  async end(): Promise<void> {
    this.over();
    await this.#going;
    assert.deepEqual(this.gaps, []);
  }

  async #go(): Promise<void> {
    while (!this.#over) {
      for (const socket of this.#sockets) {
        const said = await daemon.ask(socket, '/').catch((error: unknown) => String(error));
        if (said.includes(`CN=${daemon.id}`)) this.#answers.set(socket, (this.#answers.get(socket) ?? 0) + 1);
        else this.gaps.push(`${socket}: ${said}`);
        this.#heard();
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

const talk = new Talk();

test('TEST-KEY-15 docs/rotation.md: the root gets a new key while a device talks to servers of either root without a gap, nobody is stranded unnamed, and in the end nobody believes the old key [openssl: X.509 verify across a rollover, TLS 1.3 server] [curl: TLS by either root]', async () => {
  assert.ok(RETIRE.includes('rotate retire'));
  daemon.start();
  await daemon.event('ready');
  await taken();
  await report(bench.root);
  talk.begin();
  await talk.heard('old');

  // The ceremony's policy lets the certificates across end soon; the one in force still has two years.
  const seconds = Math.max(20, Math.ceil(3 * madeSeconds));
  writeFileSync(join(folder, 'policy.json'), formatPolicy(shortened(await policyInForce(), seconds)));
  await roots.type(CEREMONY, 'offline');
  await roots.type(ANNOUNCE);
  await taken();
  // The bundle without the old root, before its time: it takes the larger quorum.
  await talk.heard('old');

  await deployment.stop(true);
  await roots.type(IMPORT, 'offline');
  await talk.heard('old');
  await begin();
  await serveBy('new', await serverCertificate());
  await talk.heard('old', 'new');
  const old = join(folder, 'old-root.pem');
  const chain = join(deployment.layout.trust, 'ca-chain.pem');
  const { host, ports } = deployment.world.config;
  for (const anchor of [old, bench.root]) {
    const args = [
      's_client',
      '-connect',
      `${host}:${ports.https}`,
      '-CAfile',
      anchor,
      '-verify_return_error',
      '-tls1_3',
    ];
    assert.match((await run('openssl', args)).stdout, /Verify return code: 0 \(ok\)/, anchor);
    assert.match(await openssl('verify', '-CAfile', anchor, '-untrusted', chain, other.certificate), /: OK/, anchor);
  }
  const thief = await thiefsCertificate();
  await serveBy('thief', thief);
  const leaf = bench.write('thief.pem', thief.chain);
  assert.match(await openssl('verify', '-CAfile', bench.root, '-untrusted', chain, leaf), /: OK/);

  // The other device has the bundle of before: it is named, and nothing is switched.
  const stranded = await refused('rotate', 'advance', 'root-2');
  assert.equal(stranded.code, 'rotation.strands-devices');
  assert.match(stranded.seen, /^1 devices, such as TRY-0008 \(bundle-older\)/);
  assert.equal((await campaign()).state, 'distributing');
  await report(old);
  await roots.type(SWITCH);
  assert.equal((await campaign()).state, 'retiring');
  await talk.heard('old', 'new');

  // Too early: for the campaign, and for keyd.
  assert.equal((await refused('rotate', 'retire', 'root-2')).code, 'rotation.not-ready');
  await cli('rotate', 'next', 'root-2', '--out', join(folder, 'early.json'));
  const early = await refused('trust', 'publish', '--in', await order('early', false));
  assert.equal(early.code, 'trust-order.strands');

  // Until then whoever has the old key is believed: that is what the end of the campaign ends.
  assert.match(await daemon.ask('thief', '/'), /CN=TRY-0007/);

  // The transition is over by the policy in force, and then the certificates across are.
  const inForce = await policyInForce();
  const short = join(folder, 'short.json');
  writeFileSync(short, formatPolicy(shortened(inForce, seconds, inForce.version + 1)));
  await cli('policy', 'propose', short, '--as', 'architect');
  await cli('policy', 'approve', short, '--as', 'approver');
  await cli('policy', 'apply', short, '--as', 'architect');
  const [newWithOld] = certificatesIn(join(deployment.layout.trust, 'root-1-new-with-old.pem'));
  const [oldWithNew] = certificatesIn(join(deployment.layout.trust, 'root-1-old-with-new.pem'));
  assert.ok(newWithOld && oldWithNew);
  const end = transitionEnd(await policyInForce(), { old: oldRoot, newWithOld });
  assert.deepEqual(readCertificate(oldWithNew).notAfter, end);
  await talk.end();
  await new Promise((resolve) => setTimeout(resolve, end.getTime() - systemClock.now().getTime() + 1000));

  await roots.type(LAST);
  const left = await refused('rotate', 'retire', 'root-2');
  assert.equal(left.code, 'rotation.not-ready');
  assert.match(left.seen, /devices, such as TRY-000[78], go by a trust bundle that believes it/);
  await taken();
  const lagging = await refused('rotate', 'retire', 'root-2');
  assert.match(lagging.seen, /^1 devices, such as TRY-0008,/);
  await report(bench.root);
  await roots.type(RETIRE);
  assert.equal((await campaign()).state, 'retired');

  // Nobody believes the old key: not the device, not openssl by the new root and all that is published, and keyd takes
  // it back for no quorum. No ceremony needs it.
  assert.match(await daemon.ask('new', '/'), /CN=TRY-0007/);
  daemon.forget('tunnel-refused');
  await assert.rejects(daemon.ask('thief', '/'));
  const error = (await daemon.event('tunnel-refused')).error as { field: string };
  assert.match(error.field, /anchor|path|signature|validity/);
  const verified = await run('openssl', ['verify', '-CAfile', bench.root, '-untrusted', chain, leaf]);
  assert.notEqual(verified.status, 0);
  copyFileSync(join(folder, 'both.json'), join(folder, 'again.json'));
  const again = await refused('trust', 'publish', '--in', await order('again', false));
  assert.equal(again.code, 'trust-order.root-ended');
  rmSync(join(folder, 'safe', 'root.sealed'));
  const policy = readFileSync(short);
  const previous = join(folder, 'usb', '2-rollover');
  await holdCrl({ ...roots.offline(), previous, policy, out: join(folder, 'usb', '3-crl') }, silent);
  assert.match(await cli('verify'), /PROVEN/);
  await daemon.stop();
});
