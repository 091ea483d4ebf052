import type { DerCertificate } from '@keystead/core/bytes';
import type { EstDomain } from '../protocols/est/routes.ts';
import type { Rooms } from './rooms.ts';

/** EST's view of the rooms. */
export function estDomain(rooms: Rooms): EstDomain {
  const { access, authority, certificates } = rooms;
  return {
    caCertificates: (): DerCertificate[] => [certificates.root, certificates.operational, certificates.server],
    async enrol(certificate, csr, requestId) {
      const client = await access.identify(certificate, { requestId, what: 'enrol' });
      return (await authority.enrol({ client, csr, requestId })).certificate;
    },
    async reenrol(certificate, csr, requestId) {
      const client = await access.identify(certificate, { requestId, what: 'reenrol' });
      return (await authority.reenrol({ client, csr, requestId })).certificate;
    },
    refused: (_certificate, error, requestId) => access.refused(error, { requestId, what: 'enrol' }),
  };
}
