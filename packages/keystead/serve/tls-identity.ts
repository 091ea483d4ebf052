import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest } from '@keystead/core/x509';
import type { TlsIdentity } from '../protocols/http/server.ts';
import type { Rooms } from './rooms.ts';

/** The names under which this server is reached. */
export const hostsOf = (host: string): string[] => [...new Set([host, 'localhost', '127.0.0.1', '::1'])];

/**
 * A fresh TLS key and its certificate from the server CA. The key lives in this process only: it is made anew
 * at each start and never stored. OpenSSL and the PEM text that node:tls wants keep copies that cannot be wiped
 * (docs/memory.md).
 */
export async function makeTlsIdentity(rooms: Rooms, host: string): Promise<TlsIdentity> {
  const { authority, hierarchy } = rooms;
  const key = generateSoftwareKey('P-256');
  const csr = await certificationRequest(host, softwareSigner('P-256', key.pkcs8));
  const issued = await authority.serverCertificate({
    hosts: hostsOf(host),
    csr,
    requestId: toHex(randomBytes(8)),
    actor: { kind: 'system', id: 'serve' },
  });
  const pem = key.pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes));
  key.pkcs8.wipe();
  return {
    key: pem,
    // The CA, and for those who know an old root only what leads to the one in use.
    cert: [issued.certificate, hierarchy.certificates.server, ...hierarchy.above('server'), ...hierarchy.newWithOld]
      .map(pemOf)
      .join(''),
    clientCas: [...clientCas(hierarchy), ...hierarchy.anchors].map(pemOf),
  };
}

/** Whose certificates clients may show. At a factory node people come with those of headquarters, stations with its own. */
const clientCas = (hierarchy: Rooms['hierarchy']): DerCertificate[] =>
  hierarchy.factory === undefined
    ? hierarchy.chain('manufacturing', 'operational', 'server', 'operator')
    : [...hierarchy.chain('manufacturing', 'server'), hierarchy.certificates.operator];

const pemOf = (der: DerCertificate): string => toPem('CERTIFICATE', der);
