import { KeysteadError } from '../errors/index.ts';
import { deviceIdOf, nameValues, type ParsedCsr, type Profile } from '../x509/index.ts';
import type { AuthorisedSubject } from './authorisation.ts';

/**
 * For whom a request asks, where its sender has no certificate that says so: the device or the hosts in its subject
 * alternative name, or in its common name. A claim: what the authorisation allows is looked at later.
 * @throws KeysteadError `authorisation.profile-forbidden` for a profile that names neither; `csr.subject-mismatch` for a
 *   request without a name, or with one that is neither.
 */
export function claimedSubject(profile: Profile, { subject, requested }: ParsedCsr): AuthorisedSubject {
  const san = requested.subjectAltName ?? [];
  const [commonName] = nameValues(subject, 'CN');
  switch (profile.subject.commonName) {
    case 'device-id': {
      const deviceId = deviceIdOf(san) ?? commonName;
      if (deviceId === undefined)
        throw new KeysteadError('csr.subject-mismatch', { field: 'subject', seen: 'no device' });
      return { deviceId };
    }
    case 'host': {
      const named = san.flatMap((name) => (/^(?:DNS|IP):/.test(name) ? [name.slice(name.indexOf(':') + 1)] : []));
      // The first is the common name of the certificate, so the one that is asked for comes first.
      const hosts = [...new Set([...(commonName === undefined ? [] : [commonName]), ...named])];
      if (hosts.length === 0) throw new KeysteadError('csr.subject-mismatch', { field: 'subject', seen: 'no host' });
      return { hosts };
    }
    default:
      throw new KeysteadError('authorisation.profile-forbidden', { field: 'profile', seen: profile.id });
  }
}
