import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { clientCertificate, sendError } from '../http/server.ts';
import { STATION_ROUTES } from '../station/routes.ts';
import { ACME_OPERATOR_ROUTES, acmeOperatorRoutes } from './acme.ts';
import { AUTHORISATION_ROUTES, authorisationRoutes } from './authorisations.ts';
import { CA_REVOCATION_ROUTES, caRevocationRoutes } from './ca-revocations.ts';
import { CAMPAIGN_ROUTES, campaignRoutes } from './campaigns.ts';
import type { RestDomain } from './domain.ts';
import { FACTORY_ROUTES, factoryRoutes } from './factories.ts';
import { RECONCILIATION_ROUTES, reconciliationRoutes } from './reconciliation.ts';
import { RECORD_ROUTES, recordRoutes } from './records.ts';
import { REVOCATION_ROUTES, revocationRoutes } from './revocations.ts';
import {
  BackupId,
  CertificateSerial,
  ChangePolicy,
  checkBody,
  csrBytes,
  Decommission,
  EnrolOperator,
  EnrolServer,
  KeyOrder,
  Keys,
  OpenBatch,
  Readmission,
  RecordDrill,
  RecountOrder,
  SignBackup,
} from './schemas.ts';
import { SIGNING_ROUTES, signingRoutes } from './signing.ts';
import { STATION_OPERATOR_ROUTES, stationOperatorRoutes } from './stations.ts';
import { TLS_KEY_ROUTES, tlsKeyRoutes } from './tls-key.ts';
import { TRUST_ROUTES, trustRoutes } from './trust.ts';
import { TUF_ROUTES, tufRoutes } from './tuf.ts';
import { UNIT_ROUTES, unitRoutes } from './units.ts';

/**
 * The REST interface for operators, stations and scripts, JSON over mutual TLS. Each route names the
 * permission that it needs; the domain decides, and audits each refusal. `GET /api/v1` lists the routes.
 * @param isHere which of them this house has, by their paths.
 */
export function registerRest(
  app: FastifyInstance,
  domain: RestDomain,
  log: Logger,
  isHere: (path: string) => boolean = () => true,
): void {
  app.register(
    async (api) => {
      api.setErrorHandler(async (thrown, request, reply) => {
        if (thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('FST_')) {
          await domain.refused(clientCertificate(request), thrown, request.id);
        }
        return sendError(thrown, request, reply, log);
      });

      const routes = ROUTES.filter(([, path]) => isHere(path.split(' ', 1)[0] ?? path));
      api.get('/', () => ({ routes }));
      api.get('/whoami', (request) => domain.whoami(caller(request)));
      api.get('/devices', (request) => domain.devices(caller(request)));
      api.get('/devices/:id', async (request) => {
        const id = await read(request, () => parameter(request, 'id'));
        return domain.device(caller(request), id);
      });
      api.get('/certificates/:serial', async (request) => {
        const { serial } = await read(request, () => checkBody(CertificateSerial, request.params));
        return domain.certificate(caller(request), serial);
      });
      recordRoutes(api, domain, { read, caller, parameter });

      api.get('/keys', async (request) => {
        const query = await read(request, () => checkBody(Keys, request.query));
        return domain.keys(caller(request), query);
      });
      api.get('/keys/due', (request) => domain.dueKeys(caller(request)));
      api.get('/keys/:name', async (request) => {
        const name = await read(request, () => parameter(request, 'name'));
        return domain.key(caller(request), name);
      });
      api.post('/key-orders', async (request) => {
        const { order } = await read(request, () => checkBody(KeyOrder, request.body));
        return domain.orderKey(caller(request), order);
      });

      api.post('/operator-certificates', async (request) => {
        const { name, csr } = await read(request, () => withCsr(checkBody(EnrolOperator, request.body)));
        return domain.enrolOperator(caller(request), name, csr);
      });
      api.post('/server-certificates', async (request) => {
        const { csr, hosts } = await read(request, () => withCsr(checkBody(EnrolServer, request.body)));
        return domain.enrolServer(caller(request), csr, hosts);
      });
      authorisationRoutes(api, domain, { read, caller, parameter });
      acmeOperatorRoutes(api, domain, { read, caller, parameter });
      api.post('/batches', async (request) => {
        const { ticket } = await read(request, () => checkBody(OpenBatch, request.body));
        return domain.openBatch(caller(request), ticket);
      });
      unitRoutes(api, domain, { read, caller, parameter });
      reconciliationRoutes(api, domain, { read, caller, parameter });
      revocationRoutes(api, domain, { read, caller, parameter });
      factoryRoutes(api, domain, { read, caller, parameter });
      stationOperatorRoutes(api, domain, { read, caller, parameter });
      signingRoutes(api, domain, { read, caller, parameter });
      tufRoutes(api, domain, { read, caller, parameter });
      campaignRoutes(api, domain, { read, caller, parameter });
      caRevocationRoutes(api, domain, { read, caller, parameter });
      tlsKeyRoutes(api, domain, { read, caller, parameter });
      trustRoutes(api, domain, { read, caller, parameter });
      api.post('/devices/:id/decommission', async (request) => {
        const id = await read(request, () => parameter(request, 'id'));
        const end = await read(request, () => checkBody(Decommission, request.body));
        return domain.decommission(caller(request), id, end);
      });
      api.post('/devices/:id/readmission', async (request) => {
        const id = await read(request, () => parameter(request, 'id'));
        const { reason } = await read(request, () => checkBody(Readmission, request.body));
        return domain.readmit(caller(request), id, reason);
      });
      api.get('/count', (request) => domain.count(caller(request)));
      api.post('/recounts', async (request) => {
        const { order } = await read(request, () => checkBody(RecountOrder, request.body));
        return domain.recount(caller(request), order);
      });
      api.get('/policy', (request) => domain.policy(caller(request)));
      api.post('/policy', { bodyLimit: POLICY_LIMIT_BYTES }, async (request) => {
        const change = await read(request, () => checkBody(ChangePolicy, request.body));
        return domain.changePolicy(caller(request), change);
      });
      api.post('/backups', async (request) => {
        const backup = await read(request, () => checkBody(SignBackup, request.body));
        return domain.signBackup(caller(request), backup);
      });
      api.post('/backups/:id/drills', async (request) => {
        const { id: backupId } = await read(request, () => checkBody(BackupId, request.params));
        const drill = await read(request, () => checkBody(RecordDrill, request.body));
        return domain.recordDrill(caller(request), { ...drill, backupId });
      });
    },
    { prefix: '/api/v1' },
  );

  /** What was sent, as `reading` makes it a checked value; what it refuses is audited, for the domain never sees it. */
  async function read<T>(request: FastifyRequest, reading: () => T): Promise<T> {
    try {
      return reading();
    } catch (error) {
      await domain.refused(clientCertificate(request), error, request.id);
      throw error;
    }
  }
}

