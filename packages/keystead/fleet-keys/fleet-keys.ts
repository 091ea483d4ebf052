import type { SpkiSha256 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { DEFAULT_FLEET_KEYS, type FleetKeyPolicy } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import type { Authority } from '../authority/index.ts';
import type { Reader, Store, Tx } from '../store/index.ts';
import { lookInThread, type RunningLook } from './in-thread.ts';
import { coveredBy } from './known-groups.ts';
import { GROUP, type WeakPair } from './look.ts';

export interface FleetKeysDeps {
  readonly store: Store;
  readonly authority: Pick<Authority, 'revoke'>;
  readonly clock: Clock;
  readonly audit: (tx: Tx, event: AuditEvent) => unknown;
  readonly database: string;
  /** Where what was looked at is kept. */
  readonly directory: string;
  readonly policy: () => { readonly fleetKeys?: FleetKeyPolicy };
  /** Keys that are looked at together; for tests. */
  readonly group?: number;
}

const ACTOR: AuditEvent['actor'] = { kind: 'system', id: 'fleet-keys' };

/** The mark in the records that a pair was told of. */
const pairMark = ({ spkiSha256, other }: WeakPair): string => `fleet-keys.pair.${spkiSha256}.${other}`;
/** The mark that the policy's act on a key is still to be done. */
const actMark = (spki: SpkiSha256): string => `fleet-keys.act.${spki}`;

/**
 * Looks for RSA keys of the fleet that share a factor, at intervals and only where the log has grown, in a thread. Each
 * pair is one entry of the log that names both devices; then the policy says whether the keys are only reported, held or
 * revoked. REQ-KEY-PROV-03
 */
export class FleetKeys {
  readonly #deps: FleetKeysDeps;
  #running: RunningLook | undefined;
  #last: number | undefined;

  constructor(deps: FleetKeysDeps) {
    this.#deps = deps;
  }

  /** Begins a look where one is due. It resolves before the look ends. */
  async tick(): Promise<void> {
    const { clock, store, directory } = this.#deps;
    const { everySeconds } = this.#rule;
    const now = clock.now().getTime();
    if (this.#running !== undefined || (this.#last !== undefined && now - this.#last < everySeconds * 1000)) return;
    const size = store.read((records) => records.auditSize());
    if (size <= (coveredBy(directory)?.cursor ?? 0)) return;
    this.#last = now;
    this.#begin().catch(() => undefined);
  }

  /** A look now, whatever the interval says. @returns when it is done. @throws KeysteadError `store.*` */
  async look(): Promise<void> {
    await (this.#running?.done ?? this.#begin());
  }

  /** Ends a look that is under way; the next start goes on with it. */
  async close(): Promise<void> {
    await this.#running?.stop();
  }

  get #rule(): FleetKeyPolicy {
    return this.#deps.policy().fleetKeys ?? DEFAULT_FLEET_KEYS;
  }

  async #begin(): Promise<unknown> {
    const { database, directory, group = GROUP } = this.#deps;
    const look = lookInThread({ database, directory, group }, (pairs) => this.#report(pairs));
    this.#running = look;
    try {
      return await look.done;
    } finally {
      this.#running = undefined;
    }
  }

  /** Puts pairs on record, and does what the policy says; a crash between the two is made good when they come again. */
  async #report(pairs: readonly WeakPair[]): Promise<void> {
    if (pairs.length === 0) return;
    const { store } = this.#deps;
    const { onSharedFactor } = this.#rule;
    await store.commit((tx) => {
      for (const pair of pairs) this.#record(tx, pair);
    });
    if (onSharedFactor === 'report') return;
    for (const spkiSha256 of new Set(pairs.flatMap((pair) => [pair.spkiSha256, pair.other]))) {
      if (store.read((records) => records.meta(actMark(spkiSha256))) !== 'due') continue;
      await this.#act(spkiSha256, onSharedFactor);
      await store.commit((tx) => tx.setMeta(actMark(spkiSha256), 'done'));
    }
  }

  #record(tx: Tx, pair: WeakPair): void {
    if (tx.meta(pairMark(pair)) !== undefined) return;
    tx.setMeta(pairMark(pair), this.#deps.clock.now().toISOString());
    const [one, other] = [pair.spkiSha256, pair.other].map((spki) => ({ spki, ...holderOf(tx, spki) }));
    if (one === undefined || other === undefined) return;
    const { onSharedFactor } = this.#rule;
    this.#deps.audit(tx, {
      type: 'key.shared-factor',
      actor: ACTOR,
      requestId: 'fleet-keys',
      outcome: 'done',
      subject: { owner: one.owner, other: other.owner },
      // Not the factor: the log is published, and it is the private key of both.
      detail: { spkiSha256: one.spki, otherSpkiSha256: other.spki, act: onSharedFactor },
    });
    for (const { spki } of [one, other]) {
      if (onSharedFactor !== 'report' && tx.meta(actMark(spki)) === undefined) tx.setMeta(actMark(spki), 'due');
    }
  }

  async #act(spkiSha256: SpkiSha256, act: 'hold' | 'revoke'): Promise<void> {
    const order = { selector: { spkiSha256 }, actor: ACTOR, requestId: 'fleet-keys' };
    if (act === 'hold') await this.#deps.authority.revoke({ ...order, act });
    else await this.#deps.authority.revoke({ ...order, act, reason: 'keyCompromise' });
  }
}

/** Whose key it is: `device:KS-0001`. */
export const holderOf = (records: Reader, spki: SpkiSha256): { owner: string } => ({
  owner: records.keyUse(spki)?.owner ?? 'unknown',
});
