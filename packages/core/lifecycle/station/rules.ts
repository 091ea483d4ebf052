import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import type { Policy } from '../policy.ts';

/** The profile of the certificates of stations. A policy of before stations has none: there are none then. */
export const STATION_PROFILE = 'station';

/** One shift: an operator who is signed on for longer has gone home and left the station to whoever stands there. */
export const LONGEST_SIGN_ON_SECONDS = 12 * 3600;

/** What a policy says of stations; without it they may be used, and need not be. */
export const StationsPolicySchema = z.strictObject({
  /** Whether every unit must come from a station that somebody is signed on at. */
  required: z.boolean(),
  /** How long one sign-on may hold. */
  maxSignOnSeconds: z.int().min(60).max(LONGEST_SIGN_ON_SECONDS),
});
export type StationRules = z.infer<typeof StationsPolicySchema>;

/** The rules in force. */
export const stationRules = ({ stations }: Pick<Policy, 'stations'>): StationRules =>
  stations ?? { required: false, maxSignOnSeconds: LONGEST_SIGN_ON_SECONDS };

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
