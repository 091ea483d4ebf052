import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { lintCertificate, type Profile, readCertificate } from '../../x509/index.ts';
import { caProfile, type Policy, profileOf } from '../policy.ts';

/** The CAs that a factory node has, by the names of those of headquarters that certify them. */
export const FACTORY_CAS = ['manufacturing', 'server'] as const;
export type FactoryCa = (typeof FACTORY_CAS)[number];

/** A rule of the whole policy: who names things for a factory has an organization to name. */
function organizationOf({ id, subject }: Profile): string {
  if (subject.organization !== undefined) return subject.organization;
  throw new KeysteadError('policy.factory-names', { field: `the profile '${id}'`, seen: 'no organization' });
}

/**
 * The profile of a sub-CA of a factory node, as headquarters certifies it: path length 0, names only under
 * `O=<organization>, OU=<factory>`, and the manufacturing sub-CA names no host: it makes devices and no server.
 * REQ-KEY-PROV-01
 * @param seconds how long its certificate is good for.
 * @throws KeysteadError `profile.unknown`, `policy.factory-names`.
 */
export function factoryCaProfile(policy: Policy, ca: FactoryCa, factory: string, seconds: number): Profile {
  const above = caProfile(policy, ca);
  const organization = organizationOf(above);
  return {
    ...above,
    id: `factory-${ca}-ca`,
    description: `${ca} sub-CA of a factory node`,
    issuer: ca,
    subject: {
      commonName: { fixed: `${ca} CA ${factory}` },
      organization,
      organizationalUnit: factory,
    },
    ca: { pathLength: 0, permitted: { organization, organizationalUnit: factory, hosts: ca === 'server' } },
    validity: { seconds, backdateSeconds: above.validity.backdateSeconds },
  };
}

/**
 * A profile below a sub-CA of a factory: what the policy says, with `OU=<factory>` in the subject. keyd sets it, and
 * the sub-CA's name constraints hold it to that. A profile of a CA stays what it is: a node makes none.
 */
export const factoryProfile = (profile: Profile, factory: string): Profile =>
  profile.ca === false ? { ...profile, subject: { ...profile.subject, organizationalUnit: factory } } : profile;

/** The profile of the evidence signer of a node, which the server CA of headquarters certifies. */
export const factoryEvidenceProfile = (policy: Policy, factory: string): Profile =>
  factoryProfile(profileOf(policy, 'evidence-signer'), factory);

/** What the keyd of a factory node works by: the policy in force, with the factory in each subject. */
export const factoryPolicy = (policy: Policy, factory: string): Policy => ({
  ...policy,
  profiles: policy.profiles.map((profile) => factoryProfile(profile, factory)),
});

/**
 * Whether a policy can be worked by below the sub-CAs of a factory: it has a section for factories, and what they issue
 * is named under one organization.
 * @throws KeysteadError `policy.factory-missing`, `policy.factory-names`.
 */
export function checkFactoryPolicy(policy: Policy): void {
  if (policy.factory === undefined) {
    throw new KeysteadError('policy.factory-missing', { field: 'factory', seen: 'nothing' });
  }
  for (const ca of FACTORY_CAS) {
    const organization = organizationOf(caProfile(policy, ca));
    for (const profile of policy.profiles) {
      if (profile.ca !== false || profile.issuer !== ca || organizationOf(profile) === organization) continue;
      const seen = `O=${profile.subject.organization}, where the ${ca} CA is of ${organization}`;
      throw new KeysteadError('policy.factory-names', { field: `the profile '${profile.id}'`, seen });
    }
  }
}

/**
 * Whether a certificate is that of a sub-CA of this factory, with every constraint really in it, by the CA of
 * headquarters that it is said to be from. Its validity is held against the longest that the policy allows.
 * @throws KeysteadError `factory.constraint-missing` with the rule that it breaks; `cert.not-der`.
 */
export function checkFactoryCa(
  certificate: DerCertificate,
  expected: {
    readonly policy: Policy;
    readonly ca: FactoryCa;
    readonly factory: string;
    readonly issuer: DerCertificate;
  },
): void {
  const { policy, ca, factory, issuer } = expected;
  // Its end is cut to that of its issuer: what the profile gives is the most.
  const profile = factoryCaProfile(policy, ca, factory, policy.factory?.maxSeconds ?? 0);
  const [finding] = lintCertificate(certificate, profile, issuer);
  if (finding === undefined) return;
  throw new KeysteadError('factory.constraint-missing', {
    field: `issued.${ca}: ${finding.rule}`,
    seen: `${finding.detail} (${finding.source})`,
  });
}

/** Whether a device id is one of this factory. @throws KeysteadError `factory.device-outside`. */
export function requireFactoryDevice(prefixes: readonly string[], factory: string, deviceId: string): void {
  if (prefixes.some((prefix) => deviceId.startsWith(prefix))) return;
  const seen = `${deviceId}, where ${factory} may make ${prefixes.map((prefix) => `${prefix}...`).join(', ')}`;
  throw new KeysteadError('factory.device-outside', { field: 'deviceId', seen });
}

/** When a sub-CA's certificate ends. */
export const factoryCaEnd = (certificate: DerCertificate): Date => readCertificate(certificate).notAfter;
