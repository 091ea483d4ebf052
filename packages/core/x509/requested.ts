import { KeysteadError } from '../errors/index.ts';
import type { ParsedCsr, RequestedExtensions } from './csr.ts';
import { type DistinguishedName, formatName } from './names.ts';
import { EXTENSIONS, nameOf } from './oids.ts';
import type { Profile } from './profile.ts';
import { type Named, namesFor } from './profile-names.ts';

/**
 * Holds what a request asks for against what its profile gives to `named`, the identity that was authenticated. A
 * request decides nothing: it may leave the subject empty or name a part of the right one, and may carry the
 * extensions that the profile lists when their values are those of the profile. Names the certificate will have.
 * @throws KeysteadError `csr.subject-mismatch`; `csr.extension-forbidden`; what {@link namesFor} throws
 */
export function checkRequest(csr: ParsedCsr, profile: Profile, named: Named): ReturnType<typeof namesFor> {
  const names = namesFor(profile, named);
  if (!isPartOf(csr.subject, names.subject))
    throw new KeysteadError('csr.subject-mismatch', { field: 'subject', seen: formatName(csr.subject).slice(0, 200) });
  checkExtensions(csr.requested, profile, names.san);
  return names;
}

/** Each attribute of `part` stands in `whole` with the same value; no attribute is named twice. */
function isPartOf(part: DistinguishedName, whole: DistinguishedName): boolean {
  const types = new Set(part.rdns.map((attribute) => attribute.type));
  return (
    types.size === part.rdns.length &&
    part.rdns.every((asked) => whole.rdns.some(({ type, value }) => type === asked.type && value === asked.value))
  );
}

function checkExtensions(requested: RequestedExtensions, profile: Profile, san: readonly string[]): void {
  const allowed = new Set(profile.csrExtensions.map((name) => nameOf(EXTENSIONS, name)));
  for (const name of requested.names) {
    if (!allowed.has(name))
      throw new KeysteadError('csr.extension-forbidden', { field: 'extensionRequest', seen: name });
  }
  const compare = (field: string, asked: readonly string[] | undefined, given: readonly string[]) => {
    if (asked !== undefined && !sameSet(asked, given))
      throw new KeysteadError('csr.extension-forbidden', { field, seen: asked.join(', ').slice(0, 200) });
  };
  compare('subjectAltName', requested.subjectAltName, san);
  // Common clients ask for keyEncipherment by habit, for EC keys too, where RFC 8813 section 3 forbids it. It is not
  // given; everything else that is asked for beyond the profile is refused.
  const usages = requested.keyUsage?.filter((usage) => usage !== 'keyEncipherment' || profile.keyUsage.includes(usage));
  compare('keyUsage', usages, profile.keyUsage);
  compare('extKeyUsage', requested.extKeyUsage, profile.extKeyUsage);
  const basic = requested.basicConstraints;
  const pathLength = profile.ca === false ? undefined : (profile.ca.pathLength ?? undefined);
  if (basic !== undefined && (basic.ca !== (profile.ca !== false) || basic.pathLength !== pathLength))
    throw new KeysteadError('csr.extension-forbidden', {
      field: 'basicConstraints',
      seen: basic.ca ? 'a CA' : 'not a CA',
    });
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item) => b.includes(item));
