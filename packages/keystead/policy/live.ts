import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import type { KeyAlgorithm } from '@keystead/core/crypto';
import type { LiveCertificate, LiveInventory } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';

const AUTHORITIES = ['manufacturing', 'operational', 'server', 'operator'] as const;

/**
 * What a deployment holds that a policy could break, read from its records while it may be running: read only, and
 * apart from the store, so that nothing is locked or migrated. Undefined when there are no records yet.
 * @throws Error of node:sqlite when the file is no database.
 */
export function liveInventory(layout: Layout, now: Date): LiveInventory | undefined {
  if (!existsSync(layout.database)) return undefined;
  const database = new DatabaseSync(layout.database, { readOnly: true, timeout: 2_000 });
  try {
    return {
      now,
      certificates: certificates(database, now),
      tickets: tickets(database, now),
      late: late(database, now),
      authorities: AUTHORITIES.flatMap((role) => {
        const path = join(layout.trust, `${role}.pem`);
        const [der] = existsSync(path) ? fromPem('CERTIFICATE', readFileSync(path, 'latin1')) : [];
        if (der === undefined) return [];
        return [{ purpose: `${role}-ca` as const, since: readCertificate(der as DerCertificate).notBefore }];
      }),
    };
  } finally {
    database.close();
  }
}

function certificates(database: DatabaseSync, now: Date): LiveCertificate[] {
  const rows = database
    .prepare(
      "select profile, coalesce(device_id, operator, subject) as owner, issued_at, not_after, der from certificate where status <> 'revoked' and not_after > ?",
    )
    .all(now.getTime());
  return rows.map(
    (row) => new Row(String(row.profile), String(row.owner), Number(row.issued_at), Number(row.not_after), row.der),
  );
}

/** The key is read from the certificate only when somebody asks for it: most comparisons do not. */
class Row implements LiveCertificate {
  readonly profile: string;
  readonly owner: string;
  readonly issuedAt: Date;
  readonly notAfter: Date;
  readonly #der: unknown;

  constructor(profile: string, owner: string, issuedAt: number, notAfter: number, der: unknown) {
    this.profile = profile;
    this.owner = owner;
    this.issuedAt = new Date(issuedAt);
    this.notAfter = new Date(notAfter);
    this.#der = der;
  }

  get keyAlgorithm(): KeyAlgorithm | undefined {
    return this.#der instanceof Uint8Array ? readCertificate(this.#der as DerCertificate).keyAlgorithm : undefined;
  }
}

function tickets(database: DatabaseSync, now: Date): LiveInventory['tickets'] {
  return database
    .prepare(
      `select ticket_id, signer, quota, not_before, not_after from ticket
       where not_after > ? and (select count(*) from device where device.ticket_id = ticket.ticket_id) < quota`,
    )
    .all(now.getTime())
    .map((row) => ({
      id: String(row.ticket_id),
      // The names of all who signed: names hold no comma.
      signers: String(row.signer).split(', '),
      quota: Number(row.quota),
      notBefore: new Date(Number(row.not_before)).toISOString(),
      notAfter: new Date(Number(row.not_after)).toISOString(),
    }));
}

function late(database: DatabaseSync, now: Date): LiveInventory['late'] {
  return database
    .prepare(
      `select c.device_id as device, max(c.not_after) as ended from certificate c
       join device d on d.device_id = c.device_id
       where c.profile = 'ldevid' and d.state = 'enrolled' group by c.device_id having ended <= ?`,
    )
    .all(now.getTime())
    .map((row) => ({ deviceId: String(row.device), endedAt: new Date(Number(row.ended)) }));
}
