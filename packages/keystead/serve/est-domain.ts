import type { DerCertificate } from '@keystead/core/bytes';
import { readCertificate, sameName } from '@keystead/core/x509';
import type { EstDomain } from '../protocols/est/routes.ts';
import type { Rooms } from './rooms.ts';

/** EST's view of the rooms. */
export function estDomain(rooms: Rooms): EstDomain {
  const { access, authority, certificates, rollovers } = rooms;
  return {
    // RFC 7030 section 4.1.3: after a rollover of the root also what leads from each of its keys to the other.
    caCertificates: (): DerCertificate[] => [
      certificates.root,
      certificates.operational,
      certificates.server,
      ...rollovers.filter((der) => isOfRoot(der, certificates.root)),
    ],
    async enrol(certificate, csr, requestId) {
      const client = await access.identify(certificate, { requestId, what: 'enrol' });
      return (await authority.enrol({ client, csr, requestId })).certificate;
    },
    async reenrol(certificate, csr, requestId) {
      const client = await access.identify(certificate, { requestId, what: 'reenrol' });
      // RFC 7030 section 2.3: a client that cannot show what it renews authenticates as for its first enrolment, and
      // is held to the rules of that. strongSwan's client asks for nothing else once it shows a certificate.
      const recovers = client.kind === 'device' && client.profile === 'idevid';
      const issued = recovers
        ? await authority.enrol({ client, csr, requestId })
        : await authority.reenrol({ client, csr, requestId });
      return issued.certificate;
    },
    refused: (_certificate, error, requestId) => access.refused(error, { requestId, what: 'enrol' }),
  };
}

/** The signing root has rollovers of its own, which are of no use to a TLS client. */
const isOfRoot = (der: DerCertificate, root: DerCertificate): boolean =>
  sameName(readCertificate(der).subject, readCertificate(root).subject);
