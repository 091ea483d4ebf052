import { EXTENSIONS, type Profile, readCertificate } from '../../x509/index.ts';
import type { Policy } from '../policy.ts';

/** The name of every file of a rehearsal begins with it, and so does every heading. */
export const REHEARSAL_PREFIX = 'REHEARSAL-';
const ORGANIZATION = 'REHEARSAL, NOT FOR USE';

/** RFC 5280 appendix A.1: ub-common-name. */
const LONGEST_NAME = 64;

/**
 * The policy by which a rehearsal makes its certificates: as the given one, but every subject of the ceremony says what
 * it is. Its bytes are never written; the policy that is rehearsed with stays in its own file.
 */
export const rehearsalPolicy = (policy: Policy): Policy => ({ ...policy, profiles: policy.profiles.map(rehearsed) });

function rehearsed(profile: Profile): Profile {
  const { commonName } = profile.subject;
  if (typeof commonName === 'string') return profile;
  const fixed = `REHEARSAL ${commonName.fixed}`.slice(0, LONGEST_NAME);
  return { ...profile, subject: { ...profile.subject, commonName: { fixed }, organization: ORGANIZATION } };
}

/** Whether a certificate was made in a rehearsal: by its critical mark. @throws KeysteadError `cert.not-der`. */
export const isRehearsed = (der: Uint8Array): boolean =>
  readCertificate(der).extensions.some(({ oid }) => oid === EXTENSIONS.rehearsal);
