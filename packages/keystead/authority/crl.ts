import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCrl, type Serial, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import { durableWrite } from '../files/durable.ts';
import type { CrlRow, Reader } from '../store/index.ts';
import { type AuthorityDeps, answeringIssuers } from './deps.ts';

/** keyd remembers what it has listed, so later CRLs send only what is new, and an hour more to be safe. */
const OVERLAP_MS = 3_600_000;
/** A frame to keyd has at most 8 MiB; an entry has about 100 bytes. */
const ENTRIES_PER_FRAME = 50_000;
/** How far the clock may go back and be borne: a revocation may be dated before the CRL that came before it. */
const CLOCK_STEP_MS = 2000;
/** How many CRLs of each issuer the records keep. */
const KEPT = 10;

interface Revocation {
  readonly serial: Serial;
  readonly revokedAt: Date;
  readonly reason?: RevocationReason;
}

/**
 * Makes CRLs and publishes them: signed by keyd, recorded with their audit entry, then put in place as a file that
 * is replaced in one step. REQ-KEY-REV-01
 */
export class CrlPublisher {
  readonly #deps: AuthorityDeps;
  readonly #directory: string;
  readonly #running = new Map<IssuerId, Promise<CrlRow>>();
  readonly #waiting = new Map<IssuerId, Promise<CrlRow>>();
  /** Issuers with revocations that no CRL has yet, because keyd or the store failed. */
  readonly #overdue = new Set<IssuerId>();
  /** Issuers for which this process has sent keyd everything once. */
  readonly #complete = new Set<IssuerId>();

  readonly #listeners = new Set<(issuer: IssuerId) => void>();

  /** @param directory where `<role>.crl` goes, DER. */
  constructor(deps: AuthorityDeps, directory: string) {
    this.#deps = deps;
    this.#directory = directory;
  }

  /**
   * Publishes a CRL that has every revocation that was recorded before this call. Calls while one is being made
   * share the next.
   * @throws KeysteadError of keyd or of the store; then the issuer is tried again by {@link publishDue}.
   */
  publish(issuer: IssuerId): Promise<CrlRow> {
    const running = this.#running.get(issuer);
    if (running === undefined) return this.#start(issuer);
    const waiting = this.#waiting.get(issuer);
    if (waiting !== undefined) return waiting;
    const next = running.then(
      () => this.#start(issuer),
      () => this.#start(issuer),
    );
    this.#waiting.set(issuer, next);
    return next;
  }

  /** Publishes what is overdue or older than the policy's refresh time. @returns the issuers that failed. */
  async publishDue(): Promise<IssuerId[]> {
    const now = this.#deps.clock.now().getTime();
    const refreshMs = this.#deps.policy.revocation.crlRefreshSeconds * 1000;
    const failed: IssuerId[] = [];
    for (const issuer of this.#issuers()) {
      const last = this.latest(issuer);
      const due = this.#overdue.has(issuer) || last === undefined || now >= last.madeAt + refreshMs;
      if (due) await this.publish(issuer).catch(() => failed.push(issuer));
    }
    return failed;
  }

  /** Calls `listener` when a new CRL is in place, before anybody hears of what it lists. @returns what ends it. */
  onPublished(listener: (issuer: IssuerId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The last CRL of this issuer. */
  latest(issuer: IssuerId): CrlRow | undefined {
    return this.#deps.store.read((records) => records.latestCrl(issuer));
  }

  /** Finds the revocations that were recorded and came on no CRL before everything stopped: they are overdue. */
  findOverdue(): void {
    for (const issuer of this.#issuers()) {
      const last = this.latest(issuer);
      if (last === undefined) continue;
      const since = last.madeAt - CLOCK_STEP_MS;
      const later = this.#deps.store.read(
        (records) => records.revokedSince(issuer, since).length + records.abandonedSince(issuer, since).length,
      );
      if (later > 0) this.#overdue.add(issuer);
    }
  }

  /** Puts the recorded CRLs in place where a crash came between the COMMIT and the file. */
  restoreFiles(): void {
    for (const issuer of this.#issuers()) {
      const last = this.latest(issuer);
      if (last !== undefined && !this.#isInPlace(last)) this.#put(last);
    }
  }

  #issuers(): IssuerId[] {
    return answeringIssuers(this.#deps, this.#deps.clock.now());
  }

  #start(issuer: IssuerId): Promise<CrlRow> {
    this.#waiting.delete(issuer);
    const made = this.#make(issuer).finally(() => this.#running.delete(issuer));
    this.#running.set(issuer, made);
    return made;
  }

  async #make(issuer: IssuerId): Promise<CrlRow> {
    this.#overdue.add(issuer);
    const { store, keyd, clock, audit } = this.#deps;
    const madeAt = clock.now().getTime();
    const { last, entries } = store.read((records) => this.#gather(records, issuer));
    const { crlNumbers } = await keyd.status();
    // keyd may have signed a CRL that was never recorded; its number is not used again.
    let number = Math.max(last?.number ?? 0, crlNumbers[issuer] ?? 0);
    let signed: { crl: DerCrl; nextUpdate: Date } | undefined;
    for (let from = 0; from === 0 || from < entries.length; from += ENTRIES_PER_FRAME) {
      number += 1;
      signed = await keyd.signCrl({ issuer, number, entries: entries.slice(from, from + ENTRIES_PER_FRAME) });
    }
    if (signed === undefined) throw new KeysteadError('internal.unexpected');
    const { crl, nextUpdate } = signed;
    const row: CrlRow = { issuer, number, madeAt, der: crl };
    await store.commit((tx) => {
      tx.insertCrl(row);
      tx.pruneCrls(issuer, number - KEPT);
      audit(tx, {
        type: 'crl.published',
        actor: { kind: 'system', id: 'authority' },
        requestId: `crl-${issuer}-${number}`,
        outcome: 'done',
        subject: { issuer, number },
        detail: { nextUpdate: nextUpdate.toISOString(), sent: entries.length },
      });
    });
    this.#put(row);
    for (const listener of this.#listeners) listener(issuer);
    this.#complete.add(issuer);
    this.#overdue.delete(issuer);
    return row;
  }

  #gather(records: Reader, issuer: IssuerId): { last: CrlRow | undefined; entries: Revocation[] } {
    const last = records.latestCrl(issuer);
    const since = last !== undefined && this.#complete.has(issuer) ? last.madeAt - OVERLAP_MS : 0;
    // RFC 5280 section 3.3: an entry stays until it has stood on a CRL made after its certificate ended.
    const endedAfter = last?.madeAt ?? 0;
    const revoked = records.revokedSince(issuer, since).filter((row) => row.notAfter >= endedAfter);
    const abandoned = records.abandonedSince(issuer, since).filter((row) => row.notAfter >= endedAfter);
    return {
      last,
      entries: [
        ...revoked.map((row) => ({
          serial: row.serial,
          revokedAt: new Date(row.revokedAt),
          reason: row.reason ?? undefined,
        })),
        ...abandoned.map((row) => ({ serial: row.serial, revokedAt: new Date(row.foundAt) })),
      ],
    };
  }

  #path(issuer: string): string {
    return join(this.#directory, `${issuer}.crl`);
  }

  #put(row: CrlRow): void {
    durableWrite(this.#path(row.issuer), row.der, 0o644);
  }

  #isInPlace(row: CrlRow): boolean {
    try {
      return sameBytes(readFileSync(this.#path(row.issuer)), row.der);
    } catch {
      return false;
    }
  }
}
