import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import { sql } from 'kysely';
import * as rows from './acme-rows.ts';
import type { AcmeIdentifierType } from './acme-schema.ts';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';

type Certificate = { issuer: IssuerName; serial: Serial };

/** The queries of ACME's records. */
export function acmeQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const order = rows.acmeOrderSelection(dialect);
  const authorization = rows.acmeAuthorizationSelection(dialect);
  return {
    // ---- accounts
    insertAcmeAccount: query<rows.AcmeAccountRow>()((q, a) =>
      q.insertInto('acme_account').values(rows.acmeAccountColumns(a)),
    ),
    acmeAccount: query<{ id: string }>()((q, a) =>
      q.selectFrom('acme_account').select(rows.ACME_ACCOUNT).where('id', '=', a.id),
    ),
    acmeAccountOfKey: query<{ thumbprint: string }>()((q, a) =>
      q.selectFrom('acme_account').select(rows.ACME_ACCOUNT).where('thumbprint', '=', a.thumbprint),
    ),
    acmeAccounts: query<{ after: string; count: number }>()((q, a) =>
      q.selectFrom('acme_account').select(rows.ACME_ACCOUNT).where('id', '>', a.after).orderBy('id').limit(a.count),
    ),
    setAcmeAccount: query<Pick<rows.AcmeAccountRow, 'id' | 'thumbprint' | 'jwk' | 'state' | 'contact' | 'changedAt'>>()(
      (q, a) =>
        q
          .updateTable('acme_account')
          .set({ thumbprint: a.thumbprint, jwk: a.jwk, state: a.state, contact: a.contact, changed_at: a.changedAt })
          .where('id', '=', a.id),
    ),
    // ---- orders
    insertAcmeOrder: query<rows.AcmeOrderRow>()((q, a) => q.insertInto('acme_order').values(rows.acmeOrderColumns(a))),
    acmeOrder: query<{ id: string }>()((q, a) => q.selectFrom('acme_order').select(order).where('id', '=', a.id)),
    /** Newest first, after the one named. */
    acmeOrdersOf: query<{ accountId: string; beforeTime: number; beforeId: string; count: number }>()((q, a) =>
      q
        .selectFrom('acme_order')
        .select(order)
        .where('account_id', '=', a.accountId)
        .where((eb) => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(eb.val(a.beforeTime), eb.val(a.beforeId))))
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(a.count),
    ),
    acmeOrders: query<{ after: string; count: number }>()((q, a) =>
      q.selectFrom('acme_order').select(order).where('id', '>', a.after).orderBy('id').limit(a.count),
    ),
    acmeOrderOfCertificate: query<Certificate>()((q, a) =>
      q
        .selectFrom('acme_order')
        .select(order)
        .where('serial', '=', bytesOf(a.serial))
        .where('issuer', '=', a.issuer)
        .limit(1),
    ),
    acmeOrdersReplacing: query<Certificate>()((q, a) =>
      q
        .selectFrom('acme_order')
        .select(order)
        .where('replaces_serial', '=', bytesOf(a.serial))
        .where('replaces_issuer', '=', a.issuer),
    ),
    acmeOrdersInProcess: query<{ count: number }>()((q, a) =>
      q.selectFrom('acme_order').select(order).where(sql<boolean>`state = 'processing'`).orderBy('id').limit(a.count),
    ),
    /** Orders of the account that are neither finished nor over. */
    countAcmeOpenOrders: query<{ accountId: string; now: number }>()((q, a) =>
      q
        .selectFrom('acme_order')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('account_id', '=', a.accountId)
        .where('expires_at', '>', a.now)
        .where(sql<boolean>`state in ('pending', 'ready', 'processing')`),
    ),
    setAcmeOrder: query<Pick<rows.AcmeOrderRow, 'id' | 'state' | 'csr' | 'error' | 'issuer' | 'serial'>>()((q, a) =>
      q
        .updateTable('acme_order')
        .set({ state: a.state, csr: a.csr, error: a.error, issuer: a.issuer, serial: bytesOf(a.serial) })
        .where('id', '=', a.id),
    ),
    /** Orders whose time was over before, but none that still waits for its certificate. */
    acmeOrdersOver: query<{ before: number; count: number }>()((q, a) =>
      q
        .selectFrom('acme_order')
        .select(['id'])
        .where('expires_at', '<', a.before)
        .where('state', '<>', 'processing')
        .orderBy('expires_at')
        .limit(a.count),
    ),
    setAcmeOrderExpiry: query<{ id: string; expiresAt: number }>()((q, a) =>
      q.updateTable('acme_order').set({ expires_at: a.expiresAt }).where('id', '=', a.id),
    ),
    deleteAcmeChallengesOf: query<{ orderId: string }>()((q, a) =>
      q
        .deleteFrom('acme_challenge')
        .where('authorization_id', 'in', (eb) =>
          eb.selectFrom('acme_authorization').select('id').where('order_id', '=', a.orderId),
        ),
    ),
    deleteAcmeAuthorizationsOf: query<{ orderId: string }>()((q, a) =>
      q.deleteFrom('acme_authorization').where('order_id', '=', a.orderId),
    ),
    deleteAcmeOrder: query<{ orderId: string }>()((q, a) => q.deleteFrom('acme_order').where('id', '=', a.orderId)),
    // ---- authorizations
    insertAcmeAuthorization: query<rows.AcmeAuthorizationRow>()((q, a) =>
      q.insertInto('acme_authorization').values(rows.acmeAuthorizationColumns(a)),
    ),
    acmeAuthorization: query<{ id: string }>()((q, a) =>
      q.selectFrom('acme_authorization').select(authorization).where('id', '=', a.id),
    ),
    acmeAuthorizationsOf: query<{ orderId: string }>()((q, a) =>
      q.selectFrom('acme_authorization').select(authorization).where('order_id', '=', a.orderId).orderBy('id'),
    ),
    /** Whether the account controls a name: an authorization that is valid now. */
    acmeAuthorizationValid: query<{
      accountId: string;
      type: AcmeIdentifierType;
      value: string;
      wildcard: number;
      now: number;
    }>()((q, a) =>
      q
        .selectFrom('acme_authorization')
        .select(['id'])
        .where('account_id', '=', a.accountId)
        .where('type', '=', a.type)
        .where('value', '=', a.value)
        .where('wildcard', '=', a.wildcard)
        .where(sql<boolean>`state = 'valid'`)
        .where('expires_at', '>', a.now)
        .limit(1),
    ),
    setAcmeAuthorization: query<Pick<rows.AcmeAuthorizationRow, 'id' | 'state' | 'expiresAt' | 'attestedSpki'>>()(
      (q, a) =>
        q
          .updateTable('acme_authorization')
          .set({ state: a.state, expires_at: a.expiresAt, attested_spki: bytesOf(a.attestedSpki) })
          .where('id', '=', a.id),
    ),
    // ---- challenges
    insertAcmeChallenge: query<rows.AcmeChallengeRow>()((q, a) =>
      q.insertInto('acme_challenge').values(rows.acmeChallengeColumns(a)),
    ),
    acmeChallenge: query<{ id: string }>()((q, a) =>
      q.selectFrom('acme_challenge').select(rows.ACME_CHALLENGE).where('id', '=', a.id),
    ),
    acmeChallengesOf: query<{ authorizationId: string }>()((q, a) =>
      q
        .selectFrom('acme_challenge')
        .select(rows.ACME_CHALLENGE)
        .where('authorization_id', '=', a.authorizationId)
        .orderBy('id'),
    ),
    acmeChallengesDue: query<{ now: number; count: number }>()((q, a) =>
      q
        .selectFrom('acme_challenge')
        .select(rows.ACME_CHALLENGE)
        .where('next_attempt_at', '<=', a.now)
        .orderBy('next_attempt_at')
        .limit(a.count),
    ),
    setAcmeChallenge: query<Omit<rows.AcmeChallengeRow, 'authorizationId' | 'type' | 'token'>>()((q, a) =>
      q
        .updateTable('acme_challenge')
        .set({
          state: a.state,
          key_authorization: a.keyAuthorization,
          attempts: a.attempts,
          next_attempt_at: a.nextAttemptAt,
          validated_at: a.validatedAt,
          error: a.error,
        })
        .where('id', '=', a.id),
    ),
  };
}
