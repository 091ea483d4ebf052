import type { DerCertificate } from '../../bytes/index.ts';
import { verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';
import { checkPublicKey } from '../goodkey/index.ts';
import type { Profile } from '../profile.ts';
import type { Issuance, IssuanceOptions } from '../values.ts';
import type { LintFinding } from './finding.ts';
import { type LintCase, type Rule, rawFields } from './rule.ts';
import { PROFILE_RULES } from './rules-profile.ts';
import { RFC5280_RULES } from './rules-rfc5280.ts';

/** The rules that cost a public-key operation, or that a specimen cannot keep. */
const SIGNED_RULES: readonly Rule[] = [
  {
    rule: 'signature',
    source: 'RFC 5280 4.1.1.3',
    check: ({ info, issuer }) =>
      info.signatureAlgorithm !== undefined &&
      verifySignature(info.signatureAlgorithm, (issuer ?? info).spki, info.tbs, info.signature)
        ? undefined
        : 'it does not verify with the key of the issuer',
  },
  {
    rule: 'key-good',
    source: 'SP 800-89 5.3.3, SP 800-186 D.1',
    check: ({ info, profile }) => {
      try {
        checkPublicKey(info.spki, profile.keyAlgorithms);
        return undefined;
      } catch (error) {
        if (error instanceof KeysteadError) return error.message;
        throw error;
      }
    },
  },
];

/** Every rule of the full lint, in the order in which findings are reported. */
export const LINT_RULES: readonly Rule[] = [...RFC5280_RULES, ...PROFILE_RULES, ...SIGNED_RULES];

/**
 * Holds a signed certificate against RFC 5280 and its profile, in full. Returns every rule that is broken.
 * Bytes that are not a certificate give the one finding `der`.
 * @throws KeysteadError `cert.not-der` when the issuer is not a certificate
 */
export function lintCertificate(
  der: DerCertificate,
  profile: Profile,
  issuer: DerCertificate | 'self',
  options: IssuanceOptions = {},
): LintFinding[] {
  const issuance = { ...options, profile, issuer: issuer === 'self' ? undefined : readCertificate(issuer) };
  try {
    return run(LINT_RULES, readCertificate(der), issuance);
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'cert.not-der')
      return [{ rule: 'der', source: 'RFC 5280 4.1', detail: error.seen ?? error.message }];
    throw error;
  }
}

/** The rules that need neither the signature nor a key that was checked: for the specimen of a template. */
export const lintInfo = (info: CertificateInfo, issuance: Issuance): LintFinding[] => {
  const { profile, issuer, rehearsal, selfIssued } = issuance;
  return run([...RFC5280_RULES, ...PROFILE_RULES], info, { profile, issuer, rehearsal, selfIssued });
};

function run(rules: readonly Rule[], info: CertificateInfo, issuance: Issuance): LintFinding[] {
  const lintCase: LintCase = { ...issuance, info, raw: rawFields(info) };
  return rules.flatMap(({ rule, source, check }) => {
    const detail = check(lintCase);
    return detail === undefined ? [] : [{ rule, source, detail }];
  });
}
