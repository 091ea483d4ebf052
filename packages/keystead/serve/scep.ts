import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type IssuerId, profileOf } from '@keystead/core/lifecycle';
import { type CertificateName, parseCsr, readCertificate } from '@keystead/core/x509';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { askedSubject } from '../authority/index.ts';
import type { ScepDomain } from '../protocols/scep/operation.ts';
import { registerScep } from '../protocols/scep/routes.ts';
import type { Certificate } from '../store/index.ts';
import type { Rooms } from './rooms.ts';
import { ScepRas } from './scep-ra.ts';

interface ScepOptions {
  readonly log: Logger;
}

/** How often it is looked whether the RA needs its next certificate. */
const LOOK_EVERY_MS = 10 * 60 * 1000;

/** Why SCEP is a thing to be warned of; `keystead verify` says it too. */
export const SCEP_WARNING =
  'SCEP is on: it runs over plain HTTP, encrypts with AES-CBC and RSA PKCS #1 v1.5 that nothing authenticates, and trusts whoever holds the secret of an authorisation. Use EST, ACME or CMP for equipment that speaks one of them, and switch SCEP off ("scep": false in config.json) when the rest is gone';

/** Makes the RA and its routes. @throws KeysteadError `scep.profile-missing`, and what keyd refuses. */
export async function startScep(app: FastifyInstance, rooms: Rooms, options: ScepOptions): Promise<{ close(): void }> {
  const { log } = options;
  log.warn(SCEP_WARNING);
  const ras = await ScepRas.make(rooms);
  registerScep(app, scepDomain(rooms, ras), log);
  const timer = setInterval(() => {
    ras
      .renewDue()
      .catch((error: unknown) => log.error({ err: error }, 'the RA of SCEP could not be renewed; it is tried again'));
  }, LOOK_EVERY_MS);
  return { close: () => clearInterval(timer) };
}

/** SCEP's view of the rooms. */
export function scepDomain(rooms: Rooms, ras: Pick<ScepRas, 'all'>): ScepDomain {
  const { access, authority, certificates, hierarchy, store } = rooms;
  const { authorisations } = authority;
  /** The keys of the CA with this name, the one in use last. @throws KeysteadError `scep.certificate-unknown`. */
  const issuersNamed = (name: Uint8Array): IssuerId[] => {
    const found = hierarchy.issuers.filter(({ certificate }) =>
      sameBytes(readCertificate(certificate).subjectDer, name),
    );
    if (found.length === 0) throw new KeysteadError('scep.certificate-unknown', { field: 'issuer' });
    return found.toSorted((a, b) => Number(a.current) - Number(b.current)).map(({ id }) => id);
  };
  const recordOf = ({ issuer, serial }: CertificateName): Certificate | undefined =>
    issuersNamed(issuer)
      .map((id) => store.read((records) => records.certificate(id, serial)))
      .find((record) => record !== undefined);
  return {
    ras: () => ras.all,
    caCertificates: () => [certificates.operational, certificates.root],
    async authorise(challenge, requestId) {
      const dot = challenge.indexOf('.');
      const [id, secret] = [challenge.slice(0, Math.max(dot, 0)), challenge.slice(dot + 1)];
      if (id === '') {
        const error = new KeysteadError('scep.challenge', { field: 'challengePassword' });
        await access.refused(error, { requestId, what: 'enrol by scep' });
        throw error;
      }
      return (await authorisations.verifySecret(id, secret, 'scep', requestId)).id;
    },
    async enrol({ authorisationId, csr }, requestId) {
      const { signed } = authorisations.usable(authorisationId, 'scep');
      const subject = askedSubject(parseCsr(csr), profileOf(rooms.policy, signed.content.profile));
      return authority.enrolAuthorised({ way: 'scep', authorisationId, csr, subject, requestId });
    },
    async renew(signer, csr, requestId) {
      const client = await access.identify(signer, { requestId, what: 'reenrol by scep' });
      // By its IDevID a device recovers, as over EST; every other certificate renews itself.
      if (client.profile === 'idevid') return authority.enrol({ client, csr, requestId });
      return authority.reenrol({ client, profile: client.profile, csr, requestId });
    },
    async certificate(signer, name, requestId): Promise<DerCertificate> {
      await access.identify(signer, { requestId, what: 'get certificate by scep' });
      const found = recordOf(name);
      if (found !== undefined) return found.der as DerCertificate;
      throw new KeysteadError('scep.certificate-unknown', { field: 'serial', seen: name.serial });
    },
    crl(name): DerCrl {
      // That of the key that signed the certificate; for one that is not known here, that of the key in use.
      const named = issuersNamed(name.issuer);
      const own = recordOf(name)?.issuer;
      const issuer = named.find((id) => id === own) ?? named.at(-1);
      const newest = issuer === undefined ? undefined : authority.crlOctets(issuer);
      if (newest === undefined) throw new KeysteadError('scep.certificate-unknown', { field: 'issuer' });
      return newest.der;
    },
    refused: (error, requestId) => access.refused(error, { requestId, what: 'scep' }),
  };
}
