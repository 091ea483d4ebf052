import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { acceptIssued } from '@keystead/agent';
import { type DerCertificate, fromBase64, fromPem, type SpkiSha256, toBase64, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner, spkiSha256 } from '@keystead/core/crypto';
import { DEMO_FIRMWARE, type Policy } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import { holdFirmware } from 'keystead/ceremony/firmware.ts';
import { systemClock } from 'keystead/clock/system.ts';
import { Service } from 'keystead/start/process.ts';
import { openDevice } from '../../packages/agent/daemon/agent.ts';
import { readConfig } from '../../packages/agent/daemon/config.ts';
import { Bench } from '../interop/foreign.ts';
import { Deployment, portsOfProcess } from './deployment.ts';
import { KeptRoots, silent } from './kept-roots.ts';
import { type Pump, running } from './pump.ts';
import { typed } from './typed.ts';

const OPTIONS = { ldevidSeconds: 86_400, dataName: 'keystead-data' };
const BACKEND = fileURLToPath(new URL('../../packages/keystead/examples/backend/main.ts', import.meta.url));
const TRUST = {
  fleet: 'pumps',
  keys: [{ id: 'first', algorithm: 'P-256' as const }],
  bundle: { seconds: 2_592_000, refreshPercent: 50, awaySeconds: 31_536_000, maxBytes: 4096 },
  approvals: 1,
  roles: ['policy-administrator' as const, 'approver' as const],
};

/** A TLS server's key with its certificate, made before it is used. */
export interface ServerKey {
  readonly pin: SpkiSha256;
  readonly pkcs8: string;
  readonly certificate: string;
}

/** A deployment of real processes whose roots are kept, with trust bundles, firmware signing, and agents. */
export class KeyCampaigns {
  deployment: Deployment;
  bench: Bench;
  readonly pumps: Pump[] = [];
  readonly #roots: KeptRoots;
  #gateway: Service | undefined;
  readonly #home = process.cwd();

  private constructor(roots: KeptRoots, deployment: Deployment) {
    this.#roots = roots;
    this.deployment = deployment;
    this.bench = new Bench(deployment);
    // The pages name files and data directory as in the folder of the deployment.
    process.chdir(roots.folder);
  }

  static async start(): Promise<KeyCampaigns> {
    const folder = mkdtempSync(join(tmpdir(), 'keystead-keys-'));
    chmodSync(folder, 0o711);
    const lifetimes = { ldevid: { seconds: 86_400, backdateSeconds: 10 }, 'tls-server': { seconds: 86_400 } };
    const roots = await KeptRoots.found(folder, { lifetimes, firmware: DEMO_FIRMWARE, trust: TRUST });
    return new KeyCampaigns(roots, await Deployment.at(folder, OPTIONS));
  }

