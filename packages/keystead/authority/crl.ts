import { readFileSync } from 'node:fs';
import type { DerCrl } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { crlListName, type ListedIssuer, shardsOf } from '@keystead/core/lifecycle';
import { CRL_WINDOW_BYTES, readCrlWindow } from '@keystead/core/x509';
import type { CrlRow } from '../store/index.ts';
import { CrlFiles } from './crl-files.ts';
import { CrlSigning, type Kind, type Staged } from './crl-signing.ts';
import { type AuthorityDeps, answeringIssuers } from './deps.ts';
import { recordWithheld } from './withheld.ts';

/** A CRL that is longer is fetched over HTTP: here it would be in memory as often as it is asked for. */
const MOST_IN_A_MESSAGE = 1024 * 1024;

/** How far the clock may go back and be borne: a revocation may be dated before the CRL that came before it. */
const CLOCK_STEP_MS = 2000;

/**
 * Makes CRLs and publishes them: signed by keyd, recorded with their audit entry, then put in place as files that are
 * replaced in one step. Of each issuer all lists are made together: the one of all that is revoked, those of its
 * partitions, and the delta CRL of each. REQ-KEY-REV-01
 */
export class CrlPublisher {
  readonly #deps: AuthorityDeps;
  readonly #files: CrlFiles;
  readonly #signing: CrlSigning;
  readonly #running = new Map<ListedIssuer, Promise<CrlRow>>();
  readonly #waiting = new Map<ListedIssuer, Promise<CrlRow>>();
  /** Issuers with revocations that no CRL has yet, because keyd or the store failed. */
  readonly #overdue = new Set<ListedIssuer>();
  /** Lists of which it was audited that they ended without a successor. */
  readonly #missed = new Set<string>();

  readonly #listeners = new Set<(issuer: ListedIssuer) => void>();

  /** @param directory where `<list>.crl` goes, DER. */
  constructor(deps: AuthorityDeps, directory: string) {
    this.#deps = deps;
    this.#files = new CrlFiles(directory, (name) => deps.keyd.crlFile(name));
    this.#signing = new CrlSigning(deps, this.#files);
  }

  /**
   * Publishes CRLs that have every revocation that was recorded before this call. Calls while some are being made
   * share the next. @returns the list of all that the issuer revoked.
   * @throws KeysteadError of keyd or of the store; then the issuer is tried again by {@link publishDue}.
   */
  publish(issuer: ListedIssuer): Promise<CrlRow> {
    return this.#soon(issuer, 'all');
  }

  /**
   * Publishes what is overdue or older than the policy's refresh times. @returns the issuers that failed.
   */
  async publishDue(): Promise<ListedIssuer[]> {
    const failed: ListedIssuer[] = [];
    for (const issuer of this.#issuers()) {
      const due = this.#due(issuer);
      if (due !== undefined) await this.#soon(issuer, due).catch(() => failed.push(issuer));
    }
    return failed;
  }

