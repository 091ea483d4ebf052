import { sameBytes } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { canSign, signatureAlgorithmFor } from '../algorithms.ts';
import { DerError } from '../der/strict.ts';
import { type DistinguishedName, nameValues } from '../names.ts';
import type { Profile } from '../profile.ts';
import { type Named, namesFor } from '../profile-names.ts';
import { type PublicKeyParts, readSpki } from '../spki.ts';
import type { CertificateValues, Issuance } from '../values.ts';
import type { LintFinding } from './finding.ts';

/** The smallest serial number with 64 random bits in it (CA/Browser Forum Baseline Requirements 7.1). */
const MIN_SERIAL_OCTETS = 8;

/**
 * The lint of the issuing path: everything in a certificate that is not fixed by its template (which was linted in
 * full when it was made) is held against RFC 5280 and the profile. It takes a few microseconds.
 * Returns every rule that is broken; none means that `values` may be signed.
 */
export function lintValues(issuance: Issuance, values: CertificateValues): LintFinding[] {
  const findings: LintFinding[] = [];
  const found = (rule: string, source: string, detail: string) => findings.push({ rule, source, detail });
  const { profile, issuer } = issuance;

  lintSerial(values.serial, found);
  lintValidity(values, issuance, found);
  lintKey(values, issuance, found);
  const fault = namesFault(profile, values.subject, values.san);
  if (fault !== undefined) found('names', 'profile', fault);
  if (values.subject.rdns.length === 0 && values.san.length === 0)
    found('subject-empty', 'RFC 5280 4.1.2.6', 'neither a subject nor an alternative name');
  const signer = issuer === undefined ? keyAlgorithmOf(values) : issuer.keyAlgorithm;
  if (signer === undefined || !canSign(signer, values.signatureAlgorithm))
    found(
      'signature-algorithm',
      'RFC 5280 4.1.1.2',
      `${values.signatureAlgorithm} by a key of ${signer ?? 'no known kind'}`,
    );
  else if (signer === 'P-384' && values.signatureAlgorithm !== signatureAlgorithmFor(signer))
    found('signature-strength', 'SP 800-57 pt 1 r5 5.6.2', `${values.signatureAlgorithm} by a key of ${signer}`);
  return findings;
}

type Found = (rule: string, source: string, detail: string) => void;

function lintSerial(serial: string, found: Found): void {
  if (!/^(?:[0-9a-f]{2})+$/.test(serial) || /^(?:00)+$/.test(serial)) {
    found('serial-positive', 'RFC 5280 4.1.2.2', serial.slice(0, 44));
    return;
  }
  // A first octet from 0x80 gets a sign octet, which counts.
  const octets = serial.length / 2 + (Number.parseInt(serial.slice(0, 2), 16) & 0x80 ? 1 : 0);
  if (octets > 20) found('serial-length', 'RFC 5280 4.1.2.2', `${octets} octets`);
  if (octets < MIN_SERIAL_OCTETS) found('serial-entropy', 'CA/B Forum BR 7.1', `${octets} octets`);
}

function lintValidity({ notBefore, notAfter }: CertificateValues, { profile, issuer }: Issuance, found: Found): void {
  const from = notBefore.getTime();
  if (!(from >= 0)) found('validity-order', 'RFC 5280 4.1.2.5', 'notBefore is not a time from 1970 on');
  if (notAfter === 'none') {
    if (profile.validity.seconds !== 'none') found('validity-ceiling', 'profile', 'no end');
    return;
  }
  const to = notAfter.getTime();
  if (!(to > from)) found('validity-order', 'RFC 5280 4.1.2.5', 'notAfter is not after notBefore');
  const { seconds, backdateSeconds } = profile.validity;
  if (seconds === 'none') found('validity-ceiling', 'profile', 'an end where the profile gives none');
  else if ((to - from) / 1000 > seconds + backdateSeconds)
    found(
      'validity-ceiling',
      'profile',
      `${Math.ceil((to - from) / 1000)} s of at most ${seconds + backdateSeconds} s`,
    );
  if (issuer !== undefined && to > issuer.notAfter.getTime())
    found('validity-nesting', 'RFC 5280 6.1.3', 'notAfter is after that of the issuer');
}

function keyAlgorithmOf(values: CertificateValues): PublicKeyParts['keyAlgorithm'] {
  try {
    return readSpki(values.spki).keyAlgorithm;
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

function lintKey(values: CertificateValues, { profile, issuer }: Issuance, found: Found): void {
  const algorithm = keyAlgorithmOf(values);
  if (algorithm === undefined)
    found('key-algorithm', 'RFC 5280 4.1.2.7', 'not the SubjectPublicKeyInfo of a known kind');
  else if (!profile.keyAlgorithms.includes(algorithm)) found('key-algorithm', 'profile', algorithm);
  if (algorithm === 'RSA-2048')
    found(
      'key-strength',
      'SP 800-57 pt 1 r5 table 2',
      'RSA-2048 has 112 bits of strength; nothing below 128 is issued',
    );
  if (issuer !== undefined && sameBytes(values.spki, issuer.spki))
    found('key-of-issuer', 'RFC 5280 4.2.1.1', 'the key is that of the issuer');
}

/** What a subject and its alternative names have against a profile, or undefined. */
export function namesFault(profile: Profile, subject: DistinguishedName, san: readonly string[]): string | undefined {
  const kind = profile.subject.commonName;
  const [commonName] = nameValues(subject, 'CN');
  let named: Named = {};
  if (typeof kind === 'string') {
    if (commonName === undefined) return 'the subject has no common name';
    if (kind === 'device-id') named = { deviceId: commonName };
    else if (kind === 'person') named = { person: commonName };
    else named = { hosts: [commonName, ...san.map((name) => name.slice(name.indexOf(':') + 1))] };
  }
  try {
    const expected = namesFor(profile, named);
    if (!sameAttributes(expected.subject, subject)) return 'the subject is not the one that the profile gives';
    const same = expected.san.length === san.length && expected.san.every((name) => san.includes(name));
    return same ? undefined : 'the alternative names are not those that the profile gives';
  } catch (error) {
    if (error instanceof KeysteadError) return error.message;
    throw error;
  }
}

/** Exactly the same attributes; {@link sameName} would pass over case. */
function sameAttributes(a: DistinguishedName, b: DistinguishedName): boolean {
  return (
    a.rdns.length === b.rdns.length &&
    a.rdns.every((x, i) => {
      const y = b.rdns[i];
      return x.type === y?.type && x.value === y.value && x.joined === y.joined;
    })
  );
}
