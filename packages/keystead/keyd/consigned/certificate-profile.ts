import { factoryProfile, type Policy, profileOf } from '@keystead/core/lifecycle';
import { type CertificateInfo, formatName, lintInfo, namesFor, type Profile } from '@keystead/core/x509';

/** The profile of IDevIDs, by its id in every policy. */
const IDEVID = 'idevid';

/**
 * What an IDevID of a factory has that the profile does not give it: whoever holds the key of the sub-CA, and not the
 * keyd of the node, could have put in anything that the name constraints let through (another use of the key, another
 * alternative name, another organization, an end). It is held against the profile as that factory has it, of each
 * policy that headquarters has had: a node works by an older one until it hears of the next. REQ-KEY-PROV-01
 * @param info of a certificate whose signature is verified.
 * @param issuers every certificate that the sub-CA has had.
 * @param policies the one in force first.
 * @returns the rule that it breaks and what was seen; undefined where one of the policies gives it.
 */
export function profileFault(
  info: CertificateInfo,
  { factory, deviceId }: { readonly factory: string; readonly deviceId: string },
  issuers: readonly CertificateInfo[],
  policies: readonly Policy[],
): string | undefined {
  let first: string | undefined;
  for (const policy of policies) {
    const profile = factoryProfile(profileOf(policy, IDEVID), factory);
    for (const issuer of issuers) {
      const fault = faultBy(info, deviceId, profile, issuer);
      if (fault === undefined) return undefined;
      first ??= fault;
    }
  }
  return first ?? 'no certificate of its CA is known';
}

function faultBy(
  info: CertificateInfo,
  deviceId: string,
  profile: Profile,
  issuer: CertificateInfo,
): string | undefined {
  // The lint knows the form of the names; whose they are is known here.
  const names = namesFor(profile, { deviceId });
  const subject = formatName(info.subject);
  if (subject !== formatName(names.subject)) return `the subject ${subject}`;
  if (info.san.length !== names.san.length || !names.san.every((name) => info.san.includes(name)))
    return `the alternative names ${info.san.join(' ')}`;
  const [finding] = lintInfo(info, { profile, issuer });
  return finding && `${finding.rule}: ${finding.detail}`;
}
