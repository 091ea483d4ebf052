import { KeysteadError } from '@keystead/core/errors';
import { type Policy, type PolicyFile, policyFile } from '@keystead/core/lifecycle';
import type { AppendAudit, RefusalLog } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { KeydClient, Result } from '../keyd-client/index.ts';
import type { Store, Tx } from '../store/index.ts';

export interface PolicyChangesDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'changePolicy' | 'policyHistory' | 'trust'>;
  readonly audit: AppendAudit;
  readonly refusals: RefusalLog;
}

export interface PolicyOrder {
  /** The very bytes of the policy's file. */
  readonly policy: Uint8Array;
  /** The text of the approvals file. */
  readonly approvals: string;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

type Step = Result<'changePolicy'>;

/** How far the records have come with the policies that keyd has put in force. */
const VERSION = 'policy.version';
const SHA256 = 'policy.sha256';
const SYSTEM: AuditEvent['actor'] = { kind: 'system', id: 'serve' };

/**
 * The policy in force as the front end goes by it. keyd decides; here each change is recorded and audited, and what
 * reads the policy reads the new one from the next request on. REQ-KEY-POL-01, REQ-KEY-AUD-01
 */
export class PolicyChanges {
  readonly #deps: PolicyChangesDeps;
  #file: PolicyFile;

  private constructor(deps: PolicyChangesDeps, file: PolicyFile) {
    this.#deps = deps;
    this.#file = file;
  }

  /** @param bytes the policy in force, as keyd tells it. @throws KeysteadError `policy.*` */
  static of(deps: PolicyChangesDeps, bytes: Uint8Array): PolicyChanges {
    return new PolicyChanges(deps, policyFile(bytes));
  }

  get policy(): Policy {
    return this.#file.policy;
  }

  get file(): PolicyFile {
    return this.#file;
  }

  /**
   * Records what keyd put in force and a crash kept out of the records. Call it before the first request is taken.
   * @throws KeysteadError `policy.set-back` when the records know of a later policy than keyd does.
   */
  async start(): Promise<void> {
    const { founding, steps } = await this.#deps.keyd.policyHistory();
    this.#requireNotSetBack([founding, ...steps]);
    await this.#deps.store.commit((tx) => this.#record(tx, founding.version, steps, SYSTEM));
  }

  /** keyd alone cannot tell that its whole directory was put back; the records can. */
  #requireNotSetBack(known: readonly { version: number; sha256: string }[]): void {
    const { version, sha256 } = this.#deps.store.read((records) => ({
      version: records.meta(VERSION),
      sha256: records.meta(SHA256),
    }));
    if (version === undefined) return;
    if (known.some((step) => String(step.version) === version && step.sha256 === sha256)) return;
    throw new KeysteadError('policy.set-back', {
      field: 'policy of keyd',
      seen: `version ${known.at(-1)?.version}, where the records have version ${version}, sha256 ${sha256}`,
    });
  }

  history(): Promise<Result<'policyHistory'>> {
    return this.#deps.keyd.policyHistory();
  }

  /**
   * Asks keyd to put a policy in force, and records it with its audit entry.
   * @throws KeysteadError what keyd refuses, audited; `store.*`: then the policy is in force, and is recorded at the
   *   next start or when it is asked for again.
   */
  async apply({ policy, approvals, actor, requestId }: PolicyOrder): Promise<Step> {
    const step = await this.#asked({ policy, approvals, actor, requestId });
    const { founding, steps } = await this.#deps.keyd.policyHistory();
    // What keyd has now, not what was sent: another change may have come in between.
    this.#file = policyFile((await this.#deps.keyd.trust()).policy);
    await this.#deps.store.commit((tx) => this.#record(tx, founding.version, steps, actor));
    return step;
  }

  async #asked({ policy, approvals, actor, requestId }: PolicyOrder): Promise<Step> {
    try {
      return await this.#deps.keyd.changePolicy({ policy, approvals, requestId });
    } catch (error) {
      if (error instanceof KeysteadError) {
        await this.#deps.refusals.refused({ what: 'change policy', error, actor, requestId });
      }
      throw error;
    }
  }

  #record(tx: Tx, foundingVersion: number, steps: readonly Step[], actor: AuditEvent['actor']): void {
    const known = Number(tx.meta(VERSION) ?? foundingVersion);
    for (const step of steps) {
      if (step.version <= known) continue;
      this.#deps.audit(tx, eventOf(step, actor));
      tx.setMeta(VERSION, String(step.version));
      tx.setMeta(SHA256, step.sha256);
    }
  }
}

const eventOf = (step: Step, actor: AuditEvent['actor']): AuditEvent => ({
  type: 'policy.changed',
  actor,
  requestId: step.requestId,
  outcome: 'done',
  subject: { policyVersion: step.version, policySha256: step.sha256 },
  detail: {
    previousSha256: step.previousSha256,
    approvalsSha256: step.approvalsSha256,
    proposer: step.proposer,
    approvers: step.approvers.map(({ name, role }) => `${name} (${role})`).join(', '),
    appliedAt: step.appliedAt.toISOString(),
  },
});
