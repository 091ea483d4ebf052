import type { CertificateInfo } from '../certificate.ts';
import type { CrlReason } from '../crl/reasons.ts';
import { formatName } from '../names.ts';

/** The rules by which a certificate's status refuses it, each with its source. Their names are stable. */
export const STATUS_RULES = {
  revoked: ['RFC 5280 6.3.3', 'no certificate of the path may be revoked'],
  'status-unknown': ['RFC 6960 2.2', 'the responder must know the certificate'],
  'status-unavailable': ['RFC 5280 6.3.3', 'a CRL, an OCSP answer or a filter must tell the status'],
  'status-too-young': [
    'Keystead docs/filter.md',
    'a certificate must not be younger than what the filter covers, where nothing else tells its status',
  ],
  'status-stale': ['RFC 5280 6.3.3 (a)', 'what tells the status must not have ended before the tolerated window'],
  'status-unverified': ['RFC 5280 6.3.3 (f), (g)', 'what tells the status must be signed by who may tell it'],
  'status-unprocessed': ['RFC 5280 5.2, 5.3', 'a CRL with a critical extension that is not processed tells nothing'],
  'status-partial': ['RFC 5280 6.3.3 (l)', 'the CRLs together must be for all reasons'],
} as const satisfies Record<string, readonly [source: string, rule: string]>;
export type StatusRule = keyof typeof STATUS_RULES;

export type StatusSourceName = 'crl' | 'ocsp' | 'filter';

/** What is known of one certificate. Nothing is ever taken for good because nothing is known. */
export type CertificateStatus =
  | {
      readonly status: 'good';
      readonly by: StatusSourceName;
      /** When what told it ends; a filter has its own end. */
      readonly until?: Date;
    }
  | {
      readonly status: 'revoked';
      readonly by: StatusSourceName;
      readonly revokedAt?: Date;
      readonly reason?: CrlReason;
    }
  | {
      readonly status: 'undetermined';
      readonly rule: Exclude<StatusRule, 'revoked'>;
      readonly detail: string;
    };

export interface StatusFailure {
  readonly ok: false;
  readonly rule: StatusRule;
  readonly source: string;
  /** The subject of the certificate at fault, as `formatName` writes it. */
  readonly at: string;
  /** Its place in the path: 0 is the leaf. */
  readonly depth: number;
  readonly detail: string;
}

/** Why a status refuses its certificate; undefined for a good one. */
export function statusFailure(
  status: CertificateStatus,
  certificate: CertificateInfo,
  depth: number,
): StatusFailure | undefined {
  if (status.status === 'good') return undefined;
  const rule = status.status === 'revoked' ? 'revoked' : status.rule;
  const detail = status.status === 'revoked' ? describeRevocation(status) : status.detail;
  return { ok: false, rule, source: STATUS_RULES[rule][0], at: formatName(certificate.subject), depth, detail };
}

const describeRevocation = ({ by, revokedAt, reason }: CertificateStatus & { status: 'revoked' }): string =>
  `by ${by}, ${revokedAt?.toISOString() ?? 'time not told'}, reason ${reason ?? 'not given'}`;
