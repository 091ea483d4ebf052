import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { EndingPin } from '@keystead/core/trust';
import type { TimestampRequest } from '@keystead/core/x509';
import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { systemClock } from '../clock/system.ts';
import { readConfig } from '../files/config.ts';
import { Layout } from '../files/layout.ts';
import { becomeOwnerOf } from '../host/owner.ts';
import { becomeSole, type SoleRight } from '../keyd/single.ts';
import { keydSocketPath } from '../keyd/socket-path.ts';
import { KeydClient } from '../keyd-client/index.ts';
import { registerAcme } from '../protocols/acme/index.ts';
import { CmpResponder, registerCmp } from '../protocols/cmp/index.ts';
import { registerEst } from '../protocols/est/routes.ts';
import { createHttpsServer, replaceIdentity, type TlsIdentity } from '../protocols/http/server.ts';
import { registerRest } from '../protocols/rest/routes.ts';
import { registerStation } from '../protocols/station/index.ts';
import { registerTsp, TspResponder } from '../protocols/tsp/index.ts';
import type { RenewalState } from '../signing/tuf/index.ts';
import { cmpDomain } from './cmp-domain.ts';
import { estDomain } from './est-domain.ts';
import { hearHeadquarters } from './factory-crls.ts';
import { isRestHere, refuseElsewhere } from './factory-role.ts';
import { startHeadquartersNews } from './headquarters-link.ts';
import { channelKeyId } from './key-records.ts';
import { openRooms } from './open-rooms.ts';
import { OutboxDrain } from './outbox-drain.ts';
import { createPublicServer } from './public.ts';
import { restDomain } from './rest-domain.ts';
import { startScep } from './scep.ts';
import { readChannelKey, sealingKeyOf } from './secrets.ts';
import { stationDomain } from './station-domain.ts';

export interface RunServeOptions {
  /** The data directory. */
  readonly data: string;
  /** File descriptor with the channel key; without it, it is a systemd credential. */
  readonly secretsFd?: number;
  /** End when standard input closes, so that serve does not outlive a supervisor that was killed. */
  readonly withParent?: boolean;
}

const LOOPBACK = '127.0.0.1';
/** How often it is looked whether the TLS certificate is to be renewed, or its key must not be shown any more. */
const LOOK_AT_TLS_EVERY_MS = 60_000;

/**
 * The front end: repairs what a crash left, gets itself a TLS certificate, listens, and says so with one JSON line on
 * standard output. Resolves when it was told to stop and every request under way has been answered. Started by root,
 * it becomes the user that the directory of its database belongs to.
 * @throws KeysteadError `store.*`, `keyd.*`, `config.*`, `service.*`; everything is closed by then
 */
