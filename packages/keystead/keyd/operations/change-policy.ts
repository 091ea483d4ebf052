import { type PolicyFile, policyFile } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { PolicyStep } from '../policy-chain.ts';
import type { Params, Result } from '../protocol.ts';

/**
 * Puts another policy in force: the next version, signed by the quorum of the one in force. keyd verifies all of it by
 * itself; what the front end says of who asked is not looked at. REQ-KEY-POL-01, REQ-KEY-SOD-02
 * @throws KeysteadError `policy.*`, `approval.*`, `clock.went-back`, `keyd.journal-failed`; nothing changed then.
 */
export async function changePolicy(keyd: KeydContext, params: Params<'changePolicy'>): Promise<Result<'changePolicy'>> {
  const next: PolicyFile = policyFile(params.policy);
  return tell(await keyd.changePolicy(next, params.approvals, params.requestId));
}

/** Every policy since the ceremony, the oldest first. */
export async function policyHistory(keyd: KeydContext): Promise<Result<'policyHistory'>> {
  const { founding, steps } = keyd.policies;
  return { founding: { version: founding.policy.version, sha256: founding.sha256 }, steps: steps.map(tell) };
}

/** The file of a policy that a quorum put in force here, with its approvals: they prove themselves to a factory node. */
export async function policyUpdate(
  keyd: KeydContext,
  { version }: Params<'policyUpdate'>,
): Promise<Result<'policyUpdate'>> {
  const step = keyd.policies.steps.find(({ file }) => file.policy.version === version);
  if (step === undefined) return { update: null };
  return { update: { policy: step.file.bytes, approvals: keyd.policies.approvalsOf(step) } };
}

const tell = ({ file, previousSha256, approvalsSha256, appliedAt, requestId, proposer, approvers }: PolicyStep) => ({
  version: file.policy.version,
  sha256: file.sha256,
  previousSha256,
  approvalsSha256,
  appliedAt: new Date(appliedAt),
  requestId,
  proposer,
  approvers: approvers.map(({ name, role }) => ({ name, role })),
});
