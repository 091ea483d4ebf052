import type { Profile } from '../x509/index.ts';
import type { Policy } from './policy.ts';

/** The profile of who signs time stamps (RFC 3161). A deployment whose policy has none makes none. */
export const TSA_PROFILE = 'tsa-signer';

/** The id of its key in keyd's keystore. */
export const TSA_KEY = 'tsa';

/**
 * The policy that each token names: keyd stamps what the front end hands it, by the clock of its machine, and vouches for
 * no more. The arc is the enterprise number for examples (RFC 5612), as for rehearsals.
 */
export const TSA_POLICY = '1.3.6.1.4.1.32473.2';

/**
 * How far a token's time may be from UTC, as it says itself: a second, since fractions are cut off, and the two that keyd
 * lets its clock go back. How right the machine's clock is beyond that is for whoever keeps it.
 */
export const TSA_ACCURACY_SECONDS = 3;

/** The profile of the signer, where the policy has one. */
export const tsaProfile = (policy: Policy): Profile | undefined => policy.profiles.find(({ id }) => id === TSA_PROFILE);
