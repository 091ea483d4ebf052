import { readFileSync } from 'node:fs';
import { sameBytes } from '@keystead/core/bytes';
import { policyInPlace } from '../../policy/index.ts';
import { type Check, failed, passed } from '../check.ts';

/** REQ-KEY-POL-01, REQ-KEY-SOD-02: the policy in force comes from the ceremony by steps that each quorum signed. */
const inForce: Check = {
  id: 'policy.in-force',
  requirements: ['REQ-KEY-POL-01', 'REQ-KEY-SOD-02'],
  text: 'the policy in force is that of the ceremony, or follows from it by steps that the quorum of each has signed',
  async run({ layout }) {
    const { file, history } = policyInPlace(layout);
    if (!sameBytes(readFileSync(layout.policy), file.bytes)) return failed(`${layout.policy} is another policy`);
    const { version, demonstration } = file.policy;
    const loud = demonstration ? '; DEMONSTRATION: one approval is enough to change it' : '';
    return passed(`version ${version}, sha256 ${file.sha256}, ${history.length - 1} changes since the ceremony${loud}`);
  },
};

export const POLICY_CHECKS: readonly Check[] = [inForce];
