import { z } from 'zod';
import { REVOCATION_ACTS } from './certificate-states.ts';

/** What a revocation can be of. */
export const REVOCATION_SELECTORS = ['certificate', 'key', 'device', 'batch', 'ca'] as const;
export type RevocationSelectorKind = (typeof REVOCATION_SELECTORS)[number];

/** The reasons that people give (RFC 5280 section 5.3.1). `certificateHold` is an act, `removeFromCRL` never a reason of theirs. */
export const GIVEN_REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const;
export type GivenReason = (typeof GIVEN_REASONS)[number];

/**
 * How many certificates keyd takes out of service in so long a time on the word of its front end: what one operator, a
 * holder and the system itself revoke. Beyond it takes statements of people. REQ-KEY-SOD-02
 */
export const RevocationsAloneSchema = z.strictObject({
  certificates: z.int().min(0).max(10_000_000),
  seconds: z.int().min(60).max(31_536_000),
});
export type RevocationsAlone = z.infer<typeof RevocationsAloneSchema>;

/** The roles that may approve what another person asks for. */
export const REVOCATION_APPROVERS = ['policy-administrator', 'ca-operator', 'approver'] as const;

/**
 * A rule of the policy: how many people besides the one who asks must agree. The first rule that fits counts; what no
 * rule fits, and a policy without rules, goes by `defaultAuthority`.
 */
export const RevocationAuthoritySchema = z.array(
  z.strictObject({
    selectors: z.array(z.enum(REVOCATION_SELECTORS)).min(1),
    /** All of them unless told. */
    acts: z.array(z.enum(REVOCATION_ACTS)).min(1).optional(),
    reasons: z.array(z.enum(GIVEN_REASONS)).min(1).optional(),
    /** 0: one CA operator alone. */
    approvals: z.int().min(0).max(16),
    /** Who may be one of them. */
    roles: z.array(z.enum(REVOCATION_APPROVERS)).min(1),
    /** Approvals count only by keys that are held in hardware. */
    hardware: z.literal(true).optional(),
  }),
);
export type RevocationAuthorityRule = z.infer<typeof RevocationAuthoritySchema>[number];
