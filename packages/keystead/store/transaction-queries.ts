import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';
import * as rows from './transaction-rows.ts';

const OPEN = sql<boolean>`state in ('waiting', 'issued')`;

/** The queries of enrolments of several messages. */
export function transactionQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const row = rows.transactionSelection(dialect);
  return {
    putTransaction: query<rows.EnrolmentTransactionRow>()((q, a) =>
      q
        .insertInto('enrolment_transaction')
        .values(rows.transactionColumns(a))
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet((eb) => ({
            state: eb.ref('excluded.state'),
            issuer: eb.ref('excluded.issuer'),
            serial: eb.ref('excluded.serial'),
            nonce: eb.ref('excluded.nonce'),
            previous_nonce: eb.ref('excluded.previous_nonce'),
            confirm_until: eb.ref('excluded.confirm_until'),
            changed_at: eb.ref('excluded.changed_at'),
          })),
        ),
    ),
    transaction: query<{ id: Uint8Array }>()((q, a) =>
      q.selectFrom('enrolment_transaction').select(row).where('id', '=', a.id),
    ),
    transactionsOfCertificate: query<{ issuer: string; serial: string }>()((q, a) =>
      q
        .selectFrom('enrolment_transaction')
        .select(row)
        .where('serial', '=', bytesOf(a.serial))
        .where(sql<boolean>`issuer = ${a.issuer}`),
    ),
    /** Those whose time to be confirmed is over, the longest over first. */
    transactionsDue: query<{ now: number; count: number }>()((q, a) =>
      q
        .selectFrom('enrolment_transaction')
        .select(row)
        .where(sql<boolean>`state = 'issued'`)
        .where('confirm_until', '<=', a.now)
        .orderBy('confirm_until')
        .limit(a.count),
    ),
    countOpenTransactions: query<{ requester: string }>()((q, a) =>
      q
        .selectFrom('enrolment_transaction')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('requester', '=', a.requester)
        .where(OPEN),
    ),
    /** Forgets those that ended, and those that wait, before these moments. */
    forgetTransactions: query<{ endedBefore: number; waitingBefore: number }>()((q, a) =>
      q
        .deleteFrom('enrolment_transaction')
        .where(
          sql<boolean>`(state in ('confirmed', 'rejected', 'lapsed') and changed_at < ${a.endedBefore}) or (state = 'waiting' and changed_at < ${a.waitingBefore})`,
        ),
    ),
  };
}
