import { KeysteadError } from '@keystead/core/errors';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { TufStatusBody } from '../protocols/rest/tuf.ts';
import type { Store } from '../store/index.ts';

export interface TufRecordsDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'signTufStatus' | 'tufRepositories'>;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
}

/** Has keyd sign what is in force in an update repository. keyd judges; each answer and each refusal is in the log. */
export class TufRecords {
  readonly #deps: TufRecordsDeps;

  constructor(deps: TufRecordsDeps) {
    this.#deps = deps;
  }

  repositories(): Promise<Result<'tufRepositories'>> {
    return this.#deps.keyd.tufRepositories();
  }

  /** @throws KeysteadError of keyd; what it refuses is audited. */
  async sign(
    repository: string,
    body: TufStatusBody,
    by: Pick<AuditEvent, 'actor' | 'requestId'>,
  ): Promise<Result<'signTufStatus'>> {
    const { store, keyd, audit, refusals } = this.#deps;
    const subject = { repository };
    try {
      const made = await keyd.signTufStatus({ repository, ...body, requestId: by.requestId });
      const { root, targets, snapshot, timestamp, until } = made;
      const detail = {
        ...{ root, targets, snapshot: snapshot.version, timestamp: timestamp.version, until: until.toISOString() },
      };
      await store.commit((tx) => audit(tx, { type: 'tuf.status-signed', ...by, outcome: 'done', subject, detail }));
      return made;
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable')
        await refusals.refused({ what: 'sign the status of an update repository', error, ...by, subject });
      throw error;
    }
  }
}
