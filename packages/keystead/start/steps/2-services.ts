import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toBase64, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest } from '@keystead/core/x509';
import { durableWrite } from '../../files/durable.ts';
import type { IssuedView } from '../../protocols/rest/domain.ts';
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
    'keyd alone opens the online keys and listens on a Unix socket; each connection proves that it was started by the same hand. serve faces the network and holds no key but its own TLS key, in memory.',
  );
  const start = async (
    name: string,
    options: { script?: string; args: string[]; secrets: unknown },
  ): Promise<Service> => {
    const logFile = join(layout.logs, `${name}.log`);
    const service = new Service({ name, logFile, onExit: (how) => onDeath(name, how), ...options });
    world.services.push(service);
    await service.ready;
    return service;
  };
  const text = (secret: SecretBytes): string => secret.use((bytes) => Buffer.from(bytes).toString('utf8'));

  using channelKey = SecretBytes.random(32);
  const channel = channelKey.use(toBase64);
  const apart = ['--data', layout.data];
  const keyd = await start('keyd', {
    args: ['keyd', ...apart, '--secrets-fd', '3', '--with-parent'],
    secrets: { passphrase: text(world.passphrases.keyd), channelKey: channel },
  });
  narrator.done(`keyd is up (pid ${keyd.pid}); its socket is in a directory that only this user enters`);
  const serve = await start('serve', {
    args: ['serve', ...apart, '--secrets-fd', '3', '--with-parent'],
    secrets: { channelKey: channel },
  });
  narrator.done(
    `serve is up (pid ${serve.pid}) at ${world.httpsUrl} (mutual TLS) and ${world.httpUrl} (CRL, OCSP, log)`,
  );

  await enrolPeople(layout, world.httpsUrl, world.rootPem, world.passphrases.operators);
  narrator.done(`${PEOPLE.length} people hold certificates: ${PEOPLE.map((one) => one.name).join(', ')}`);

  await startBackend(world, start);
  narrator.done(
    `an example backend is up at https://${world.config.host}:${world.config.ports.backend}; it asks OCSP of each device`,
  );
}

async function startBackend(
  world: World,
  start: (name: string, options: { script: string; args: string[]; secrets: unknown }) => Promise<Service>,
): Promise<void> {
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
    anchors: world.rootPath,
    deviceIssuer: join(layout.trust, 'operational.pem'),
    ocspCacheMs: 500,
    keyFrom: 'fd3',
  };
  durableWrite(path, `${JSON.stringify(settings, null, 2)}\n`, 0o600);
  await start('backend', {
    script: BACKEND,
    args: [path, '--with-parent'],
    secrets: { pkcs8: key.pkcs8.use(toBase64) },
  });
  key.pkcs8.wipe();
}
