import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DerCertificate, fromBase64, fromPem, toPem } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import { Bench, keystead, ok } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

/** The device's daemon against serve and keyd, each in its own process: nothing here stands in for another. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const AGENT = join(PROJECT, 'packages/agent/daemon/main.ts');
const DEVICE = 'TRY-0007';
/** The first LDevID is renewed within three quarters of it. */
const LDEVID_SECONDS = 30;

const TRUST = {
  fleet: 'pumps',
  keys: [
    { id: 'first', algorithm: 'P-256' },
    { id: 'second', algorithm: 'P-256' },
  ],
  bundle: { seconds: 2_592_000, refreshPercent: 25, awaySeconds: 31_536_000, maxBytes: 4096 },
  filter: { issuers: ['operational', 'server'], seconds: 604_800, everySeconds: 3600, mostDeltas: 24 },
  approvals: 1,
  roles: ['policy-administrator', 'approver'],
  strand: { approvals: 2, roles: ['policy-administrator', 'approver'] },
};

let deployment: Deployment;
let bench: Bench;
let running: Daemon | undefined;

before(async () => {
  deployment = await Deployment.start({ ldevidSeconds: LDEVID_SECONDS });
  const shown = await data('policy', 'show', '--file');
  const policy = { ...JSON.parse(shown), version: 2, trust: TRUST };
  const file = join(deployment.folder, 'next.json');
  writeFileSync(file, JSON.stringify(policy));
  await data('policy', 'propose', file, '--as', 'architect');
  await data('policy', 'approve', file, '--as', 'approver');
  await data('policy', 'apply', file, '--as', 'architect');
  const { folder } = deployment;
  await deployment.stop(true);
  deployment = await Deployment.at(folder);
  bench = new Bench(deployment);
  const [content, order] = [bench.path('content.json'), bench.path('first.statements')];
  await data('trust', 'show', '--draft', '--out', content);
  await data('trust', 'propose', content, '--reason', 'the first bundle', '--out', order);
  await data('trust', 'approve', '--in', order, '--as', 'approver');
  await data('trust', 'publish', '--in', order);
});
after(async () => {
  running?.child.kill('SIGKILL');
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

/** The command line of keystead, at this deployment; what it printed. */
async function data(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await keystead([...args, '--data', deployment.layout.data]);
  assert.equal(status, 0, `${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Writes the device's configuration as its maker would: what `trust show --factory` prints, and the root. */
async function makeConfig(): Promise<string> {
  const factory = bench.path('factory.json');
  await data('trust', 'show', '--factory', '--out', factory);
  const { fleet, signers } = JSON.parse(readFileSync(factory, 'utf8')) as {
    fleet: string;
    signers: { spki: string; from: number; until: number }[];
  };
  bench.write('secret', randomBytes(32));
  chmodSync(bench.path('secret'), 0o600);
  bench.write('firmware.json', JSON.stringify({ product: 'KS-PUMP-1', version: '1.2.0', securityCounter: 3 }));
  const { config, httpsUrl, httpUrl } = deployment.world;
  const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
  return bench.write(
    'agent.json',
    JSON.stringify({
      deviceId: DEVICE,
      state: 'state',
      run: 'run',
      anchors: bench.root,
      key: { store: 'sealed', secretFile: 'secret' },
      server: { est: httpsUrl, trust: httpUrl },
      fleet: {
        name: fleet,
        signers: signers.map(({ spki, from, until }, index) => ({
          key: bench.write(`signer-${index}.pem`, toPem('PUBLIC KEY', fromBase64(spki))),
          from: time(from),
          until: time(until),
        })),
      },
      firmwareFile: 'firmware.json',
      bundleEverySeconds: 1,
      tunnels: [{ kind: 'to-server', socket: 'backend', host: 'localhost', port: config.ports.backend }],
    }),
  );
}

const agent = (file: string, ...args: string[]): Promise<string> =>
  ok(process.execPath, [AGENT, ...args, '--config', file]);

interface Daemon {
  readonly child: ChildProcess;
  /** The next event of a type that was not asked for yet; fails when the daemon ends before. */
  event(type: string): Promise<Record<string, unknown>>;
}

function run(file: string): Daemon {
  const child = spawn(process.execPath, [AGENT, 'run', '--config', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const seen: Record<string, unknown>[] = [];
  const said: string[] = [];
  let more: () => void = () => undefined;
  let ended = false;
  child.stderr?.on('data', (text: Buffer) => said.push(text.toString()));
  createInterface({ input: child.stdout ?? assert.fail('no output') }).on('line', (line) => {
    said.push(line);
    seen.push(JSON.parse(line) as Record<string, unknown>);
    more();
  });
  child.once('close', () => {
    ended = true;
    more();
  });
  return {
    child,
    async event(type) {
      for (;;) {
        const at = seen.findIndex((one) => one.type === type);
        const [found] = at < 0 ? [] : seen.splice(at, 1);
        if (found !== undefined) return found;
        if (ended) assert.fail(`no ${type} before the end:\n${said.join('\n')}`);
        await new Promise<void>((resolve) => {
          more = resolve;
        });
      }
    },
  };
}

/** Asks the example backend through the tunnel who it takes the application for. */
function whoAmI(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socketPath = bench.path('run/backend.sock');
    request({ socketPath, path: '/whoami', agent: false }, (answer) => {
      let text = '';
      answer.on('data', (part: Buffer) => {
        text += part.toString();
      });
      answer.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

interface TrustStatus {
  readonly uptake: readonly { readonly bundleVersion: number; readonly devices: number }[];
}
/** What serve has from its devices. */
const uptake = async () => (await deployment.world.as('pki').get<TrustStatus>('/api/v1/trust')).uptake;

test('TEST-KEY-10 TEST-KEY-14 TEST-KEY-24 a daemon and a real serve with keyd: it enrols, reports, renews, takes the next bundle, refuses a revoked server, and its evidence ends the device', async () => {
  const file = await makeConfig();
  const unit = await bench.provisionRequest(DEVICE, await agent(file, 'request'), 'none');
  const chain = readFileSync(unit.certificate, 'utf8') + readFileSync(bench.ca('manufacturing'), 'utf8');
  const installed = bench.write('idevid.pem', chain);
  await agent(file, 'install', '--certificate', installed);

  const daemon = run(file);
  running = daemon;
  const { version } = await daemon.event('taken');
  const enrolled = await daemon.event('enrolled');
  await daemon.event('ready');
  await daemon.event('reported');
  assert.deepEqual(await uptake(), [{ bundleVersion: version, devices: 1 }]);
  assert.deepEqual(JSON.parse(await whoAmI()), { deviceId: DEVICE });

  const renewed = await daemon.event('renewed');
  assert.notEqual(renewed.serial, enrolled.serial);
  assert.deepEqual(JSON.parse(await whoAmI()), { deviceId: DEVICE });

  // The backend's certificate is revoked: serve makes a filter by itself, and the device takes it. So young a certificate
  // is not covered by a filter (docs/filter.md, `through`): it is OCSP that says it.
  const [backend] = fromPem('CERTIFICATE', readFileSync(join(deployment.layout.data, 'backend/backend.pem'), 'utf8'));
  const { serial } = readCertificate(backend as DerCertificate);
  await data('revoke', '--serial', serial, '--reason', 'keyCompromise', '--as', 'pki');
  const taken = await daemon.event('taken');
  assert.ok(Number(taken.version) > Number(version));
  // Renewals are reported as well: which report it is the server knows.
  while ((await uptake())[0]?.bundleVersion !== taken.version) await daemon.event('reported');
  await assert.rejects(whoAmI());
  const refused = await daemon.event('tunnel-refused');
  assert.equal((refused.error as { field: string }).field, 'revoked');

  // The real route was asked, and answered: no rotation is under way.
  assert.equal((await daemon.event('renewal-window')).window, null);

  const gone = once(daemon.child, 'exit');
  daemon.child.kill('SIGTERM');
  assert.deepEqual(await gone, [0, null]);
  const evidence = bench.write('wipe.json', await agent(file, 'wipe'));
  const ended = await data('device', 'decommission', DEVICE, '--wipe-evidence', evidence, '--as', 'pki');
  assert.match(ended, /signed by the device at .*, SHA-256 [0-9a-f]{64}/);
});
