import type { CertificateInfo } from '../certificate.ts';
import { formatName } from '../names.ts';

/** The rules by which a path is refused, each with its source. Their names are stable: programs go by them. */
export const PATH_RULES = {
  malformed: ['RFC 5280 4.1', 'each certificate and each extension that is processed must be strict DER'],
  'no-anchor': ['RFC 5280 6.1', 'a path must lead to a trust anchor'],
  'path-too-long': ['RFC 4158 5.2', 'a path must not have more certificates than the verifier allows'],
  'search-bound': ['RFC 4158 5.2', 'a path must be found within a bounded amount of work'],
  signature: ['RFC 5280 6.1.3 (a)(1)', "each signature must verify with the issuer's key"],
  algorithm: ['SP 800-131A r2', 'keys and signatures must be of accepted kinds and have at least 112 bits of strength'],
  'not-yet-valid': ['RFC 5280 6.1.3 (a)(2)', 'now must not lie before notBefore'],
  expired: ['RFC 5280 6.1.3 (a)(2)', 'now must not lie after notAfter'],
  'name-permitted': ['RFC 5280 6.1.3 (b)', 'each name must lie within the permitted subtrees'],
  'name-excluded': ['RFC 5280 6.1.3 (c)', 'no name may lie within an excluded subtree'],
  'name-unprocessed': ['RFC 5280 4.2.1.10', 'a constrained name must be of a form that is processed, and well formed'],
  'explicit-policy': [
    'RFC 5280 6.1.3 (f), 6.1.5 (g)',
    'where a policy is required, the path must be valid under one that is accepted',
  ],
  'policy-mapping': ['RFC 5280 6.1.4 (a)', 'anyPolicy must not be mapped, neither from nor to'],
  'not-ca': ['RFC 5280 6.1.4 (k)', 'an issuer must be a CA by its basic constraints'],
  'path-length': ['RFC 5280 6.1.4 (l), (m)', 'a CA must not have more CAs below it than its path length allows'],
  'key-usage': ['RFC 5280 6.1.4 (n), 4.2.1.3', 'a key must be meant for what it is used for'],
  'ext-key-usage': ['RFC 5280 4.2.1.12', 'the certificate, and the CAs that restrict it, must allow the purpose'],
  'unknown-critical': ['RFC 5280 6.1.4 (o), 6.1.5 (f)', 'a critical extension that is not processed refuses the path'],
} as const satisfies Record<string, readonly [source: string, rule: string]>;
export type PathRule = keyof typeof PATH_RULES;

export interface PathFailure {
  readonly ok: false;
  readonly rule: PathRule;
  /** Where the rule stands, for example `RFC 5280 6.1.3 (a)(1)`. */
  readonly source: string;
  /** The subject of the certificate at fault, as `formatName` writes it. */
  readonly at: string;
  /** Its place in the path: 0 is the leaf. */
  readonly depth: number;
  /** What was seen. */
  readonly detail: string;
}

/** A refusal at one certificate. */
export const fail = (rule: PathRule, certificate: CertificateInfo, depth: number, detail: string): PathFailure => ({
  ok: false,
  rule,
  source: PATH_RULES[rule][0],
  at: formatName(certificate.subject),
  depth,
  detail,
});

/** What a part of the validation says against a certificate; `validatePath` adds which one it is. */
export interface Objection {
  readonly rule: PathRule;
  readonly detail: string;
}
