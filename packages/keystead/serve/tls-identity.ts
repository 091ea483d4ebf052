import { toHex, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
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
  const { authority, certificates, rollovers } = rooms;
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
  // A client that knows the old key of the root alone finds its way by them (RFC 9810 section 4.4).
  const { spkiSha256 } = readCertificate(certificates.root);
  const newWithOld = rollovers.filter((der) => readCertificate(der).spkiSha256 === spkiSha256);
  return {
    key: pem,
    cert: [issued.certificate, certificates.server, ...newWithOld].map((der) => toPem('CERTIFICATE', der)).join(''),
    clientCas: (['manufacturing', 'operational', 'operator', 'root'] as const).map((role) =>
      toPem('CERTIFICATE', certificates[role]),
    ),
  };
}
