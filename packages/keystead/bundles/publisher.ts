import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { type Policy, parseTrustStatement } from '@keystead/core/lifecycle';
import { decodeFilter, type EndingPin } from '@keystead/core/trust';
import type { Logger } from 'pino';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store, TrustBundleRow } from '../store/index.ts';
import { warnOfEndingPins } from './ending-pins.ts';
import { BundleFiles } from './files.ts';
import { collectSource, type FilterKeyd } from './filter-source.ts';
import { buildAside, follows } from './filter-work.ts';
import { standingNow } from './standing.ts';

/** What was revoked while a filter was built makes keyd refuse it: then it is built again. */
const ATTEMPTS = 3;
/** keyd tells of so many bundles at once. */
const PAGE = 100;
/**
 * Bundles that devices may still go by, and whose filters are kept. Of a fleet with much to revoke there are more: of those
 * before, the first with each content stays, which says what all of them say.
 */
const MOST_IN_FORCE = 1000;

export interface BundleDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'signTrustBundle' | 'trustBundles' | 'trustStatus' | keyof FilterKeyd>;
  readonly clock: Clock;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly log: Pick<Logger, 'error' | 'warn'>;
  readonly policy: Policy;
  readonly directory: string;
  /** {@link MOST_IN_FORCE} unless told. */
  readonly mostInForce?: number;
}

/** Who asks, for the audit log. */
interface AskedBy {
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

const SELF: AskedBy['actor'] = { kind: 'system', id: 'serve' };

/** What devices look at to find their way: docs/trust-bundle.md. */
export interface BundleIndex {
  readonly fleet: string;
  readonly latest: number;
  readonly signerChanges: readonly number[];
}

/**
 * Publishes trust bundles: builds the filter that each names, has keyd sign, and puts files, record and audit entry in
 * place. What keyd signed and this process did not hear of is published at the next tick or start. REQ-KEY-REV-04, REQ-KEY-AUD-01
 */
export class BundlePublisher {
  readonly files: BundleFiles;
  readonly #deps: BundleDeps;
  #work: Promise<unknown> = Promise.resolve();
  #ticking: Promise<void> | undefined;
  #ending: readonly EndingPin[] = [];

  constructor(deps: BundleDeps) {
    this.#deps = deps;
    this.files = new BundleFiles(deps.directory);
  }

  /** Publishes what keyd signed before. Before the first request is taken. */
  async start(): Promise<void> {
    if (this.#deps.policy.trust === undefined) return;
    this.files.open();
    await this.#alone(async () => {
      await this.#catchUp({ actor: SELF, requestId: 'trust-start' });
      await this.#putBack();
    });
  }

  /** Has the same content signed anew where that is due, and warns of pins before they end it. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    if (this.#deps.policy.trust === undefined) return;
    const { latest, content, refreshAt, filterAt, urgent } = await this.#deps.keyd.trustStatus();
    if (latest === null) return;
    const now = this.#deps.clock.now();
    this.#ending = await warnOfEndingPins(this.#deps, content, now);
    const asked = { actor: SELF, requestId: `trust-${now.getTime()}` };
    // Its answer was lost: keyd has no reason to sign another, and nobody would hear of this one.
    if (latest.version > (this.last()?.version ?? 0)) await this.#alone(() => this.#catchUp(asked));
    const filterDue = filterAt !== null && filterAt <= now;
    if (!urgent && !filterDue && (refreshAt === null || refreshAt > now)) return;
    await this.#signed([], asked);
  }

  /** The pins that end soon, as the last tick saw them. */
  endingPins(): readonly EndingPin[] {
    return this.#ending;
  }

  /**
   * Has keyd carry out an order of the quorum, or with no statements sign the content that stands with a new filter.
   * @throws KeysteadError as keyd's `signTrustBundle` does; audited.
   */
  async publish(statements: readonly string[], asked: AskedBy): Promise<TrustBundleRow> {
    try {
      return await this.#signed(statements, asked);
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable')
        await this.#deps.refusals.refused({ what: 'publish trust bundle', error, ...asked });
      throw error;
    }
  }

