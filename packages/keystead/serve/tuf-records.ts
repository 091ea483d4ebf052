import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Policy, tufRepositoryRule } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { RenewedRepository } from '../files/tuf-settings.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { TufStatusBody } from '../protocols/rest/tuf.ts';
import { type OnlineRoles, Renewal, type RenewalState } from '../signing/tuf/index.ts';
import type { Store } from '../store/index.ts';

export interface TufRecordsDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'signTufStatus' | 'tufRepositories'>;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'error' | 'warn' | 'info'>;
  readonly policy: () => Policy;
  /** Those that are renewed here. */
  readonly renewed: readonly RenewedRepository[];
}

type By = Pick<AuditEvent, 'actor' | 'requestId'>;
const SELF: AuditEvent['actor'] = { kind: 'system', id: 'serve' };
/** The SHA-256 of the last timestamp of a repository that is in the audit log. */
const auditedKey = (repository: string): string => `tuf-status-${repository}`;

/**
 * Has keyd sign what is in force in an update repository, and keeps fresh those that the configuration names. keyd judges;
 * what it signed, and each refusal, is in the log once. REQ-KEY-AUD-01
 */
export class TufRecords {
  readonly #deps: TufRecordsDeps;
  readonly #renewals: readonly Renewal[];

  constructor(deps: TufRecordsDeps) {
    this.#deps = deps;
    const { clock, log, policy } = deps;
    this.#renewals = deps.renewed.map(
      ({ repository, directory }) =>
        new Renewal({
          ...{ repository, directory, clock, log, online: this.#online(repository) },
          rule: () => tufRepositoryRule(policy(), repository),
          late: (state) => this.#auditLate(state),
        }),
    );
  }

  repositories(): Promise<Result<'tufRepositories'>> {
    return this.#deps.keyd.tufRepositories();
  }

  /** How a repository stands that is renewed here; undefined for another. */
  renewal(repository: string): RenewalState | undefined {
    return this.renewals().find((one) => one.repository === repository);
  }

  renewals(): readonly RenewalState[] {
    return this.#renewals.map((renewal) => renewal.state());
  }

  /** Renews what is due. @throws never: what fails is told. */
  async tick(): Promise<void> {
    await Promise.all(this.#renewals.map((renewal) => renewal.tick()));
  }

  /** Resolves when nothing is being published any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#renewals.map((renewal) => renewal.settled()));
  }

  /** @throws KeysteadError of keyd; what it refuses is audited. */
  async sign(repository: string, body: TufStatusBody, by: By): Promise<Result<'signTufStatus'>> {
    const { store, keyd, audit, refusals } = this.#deps;
    const subject = { repository };
    try {
      const made = await keyd.signTufStatus({ repository, ...body, requestId: by.requestId });
      const { root, targets, snapshot, timestamp, until } = made;
      const detail = {
        ...{ root, targets, snapshot: snapshot.version, timestamp: timestamp.version, until: until.toISOString() },
      };
      const key = auditedKey(repository);
      const hash = toHex(sha256(timestamp.bytes));
      // What keyd gives again is in the log already, unless whoever asked for it the first time was killed.
      if (store.read((records) => records.meta(key)) !== hash) {
        await store.commit((tx) => {
          if (tx.meta(key) === hash) return;
          tx.setMeta(key, hash);
          audit(tx, { type: 'tuf.status-signed', ...by, outcome: 'done', subject, detail });
        });
      }
      return made;
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable')
        await refusals.refused({ what: 'sign the status of an update repository', error, ...by, subject });
      throw error;
    }
  }

  #online(repository: string): OnlineRoles {
    return {
      status: async ({ roots, targets, now }) => {
        const known = (await this.repositories()).repositories.find((one) => one.repository === repository);
        const body = { roots: [...roots.slice(known?.root ?? 0)], targets };
        const by = { actor: SELF, requestId: `tuf-${repository}-${now.getTime()}` };
        const { snapshot, timestamp } = await this.sign(repository, body, by);
        return { snapshot: snapshot.bytes, timestamp: timestamp.bytes };
      },
    };
  }

  async #auditLate({ repository, until, fault }: RenewalState): Promise<void> {
    const { store, audit } = this.#deps;
    await store.commit(
      (tx) =>
        void audit(tx, {
          type: 'tuf.renewal-late',
          actor: SELF,
          requestId: `tuf-late-${repository}-${until}`,
          outcome: 'done',
          subject: { repository },
          detail: { until: until ?? 'never', why: (fault ?? '').slice(0, 200) },
        }),
    );
  }
}
