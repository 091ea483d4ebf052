import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type DerSpki, fromPem, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { proposeRoot, tufCommon } from '@keystead/core/firmware';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { parseEntry } from 'keystead/audit/index.ts';
import { RestClient } from 'keystead/client/rest.ts';
import { makeKey } from 'keystead/keyd/tests/bed.ts';
import { signedMetadata } from 'keystead/keyd/tests/tuf-bed.ts';
import type { RequestView } from 'keystead/signing/index.ts';
import { beginRepository, checkRepository, type RenewalState, TufRepository } from 'keystead/signing/tuf/index.ts';
import { readOnly } from 'keystead/store/index.ts';
import { Updater } from 'tuf-js';
import { keystead, type Outcome } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

/**
 * What programs ask of firmware signing, over the ports that serve listens on: jobs of a CI system with tokens of an OpenID
 * Connect issuer, made by jose, and the renewal of an update repository.
 */
const BIN = fileURLToPath(new URL('../../packages/keystead/bin/keystead.mjs', import.meta.url));
const AUDIENCE = 'https://keystead.example';
type Key = Awaited<ReturnType<typeof generateKeyPair>>;
/** The update repository that serve renews. */
const updates = mkdtempSync(join(tmpdir(), 'keystead-updates-'));
let deployment: Deployment;
let issuerServer: Server;
let issuer: string;
let key: Key;