  async stop(): Promise<void> {
    process.chdir(this.#home);
    await Promise.all(this.pumps.map((pump) => pump.stop()));
    await this.#gateway?.stop();
    assert.deepEqual(this.deployment.deaths, []);
    await this.deployment.stop();
  }

  file(name: string): string {
    return join(this.#roots.folder, name);
  }

  /** Calls the REST interface as the CA operator. */
  get pki() {
    return this.deployment.world.as('pki');
  }

  /** Changes the policy in force, by its quorum. */
  async policy(change: (policy: Policy) => void): Promise<void> {
    const { file } = await this.deployment.world.as('architect').get<{ file: string }>('/api/v1/policy');
    const policy = JSON.parse(file) as Policy;
    change(policy);
    policy.version += 1;
    const path = this.file(`policy-${policy.version}.json`);
    writeFileSync(path, JSON.stringify(policy));
    await typed('policy', 'propose', path, '--as', 'architect');
    await typed('policy', 'approve', path, '--as', 'approver');
    await typed('policy', 'apply', path, '--as', 'architect');
  }

  /** Has keys of the policy certified by the signing root, offline, while keyd is stopped. */
  async certify(policyVersion: number, ...ids: string[]): Promise<void> {
    await this.deployment.stop(true);
    await typed('hierarchy', 'request-firmware', ...ids, '--out', this.file('request.json'));
    const out = this.file('usb/2-firmware');
    await holdFirmware(
      {
        ...this.#roots.offline(),
        request: readFileSync(this.file('request.json')),
        policy: readFileSync(this.file(`policy-${policyVersion}.json`)),
        previous: this.file('usb/1-founding'),
        out,
      },
      silent,
    );
    await typed('hierarchy', 'import', out);
    await this.#begin();
  }

  /** Ends keyd and serve, and starts them again with another channel key, as a machine does. */
  async restart(): Promise<void> {
    await this.deployment.stop(true);
    await this.#begin();
  }

  async #begin(): Promise<void> {
    this.deployment = await Deployment.at(this.#roots.folder, OPTIONS);
    this.bench = new Bench(this.deployment);
  }

  /** SHA-256 of the public key of a firmware key. */
  async firmwareKey(id: string): Promise<{ spkiSha256: string; use: string; state: string }> {
    const { keys } = await this.deployment.world
      .as('auditor')
      .get<{ keys: { id: string; spkiSha256: string; use: string; state: string }[] }>('/api/v1/signing/keys');
    return keys.find((key) => key.id === id) ?? assert.fail(`no key ${id}`);
  }

  /** The certificate of a firmware key, as it is published. */
  firmwareCertificate(id: string): DerCertificate {
    const [der] = fromPem(
      'CERTIFICATE',
      readFileSync(join(this.deployment.layout.trust, `firmware-${id}.pem`), 'utf8'),
    );
    return (der ?? assert.fail(id)) as DerCertificate;
  }

  /** Orders what is to stand in the bundles, by its quorum. @throws what keyd refuses. */
  async order(content: string, ...more: string[]): Promise<void> {
    const statements = `${content}.statements`;
    await typed('trust', 'propose', content, '--reason', 'a test', '--out', statements, ...more);
    await typed('trust', 'approve', '--in', statements, '--as', 'approver');
    await typed('trust', 'publish', '--in', statements);
  }

  /** A device with its IDevID, enrolled, whose agent has looked and reported. */
  async pump(id: string, securityCounter: number, serverPin?: string): Promise<Pump> {
    const folder = this.bench.path(id);
    mkdirSync(folder, { mode: 0o700 });
    const at = (name: string) => join(folder, name);
    writeFileSync(at('secret'), randomBytes(32), { mode: 0o600 });
    const install = (version: string, counter: number): void =>
      writeFileSync(at('firmware.json'), JSON.stringify({ product: 'TRY', version, securityCounter: counter }));
    install('1.0.0', securityCounter);
    await typed('trust', 'show', '--factory', '--out', at('factory.json'));
    const { fleet, signers } = JSON.parse(readFileSync(at('factory.json'), 'utf8')) as {
      fleet: string;
      signers: { spki: string; from: number; until: number }[];
    };
    const { world } = this.deployment;
    const time = (seconds: number): string => new Date(seconds * 1000).toISOString();
    const file = at('agent.json');
    writeFileSync(
      file,
      JSON.stringify({
        ...{ deviceId: id, state: 'state', run: '.', anchors: this.bench.root, firmwareFile: 'firmware.json' },
        key: { store: 'sealed', secretFile: 'secret' },
        server: { est: world.httpsUrl, trust: world.httpUrl, ...(serverPin === undefined ? {} : { pin: serverPin }) },
        fleet: {
          name: fleet,
          signers: signers.map(({ spki, from, until }, index) => {
            writeFileSync(at(`signer-${index}.pem`), toPem('PUBLIC KEY', fromBase64(spki)));
            return { key: `signer-${index}.pem`, from: time(from), until: time(until) };
          }),
        },
        // It looks when the test says so, and never by itself.
        bundleEverySeconds: 604_800,
        tunnels: [{ kind: 'to-server', socket: 'gateway', host: 'localhost', port: this.gatewayPort, pin: 'gateway' }],
      }),
    );
    const config = readConfig(file);
    const device = await openDevice(config, systemClock, { make: true });
    const { csr } = await device.state.beginKey('idevid');
    const unit = await this.bench.provisionRequest(id, toPem('CERTIFICATE REQUEST', csr), 'none');
    const chain = readFileSync(unit.certificate, 'utf8') + readFileSync(this.bench.ca('manufacturing'), 'utf8');
    acceptIssued(device.state, fromPem('CERTIFICATE', chain) as DerCertificate[], systemClock);
    const pump = await running(config, device, install);
    this.pumps.push(pump);
    return pump;
  }

  get gatewayPort(): number {
    return portsOfProcess().backend + 1;
  }

  /** A key of the gateway, and its certificate by the server CA. */
  async serverKey(): Promise<ServerKey> {
    const key = generateSoftwareKey('P-256');
    const signer = softwareSigner('P-256', key.pkcs8);
    const csr = toPem('CERTIFICATE REQUEST', await certificationRequest('localhost', signer));
    const issued = await this.pki.post<{ certificate: string; chain: string }>('/api/v1/server-certificates', {
      ...{ csr, hosts: ['localhost', '127.0.0.1'] },
    });
    const pkcs8 = key.pkcs8.use(toBase64);
    key.pkcs8.wipe();
    return { pin: spkiSha256(signer.spki), pkcs8, certificate: `${issued.certificate}${issued.chain}` };
  }

  /** The gateway, a process of its own, with this key; one that runs with another is ended before. */
  async gateway({ pin, pkcs8, certificate }: ServerKey): Promise<void> {
    await this.#gateway?.stop();
    const { layout } = this.deployment;
    const [cert, config] = [this.file(`gateway-${pin}.pem`), this.file(`gateway-${pin}.json`)];
    writeFileSync(cert, certificate);
    const settings = {
      listen: { host: '127.0.0.1', port: this.gatewayPort },
      ...{ certificate: cert, anchors: this.bench.root, deviceIssuer: this.bench.ca('operational'), keyFrom: 'fd3' },
    };
    writeFileSync(config, JSON.stringify(settings));
    const { deaths } = this.deployment;
    this.#gateway = new Service({
      ...{ name: 'gateway', script: BACKEND, args: [config, '--with-parent'], secrets: { pkcs8 } },
      ...{ logFile: join(layout.logs, 'gateway.log'), onExit: (how) => deaths.push(`gateway: ${how}`) },
    });
    await this.#gateway.ready;
  }
}
