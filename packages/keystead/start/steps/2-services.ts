import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DerCertificate, toBase64, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { caOf } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import { durableWrite } from '../../files/durable.ts';
import type { Layout } from '../../files/layout.ts';
import { readPins } from '../../keyd/hierarchy.ts';
import { readPresence } from '../../keyd/presence.ts';
import type { IssuedView } from '../../protocols/rest/domain.ts';
import { trustedAnchors, trustedIssuers } from '../../verify/trusted.ts';
import { launchKeyd, launchServe } from '../launch.ts';
import { enrolPeople, PEOPLE } from '../operators.ts';
import { Service } from '../process.ts';
import type { World } from '../world.ts';

const BACKEND = fileURLToPath(new URL('../../examples/backend/main.ts', import.meta.url));

/** Step 2: keyd, alone with the keys; serve in front of it; the people's certificates; the example backend. */
export async function services(world: World, onDeath: (name: string, how: string) => void): Promise<void> {
  const { narrator, layout } = world;
  narrator.step(
    2,
    'Services',
    'keyd alone opens the online keys and listens on a Unix socket; each connection proves that it was started by the same hand. serve faces the network and holds no key but its own TLS key, which keyd alone can unseal.',
  );
  const start = async (service: Service): Promise<Service> => {
    world.services.push(service);
    await service.ready;
    return service;
  };
  const text = (secret: SecretBytes): string => secret.use((bytes) => Buffer.from(bytes).toString('utf8'));

  using channel = SecretBytes.random(32);
  const channelKey = channel.use(toBase64);
  const keyd = await start(
    launchKeyd(layout, {
      passphrase: text(world.passphrases.keyd),
      channelKey,
      onExit: (how) => onDeath('keyd', how),
    }),
  );
  narrator.done(`keyd is up (pid ${keyd.pid}): ${describePresence(layout)}`);
  const serve = await start(launchServe(layout, { channelKey, onExit: (how) => onDeath('serve', how) }));
  narrator.done(
    `serve is up (pid ${serve.pid}) at ${world.httpsUrl} (mutual TLS) and ${world.httpUrl} (CRL, OCSP, log)`,
  );

  await enrolPeople(layout, world.httpsUrl, world.rootPem, world.passphrases.operators);
  narrator.done(`${PEOPLE.length} people hold certificates: ${PEOPLE.map((one) => one.name).join(', ')}`);

  await start(await backendService(world, (how) => onDeath('backend', how)));
  narrator.done(
    `an example backend is up at https://${world.config.host}:${world.config.ports.backend}; it asks OCSP of each device`,
  );
}

/** In a few words, from what keyd has seen of itself. */
function describePresence(layout: Layout): string {
  const isolation = readPresence(layout)?.isolation;
  if (isolation === undefined) return 'it left no word of its isolation';
  const { uid, network, coreDumps, keyMemory, swap } = isolation;
  const locked = keyMemory === 'locked' ? 'keys in locked memory' : `keys in memory that is not locked, swap ${swap}`;
  const dumps = coreDumps === 'off' ? 'no core dumps' : `core dumps ${coreDumps}`;
  return `user ${uid}, ${network === 'none' ? 'no network' : `network ${network}`}, ${dumps}, ${locked}`;
}

async function backendService(world: World, onExit: (how: string) => void): Promise<Service> {
  const { layout, config } = world;
  const key = generateSoftwareKey('P-256');
  const csr = await certificationRequest(config.host, softwareSigner('P-256', key.pkcs8));
  const issued = await world.as('pki').post<IssuedView>('/api/v1/server-certificates', {
    csr: toPem('CERTIFICATE REQUEST', csr),
    hosts: [config.host, '127.0.0.1'],
  });
  const directory = join(layout.data, 'backend');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const certificate = join(directory, 'backend.pem');
  durableWrite(certificate, `${issued.certificate}${issued.chain}`, 0o644);
  const path = join(directory, 'config.json');
  const settings = {
    listen: { host: '127.0.0.1', port: config.ports.backend },
    certificate,
    anchors: written(join(directory, 'anchors.pem'), trustedAnchors(layout, world.clock.now())),
    deviceIssuer: written(join(directory, 'device-issuers.pem'), deviceIssuers(layout)),
    ocspCacheMs: 500,
    keyFrom: 'fd3',
  };
  durableWrite(path, `${JSON.stringify(settings, null, 2)}\n`, 0o600);
  const secrets = { pkcs8: key.pkcs8.use(toBase64) };
  key.pkcs8.wipe();
  const logFile = join(layout.logs, 'backend.log');
  return new Service({ name: 'backend', script: BACKEND, args: [path, '--with-parent'], secrets, logFile, onExit });
}

/** Every key of the operational CA that the root has not revoked: devices hold what the one before issued, too. */
function deviceIssuers(layout: Layout): DerCertificate[] {
  const revoked = readPins(layout)?.revoked ?? [];
  const issuers = trustedIssuers(layout).filter(({ id }) => caOf(id) === 'operational' && !revoked.includes(id));
  return issuers.map(({ certificate }) => certificate);
}

function written(path: string, certificates: readonly DerCertificate[]): string {
  durableWrite(path, certificates.map((der) => toPem('CERTIFICATE', der)).join(''), 0o644);
  return path;
}