  /**
   * Whether every list is one that was made in time. A list that ended without a successor is an entry of the audit log,
   * once. REQ-KEY-REV-01
   * @throws KeysteadError `crl.late` for a list that was to be made again and was not.
   */
  async requireInTime(): Promise<void> {
    const now = this.#deps.clock.now().getTime();
    const late = this.#issuers().flatMap((issuer) => (this.#due(issuer) === undefined ? [] : this.#rows(issuer)));
    const ended = late.filter(({ nextUpdate, list }) => nextUpdate <= now && !this.#missed.has(list));
    if (ended.length > 0) await this.#auditMissed(ended);
    const [first] = late.sort((a, b) => a.nextUpdate - b.nextUpdate);
    if (first === undefined) return;
    const when = new Date(first.nextUpdate).toISOString();
    throw new KeysteadError('crl.late', {
      field: first.list,
      seen: `number ${first.number}, which ${first.nextUpdate <= now ? 'ended at' : 'ends at'} ${when}`,
    });
  }

  /** Calls `listener` when new CRLs are in place, before anybody hears of what they list. @returns what ends it. */
  onPublished(listener: (issuer: ListedIssuer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The last CRL of this issuer that lists all. */
  latest(issuer: ListedIssuer): CrlRow | undefined {
    return this.#rows(issuer).find(({ list }) => list === crlListName({ issuer }));
  }

  /**
   * The last CRL of this issuer that lists all, as it is published: for protocols that carry it in a message.
   * @throws KeysteadError `crl.too-long-for-message`; Error of node:fs.
   */
  octets(issuer: ListedIssuer): { readonly der: DerCrl; readonly thisUpdate: Date } | undefined {
    const row = this.latest(issuer);
    if (row === undefined) return undefined;
    if (row.bytes > MOST_IN_A_MESSAGE) {
      throw new KeysteadError('crl.too-long-for-message', { field: issuer, seen: `${row.bytes} bytes` });
    }
    const der = new Uint8Array(readFileSync(this.pathOf(row))) as DerCrl;
    return { der, thisUpdate: readCrlWindow(der.subarray(0, CRL_WINDOW_BYTES), der.length).thisUpdate };
  }

  /** Where the file of a list stands. */
  pathOf({ list }: CrlRow): string {
    return this.#files.path(list);
  }

  /**
   * Finds what a crash left undone: revocations that were recorded and came on no CRL, and CRLs that were recorded and
   * did not come into place. Both are overdue then.
   */
  async findOverdue(): Promise<void> {
    for (const issuer of this.#issuers()) {
      const last = this.latest(issuer);
      if (last === undefined) continue;
      const since = last.madeAt - CLOCK_STEP_MS;
      const later = this.#deps.store.read(
        (records) => records.revokedSince(issuer, since).length + records.abandonedSince(issuer, since).length,
      );
      if (later > 0) this.#overdue.add(issuer);
      for (const row of this.#rows(issuer)) if (!(await this.#files.isInPlace(row))) this.#overdue.add(issuer);
    }
  }

  #issuers(): ListedIssuer[] {
    return answeringIssuers(this.#deps, this.#deps.clock.now());
  }

  #rows(issuer: ListedIssuer): CrlRow[] {
    return this.#deps.store.read((records) => records.crlLists(issuer));
  }

  /** What is to be made of this issuer's lists now. */
  #due(issuer: ListedIssuer): Kind | undefined {
    const now = this.#deps.clock.now().getTime();
    const { crlRefreshSeconds, lists } = this.#deps.policy.revocation;
    const rows = new Map(this.#rows(issuer).map((row) => [row.list, row]));
    const isOld = (list: string, seconds: number): boolean => {
      const row = rows.get(list);
      return row === undefined || now >= row.madeAt + seconds * 1000;
    };
    const scopes = [undefined, ...((lists?.shards ?? 1) > 1 ? shardsOf(lists?.shards ?? 1) : [])];
    if (this.#overdue.has(issuer)) return 'all';
    if (scopes.some((shard) => isOld(crlListName({ issuer, shard }), crlRefreshSeconds))) return 'all';
    const delta = lists?.delta;
    if (delta === undefined) return undefined;
    const deltas = scopes.map((shard) => crlListName({ issuer, shard, delta: true }));
    if (deltas.some((list) => !rows.has(list))) return 'all';
    return deltas.some((list) => isOld(list, delta.refreshSeconds)) ? 'deltas' : undefined;
  }

  #soon(issuer: ListedIssuer, kind: Kind): Promise<CrlRow> {
    const running = this.#running.get(issuer);
    if (running === undefined) return this.#start(issuer, kind);
    const waiting = this.#waiting.get(issuer);
    if (waiting !== undefined) return waiting;
    const next = running.then(
      () => this.#start(issuer, 'all'),
      () => this.#start(issuer, 'all'),
    );
    this.#waiting.set(issuer, next);
    return next;
  }

  #start(issuer: ListedIssuer, kind: Kind): Promise<CrlRow> {
    this.#waiting.delete(issuer);
    const made = this.#make(issuer, kind).finally(() => this.#running.delete(issuer));
    this.#running.set(issuer, made);
    return made;
  }

  async #make(issuer: ListedIssuer, kind: Kind): Promise<CrlRow> {
    if (kind === 'all') this.#overdue.add(issuer);
    const staged: Staged[] = [];
    try {
      const { sent, withheld } = await this.#signing.sign(issuer, kind, staged);
      const [first] = staged;
      if (first === undefined) throw new KeysteadError('internal.unexpected');
      const gone = await this.#record(issuer, kind, staged, { sent, withheld });
      for (const { file } of staged) file.put();
      for (const list of gone) this.#files.remove(list);
      for (const { row } of staged) this.#missed.delete(row.list);
      for (const listener of this.#listeners) listener(issuer);
      if (kind === 'all') {
        this.#signing.recorded(issuer, withheld);
        this.#overdue.delete(issuer);
      }
      return first.row;
    } catch (error) {
      for (const { file } of staged) file.discard();
      throw error;
    }
  }

  /** @returns the lists that are not made any more. */
  async #record(
    issuer: ListedIssuer,
    kind: Kind,
    staged: readonly Staged[],
    { sent, withheld }: { readonly sent: number; readonly withheld: number },
  ): Promise<string[]> {
    const made = new Set(staged.map(({ row }) => row.list));
    const gone = kind === 'all' ? this.#rows(issuer).filter(({ list }) => !made.has(list)) : [];
    const [first] = staged.map(({ row }) => row);
    await this.#deps.store.commit((tx) => {
      for (const { row } of staged) tx.putCrl(row);
      for (const { list } of gone) tx.dropCrl(list);
      if (kind === 'all') recordWithheld(tx, this.#deps.audit, { issuer, number: first?.number ?? 0, withheld });
      this.#deps.audit(tx, {
        type: 'crl.published',
        actor: { kind: 'system', id: 'authority' },
        requestId: `crl-${issuer}-${first?.number}`,
        outcome: 'done',
        subject: { issuer, number: first?.number ?? 0 },
        detail: {
          nextUpdate: new Date(first?.nextUpdate ?? 0).toISOString(),
          sent,
          ...(withheld === 0 ? {} : { withheld }),
          ...(staged.length === 1 ? {} : { lists: staged.map(({ row }) => `${row.list} ${row.number}`).join(', ') }),
        },
      });
    });
    return gone.map(({ list }) => list);
  }

  async #auditMissed(ended: readonly CrlRow[]): Promise<void> {
    await this.#deps.store.commit((tx) => {
      for (const { list, issuer, number, nextUpdate } of ended) {
        this.#deps.audit(tx, {
          type: 'crl.missed',
          actor: { kind: 'system', id: 'authority' },
          requestId: `crl-missed-${list}-${number}`,
          outcome: 'done',
          subject: { issuer, list, number },
          detail: { ended: new Date(nextUpdate).toISOString() },
        });
      }
    });
    for (const { list } of ended) this.#missed.add(list);
  }
}