export async function runServe(options: RunServeOptions): Promise<void> {
  process.umask(0o077);
  const log = pino({ name: 'serve', base: { pid: process.pid } }, pino.destination({ fd: 2, sync: false }));
  const layout = new Layout(options.data);
  if (existsSync(dirname(layout.database))) becomeOwnerOf(dirname(layout.database), layout.data);
  const config = readConfig(layout);
  const clock = systemClock;
  const stop = stopSignal(options.withParent === true);
  // The pipe from the parent would keep the process alive.
  const undo: (() => unknown)[] = [() => process.stdin.destroy()];
  try {
    const right = await soleServe(layout);
    undo.unshift(() => right.release());
    const channelKey = await readChannelKey(options.secretsFd);
    const channelId = channelKeyId(channelKey);
    const sealingKey = sealingKeyOf(channelKey);
    undo.unshift(() => sealingKey.wipe());
    const keyd = await KeydClient.connect(keydSocketPath(layout), channelKey);
    undo.unshift(() => keyd.close());
    const rooms = await openRooms({
      layout,
      keyd,
      clock,
      log,
      channelKeyId: channelId,
      sealingKey,
      acme: config.acme,
      workloads: config.workloads,
      signing: config.signing,
      tuf: config.tuf,
    });
    undo.unshift(() => rooms.close());
    await rooms.start();

    let replaced = (_identity: TlsIdentity): void => {};
    const identity = await rooms.tls.start(config.host, (next) => replaced(next));
    const { app, server } = createHttpsServer(identity, log);
    replaced = (next) => replaceIdentity(server, next);
    const { factory } = rooms.hierarchy;
    if (factory === undefined) registerEst(app, estDomain(rooms), log);
    else refuseElsewhere(app, factory, log);
    registerRest(app, restDomain(rooms), log, factory && isRestHere);
    registerStation(app, stationDomain(rooms), log);
    if (config.acme?.enabled !== false && factory === undefined) {
      const origin = config.acme?.baseUrl ?? `https://${config.host}:${config.ports.https}`;
      registerAcme(app, rooms.acme, () => origin, log);
    }
    const cmp = factory === undefined ? new CmpResponder(cmpDomain(rooms), log) : undefined;
    if (cmp !== undefined) registerCmp(app, cmp, log);
    app.get('/healthz', async () => ({
      ok: true,
      keyd: (await keyd.status()).software,
      ...(config.scep === true ? { scep: 'on' } : {}),
      ...lateRepositories(rooms.tuf.renewals()),
      ...overduePins(rooms.bundles.endingPins()),
      ...(rooms.tls.problem === undefined ? {} : { tlsKey: rooms.tls.problem.code }),
      ...(factory === undefined ? {} : { factory: (await keyd.status()).factory }),
    }));
    const plain = createPublicServer({ rooms, keyd, layout, clock, log, cmp });
    if (factory === undefined) {
      const stamp = (request: TimestampRequest, requestId: string) => keyd.signTimestamp({ ...request, requestId });
      registerTsp(plain.app, new TspResponder({ clock, stamp }), log);
    }
    if (config.scep === true && factory === undefined) {
      const scep = await startScep(plain.app, rooms, { log });
      undo.unshift(() => scep.close());
    }
    undo.unshift(() => {
      server.closeIdleConnections();
      plain.server.closeIdleConnections();
      return Promise.all([app.close(), plain.app.close()]);
    });
    await listen(app, 'https', config.ports.https);
    await listen(plain.app, 'http', config.ports.http);
    if (rooms.outbox !== undefined && config.headquarters !== undefined) {
      const root = toPem('CERTIFICATE', rooms.certificates.root);
      const drain = new OutboxDrain({ outbox: rooms.outbox, headquarters: config.headquarters, root, log });
      drain.start();
      undo.unshift(() => drain.close());
      const news = startHeadquartersNews(rooms, { headquarters: config.headquarters, root, log });
      if (news !== undefined) undo.unshift(() => news.close());
    }
    const renewal = setInterval(() => {
      rooms.tls
        .look()
        .catch((err: unknown) =>
          log.error({ err }, 'the TLS certificate could not be looked after; it is tried again'),
        );
    }, LOOK_AT_TLS_EVERY_MS);
    undo.unshift(() => clearInterval(renewal));
    if (factory !== undefined) {
      const lists = hearHeadquarters({ rooms, keyd, log });
      undo.unshift(() => lists.stop());
    }
    process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ports: config.ports })}\n`);
    log.info({ ports: config.ports }, 'listening');
    if (factory !== undefined) {
      log.info(
        { factory: factory.name, serves: 'REST for the line, the log, CRL and OCSP of its server CA' },
        'in the factory role: LDevIDs, operators, EST, ACME, CMP, SCEP, revocations and backups are at headquarters',
      );
    }
    log.info({ why: await stop }, 'stopping');
  } finally {
    await runAll(undo, log);
  }
  log.info('stopped');
}

/** Each step is tried, also after one that failed: a service that cannot end would be taken for one that runs. */
async function runAll(undo: readonly (() => unknown)[], log: Logger): Promise<void> {
  for (const step of undo) {
    try {
      await step();
    } catch (error) {
      log.error({ err: error }, 'something could not be closed');
    }
  }
}

/**
 * A second serve would take what the first is about to record for what a crash left, and abandon it.
 * @throws KeysteadError `service.already-running`
 */
async function soleServe(layout: Layout): Promise<SoleRight> {
  const directory = dirname(layout.database);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  try {
    return await becomeSole(directory);
  } catch (cause) {
    if (!(cause instanceof KeysteadError)) throw cause;
    throw new KeysteadError('service.already-running', { field: layout.data, seen: 'another serve', cause });
  }
}

/** Update repositories that were not renewed in time. */
function lateRepositories(renewals: readonly RenewalState[]): { readonly tufLate?: readonly string[] } {
  const late = renewals.filter((one) => one.late).map(({ repository }) => repository);
  return late.length === 0 ? {} : { tufLate: late };
}

/** The pinned names for which the next content of the trust bundles is overdue. */
function overduePins(ending: readonly EndingPin[]): { readonly pinsOverdue?: readonly string[] } {
  const overdue = ending.filter(({ level }) => level === 'overdue').map(({ role }) => role);
  return overdue.length === 0 ? {} : { pinsOverdue: overdue };
}

/** @throws KeysteadError `service.port-taken` */
async function listen(app: FastifyInstance, name: string, port: number): Promise<void> {
  try {
    await app.listen({ port, host: LOOPBACK });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE')) throw cause;
    throw new KeysteadError('service.port-taken', { field: `ports.${name}`, seen: `${LOOPBACK}:${port}`, cause });
  }
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
