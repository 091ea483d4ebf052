import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, type SecretBytes, softwareSigner } from '@keystead/core/crypto';
import { isHostWithin } from '@keystead/core/x509';
import type { TlsIdentity } from '../protocols/http/server.ts';
import type { ServedHierarchy } from './served-hierarchy.ts';
import { type CertifyingRooms, certify } from './tls-certificate.ts';

/** keyd certifies no more at once; an order of a commission has no more. */
const MOST_HOSTS = 16;
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

/**
 * The names under which this server is reached, the one that it goes by first.
 * @param commissioned at a factory node what its commission calls its servers. They are its names; of this machine's own
 *   those that are among them. A host that somebody has set and that is none of them stays, for keyd to refuse.
 */
export function hostsOf(host: string, commissioned?: readonly string[]): string[] {
  if (commissioned === undefined) return [...new Set([host, ...LOOPBACK])];
  const own = LOOPBACK.filter((name) => isHostWithin(name, commissioned));
  const set = LOOPBACK.includes(host) && !own.includes(host) ? [] : [host];
  return [...new Set([...set, ...commissioned, ...own])].slice(0, MOST_HOSTS);
}

/**
 * A fresh TLS key and its certificate from the server CA, for where no key can be kept, or the one that is kept must not be
 * shown. It lives in this process only and is never stored: nothing pins it.
 * @throws KeysteadError `factory.host-outside` for a host that the commission of this node does not name; of keyd, of the
 *   store.
 */
export async function makeTlsIdentity(
  rooms: Pick<CertifyingRooms, 'authority' | 'hierarchy'>,
  host: string,
): Promise<TlsIdentity> {
  const key = generateSoftwareKey('P-256');
  using pkcs8 = key.pkcs8;
  const hosts = hostsOf(host, rooms.hierarchy.factory?.serverNames);
  const issued = await certify(rooms, softwareSigner('P-256', pkcs8), hosts);
  return tlsIdentity(rooms.hierarchy, pkcs8, issued.certificate);
}

/**
 * What node:tls takes. OpenSSL and the PEM text keep copies that cannot be wiped (docs/memory.md).
 * @param pkcs8 stays with the caller.
 */
export const tlsIdentity = (
  hierarchy: ServedHierarchy,
  pkcs8: SecretBytes,
  certificate: DerCertificate,
): TlsIdentity => ({
  key: pkcs8.use((bytes) => toPem('PRIVATE KEY', bytes)),
  // The CA, and for those who know an old root only what leads to the one in use.
  cert: [certificate, hierarchy.certificates.server, ...hierarchy.above('server'), ...hierarchy.newWithOld]
    .map(pemOf)
    .join(''),
  clientCas: [...clientCas(hierarchy), ...hierarchy.anchors].map(pemOf),
});

/** Whose certificates clients may show. At a factory node people come with those of headquarters, stations with its own. */
const clientCas = (hierarchy: ServedHierarchy): DerCertificate[] =>
  hierarchy.factory === undefined
    ? hierarchy.chain('manufacturing', 'operational', 'server', 'operator')
    : [...hierarchy.chain('manufacturing', 'server'), hierarchy.certificates.operator];

const pemOf = (der: DerCertificate): string => toPem('CERTIFICATE', der);