/** A policy with thousands of operators is larger than every other body. */
const POLICY_LIMIT_BYTES = 2 * 1024 * 1024;

/** What `GET /api/v1` tells: method, path, permission. */
const ROUTES = [
  ['GET', '/api/v1/whoami', '(any client certificate)'],
  ['GET', '/api/v1/devices', 'device.read'],
  ['GET', '/api/v1/devices/:id', 'device.read'],
  ['GET', '/api/v1/certificates/:serial', 'certificate.read'],
  ...RECORD_ROUTES,
  ['GET', '/api/v1/keys ?purpose &state &owner &custody &endingWithin &after', 'key.read'],
  ['GET', '/api/v1/keys/due', 'key.read'],
  ['GET', '/api/v1/keys/:name', 'key.read'],
  ['POST', '/api/v1/key-orders {order}', 'key.stop or key.resume'],
  ['POST', '/api/v1/operator-certificates {name, csr}', '(a key that stands in the policy)'],
  ['POST', '/api/v1/server-certificates {csr, hosts}', 'server.enrol'],
  ...AUTHORISATION_ROUTES,
  ...ACME_OPERATOR_ROUTES,
  ['POST', '/api/v1/batches {ticket}', 'batch.open'],
  ...UNIT_ROUTES,
  ...RECONCILIATION_ROUTES,
  ...REVOCATION_ROUTES,
  ...FACTORY_ROUTES,
  ...STATION_OPERATOR_ROUTES,
  ...STATION_ROUTES,
  ...CA_REVOCATION_ROUTES,
  ...SIGNING_ROUTES,
  ...TUF_ROUTES,
  ...TLS_KEY_ROUTES,
  ...TRUST_ROUTES,
  ...CAMPAIGN_ROUTES,
  ['POST', '/api/v1/devices/:id/decommission {wiped, wipeEvidence?, reason?}', 'device.decommission'],
  ['POST', '/api/v1/devices/:id/readmission {reason}', 'device.readmit'],
  ['GET', '/api/v1/count', 'batch.open'],
  ['POST', '/api/v1/recounts {order}', 'ticket.sign'],
  ['GET', '/api/v1/policy', 'policy.read'],
  ['POST', '/api/v1/policy {policy, approvals}', 'policy.apply'],
  ['POST', '/api/v1/backups {backupId, checkpoint, payload, members, shares}', 'backup.create'],
  ['POST', '/api/v1/backups/:id/drills {manifestSha256, custodians, outcome, members, logEntries}', 'backup.create'],
] as const;

/** Who asks, and the id that this request has in every log line and audit entry. */
function caller(request: FastifyRequest): { certificate: Uint8Array | undefined; requestId: string } {
  return { certificate: clientCertificate(request), requestId: request.id };
}

function parameter(request: FastifyRequest, name: string): string {
  const value = (request.params as Record<string, string>)[name] ?? '';
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)) {
    throw new KeysteadError('request.malformed', { field: name, seen: '1 to 64 letters, digits, . _ - are needed' });
  }
  return value;
}

const withCsr = <T extends { csr: string }>(body: T): Omit<T, 'csr'> & { csr: Uint8Array } => ({
  ...body,
  csr: csrBytes(body.csr),
});
