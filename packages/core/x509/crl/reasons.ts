/** Why a certificate was revoked: CRLReason (RFC 5280 section 5.3.1). The number 7 is not used. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
} as const;

/** A reason that Keystead gives. `certificateHold` is the one that can be taken back. */
export type RevocationReason = keyof typeof REVOCATION_REASONS;

/** A reason that is read from others as well: from delta CRLs, and from attribute authorities. */
export type CrlReason = RevocationReason | 'removeFromCRL' | 'aACompromise';

/** The number of each. */
export const CRL_REASONS: Readonly<Record<CrlReason, number>> = {
  ...REVOCATION_REASONS,
  removeFromCRL: 8,
  aACompromise: 10,
};

const BY_NUMBER = new Map<number, CrlReason>(
  (Object.entries(CRL_REASONS) as [CrlReason, number][]).map(([name, code]) => [code, name]),
);

/** The reason with this CRLReason number, or undefined. */
export const reasonOf = (code: number): CrlReason | undefined => BY_NUMBER.get(code);
