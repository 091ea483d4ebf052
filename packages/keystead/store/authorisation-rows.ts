import type { Insertable } from 'kysely';
import type { AuthorisationTable, EnrolmentRequestTable, RequestState } from './authorisation-schema.ts';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';

/* The rows of enrolment authorisations, as rows.ts has those of the rest. */

export interface AuthorisationRow {
  readonly id: string;
  readonly document: string;
  readonly signer: string;
  readonly sealedSecret: Uint8Array | null;
  readonly notAfter: number;
  readonly createdAt: number;
  readonly withdrawnAt: number | null;
}
export const AUTHORISATION = [
  'id',
  'document',
  'signer',
  'sealed_secret as sealedSecret',
  'not_after as notAfter',
  'created_at as createdAt',
  'withdrawn_at as withdrawnAt',
] as const;
export const authorisationColumns = (row: AuthorisationRow): Insertable<AuthorisationTable> => ({
  id: row.id,
  document: row.document,
  signer: row.signer,
  sealed_secret: row.sealedSecret,
  not_after: row.notAfter,
  created_at: row.createdAt,
  withdrawn_at: row.withdrawnAt,
});

export interface EnrolmentRequestRow {
  readonly id: string;
  readonly authorisationId: string;
  /** Hex. */
  readonly csrSha256: string;
  readonly csr: Uint8Array;
  readonly subject: string;
  readonly way: string;
  readonly state: RequestState;
  readonly requestedAt: number;
  readonly decidedAt: number | null;
  readonly decidedBy: string | null;
  readonly approvalId: string | null;
  readonly reason: string | null;
}
export const requestSelection = ({ hex }: Dialect) =>
  [
    'id',
    'authorisation_id as authorisationId',
    hex<string>('csr_sha256').as('csrSha256'),
    'csr',
    'subject',
    'way',
    'state',
    'requested_at as requestedAt',
    'decided_at as decidedAt',
    'decided_by as decidedBy',
    'approval_id as approvalId',
    'reason',
  ] as const;
export const requestColumns = (row: EnrolmentRequestRow): Insertable<EnrolmentRequestTable> => ({
  id: row.id,
  authorisation_id: row.authorisationId,
  csr_sha256: bytesOf(row.csrSha256),
  csr: row.csr,
  subject: row.subject,
  way: row.way,
  state: row.state,
  requested_at: row.requestedAt,
  decided_at: row.decidedAt,
  decided_by: row.decidedBy,
  approval_id: row.approvalId,
  reason: row.reason,
});
