import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type DerCertificate, type SpkiSha256, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes, type Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { certificationRequest } from '@keystead/core/x509';
import type { Logger } from 'pino';
import type { Authority } from '../authority/index.ts';
import type { Certificate, Store } from '../store/index.ts';
import type { ServedHierarchy } from './served-hierarchy.ts';

/** Of the rooms what this takes. */
export interface CertifyingRooms {
  readonly authority: Pick<Authority, 'serverCertificate' | 'onStatusChanged'>;
  readonly hierarchy: ServedHierarchy;
  readonly store: Store;
  readonly clock: Clock;
}

/** What serve shows of a certificate, and what it asks of it. */
export type TlsCertificate = Pick<Certificate, 'issuer' | 'serial' | 'notBefore' | 'notAfter'> & {
  readonly certificate: DerCertificate;
};

/** The next certificate over the same key is asked for when this part of the life of the one before is over. */
const RENEW_AT = 0.5;

/** How a key stands by its newest certificate and by what was reported of it. */
export interface KeyStanding {
  /** Undefined for a key that has none yet. */
  readonly certificate?: TlsCertificate;
  /** Why the key must not be shown, and what that is for good. */
  readonly stopped?: { readonly seen: string; readonly event?: 'compromise' | 'deactivate' };
}

export function keyStanding({ store }: Pick<CertifyingRooms, 'store'>, key: SpkiSha256): KeyStanding {
  return store.read((records) => {
    const use = records.keyUse(key);
    if (typeof use?.compromisedAt === 'number')
      return { stopped: { seen: 'reported compromised', event: 'compromise' } };
    if (use === undefined || use.issuer === null || use.serial === null) return {};
    const found = records.certificate(use.issuer, use.serial);
    if (found === undefined) return {};
    const { status, reason, serial } = found;
    // A hold may come off again.
    if (status === 'hold') return { stopped: { seen: `certificate ${serial} on hold` } };
    const event = reason === 'keyCompromise' || reason === 'cACompromise' ? 'compromise' : 'deactivate';
    if (status !== 'good') return { stopped: { seen: `certificate ${serial} revoked: ${reason}`, event } };
    return { certificate: { ...found, certificate: found.der as DerCertificate } };
  });
}

/** Whether a certificate can go on being shown without another one being asked for. */
export function isFresh({ hierarchy, clock }: CertifyingRooms, one: TlsCertificate, hosts: readonly string[]): boolean {
  const due = one.notBefore + (one.notAfter - one.notBefore) * RENEW_AT;
  const current = hierarchy.issuers.some(({ id, ca, current }) => id === one.issuer && ca === 'server' && current);
  return clock.now().getTime() < due && current && namesHosts(one.certificate, hosts);
}

/**
 * The certificate to show for a key: the one that there is, while it is fresh; else the next one over the same key. Where
 * that cannot be had now, the one before goes on until it ends.
 * @throws KeysteadError `tls-key.revoked`; of keyd and of the store.
 */
export async function certifiedFor(
  rooms: CertifyingRooms,
  signer: Signer,
  key: SpkiSha256,
  { hosts, log }: { readonly hosts: string[]; readonly log: Logger },
): Promise<TlsCertificate> {
  const { certificate: earlier, stopped } = keyStanding(rooms, key);
  if (stopped !== undefined) throw new KeysteadError('tls-key.revoked', { field: key, seen: stopped.seen });
  if (earlier !== undefined && isFresh(rooms, earlier, hosts)) return earlier;
  try {
    const { certificate, issuer, serial, notBefore, notAfter } = await certify(rooms, signer, hosts);
    return { certificate, issuer, serial, notBefore: notBefore.getTime(), notAfter: notAfter.getTime() };
  } catch (error) {
    const good = earlier !== undefined && rooms.clock.now().getTime() <= earlier.notAfter;
    if (!good || !namesHosts(earlier.certificate, hosts)) throw error;
    log.error({ err: error }, 'the TLS certificate could not be renewed; it is tried again');
    return earlier;
  }
}

/** A certificate of the server CA for a key of serve's. @throws KeysteadError of keyd and of the store. */
export async function certify({ authority }: Pick<CertifyingRooms, 'authority'>, signer: Signer, hosts: string[]) {
  const csr = await certificationRequest(hosts[0] ?? '', signer);
  const actor = { kind: 'system', id: 'serve' } as const;
  return authority.serverCertificate({ hosts, csr, requestId: toHex(randomBytes(8)), actor, renews: true });
}

/** Whether a certificate is for these names and for no other. */
function namesHosts(der: DerCertificate, hosts: readonly string[]): boolean {
  const certificate = new X509Certificate(der);
  const names = certificate.subjectAltName?.split(', ') ?? [];
  return (
    names.length === hosts.length &&
    hosts.every((host) => (isIP(host) === 0 ? names.includes(`DNS:${host}`) : certificate.checkIP(host) !== undefined))
  );
}