  /** Null before the first bundle. */
  index(): BundleIndex | null {
    return this.#deps.store.read(({ trustBundles }) => {
      const last = trustBundles.last();
      if (last === undefined) return null;
      return { fleet: last.fleet, latest: last.version, signerChanges: trustBundles.signerChanges() };
    });
  }

  last(): TrustBundleRow | undefined {
    return this.#deps.store.read(({ trustBundles }) => trustBundles.last());
  }

  /** What devices go by that have this version; see {@link standingNow}. */
  standingNow(version: number): ReturnType<typeof standingNow> {
    return standingNow({ ...this.#deps, files: this.files }, version);
  }

  /** Resolves when nothing is being published any more. */
  async settled(): Promise<void> {
    await this.#ticking?.catch(() => {});
    await this.#work.catch(() => {});
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work, work);
    this.#work = done.catch(() => {});
    return done;
  }

  #signed(statements: readonly string[], asked: AskedBy): Promise<TrustBundleRow> {
    return this.#alone(async () => {
      if (this.#deps.policy.trust === undefined)
        throw new KeysteadError('trust-order.not-in-policy', { field: 'trust', seen: 'a policy without the section' });
      this.files.open();
      const [first] = statements;
      const reason = first === undefined ? undefined : parseTrustStatement(first).content.order.reason;
      const { version } = await this.#ask(statements, asked.requestId);
      await this.#catchUp(asked, { version, reason });
      const row = this.#deps.store.read(({ trustBundles }) => trustBundles.bundle(version));
      if (row === undefined) throw new KeysteadError('internal.unexpected', { field: `trust bundle ${version}` });
      return row;
    });
  }

  async #ask(statements: readonly string[], requestId: string): Promise<Result<'signTrustBundle'>> {
    for (let attempt = 1; ; attempt += 1) {
      // The second one stands alone, and is of all that keyd knows: what is wrong may be in what it would change, or keyd
      // may have issued what is not in the records.
      const filter = await this.#filter(attempt > 1);
      try {
        return await this.#deps.keyd.signTrustBundle({ statements: [...statements], filter: [...filter], requestId });
      } catch (error) {
        const again = error instanceof KeysteadError && error.code === 'trust-bundle.filter-refused';
        if (!again || attempt === ATTEMPTS) throw error;
        this.#deps.log.warn({ err: error }, 'keyd refused a filter; it is built again');
      }
    }
  }

  /** The filter as of now, durable on the disk, with all that it changes. */
  async #filter(alone: boolean): Promise<readonly Uint8Array[]> {
    const { policy, clock, store, keyd } = this.#deps;
    const rule = policy.trust?.filter;
    if (rule === undefined) return [];
    const source = await collectSource({ store, keyd, policy, now: clock.now(), whole: alone }, rule);
    const newest = this.last()?.filterSha256 ?? undefined;
    const before = newest === undefined || alone ? undefined : await this.files.chain(newest, rule.mostDeltas);
    const chain = before !== undefined && before.length <= rule.mostDeltas && follows(before, source) ? before : [];
    const built = await buildAside({ source, chain });
    this.files.putFilter(built);
    return [...chain, built];
  }

  /** Publishes what keyd has signed and the records do not have, the oldest first. */
  async #catchUp(asked: AskedBy, ordered?: { version: number; reason: string | undefined }): Promise<void> {
    const { keyd, store, audit, clock, policy } = this.#deps;
    for (let end = false; !end; ) {
      const after = this.last()?.version ?? 0;
      const page = await keyd.trustBundles({ after, limit: PAGE });
      end = page.end;
      for (const told of page.bundles) {
        this.files.putBundle(told.version, told.bundle, told.jws);
        const row: TrustBundleRow = {
          version: told.version,
          fleet: policy.trust?.fleet ?? '',
          sha256: told.sha256,
          issuedAt: told.issuedAt.getTime(),
          expiresAt: told.expires.getTime(),
          filterSha256: told.filterSha256,
          signer: told.signer,
          change: told.change,
          signersChanged: told.signersChanged ? 1 : 0,
          publishedAt: clock.now().getTime(),
        };
        // Not of one that another order made, which is published only now.
        const reason = told.changed && told.version === ordered?.version ? ordered.reason : undefined;
        await store.commit((tx) => {
          if (tx.trustBundles.bundle(row.version) !== undefined) return;
          tx.trustBundles.insert(row);
          audit(tx, {
            type: 'trust.bundle-published',
            ...asked,
            outcome: 'done',
            subject: { bundle: row.version, sha256: row.sha256 },
            detail: {
              fleet: row.fleet,
              change: row.change,
              changed: told.changed,
              signersChanged: told.signersChanged,
              filter: row.filterSha256,
              expires: told.expires.toISOString(),
              ...(reason === undefined ? {} : { reason }),
            },
          });
        });
      }
    }
    await this.#prune();
  }

  /** What a device may ask for: bundles in force, those that changed the signers, and the newest; and what tells of others. */
  #kept() {
    const { clock, store, mostInForce: most = MOST_IN_FORCE } = this.#deps;
    const now = clock.now().getTime();
    return store.read(({ trustBundles }) => {
      const inForce = trustBundles.inForce(now, most);
      // Also while there are not so many yet: once they are, a first that had ended and gone would be missing.
      const firsts = trustBundles.firstsInForce(now);
      return { inForce, changes: new Set([...trustBundles.signerChanges(), ...firsts]), last: trustBundles.last() };
    });
  }

  /**
   * Bundles that are on record and not on the disk, as after a restore: keyd makes their bytes again. Who was away needs
   * each that changed the signers. A filter is there again with the next bundle.
   */
  async #putBack(): Promise<void> {
    const { inForce, changes, last } = this.#kept();
    const versions = new Set([...changes, ...inForce.map(({ version }) => version)]);
    if (last !== undefined) versions.add(last.version);
    for (const version of versions) {
      if (this.files.hasBundle(version)) continue;
      const { bundles } = await this.#deps.keyd.trustBundles({ after: version - 1, limit: 1 });
      const told = bundles.find((one) => one.version === version);
      if (told !== undefined) this.files.putBundle(version, told.bundle, told.jws);
      else this.#deps.log.warn({ version }, 'a trust bundle is lost: its file is missing, and keyd does not know it');
    }
  }

  /** Keeps those, and the filters that those in force name. */
  async #prune(): Promise<void> {
    const { policy } = this.#deps;
    const { inForce, changes, last } = this.#kept();
    if (last === undefined) return;
    const filters = new Set<string>();
    for (const { filterSha256: name } of [...inForce, last]) {
      for (let at: string | undefined = name ?? undefined; at !== undefined && !filters.has(at); ) {
        filters.add(at);
        const bytes: Uint8Array | undefined = await this.files.filter(at);
        at = bytes === undefined ? undefined : decodeFilter(bytes).base;
      }
    }
    const versions = new Set(inForce.map(({ version }) => version));
    const oldest = policy.trust === undefined ? 0 : Math.min(last.version, ...versions);
    this.files.prune(filters, (version) => version >= oldest || changes.has(version));
  }
}
