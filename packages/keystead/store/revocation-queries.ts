import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';
import * as acts from './revocation-rows.ts';
import type { RevocationActState } from './revocation-schema.ts';
import { certificateSelection } from './rows.ts';

/** The queries of revocation as an act: what it takes, and how far it has come. */
export function revocationQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const act = acts.actSelection(dialect);
  return {
    insertRevocationAct: query<acts.RevocationActRow>()((q, a) =>
      q.insertInto('revocation_act').values(acts.actColumns(a)),
    ),
    revocationAct: query<{ id: string }>()((q, a) => q.selectFrom('revocation_act').select(act).where('id', '=', a.id)),
    revocationActs: query<{ state: RevocationActState; count: number }>()((q, a) =>
      q
        .selectFrom('revocation_act')
        .select(act)
        .where('state', '=', a.state)
        .orderBy('created_at')
        .orderBy('id')
        .limit(a.count),
    ),
    setRevocationStatements: query<Pick<acts.RevocationActRow, 'id' | 'statements' | 'expiresAt'>>()((q, a) =>
      q
        .updateTable('revocation_act')
        .set({ statements: a.statements, expires_at: a.expiresAt })
        .where('id', '=', a.id)
        .where('state', '=', 'proposed'),
    ),
    moveRevocationAct: query<Pick<acts.RevocationActRow, 'id' | 'state' | 'startedAt' | 'finishedAt'>>()((q, a) =>
      q
        .updateTable('revocation_act')
        .set({ state: a.state, started_at: a.startedAt, finished_at: a.finishedAt })
        .where('id', '=', a.id),
    ),
    advanceRevocationAct: query<Pick<acts.RevocationActRow, 'id' | 'cursor' | 'certificates' | 'devices'>>()((q, a) =>
      q
        .updateTable('revocation_act')
        .set({ cursor: a.cursor, certificates: a.certificates, devices: a.devices })
        .where('id', '=', a.id),
    ),
    /** Certificates of people and servers with this key; a device's key is found by its history. */
    certificatesOfKey: query<{ spkiSha256: SpkiSha256 }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(certificateSelection(dialect))
        .where('spki_sha256', '=', bytesOf(a.spkiSha256))
        .where('device_id', 'is', null)
        .orderBy('issued_at')
        .orderBy('serial'),
    ),
    compromiseKey: query<{ spkiSha256: SpkiSha256; compromisedAt: number }>()((q, a) =>
      q
        .insertInto('spki_history')
        .values({
          spki_sha256: bytesOf(a.spkiSha256),
          owner: sql<string>`'nobody'`,
          issuer: null,
          serial: null,
          first_seen: a.compromisedAt,
          compromised_at: a.compromisedAt,
        })
        .onConflict((conflict) =>
          conflict.column('spki_sha256').doUpdateSet({
            compromised_at: sql<number>`coalesce(spki_history.compromised_at, excluded.compromised_at)`,
          }),
        ),
    ),
    /** A page of the units of a batch: what is listed of each is its IDevID. */
    unitsOfBatch: query<{ ticketId: string; after: string; count: number }>()((q, a) =>
      q
        .selectFrom('device')
        .select(['device_id as deviceId', dialect.hex<Serial>('idevid_serial').as('idevidSerial'), 'state'])
        .where('ticket_id', '=', a.ticketId)
        .where('device_id', '>', a.after)
        .orderBy('device_id')
        .limit(a.count),
    ),
    /** A page of what a CA issued that is in force and not revoked for good. */
    revocableOf: query<{ issuer: IssuerName; after: Serial; now: number; count: number }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(['issuer', dialect.hex<Serial>('serial').as('serial'), 'device_id as deviceId'])
        .where('issuer', '=', a.issuer)
        .where('serial', '>', bytesOf(a.after))
        .where('not_after', '>=', a.now)
        .where('status', '<>', sql<'revoked'>`'revoked'`)
        .orderBy('serial')
        .limit(a.count),
    ),
  };
}
