import { KeysteadError } from '../../errors/index.ts';
import type { Policy } from '../policy.ts';
import { STATION_PROFILE } from './rules.ts';

/**
 * What a certificate of a station is, is not for a policy to say: one host under the server CA, good to open a
 * connection and for nothing else, so that it is taken neither for a server nor for a person.
 * @throws KeysteadError `policy.stations`.
 */
export function checkStationRules({ profiles, stations }: Policy): void {
  const index = profiles.findIndex(({ id }) => id === STATION_PROFILE);
  const profile = profiles[index];
  if (profile === undefined) {
    if (stations?.required !== true) return;
    throw new KeysteadError('policy.stations', { field: 'stations.required', seen: `no profile '${STATION_PROFILE}'` });
  }
  const field = `profiles[${index}]`;
  const broken =
    (profile.issuer !== 'server' && { field: `${field}.issuer`, seen: profile.issuer }) ||
    (profile.subject.commonName !== 'host' && { field: `${field}.subject.commonName`, seen: 'no host' }) ||
    (profile.wildcards === true && { field: `${field}.wildcards`, seen: 'true' }) ||
    (profile.extKeyUsage.join() !== 'clientAuth' && {
      field: `${field}.extKeyUsage`,
      seen: profile.extKeyUsage.join(', '),
    }) ||
    (profile.requesters.join() !== 'operator' && {
      field: `${field}.requesters`,
      seen: profile.requesters.join(', '),
    });
  if (broken !== false) throw new KeysteadError('policy.stations', broken);
}
