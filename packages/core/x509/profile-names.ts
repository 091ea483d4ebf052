import { KeysteadError } from '../errors/index.ts';
import { checkDeviceId, checkPersonName, deviceUrn, hostSan, personUrn, wildcardSan } from './identity.ts';
import type { DistinguishedName, NameAttribute } from './names.ts';
import type { Profile } from './profile.ts';

/** For whom a certificate is: the identity that was authenticated, never one that a request claims. */
export interface Named {
  readonly deviceId?: string;
  readonly person?: string;
  /** Host names and addresses; the first is the common name. */
  readonly hosts?: readonly string[];
}

/**
 * The subject and alternative names that a profile gives to an identity: O, OU, CN, serialNumber in this order.
 * @throws KeysteadError `device.id-malformed`, `person.name-malformed`, `name.malformed` (also when the identity
 *   that the profile needs is not given)
 */
export function namesFor(profile: Profile, named: Named): { subject: DistinguishedName; san: string[] } {
  const { commonName, san } = nameParts(profile, named);
  const rdns: NameAttribute[] = [];
  if (profile.subject.organization !== undefined) rdns.push({ type: 'O', value: profile.subject.organization });
  const { organizationalUnit } = profile.subject;
  if (organizationalUnit !== undefined) rdns.push({ type: 'OU', value: organizationalUnit });
  rdns.push({ type: 'CN', value: commonName });
  if (profile.subject.serialNumber !== undefined) rdns.push({ type: 'serialNumber', value: commonName });
  return { subject: { rdns }, san };
}

function nameParts(profile: Profile, named: Named): { commonName: string; san: string[] } {
  const kind = profile.subject.commonName;
  if (typeof kind !== 'string') return { commonName: kind.fixed, san: [] };
  switch (kind) {
    case 'device-id': {
      const id = checkDeviceId(needed(named.deviceId, 'deviceId'));
      return { commonName: id, san: [`URI:${deviceUrn(id)}`] };
    }
    case 'person': {
      const name = checkPersonName(needed(named.person, 'person'));
      return { commonName: name, san: [`URI:${personUrn(name)}`] };
    }
    case 'host': {
      const san = [...new Set((named.hosts ?? []).map((host) => hostName(profile, host)))];
      const [first] = san;
      return {
        commonName: needed(first, 'hosts')
          .slice(first?.indexOf(':') ?? 0)
          .slice(1),
        san,
      };
    }
  }
}

/** @throws KeysteadError `name.malformed`, also for a wildcard where the profile gives none. */
const hostName = (profile: Profile, host: string): string =>
  profile.wildcards === true && host.startsWith('*.') ? wildcardSan(host) : hostSan(host);

function needed(value: string | undefined, field: string): string {
  if (value === undefined) throw new KeysteadError('name.malformed', { field, seen: 'nothing' });
  return value;
}
