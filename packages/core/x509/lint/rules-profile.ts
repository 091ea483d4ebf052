import { sameBytes } from '../../bytes/index.ts';
import { findExtension } from '../extensions.ts';
import { nameConstraintsDer } from '../name-constraints.ts';
import { EXTENSIONS, type ExtensionName, nameOf } from '../oids.ts';
import type { Rule } from './rule.ts';
import { namesFault } from './values.ts';

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item) => b.includes(item));

/** The extensions that a profile can give. */
const GIVEN: readonly ExtensionName[] = [
  'basicConstraints',
  'nameConstraints',
  'keyUsage',
  'extKeyUsage',
  'subjectAltName',
  'subjectKeyIdentifier',
  'authorityKeyIdentifier',
  'cRLDistributionPoints',
  'freshestCRL',
  'authorityInfoAccess',
  'ocspNoCheck',
];

/** A certificate holds what its profile says: no more, no less. */
export const PROFILE_RULES: readonly Rule[] = [
  {
    rule: 'profile-issuer',
    source: 'profile',
    check: ({ profile, issuer }) =>
      (profile.issuer === 'self') === (issuer === undefined) ? undefined : `the profile is issued by ${profile.issuer}`,
  },
  {
    rule: 'profile-ca',
    source: 'profile',
    check: ({ info, profile }) => {
      if (info.ca !== (profile.ca !== false)) return info.ca ? 'a CA' : 'not a CA';
      const wanted = profile.ca === false ? undefined : (profile.ca.pathLength ?? undefined);
      return info.pathLength === wanted ? undefined : `pathLength ${info.pathLength ?? 'without limit'}`;
    },
  },
  {
    rule: 'profile-name-constraints',
    source: 'profile',
    check: ({ info, profile }) => {
      const permitted = profile.ca === false ? undefined : profile.ca.permitted;
      const extension = findExtension(info.extensions, EXTENSIONS.nameConstraints);
      if (permitted === undefined) return extension === undefined ? undefined : 'present';
      if (extension === undefined) return 'missing';
      return sameBytes(extension.value, nameConstraintsDer(permitted)) ? undefined : 'others than the profile gives';
    },
  },
  {
    rule: 'profile-key-algorithm',
    source: 'profile',
    check: ({ info, profile }) =>
      info.keyAlgorithm !== undefined && profile.keyAlgorithms.includes(info.keyAlgorithm)
        ? undefined
        : (info.keyAlgorithm ?? 'a key of no known kind'),
  },
  {
    rule: 'profile-key-usage',
    source: 'profile',
    check: ({ info, profile }) =>
      same(info.keyUsage, profile.keyUsage) ? undefined : info.keyUsage.join(' ') || 'none',
  },
  {
    rule: 'profile-extended-key-usage',
    source: 'profile',
    check: ({ info, profile }) =>
      same(info.extKeyUsage, profile.extKeyUsage) ? undefined : info.extKeyUsage.join(' ') || 'none',
  },
  {
    rule: 'profile-names',
    source: 'profile',
    check: ({ info, profile }) => namesFault(profile, info.subject, info.san),
  },
  {
    rule: 'profile-validity',
    source: 'profile',
    check: ({ info, profile }) => {
      const { seconds, backdateSeconds } = profile.validity;
      const endless = info.notAfter.getUTCFullYear() === 9999;
      if (seconds === 'none') return endless ? undefined : 'an end where the profile gives none';
      const length = (info.notAfter.getTime() - info.notBefore.getTime()) / 1000;
      return length <= seconds + backdateSeconds ? undefined : `${length} s of at most ${seconds + backdateSeconds} s`;
    },
  },
  {
    rule: 'profile-ocsp-no-check',
    source: 'profile',
    check: ({ info, profile }) =>
      info.ocspNoCheck === profile.ocspNoCheck ? undefined : info.ocspNoCheck ? 'present' : 'missing',
  },
  {
    rule: 'profile-extension',
    source: 'profile',
    check: ({ info, rehearsal }) => {
      const given = new Set<string>(GIVEN.map((name) => EXTENSIONS[name]));
      if (rehearsal) {
        const mark = info.extensions.find((extension) => extension.oid === EXTENSIONS.rehearsal);
        if (!mark?.critical) return 'a rehearsal without its critical mark';
        given.add(EXTENSIONS.rehearsal);
      }
      const other = info.extensions.find((extension) => !given.has(extension.oid));
      return other === undefined ? undefined : nameOf(EXTENSIONS, other.oid);
    },
  },
];
