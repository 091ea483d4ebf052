import type { DerCertificate } from '@keystead/core/bytes';
import type { EstDomain } from '../protocols/est/routes.ts';
import type { Rooms } from './rooms.ts';

/** EST's view of the rooms. */
export function estDomain(rooms: Rooms): EstDomain {
  const { access, authority, hierarchy } = rooms;
  return {
    // The root in use first; then, after a change of its key, old with old, old with new and new with old.
    caCertificates: (): DerCertificate[] => [...hierarchy.anchors, ...hierarchy.chain('operational', 'server')],
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