before(async () => {
  key = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(key.publicKey)), kid: 'ci-1', use: 'sig', alg: 'ES256' };
  issuerServer = createServer((_request, response) => void response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => issuerServer.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(issuerServer.address() as AddressInfo).port}`;
  const grants = [{ claims: { repository: 'acme/pump', ref: 'refs/heads/main' }, products: ['KS-PUMP-1'] }];
  const workloads = [{ issuer, audience: AUDIENCE, jwksUrl: `${issuer}/jwks`, grants }];
  const tuf = [{ repository: 'ks-pump-1', directory: updates }];
  deployment = await Deployment.start({ config: { workloads, tuf } });
});
after(async () => {
  issuerServer.closeAllConnections();
  issuerServer.close();
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
  rmSync(updates, { recursive: true });
});

const file = (name: string): string => join(deployment.folder, name);
const sign = (...args: string[]) => keystead(['sign', ...args, '--data', deployment.layout.data]);

interface TokenParts {
  readonly claims?: JWTPayload;
  readonly sub?: string;
  readonly audience?: string;
  readonly by?: Key;
  /** Seconds before now at which it was made; it is good for five minutes. */
  readonly age?: number;
}

/** A token as the issuer of a CI system makes it for one job. */
function tokenOf({ claims = {}, sub = 'repo:acme/pump', audience = AUDIENCE, by = key, age = 0 }: TokenParts = {}) {
  const made = Math.floor(Date.now() / 1000) - age;
  return new SignJWT({ repository: 'acme/pump', ref: 'refs/heads/main', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'ci-1' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(sub)
    .setIssuedAt(made)
    .setExpirationTime(made + 300)
    .sign(by.privateKey);
}

/** The command as a job runs it, with its token on descriptor 3 and neither a data directory nor a key. */
function job(token: string, ...args: string[]): Promise<Outcome> {
  writeFileSync(file('token'), token);
  const service = ['--token-fd', '3', '--url', deployment.world.httpsUrl, '--anchor', deployment.world.rootPath];
  const line = ['-c', 'exec "$0" "$@" 3<token', process.execPath, BIN, 'sign', ...args, ...service];
  return new Promise((resolve) => {
    execFile('bash', line, { cwd: deployment.folder, timeout: 120_000 }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

async function asJob<T>(token: string, act: (client: RestClient) => Promise<T>): Promise<T> {
  const { httpsUrl, rootPem } = deployment.world;
  const client = new RestClient({ baseUrl: httpsUrl, anchor: rootPem, token });
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

/** Entries of the log about requests that were refused with this code. */
const refusals = (code: string) => entriesOf('request.refused').filter(({ detail }) => detail?.code === code);
function entriesOf(type: string) {
  return readOnly(deployment.layout.database, (records) =>
    records.auditEntries(0, 100_000).map(({ bytes }) => parseEntry(bytes)),
  ).filter((entry) => entry.type === type);
}

const REQUESTS = '/api/v1/signing/requests';
const release = (): RestClient => deployment.world.as('release');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bodyOf = (version: string) => ({
  ...{ id: `ci-${version}`, product: 'KS-PUMP-1', environment: 'production', target: 'mcu', version, format: 'sshsig' },
  ...{
    image: { sha256: sha256(readFileSync(file('pump.bin'))) },
    securityCounter: 1,
    reason: 'a build',
    documents: {},
  },
});
const asked = (version: string, ...more: string[]): string[] => [
  ...['request', file('pump.bin'), '--product', 'KS-PUMP-1', '--target', 'mcu', '--version', version, '--json'],
  ...['--format', 'sshsig', '--counter', '1', '--reason', 'a build', ...more],
];
let draft: RequestView;

test('TEST-KEY-23 a job submits with its token, a release engineer asks for it, another approves, and the job fetches what was signed with its time stamp; openssl verifies it [openssl ts: TSP verify]', async () => {
  writeFileSync(file('pump.bin'), 'a build of main');
  const submitted = await job(await tokenOf(), ...asked('1.0.0'));
  assert.equal(submitted.status, 0, submitted.stderr);
  draft = JSON.parse(submitted.stdout) as RequestView;
  assert.equal(draft.state, 'draft');
  assert.match(draft.submittedBy, /^workload:127\.0\.0\.1:\d+\/repo:acme\/pump$/);
  const early = await job(await tokenOf(), 'fetch', draft.id, '--out', file('early'));
  assert.match(early.stderr, /signing\.not-signed/);
  assert.ok(!existsSync(file('early')));

  // What the job handed in is not what this copy is.
  writeFileSync(file('other.bin'), 'another build');
  assert.match((await sign('propose', draft.id, '--image', file('other.bin'))).stderr, /signing\.image-differs/);
  const proposed = await sign('propose', draft.id, '--image', file('pump.bin'));
  assert.equal(proposed.status, 0, proposed.stderr);
  assert.match(proposed.stdout, /waiting, 0 of 1 approvals/);
  assert.equal((await job(await tokenOf(), 'status', draft.id)).status, 4, 'it waits');
  const approved = await sign('approve', draft.id, '--image', file('pump.bin'));
  assert.equal(approved.status, 0, approved.stderr);
  const fetched = await job(await tokenOf(), 'fetch', draft.id, '--out', file('pump.sshsig'), '--wait', '60s');
  assert.equal(fetched.status, 0, fetched.stderr);
  assert.match(fetched.stdout, /pump\.sshsig\.tsr: time stamp of .*pump\.sshsig\.sig, by pump-1/);
  const anchor = ['-CAfile', deployment.world.rootPath];
  const data = ['-in', file('pump.sshsig.tsr'), '-data', file('pump.sshsig.sig')];
  execFileSync('openssl', ['ts', '-verify', ...data, ...anchor], { stdio: 'pipe' });
  assert.match(readFileSync(file('pump.sshsig'), 'latin1'), /BEGIN SSH SIGNATURE/);
});

test('TEST-KEY-13 a draft is asked for on a machine that is offline, and by nobody without the role', async () => {
  const { id } = await asJob(await tokenOf(), (client) => client.post<RequestView>(REQUESTS, bodyOf('1.1.0')));
  writeFileSync(file('draft.json'), JSON.stringify(await release().get(`${REQUESTS}/${id}`)));
  const offline = ['propose', id, '--request', file('draft.json'), '--image', file('pump.bin')];
  const signed = await sign(...offline, '--statement-out', file('statement'));
  assert.equal(signed.status, 0, signed.stderr);
  const state = async (): Promise<string> => (await release().get<RequestView>(`${REQUESTS}/${id}`)).state;
  assert.equal(await state(), 'draft');
  assert.match((await sign('propose', id, '--as', 'approver', '--role', 'approver')).stderr, /firmware-order\./);
  assert.equal(await state(), 'draft');
  const sent = await sign('propose', id, '--statement', file('statement'));
  assert.match(sent.stdout, /waiting, 0 of 1 approvals/, sent.stderr);
  assert.match((await sign('propose', id, '--as', 'approver')).stderr, /signing\.request-closed/);
});

test('TEST-KEY-13 a token that would approve, propose, withdraw, list, or look at what another job submitted is refused, by the name of the job, and nothing changes', async () => {
  const path = `${REQUESTS}/${draft.id}`;
  const before = await release().get(path);
  const token = await tokenOf();
  const [statement] = draft.statements.length > 0 ? draft.statements : ['{"payload":"","signature":""}'];
  const forbidden = { code: 'signing.workload-forbidden' };
  await asJob(token, async (client) => {
    await assert.rejects(client.post(`${path}/statements`, { statement }), forbidden);
    await assert.rejects(client.post(`${path}/withdrawal`, {}), forbidden);
    await assert.rejects(client.get('/api/v1/signing/requests'), forbidden);
    await assert.rejects(client.get(`/api/v1/signing/files/${draft.order.image.sha256}/content`), forbidden);
    await assert.rejects(client.get('/api/v1/devices'), { code: 'client.certificate-missing' });
    await assert.rejects(client.post(REQUESTS, { ...bodyOf('1.2.0'), product: 'KS-LAMP-1' }), forbidden);
  });
  await asJob(await tokenOf({ sub: 'repo:acme/pump:other' }), async (client) => {
    for (const what of ['', '/result', '/timestamps']) await assert.rejects(client.get(`${path}${what}`), forbidden);
  });
  const told = refusals('signing.workload-forbidden');
  assert.ok(told.length >= 7);
  for (const { actor } of told)
    assert.match(`${actor.kind}:${actor.id}`, /^workload:127\.0\.0\.1:\d+\/repo:acme\/pump(:other)?$/);
  assert.ok(told.some(({ subject }) => subject.what === 'sign a firmware request'));
  assert.deepEqual(await release().get(path), before);
});

test('TEST-KEY-13 a token of another audience, repository, branch, issuer or key, and one that has ended, submits nothing; each is told, and audited without the token', async () => {
  const stranger = await generateKeyPair('ES256');
  const cases: readonly (readonly [why: RegExp, TokenParts])[] = [
    [/aud/, { audience: 'https://another.example' }],
    [/exp/, { age: 900 }],
    [/no grant is for repo:acme\/pump/, { claims: { repository: 'acme/lamp' } }],
    [/no grant is for repo:acme\/pump/, { claims: { ref: 'refs/pull/1/merge' } }],
    [/no grant is for repo:acme\/pump/, { claims: { ref: ['refs/heads/main'] } }],
    [/iss/, { claims: {}, by: key, sub: 'repo:acme/pump' }],
    [/ERR_JWS_SIGNATURE_VERIFICATION_FAILED/, { by: stranger }],
  ];
  const known = refusals('signing.workload').length;
  for (const [why, parts] of cases) {
    const token = why.source === 'iss' ? await foreignToken() : await tokenOf(parts);
    const refused = asJob(token, (client) => client.post(REQUESTS, bodyOf('1.3.0')));
    await assert.rejects(refused, (error) => {
      assert.ok(error instanceof KeysteadError);
      assert.equal(error.code, 'signing.workload');
      assert.match(error.message, why);
      assert.ok(!error.message.includes(token.split('.')[2] ?? ''));
      return true;
    });
  }
  const told = refusals('signing.workload');
  assert.ok(told.length > known);
  assert.ok(!JSON.stringify(told).includes('eyJ'));
  const { requests } = await deployment.world
    .as('auditor')
    .get<{ requests: RequestView[] }>('/api/v1/signing/requests');
  assert.ok(requests.every(({ order }) => order.version !== '1.3.0'));
});

const foreignToken = (): Promise<string> =>
  new SignJWT({ repository: 'acme/pump', ref: 'refs/heads/main' })
    .setProtectedHeader({ alg: 'ES256', kid: 'ci-1' })
    .setIssuer('https://token.example')
    .setAudience(AUDIENCE)
    .setSubject('repo:acme/pump')
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(key.privateKey);

test('TEST-KEY-23 keyd signs the status of an update repository whose root a quorum has put into the policy, a watch keeps it, and each is in the log', async () => {
  const at = file('tuf');
  mkdirSync(join(at, 'build'), { recursive: true });
  writeFileSync(join(at, 'build/pump.bin'), 'a release');
  const ours = ['--data', deployment.layout.data];
  const keys = await keystead(['tuf', 'keys', '--out', at, ...ours]);
  assert.equal(keys.status, 0, keys.stderr);
  const [online] = fromPem('PUBLIC KEY', readFileSync(join(at, 'ks-pump-1-online.pem'), 'latin1'));
  const [ada, eve] = [makeKey(), makeKey()];
  const of = (spki: Uint8Array) => ({ keys: [spki as DerSpki], threshold: 1 });
  const role = of(online ?? new Uint8Array());
  const roles = { root: of(ada.spki), targets: of(eve.spki), snapshot: role, timestamp: role };
  const now = new Date();
  const expires = new Date(now.getTime() + 30 * 86_400_000);
  const root = await signedMetadata(proposeRoot(undefined, roles, { expires, now }), ada);
  const pump = { length: 9, hashes: { sha256: sha256(Buffer.from('a release')) }, custom: { product: 'pump' } };
  const targets = await signedMetadata(
    { _type: 'targets', ...tufCommon(1, expires), targets: { 'pump.bin': pump } },
    eve,
  );
  writeFileSync(join(at, 'targets.json'), targets);
  beginRepository(new TufRepository(updates), root, now);
  // serve is a user of its own where root starts it: what it renews belongs to it.
  const { uid, gid } = statSync(dirname(deployment.layout.database));
  for (const path of [updates, join(updates, 'metadata'), join(updates, 'targets')]) chownSync(path, uid, gid);

  const asked = { roots: [toBase64(root)], targets: toBase64(targets) };
  const status = '/api/v1/tuf/ks-pump-1/status';
  await assert.rejects(release().post(status, asked), { code: 'tuf.root-unknown' });
  await assert.rejects(deployment.world.as('auditor').post(status, asked), { code: 'access.forbidden' });
  assert.ok(refusals('tuf.root-unknown').some(({ actor }) => actor.id === 'release'));

  await changePolicy((repository) => Object.assign(repository, { root: sha256(root) }));
  const publish = ['tuf', 'publish', updates, '--keyd', 'ks-pump-1', '--json', ...ours];
  const fresh = [...publish, '--targets', 'targets.json', '--files', 'build', '--watch'];
  const watch = spawn(process.execPath, [BIN, ...fresh], { cwd: at, stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: watch.stdout })[Symbol.asyncIterator]();
  const said = [JSON.parse(String((await lines.next()).value)), JSON.parse(String((await lines.next()).value))];
  assert.deepEqual([said[0].targets, said[0].timestamp], [1, 1]);
  assert.deepEqual(said[1], said[0], 'what is fresh is given again');
  watch.kill('SIGTERM');
  assert.deepEqual(await once(watch, 'exit'), [0, null]);
  const findings = await checkRepository(new TufRepository(updates), new Date());
  assert.ok(findings.every(({ fault }) => fault === null));
  // The watch has asked twice, and one status was signed.
  assert.deepEqual(statusSigned(), [['ks-pump-1', 'release', 1, 1]]);
});

const statusSigned = () =>
  entriesOf('tuf.status-signed').map(({ subject, actor, detail }) => [
    subject.repository,
    actor.id,
    detail?.targets,
    detail?.timestamp,
  ]);

/** By its quorum. */
async function changePolicy(edit: (repository: object) => unknown): Promise<void> {
  const { file: text } = await release().get<{ file: string }>('/api/v1/policy');
  const policy = JSON.parse(text);
  policy.version += 1;
  edit(policy.tuf.repositories[0]);
  const name = `next-${policy.version}.json`;
  writeFileSync(file(name), JSON.stringify(policy, null, 2));
  for (const [act, who] of [
    ['propose', 'architect'],
    ['approve', 'approver'],
    ['apply', 'architect'],
  ] as const) {
    const data = ['--data', deployment.layout.data];
    const done = await keystead(['policy', act, name, '--as', who, ...data], { cwd: deployment.folder });
    assert.equal(done.status, 0, done.stderr + done.stdout);
  }
}

test('TEST-KEY-23 serve renews the update repository of its configuration by itself, and a tuf-js client goes on updating [tuf-js: TUF refresh, TUF download]', async () => {
  const repository = new TufRepository(updates);
  const version = (): number => repository.timestamp()?.signed.version ?? 0;
  assert.equal(version(), 1);
  // What was signed for a day does not hold where the policy says an hour: it is due at once.
  await changePolicy((rule) => Object.assign(rule, { timestampSeconds: 3600 }));
  for (let waited = 0; version() === 1 && waited < 120; waited += 1) await pause(500);
  assert.equal(version(), 2);
  const web = createServer((request, response) => {
    const path = join(updates, decodeURIComponent(request.url ?? ''));
    if (existsSync(path)) response.end(readFileSync(path));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  const client = file('tuf-client');
  mkdirSync(client);
  writeFileSync(join(client, 'root.json'), readFileSync(join(updates, 'metadata/1.root.json')));
  const updater = new Updater({
    ...{ metadataDir: client, targetDir: client, config: { fetchRetries: 0 } },
    ...{ metadataBaseUrl: `${base}/metadata`, targetBaseUrl: `${base}/targets` },
  });
  const info = await updater.getTargetInfo('pump.bin');
  assert.ok(info !== undefined);
  assert.equal(readFileSync(await updater.downloadTarget(info), 'utf8'), 'a release');
  web.closeAllConnections();
  web.close();
  const { repositories } = await release().get<{ repositories: { renewal: RenewalState | null }[] }>('/api/v1/tuf');
  assert.equal(repositories[0]?.renewal?.fault, null);
  const { stdout } = await keystead(['tuf', 'keys', '--data', deployment.layout.data]);
  assert.match(stdout, /ks-pump-1: the service renews it; the timestamp is good until 2/);
  assert.deepEqual(statusSigned(), [
    ['ks-pump-1', 'release', 1, 1],
    ['ks-pump-1', 'serve', 1, 2],
  ]);
});
