import { pino } from 'pino';
import { systemClock } from '../clock/system.ts';
import { readConfig } from '../files/config.ts';
import { Layout } from '../files/layout.ts';
import { keydSocketPath } from '../keyd/socket-path.ts';
import { KeydClient } from '../keyd-client/index.ts';
import { registerEst } from '../protocols/est/routes.ts';
import { createHttpsServer } from '../protocols/http/server.ts';
import { registerRest } from '../protocols/rest/routes.ts';
import { estDomain } from './est-domain.ts';
import { createPublicServer } from './public.ts';
import { restDomain } from './rest-domain.ts';
import { openRooms } from './rooms.ts';
import { readChannelKey } from './secrets.ts';
import { makeTlsIdentity } from './tls-identity.ts';

export interface RunServeOptions {
  /** The data directory. */
  readonly data: string;
  /** File descriptor with the channel key; without it, it is a systemd credential. */
  readonly secretsFd?: number;
  /** End when standard input closes, so that serve does not outlive a supervisor that was killed. */
  readonly withParent?: boolean;
}

const LOOPBACK = '127.0.0.1';
/** The TLS certificate is replaced, with a new key, when this part of its life has passed. */
const RENEW_TLS_EVERY_MS = 24 * 3600 * 1000;

/**
 * The front end: repairs what a crash left, gets itself a TLS certificate, listens, and says so with one JSON line on
 * standard output. Resolves when it was told to stop and every request under way has been answered.
 * @throws KeysteadError `store.*`, `keyd.*`, `config.*`
 */
export async function runServe(options: RunServeOptions): Promise<void> {
  process.umask(0o077);
  const log = pino({ name: 'serve', base: { pid: process.pid } }, pino.destination({ fd: 2, sync: false }));
  const layout = new Layout(options.data);
  const config = readConfig(layout);
  const clock = systemClock;
  const stop = stopSignal(options.withParent === true);
  const keyd = await KeydClient.connect(keydSocketPath(layout), await readChannelKey(options.secretsFd));
  const rooms = await openRooms({ layout, keyd, clock, log });
  await rooms.start();

  const { app, server } = createHttpsServer(await makeTlsIdentity(rooms, config.host), log);
  registerEst(app, estDomain(rooms), log);
  registerRest(app, restDomain(rooms), log);
  app.get('/healthz', async () => ({ ok: true, keyd: (await keyd.status()).software }));
  const plain = createPublicServer({ rooms, keyd, layout, clock, log });
  await app.listen({ port: config.ports.https, host: LOOPBACK });
  await plain.app.listen({ port: config.ports.http, host: LOOPBACK });
  const renewal = setInterval(() => {
    makeTlsIdentity(rooms, config.host)
      .then(({ key, cert, clientCas }) => server.setSecureContext({ key, cert, ca: [...clientCas] }))
      .catch((error: unknown) =>
        log.error({ err: error }, 'the TLS certificate could not be renewed; it is tried again'),
      );
  }, RENEW_TLS_EVERY_MS);
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ports: config.ports })}\n`);
  log.info({ ports: config.ports }, 'listening');

  log.info({ why: await stop }, 'stopping');
  clearInterval(renewal);
  server.closeIdleConnections();
  plain.server.closeIdleConnections();
  await Promise.all([app.close(), plain.app.close()]);
  await rooms.close();
  keyd.close();
  // The pipe from the parent would keep the process alive.
  process.stdin.destroy();
  log.info('stopped');
}

function stopSignal(withParent: boolean): Promise<string> {
  return new Promise((resolve) => {
    process.on('SIGTERM', () => resolve('SIGTERM'));
    process.on('SIGINT', () => resolve('SIGINT'));
    if (!withParent) return;
    process.stdin.on('end', () => resolve('the end of the parent'));
    process.stdin.on('error', () => resolve('the end of the parent'));
    process.stdin.resume();
  });
}
