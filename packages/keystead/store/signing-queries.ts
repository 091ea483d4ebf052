import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';
import { type SigningRequestRow, signingColumns, signingSelection } from './signing-rows.ts';
import type { SigningState } from './signing-schema.ts';

/** What a step changes of a request. */
export type SigningStep = Pick<
  SigningRequestRow,
  'id' | 'state' | 'statements' | 'expiresAt' | 'refusal' | 'resultSha256' | 'resultBytes' | 'changedAt'
>;

/** One version of a product's firmware for a target in an environment. */
export type SigningLine = Pick<SigningRequestRow, 'product' | 'environment' | 'target'>;

/** The queries of firmware signing. */
export function signingQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const row = signingSelection(dialect);
  return {
    insertSigning: query<SigningRequestRow>()((q, a) => q.insertInto('signing_request').values(signingColumns(a))),
    signing: query<{ id: string }>()((q, a) => q.selectFrom('signing_request').select(row).where('id', '=', a.id)),
    /** Up to `count`, the newest first, after the one named. */
    signings: query<{ beforeTime: number; beforeId: string; count: number }>()((q, a) =>
      q
        .selectFrom('signing_request')
        .select(row)
        .where((eb) =>
          eb.or([
            eb('created_at', '<', a.beforeTime),
            eb.and([eb('created_at', '=', a.beforeTime), eb('id', '<', a.beforeId)]),
          ]),
        )
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(a.count),
    ),
    /** Up to `count` in a state, the oldest first. */
    signingsIn: query<{ state: SigningState; count: number }>()((q, a) =>
      q
        .selectFrom('signing_request')
        .select(row)
        .where('state', '=', a.state)
        .orderBy('created_at')
        .orderBy('id')
        .limit(a.count),
    ),
    /** Every request for one version that waits or was signed. */
    signingsOfVersion: query<SigningLine & { version: string; count: number }>()((q, a) =>
      q
        .selectFrom('signing_request')
        .select(row)
        .where('product', '=', a.product)
        .where('environment', '=', a.environment)
        .where('target', '=', a.target)
        .where('version', '=', a.version)
        .where('state', 'in', ['waiting', 'approved', 'signed'])
        .orderBy('created_at')
        .limit(a.count),
    ),
    /** What waits for people or for keyd for a product, a target and an environment, the newest first. */
    waitingOf: query<SigningLine & { count: number }>()((q, a) =>
      q
        .selectFrom('signing_request')
        .select(row)
        .where('product', '=', a.product)
        .where('environment', '=', a.environment)
        .where('target', '=', a.target)
        .where('state', 'in', ['waiting', 'approved'])
        .orderBy('changed_at', 'desc')
        .limit(a.count),
    ),
    /** What was signed for a product, a target and an environment, the newest first. */
    signedOf: query<SigningLine & { count: number }>()((q, a) =>
      q
        .selectFrom('signing_request')
        .select(row)
        .where('product', '=', a.product)
        .where('environment', '=', a.environment)
        .where('target', '=', a.target)
        .where('state', '=', 'signed')
        .orderBy('changed_at', 'desc')
        .limit(a.count),
    ),
    stepSigning: query<SigningStep>()((q, a) =>
      q
        .updateTable('signing_request')
        .set({
          state: a.state,
          statements: a.statements,
          expires_at: a.expiresAt,
          refusal: a.refusal,
          result_sha256: bytesOf(a.resultSha256),
          result_bytes: a.resultBytes,
          changed_at: a.changedAt,
        })
        .where('id', '=', a.id),
    ),
  };
}
