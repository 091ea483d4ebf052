import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { ListedIssuer, RevocationAct, RevocationSelector } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, RevocationActRow, Tx } from '../store/index.ts';
import { blockDevice, type Change, changeAll, type FinalReason, inForce } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import { onlineIssuer } from './issued.ts';
import { carryOut, doneEvent, type Revocation } from './revocation.ts';
import { boundList, caIdentities, scopeOf } from './selection.ts';
import { withheldOf } from './withheld.ts';

/** Units of a batch and certificates of a CA that one transaction changes: a few milliseconds, in which others wait. */
const UNITS_AT_ONCE = 100;
const CERTIFICATES_AT_ONCE = 200;

/** Refusals that come of time that went by, and not of what was signed. */
const OUTLIVED: ReadonlySet<string> = new Set(['revocation-request.list-differs', 'revocation-request.expired']);

type Changed = readonly Pick<Certificate, 'issuer' | 'serial'>[];

interface Step {
  readonly changed: Changed;
  readonly finished: boolean;
}

/** That a batch gets no unit any more: it was revoked. A fact of the records for as long as they last. */
export const batchRevoked = (ticketId: string): string => `batch.revoked.${ticketId}`;

/**
 * Carries acts out, in steps that are each a transaction: what a step changed, its audit entries and how far the act has
 * come are durable together, so that an act goes on after a crash where it was, and no certificate has two entries.
 */
export class RevocationRun {
  readonly #deps: AuthorityDeps;
  readonly #revocation: Revocation;
  readonly #running = new Map<string, Promise<void>>();

  constructor(deps: AuthorityDeps, revocation: Revocation) {
    this.#deps = deps;
    this.#revocation = revocation;
  }

  /**
   * Finishes a running act; calls side by side share it. OCSP hears of each step, the CRLs are made once at the end.
   * @throws KeysteadError of keyd or of the store: then it goes on when it is called again. `revocation-request.*`,
   *   `revocation.*` of keyd, which refused a release: then it is withdrawn.
   */
  finish(id: string): Promise<void> {
    const known = this.#running.get(id);
    if (known !== undefined) return known;
    const run = this.#orWithdraw(id).finally(() => this.#running.delete(id));
    this.#running.set(id, run);
    return run;
  }

