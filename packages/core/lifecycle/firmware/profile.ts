import type { Profile } from '../../x509/index.ts';
import type { Policy } from '../policy.ts';
import type { FirmwareEnvironment, FirmwareKey } from './policy.ts';

/** The profile of keys that sign firmware. A policy without it has no such keys. */
export const FIRMWARE_PROFILE = 'firmware-signer';

const PREFIX = 'firmware-';

/** The id of a key for firmware in keyd's keystore. */
export const firmwareKeystoreId = (id: string): string => `${PREFIX}${id}`;

/** The id in the policy of a key of keyd's keystore; undefined for one that is not for firmware. */
export const firmwareIdOf = (keystoreId: string): string | undefined =>
  keystoreId.startsWith(PREFIX) ? keystoreId.slice(PREFIX.length) : undefined;

/**
 * The profile of one key: its certificate says for which product and environment it signs, so that a later policy cannot
 * move it. A production key is certified by the signing root in a ceremony, a development key by itself alone: no path
 * leads from it to an anchor of production. docs/decisions/0038
 */
export function firmwareProfileOf(profile: Profile, { id, product, environment }: FirmwareScopeOfKey): Profile {
  return {
    ...profile,
    issuer: environment === 'production' ? 'signing-root' : 'self',
    subject: {
      commonName: { fixed: `${product} ${id}` },
      ...(profile.subject.organization === undefined ? {} : { organization: profile.subject.organization }),
      organizationalUnit: `firmware ${environment}`,
    },
  };
}
type FirmwareScopeOfKey = Pick<FirmwareKey, 'id' | 'product'> & { readonly environment: FirmwareEnvironment };

/** The profile of keys for firmware, where the policy has one. */
export const firmwareProfile = (policy: Policy): Profile | undefined =>
  policy.profiles.find(({ id }) => id === FIRMWARE_PROFILE);
