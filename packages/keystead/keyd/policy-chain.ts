import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sameBytes, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Agreement, type PolicyFile, policyFile, verifyUpdate } from '@keystead/core/lifecycle';
import { durableWrite, removeUnfinished } from '../files/durable.ts';
import type { JournalDraft, PolicyJournalEntry } from './journal-entry.ts';

/** One policy that was put in force after that of the ceremony. */
export interface PolicyStep extends Agreement {
  readonly file: PolicyFile;
  readonly previousSha256: string;
  readonly approvalsSha256: string;
  /** When it was put in force, ISO 8601. */
  readonly appliedAt: string;
  readonly requestId: string;
}

export interface PolicyPaths {
  /** keyd's own directory; the policies are in `policies/`. */
  readonly dir: string;
  /** `trust/policy.json`: a copy of the policy in force, for others to read. */
  readonly published: string;
}

const policiesDirectory = (dir: string): string => join(dir, 'policies');
/** The policy of the ceremony, kept when `trust/policy.json` becomes that of a later one. */
export const foundingPolicyPath = (dir: string): string => join(policiesDirectory(dir), 'founding.json');
const stepName = (version: number): string => String(version).padStart(6, '0');
export const stepPolicyPath = (dir: string, version: number): string =>
  join(policiesDirectory(dir), `${stepName(version)}.json`);
export const stepApprovalsPath = (dir: string, version: number): string =>
  join(policiesDirectory(dir), `${stepName(version)}.approvals.json`);

/**
 * The policies since the ceremony: that of the ceremony, then each that the quorum of the one before has signed. The
 * journal says how many there are, so that the files cannot be set back; each file is kept to its hash in the journal,
 * and each step is verified again at every start, so that none can be put between. REQ-KEY-POL-01, REQ-KEY-SOD-02
 *
 * Trusted for: the policy in force is the last one that a quorum signed. Not for: someone who sets back keyd's whole
 * directory; the copies of the log outside know a later state.
 */
export class PolicyChain {
  readonly founding: PolicyFile;
  readonly #paths: PolicyPaths;
  readonly #steps: PolicyStep[];

  private constructor(paths: PolicyPaths, founding: PolicyFile, steps: PolicyStep[]) {
    this.#paths = paths;
    this.founding = founding;
    this.#steps = steps;
  }

  /**
   * Verifies every step that the journal names, and puts `trust/policy.json` right when a crash left it behind.
   * @throws KeysteadError `policy.chain-broken` with the file; `bundle.policy-differs` when the published policy is
   *   none of ours.
   */
  static open(paths: PolicyPaths, founding: PolicyFile, entries: readonly PolicyJournalEntry[]): PolicyChain {
    const chain = PolicyChain.read(paths, founding, entries);
    if (chain.#steps.length > 0) chain.#repairPublished();
    return chain;
  }

  /** As {@link open}, for those who only look. */
  static read(paths: PolicyPaths, founding: PolicyFile, entries: readonly PolicyJournalEntry[]): PolicyChain {
    const steps: PolicyStep[] = [];
    for (const entry of entries) steps.push(readStep(paths.dir, steps.at(-1)?.file ?? founding, entry));
    return new PolicyChain(paths, founding, steps);
  }

  get inForce(): PolicyFile {
    return this.#steps.at(-1)?.file ?? this.founding;
  }

  get steps(): readonly PolicyStep[] {
    return this.#steps;
  }

  /** The text of a step's approvals. @throws KeysteadError `policy.chain-broken` for a file that was changed since. */
  approvalsOf({ file, approvalsSha256 }: PolicyStep): string {
    const path = stepApprovalsPath(this.#paths.dir, file.policy.version);
    const text = Buffer.from(readFile(path, 'policy.chain-broken')).toString('utf8');
    requireHash(path, hashOf(text), approvalsSha256);
    return text;
  }

  /**
   * Puts a policy in force. `journal` makes the step durable: before it, a crash leaves the old policy, after it the
   * new one. The caller has stopped everything that goes by the policy.
   * @throws KeysteadError as `verifyUpdate` does, and what `journal` throws; the old policy is in force then.
   */
  async take(
    next: PolicyFile,
    approvals: string,
    request: { readonly at: Date; readonly requestId: string },
    journal: (draft: JournalDraft) => Promise<void>,
  ): Promise<PolicyStep> {
    const current = this.inForce;
    const agreement = verifyUpdate(current, next, approvals, request.at);
    const { dir } = this.#paths;
    const { version } = next.policy;
    const appliedAt = request.at.toISOString();
    const approvalsSha256 = hashOf(approvals);
    mkdirSync(policiesDirectory(dir), { recursive: true, mode: 0o700 });
    if (!existsSync(foundingPolicyPath(dir))) durableWrite(foundingPolicyPath(dir), this.founding.bytes, 0o600);
    durableWrite(stepPolicyPath(dir, version), next.bytes, 0o600);
    durableWrite(stepApprovalsPath(dir, version), approvals, 0o600);
    const { requestId } = request;
    await journal({
      time: appliedAt,
      kind: 'policy',
      version,
      policySha256: next.sha256,
      previousSha256: current.sha256,
      approvalsSha256,
      requestId,
    });
    const step = { ...agreement, file: next, previousSha256: current.sha256, approvalsSha256, appliedAt, requestId };
    this.#steps.push(step);
    return step;
  }

  /** Writes the policy in force where others read it. @returns whether it could; if not, the next start does it. */
  publish(): boolean {
    try {
      durableWrite(this.#paths.published, this.inForce.bytes, 0o644);
      return true;
    } catch {
      return false;
    }
  }

  #repairPublished(): void {
    const { published } = this.#paths;
    removeUnfinished(published);
    const seen = readFile(published, 'bundle.policy-differs');
    if (sameBytes(seen, this.inForce.bytes)) return;
    const earlier = [this.founding, ...this.#steps.map((step) => step.file)].some(({ bytes }) =>
      sameBytes(bytes, seen),
    );
    if (!earlier) {
      throw new KeysteadError('bundle.policy-differs', { field: published, seen: toHex(sha256(seen)) });
    }
    this.publish();
  }
}

function readStep(dir: string, current: PolicyFile, entry: PolicyJournalEntry): PolicyStep {
  const path = stepPolicyPath(dir, entry.version);
  const approvalsPath = stepApprovalsPath(dir, entry.version);
  const bytes = readFile(path, 'policy.chain-broken');
  const approvals = Buffer.from(readFile(approvalsPath, 'policy.chain-broken')).toString('utf8');
  requireHash(path, toHex(sha256(bytes)), entry.policySha256);
  requireHash(approvalsPath, hashOf(approvals), entry.approvalsSha256);
  const { approvalsSha256, previousSha256, requestId, time } = entry;
  try {
    const file = policyFile(bytes);
    const agreement = verifyUpdate(current, file, approvals, new Date(time));
    return { ...agreement, file, previousSha256, approvalsSha256, appliedAt: time, requestId };
  } catch (cause) {
    if (!(cause instanceof KeysteadError)) throw cause;
    throw new KeysteadError('policy.chain-broken', { field: path, seen: cause.message, cause });
  }
}

function requireHash(path: string, seen: string, expected: string): void {
  if (seen === expected) return;
  throw new KeysteadError('policy.chain-broken', {
    field: path,
    seen: `sha256 ${seen}, where the journal has ${expected}`,
  });
}

function readFile(path: string, code: 'policy.chain-broken' | 'bundle.policy-differs'): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError(code, { field: path, seen: 'no readable file', cause });
  }
}

const hashOf = (text: string): string => toHex(sha256(Buffer.from(text, 'utf8')));