  /** What can never be carried out, for the certificates were revoked meanwhile or keyd refuses it, does not stay for ever. */
  async #orWithdraw(id: string): Promise<void> {
    try {
      await this.#toTheEnd(id);
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      await this.#deps.store.commit((tx) => {
        const row = tx.revocationAct(id);
        if (row?.state !== 'running') return;
        const now = this.#deps.clock.now();
        tx.moveRevocationAct({ id, state: 'withdrawn', startedAt: row.startedAt, finishedAt: now.getTime() });
        const { actor, requestId, act } = changeOf(row, now);
        const subject = { request: id, what: act };
        const detail = { code: error.code, seen: error.seen ?? null };
        this.#deps.audit(tx, { type: 'revocation.failed', actor, requestId, outcome: 'refused', subject, detail });
      });
      throw error;
    }
  }

  async #toTheEnd(id: string): Promise<void> {
    const row = this.#deps.store.read((records) => records.revocationAct(id));
    if (row?.state !== 'running') return;
    const released = row.act === 'release' ? await this.#releaseInKeyd(row) : undefined;
    if (row.act !== 'release' && row.statements !== '[]') await this.#orderInKeyd(row);
    const issuers = new Set<ListedIssuer>();
    for (;;) {
      const { changed, finished } = await this.#deps.store.commit((tx) => this.#step(tx, id, released));
      for (const certificate of changed) {
        const issuer = onlineIssuer(certificate);
        issuers.add(issuer);
        this.#revocation.changed(issuer, certificate.serial);
      }
      if (finished) break;
      // Others have their turn between two steps.
      await new Promise((resolve) => setImmediate(resolve));
    }
    // What keyd left out until people agreed is on its list now, though the records had it already.
    if (row.act !== 'release' && row.statements !== '[]')
      for (const issuer of this.#deps.store.read(withheldOf).keys()) issuers.add(issuer);
    // After a crash the steps before it are on no list yet: the publisher finds that out by itself at the start.
    await this.#revocation.publish([...issuers]);
  }

  #step(tx: Tx, id: string, released: Changed | undefined): Step {
    const row = tx.revocationAct(id);
    if (row?.state !== 'running') return { changed: [], finished: true };
    const selector = JSON.parse(row.selector) as RevocationSelector;
    const change = changeOf(row, this.#deps.clock.now());
    if (selector.kind === 'batch') return this.#batchStep(tx, row, selector.ticketId, change);
    if (selector.kind === 'ca') return this.#caStep(tx, row, selector.ca, change);
    const scope = scopeOf(tx, { selector, ...change });
    const named = new Set(released?.map(({ issuer, serial }) => `${issuer} ${serial}`));
    // What went on hold while keyd was asked is no part of the order, and keyd holds it.
    const certificates = scope.certificates.filter(
      (one) => released === undefined || named.has(`${onlineIssuer(one)} ${one.serial}`),
    );
    const done = carryOut(tx, this.#deps, { ...scope, certificates }, change);
    return this.#advance(tx, row, { changed: done.certificates, devices: done.devices, cursor: '', finished: true });
  }

  #batchStep(tx: Tx, row: RevocationActRow, ticketId: string, change: Omit<Change, 'certificates'>): Step {
    const { audit } = this.#deps;
    if (row.cursor === '') tx.setMeta(batchRevoked(ticketId), row.id);
    const units = tx.unitsOfBatch(ticketId, row.cursor, UNITS_AT_ONCE);
    const changed: Certificate[] = [];
    let devices = 0;
    for (const { deviceId } of units) {
      if (blockDevice(tx, audit, { ...change, deviceId })) devices += 1;
      changed.push(...changeAll(tx, audit, { ...change, certificates: inForce(tx, deviceId, change.now) }));
    }
    const cursor = units.at(-1)?.deviceId ?? row.cursor;
    return this.#advance(tx, row, { changed, devices, cursor, finished: units.length < UNITS_AT_ONCE });
  }

  #caStep(tx: Tx, row: RevocationActRow, ca: ListedIssuer, change: Omit<Change, 'certificates'>): Step {
    const page = tx.revocableOf(ca, row.cursor, change.now.getTime(), CERTIFICATES_AT_ONCE);
    const certificates = page.flatMap(({ issuer, serial }) => tx.certificate(issuer, serial) ?? []);
    const changed = changeAll(tx, this.#deps.audit, { ...change, certificates });
    const devices = new Set(changed.flatMap(({ deviceId }) => deviceId ?? [])).size;
    const cursor = page.at(-1)?.serial ?? row.cursor;
    return this.#advance(tx, row, { changed, devices, cursor, finished: page.length < CERTIFICATES_AT_ONCE });
  }

  #advance(
    tx: Tx,
    row: RevocationActRow,
    step: { changed: readonly Certificate[]; devices: number; cursor: string; finished: boolean },
  ): Step {
    const { id } = row;
    const certificates = row.certificates + step.changed.length;
    const devices = row.devices + step.devices;
    tx.advanceRevocationAct({ id, cursor: step.cursor, certificates, devices });
    if (step.finished) {
      const now = this.#deps.clock.now();
      tx.moveRevocationAct({ id, state: 'done', startedAt: row.startedAt, finishedAt: now.getTime() });
      const selector = JSON.parse(row.selector) as RevocationSelector;
      this.#deps.audit(tx, doneEvent(selector, changeOf(row, now), { certificates, devices, request: id }));
    }
    return { changed: step.changed, finished: step.finished };
  }

  /**
   * keyd verifies the signatures by itself and lists what was ordered before the records say it: it lists no more than the
   * policy allows without them. Of a certificate, a key or a device that has changed since, or whose statements ended while
   * keyd was away, the act goes on: it goes towards less trust, and keyd lists it as what one person revokes.
   */
  async #orderInKeyd(row: RevocationActRow): Promise<void> {
    const { keyd, store, clock } = this.#deps;
    const selector = JSON.parse(row.selector) as RevocationSelector;
    const { act, reason } = changeOf(row, clock.now());
    const cas = caIdentities(this.#deps);
    const serials = new Map<string, Serial[]>();
    const bound = store.read((records) => boundList(records, { selector, act, reason, now: clock.now() }, cas));
    for (const { issuer, serial } of bound) {
      const some = serials.get(issuer) ?? [];
      some.push(serial);
      serials.set(issuer, some);
    }
    const list = [...serials].map(([issuer, some]) => ({ issuer, serials: some }));
    try {
      await keyd.orderRevocation({ statements: statementsOf(row), list, requestId: row.requestId });
    } catch (error) {
      const isSmall = selector.kind !== 'batch' && selector.kind !== 'ca';
      if (isSmall && error instanceof KeysteadError && OUTLIVED.has(error.code)) return;
      throw error;
    }
  }

  /** keyd verifies the signatures by itself, and only then is anything called good again. @returns what it released. */
  async #releaseInKeyd(row: RevocationActRow): Promise<Changed> {
    const certificates = this.#deps.store.read((records) => {
      const selector = JSON.parse(row.selector) as RevocationSelector;
      if (selector.kind === 'batch' || selector.kind === 'ca') return [];
      return scopeOf(records, { selector, ...changeOf(row, this.#deps.clock.now()) }).certificates;
    });
    return this.#askKeyd(row, certificates);
  }

  async #askKeyd(row: RevocationActRow, certificates: Changed): Promise<Changed> {
    const { keyd } = this.#deps;
    const list = certificates.map((one) => ({ issuer: onlineIssuer(one), serial: one.serial }));
    const statements = statementsOf(row);
    const ask = () => keyd.releaseHold({ statements, certificates: list, requestId: row.requestId });
    try {
      return (await ask()).released;
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.code !== 'revocation.not-on-hold') throw error;
      // The hold is on no list yet, for keyd was away: keyd hears of it first.
      await this.#revocation.publish(list.map(({ issuer }) => issuer));
      return (await ask()).released;
    }
  }
}

/** What an act does to each certificate, by the one who asked for it. */
function changeOf(row: RevocationActRow, now: Date): Omit<Change, 'certificates'> {
  const [kind = 'system', ...id] = row.actor.split(':');
  return {
    act: row.act as RevocationAct,
    reason: (row.reason ?? undefined) as FinalReason | undefined,
    invalidityDate: row.invalidityAt === null ? undefined : new Date(row.invalidityAt),
    actor: { kind: kind as AuditEvent['actor']['kind'], id: id.join(':') },
    requestId: row.requestId,
    now,
  };
}

export const statementsOf = ({ statements }: Pick<RevocationActRow, 'statements'>): string[] =>
  JSON.parse(statements) as string[];
