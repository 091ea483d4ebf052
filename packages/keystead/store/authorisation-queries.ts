import { sql } from 'kysely';
import * as rows from './authorisation-rows.ts';
import type { RequestState } from './authorisation-schema.ts';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';

/** The queries of enrolment authorisations and of the requests that wait. */
export function authorisationQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const request = rows.requestSelection(dialect);
  return {
    insertAuthorisation: query<rows.AuthorisationRow>()((q, a) =>
      q.insertInto('authorisation').values(rows.authorisationColumns(a)),
    ),
    authorisation: query<{ id: string }>()((q, a) =>
      q.selectFrom('authorisation').select(rows.AUTHORISATION).where('id', '=', a.id),
    ),
    /** Those that were given out with a secret; an approval is part of its request. */
    authorisations: query<{ after: string; count: number }>()((q, a) =>
      q
        .selectFrom('authorisation')
        .select(rows.AUTHORISATION)
        .where('id', '>', a.after)
        .where('sealed_secret', 'is not', null)
        .orderBy('id')
        .limit(a.count),
    ),
    withdrawAuthorisation: query<{ id: string; withdrawnAt: number }>()((q, a) =>
      q.updateTable('authorisation').set({ withdrawn_at: a.withdrawnAt }).where('id', '=', a.id),
    ),
    insertEnrolmentRequest: query<rows.EnrolmentRequestRow>()((q, a) =>
      q.insertInto('enrolment_request').values(rows.requestColumns(a)),
    ),
    enrolmentRequest: query<{ id: string }>()((q, a) =>
      q.selectFrom('enrolment_request').select(request).where('id', '=', a.id),
    ),
    enrolmentRequestOf: query<{ authorisationId: string; csrSha256: string }>()((q, a) =>
      q
        .selectFrom('enrolment_request')
        .select(request)
        .where('authorisation_id', '=', a.authorisationId)
        .where('csr_sha256', '=', bytesOf(a.csrSha256)),
    ),
    enrolmentRequests: query<{ state: RequestState; count: number }>()((q, a) =>
      q
        .selectFrom('enrolment_request')
        .select(request)
        .where('state', '=', a.state)
        .orderBy('requested_at')
        .orderBy('id')
        .limit(a.count),
    ),
    countWaiting: query<{ authorisationId: string }>()((q, a) =>
      q
        .selectFrom('enrolment_request')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('authorisation_id', '=', a.authorisationId)
        .where(sql<boolean>`state = 'waiting'`),
    ),
    countApproved: query<{ authorisationId: string }>()((q, a) =>
      q
        .selectFrom('enrolment_request')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('authorisation_id', '=', a.authorisationId)
        .where(sql<boolean>`state in ('approved', 'issued')`),
    ),
    decideEnrolmentRequest: query<
      Pick<rows.EnrolmentRequestRow, 'id' | 'state' | 'decidedAt' | 'decidedBy' | 'approvalId' | 'reason'>
    >()((q, a) =>
      q
        .updateTable('enrolment_request')
        .set({
          state: a.state,
          decided_at: a.decidedAt,
          decided_by: a.decidedBy,
          approval_id: a.approvalId,
          reason: a.reason,
        })
        .where('id', '=', a.id)
        .where(sql<boolean>`state = 'waiting'`),
    ),
    enrolmentRequestIssued: query<{ id: string }>()((q, a) =>
      q.updateTable('enrolment_request').set({ state: sql<'issued'>`'issued'` }).where('id', '=', a.id),
    ),
  };
}
