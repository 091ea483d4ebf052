import { KeysteadError } from '../../errors/index.ts';
import type { ApprovalQuorum } from '../approval-quorum.ts';
import type { KeyPurposeId } from '../key-purposes.ts';
import { cryptoperiodOf, custodyOf, type Policy } from '../policy.ts';
import { permits } from '../roles.ts';
import { ableFor } from '../signers/rules.ts';

export const TRUST_PURPOSE: KeyPurposeId = 'trust-bundle-signer';

/**
 * The rules of the section `trust`. REQ-KEY-REV-04, REQ-KEY-POL-01
 * @throws KeysteadError `policy.trust-rule`, `policy.purpose-missing`, `policy.quorum-*` with the field.
 */
export function checkTrustRules(policy: Policy): void {
  const { trust } = policy;
  if (trust === undefined) return;
  cryptoperiodOf(policy, TRUST_PURPOSE);
  custodyOf(policy, TRUST_PURPOSE);
  trust.keys.forEach(({ id, algorithm }, index) => {
    const field = `trust.keys[${index}]`;
    if (trust.keys.findIndex((one) => one.id === id) !== index) throw broken(`${field}.id`, `${id} twice`);
    if (!policy.algorithms.includes(algorithm))
      throw broken(`${field}.algorithm`, `${algorithm}, which the policy has not`);
  });
  const { filter } = trust;
  if (filter !== undefined && filter.everySeconds * 2 > filter.seconds) {
    const seen = `${filter.everySeconds} s, where a filter holds ${filter.seconds} s: one that is missed would leave devices without`;
    throw broken('trust.filter.everySeconds', seen);
  }
  requireReachable(policy, trust, 'trust');
  const { strand } = trust;
  if (strand === undefined) return;
  const hardware = trust.hardware === true || strand.hardware === true;
  requireReachable(policy, { ...strand, hardware }, 'trust.strand');
  if (strand.approvals > trust.approvals) return;
  const seen = `${strand.approvals}, where ${trust.approvals} approve what strands nobody`;
  throw new KeysteadError('policy.quorum-too-small', { field: 'trust.strand.approvals', seen });
}

/** An order that nobody could ever agree to would only be found out on the day of a compromise. */
function requireReachable(policy: Policy, quorum: ApprovalQuorum, field: string): void {
  const { approvals, roles, hardware } = quorum;
  const never = roles.find((role) => !permits([role], 'trust.sign'));
  if (never !== undefined)
    throw new KeysteadError('policy.quorum-impossible', {
      field: `${field}.roles`,
      seen: `${never}, who approves none`,
    });
  if (policy.demonstration && hardware !== true) return;
  const able = ableFor(policy, quorum);
  const askers = policy.operators.filter((operator) => permits(operator.roles, 'trust.propose'));
  if (askers.some(({ name }) => able.filter((operator) => operator.name !== name).length >= approvals)) return;
  const seen = `${approvals} besides the one who asks, of ${able.length} who may`;
  throw new KeysteadError('policy.quorum-impossible', { field: `${field}.approvals`, seen });
}

const broken = (field: string, seen: string): KeysteadError => new KeysteadError('policy.trust-rule', { field, seen });
