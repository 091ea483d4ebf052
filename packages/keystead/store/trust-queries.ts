import type { Serial } from '@keystead/core/bytes';
import { sql } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf, compileQuery } from './query.ts';

/** A trust bundle that is published. Hashes are hex, times milliseconds since 1970. */
export interface TrustBundleRow {
  readonly version: number;
  readonly fleet: string;
  readonly sha256: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly filterSha256: string | null;
  readonly signer: string;
  readonly change: number;
  /** 0 or 1. */
  readonly signersChanged: number;
  readonly publishedAt: number;
}

/** What a device said last that it goes by. */
export interface UptakeRow {
  readonly deviceId: string;
  readonly bundleVersion: number | null;
  readonly bundleSha256: string | null;
  readonly filterSha256: string | null;
  readonly firmwareProduct: string | null;
  readonly firmwareVersion: string | null;
  readonly securityCounter: number | null;
  readonly reportedAt: number;
}

/** The queries of trust bundles. */
export function trustQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const { hex } = dialect;
  const bundle = [
    'version',
    'fleet',
    hex<string>('sha256').as('sha256'),
    'issued_at as issuedAt',
    'expires_at as expiresAt',
    hex<string | null>('filter_sha256').as('filterSha256'),
    hex<string>('signer').as('signer'),
    'change',
    'signers_changed as signersChanged',
    'published_at as publishedAt',
  ] as const;
  const uptake = [
    'device_id as deviceId',
    'bundle_version as bundleVersion',
    hex<string | null>('bundle_sha256').as('bundleSha256'),
    hex<string | null>('filter_sha256').as('filterSha256'),
    'firmware_product as firmwareProduct',
    'firmware_version as firmwareVersion',
    'security_counter as securityCounter',
    'reported_at as reportedAt',
  ] as const;
  return {
    insertTrustBundle: query<TrustBundleRow>()((q, a) =>
      q.insertInto('trust_bundle').values({
        version: a.version,
        fleet: a.fleet,
        sha256: bytesOf(a.sha256),
        issued_at: a.issuedAt,
        expires_at: a.expiresAt,
        filter_sha256: bytesOf(a.filterSha256),
        signer: bytesOf(a.signer),
        change: a.change,
        signers_changed: a.signersChanged,
        published_at: a.publishedAt,
      }),
    ),
    lastTrustBundle: query<Record<never, never>>()((q) =>
      q.selectFrom('trust_bundle').select(bundle).orderBy('version', 'desc').limit(1),
    ),
    trustBundle: query<{ version: number }>()((q, a) =>
      q.selectFrom('trust_bundle').select(bundle).where('version', '=', a.version),
    ),
    /** Those that changed the signers, the oldest first. */
    trustSignerChanges: query<{ count: number }>()((q, a) =>
      q.selectFrom('trust_bundle').select('version').where('signers_changed', '=', 1).orderBy('version').limit(a.count),
    ),
    /** Those that devices may still go by. */
    trustBundlesIn: query<{ now: number; count: number }>()((q, a) =>
      q
        .selectFrom('trust_bundle')
        .select(bundle)
        .where('expires_at', '>', a.now)
        .orderBy('version', 'desc')
        .limit(a.count),
    ),
    /** The first one of each content that devices may still go by. */
    trustFirstsIn: query<{ now: number }>()((q, a) =>
      q
        .selectFrom('trust_bundle')
        .select((eb) => eb.fn.min<number>('version').as('version'))
        .where('change', 'in', (eb) =>
          eb.selectFrom('trust_bundle as living').select('living.change').where('living.expires_at', '>', a.now),
        )
        .groupBy('change'),
    ),
    trustFirstOf: query<{ change: number }>()((q, a) =>
      q.selectFrom('trust_bundle').select('version').where('change', '=', a.change).orderBy('version').limit(1),
    ),
    putUptake: query<UptakeRow>()((q, a) =>
      q
        .insertInto('uptake')
        .values({
          device_id: a.deviceId,
          bundle_version: a.bundleVersion,
          bundle_sha256: bytesOf(a.bundleSha256),
          filter_sha256: bytesOf(a.filterSha256),
          firmware_product: a.firmwareProduct,
          firmware_version: a.firmwareVersion,
          security_counter: a.securityCounter,
          reported_at: a.reportedAt,
        })
        .onConflict((conflict) =>
          conflict.column('device_id').doUpdateSet((eb) => ({
            bundle_version: eb.ref('excluded.bundle_version'),
            bundle_sha256: eb.ref('excluded.bundle_sha256'),
            filter_sha256: eb.ref('excluded.filter_sha256'),
            firmware_product: eb.ref('excluded.firmware_product'),
            firmware_version: eb.ref('excluded.firmware_version'),
            security_counter: eb.ref('excluded.security_counter'),
            reported_at: eb.ref('excluded.reported_at'),
          })),
        ),
    ),
    uptakeOf: query<{ deviceId: string }>()((q, a) =>
      q.selectFrom('uptake').select(uptake).where('device_id', '=', a.deviceId),
    ),
    /** Up to `count` after a device id, by it. */
    uptakes: query<{ after: string; count: number }>()((q, a) =>
      q.selectFrom('uptake').select(uptake).where('device_id', '>', a.after).orderBy('device_id').limit(a.count),
    ),
    uptakeByVersion: query<Record<never, never>>()((q) =>
      q
        .selectFrom('uptake')
        .select(({ fn }) => ['bundle_version as bundleVersion', fn.countAll<number>().as('devices')])
        .groupBy('bundle_version')
        .orderBy('bundle_version', 'desc')
        .limit(100),
    ),
    /** Serial numbers of one issuer's certificates that end after a time, by their end. */
    livingAfter: query<{ issuer: string; notAfter: number; serial: string; count: number }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select([hex<Serial>('serial').as('serial'), 'not_after as notAfter'])
        .where('issuer', '=', a.issuer as never)
        .where(sql<boolean>`(not_after, serial) > (${a.notAfter}, ${bytesOf(a.serial)})`)
        .orderBy('not_after')
        .orderBy('serial')
        .limit(a.count),
    ),
    journalSerialsAfter: query<{ issuer: string; after: string; count: number }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select([hex<Serial>('serial').as('serial'), 'not_after as notAfter'])
        .where('issuer', '=', a.issuer as never)
        .where('serial', '>', bytesOf(a.after))
        .orderBy('serial')
        .limit(a.count),
    ),
  };
}
