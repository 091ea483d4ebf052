import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { durableWrite } from '../files/durable.ts';
import { certPath, keyPath, PEOPLE } from './operators.ts';
import type { World } from './world.ts';

/** Removes what an earlier run wrote: while the file is there, everything that it names is up. */
export const removeEndpoints = (world: World): void => rmSync(world.layout.endpoints, { force: true });

/**
 * Writes `endpoints.json`: every address, the trust anchor and the credentials that a client needs, so that
 * scripts need no guessing. It names passphrase files; it holds no secret.
 */
export function writeEndpoints(world: World): void {
  const { layout, httpsUrl, httpUrl, config } = world;
  const cas = ['root', 'signing-root', 'manufacturing', 'operational', 'server', 'operator'];
  const each = (url: (ca: string) => string, which = cas): Record<string, string> =>
    Object.fromEntries(which.map((ca) => [ca, url(ca)]));
  const passphrase = layout.passphrase('operators');
  const document = {
    version: 1,
    writtenAt: world.clock.now().toISOString(),
    pid: process.pid,
    data: layout.data,
    urls: {
      api: `${httpsUrl}/api/v1`,
      health: `${httpsUrl}/healthz`,
      est: `${httpsUrl}/.well-known/est`,
      est_cacerts: `${httpsUrl}/.well-known/est/cacerts`,
      est_simpleenroll: `${httpsUrl}/.well-known/est/simpleenroll`,
      est_simplereenroll: `${httpsUrl}/.well-known/est/simplereenroll`,
      est_csrattrs: `${httpsUrl}/.well-known/est/csrattrs`,
      ocsp: each((ca) => `${httpUrl}/ocsp/${ca}`, cas.slice(2)),
      crl: each((ca) => `${httpUrl}/crl/${ca}.crl`),
      ca_certificates: each((ca) => `${httpUrl}/ca/${ca}.cer`),
      tsa: `${httpUrl}/tsa`,
      log: `${httpUrl}/log`,
      log_checkpoint: `${httpUrl}/log/checkpoint`,
      backend: `https://${config.host}:${config.ports.backend}`,
    },
    trust: {
      anchor: world.rootPath,
      chain: join(layout.trust, 'ca-chain.pem'),
      directory: layout.trust,
      policy: layout.policy,
      log_vkey: join(layout.trust, 'log.vkey'),
    },
    files: {
      log: layout.log,
      records: layout.records,
      evidence: layout.evidence,
      ceremony: layout.ceremony,
      service_logs: layout.logs,
    },
    batches: {
      story: { ticket: config.batch.ticketId, line: 'line-1', quota: config.batch.quota, note: 'used up' },
      try: { ticket: config.tryBatch.ticketId, line: 'line-1', device_ids: 'TRY-0002 to TRY-0100' },
    },
    credentials: {
      note: 'keys are encrypted PKCS#8; the passphrase is the content of passphrase_file',
      operators: PEOPLE.map(({ name, roles }) => ({
        name,
        roles,
        certificate: certPath(layout, name),
        key: keyPath(layout, name),
        passphrase_file: passphrase,
      })),
      device: {
        note: 'a device of your own: its IDevID is free to use with openssl, curl and strongSwan pki against the EST addresses',
        device_id: TRY_DEVICE,
        certificate: join(layout.data, 'try', `${TRY_DEVICE}.pem`),
        key: join(layout.data, 'try', `${TRY_DEVICE}.key.pem`),
        passphrase_file: passphrase,
      },
    },
  };
  durableWrite(layout.endpoints, `${JSON.stringify(document, null, 2)}\n`, 0o600);
}

/** The device that is there for people and scripts to try things with. */
export const TRY_DEVICE = 'TRY-0001';
