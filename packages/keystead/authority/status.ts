import type { Serial } from '@keystead/core/bytes';
import type { ListedIssuer } from '@keystead/core/lifecycle';
import type { CertStatus } from '@keystead/core/x509';
import type { Reader } from '../store/index.ts';
import type { AuthorityDeps } from './deps.ts';

/** Told that the status of a certificate changed; without a serial, that of any of the issuer may have. */
export type StatusListener = (issuer: ListedIssuer, serial?: Serial) => void;

/** Tells how certificates stand, from the records alone, and who wants to know that it changed. REQ-KEY-REV-02 */
export class CertificateStatus {
  readonly #deps: Pick<AuthorityDeps, 'store'>;
  readonly #listeners = new Set<StatusListener>();
  /** Since when the key of a CA is known to be in foreign hands. */
  readonly #compromised = new Map<ListedIssuer, Date>();

  constructor(deps: Pick<AuthorityDeps, 'store'>) {
    this.#deps = deps;
  }

  /** How a serial of this CA stands. What was never issued is `unknown`, never `good`. */
  of(issuer: ListedIssuer, serial: Serial): CertStatus {
    const status = this.#deps.store.read((records) => statusOf(records, issuer, serial));
    const revokedAt = this.#compromised.get(issuer);
    if (revokedAt === undefined || status.status !== 'good') return status;
    // RFC 6960 section 2.7: none of what a compromised CA issued is vouched for any more.
    return { status: 'revoked', revokedAt, reason: 'cACompromise' };
  }

  /** From now on nothing that this CA issued is good. */
  compromised(issuer: ListedIssuer, at: Date): void {
    if (this.#compromised.has(issuer)) return;
    this.#compromised.set(issuer, at);
    this.changed(issuer);
  }

  /** Whether the key of this CA is known to be in foreign hands. */
  isCompromised(issuer: ListedIssuer): boolean {
    return this.#compromised.has(issuer);
  }

  /** Calls `listener` after the COMMIT of each change and before anybody hears of it. @returns what ends it. */
  onChanged(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed(issuer: ListedIssuer, serial?: Serial): void {
    for (const listener of this.#listeners) listener(issuer, serial);
  }
}

function statusOf(records: Reader, issuer: ListedIssuer, serial: Serial): CertStatus {
  const row = records.statusOf(issuer, serial);
  if (row !== undefined) {
    if (row.status === 'good' || row.revokedAt === null) return { status: 'good' };
    return { status: 'revoked', revokedAt: new Date(row.revokedAt), reason: row.reason ?? undefined };
  }
  const journal = records.journalCertificate(issuer, serial);
  if (journal === undefined) return { status: 'unknown' };
  return journal.fate === 'own' ? { status: 'good' } : { status: 'revoked', revokedAt: new Date(journal.foundAt) };
}
