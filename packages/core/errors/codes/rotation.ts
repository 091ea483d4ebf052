import type { ErrorEntry } from '../entry.ts';

/** Rotation campaigns. */
export const ROTATION_ERRORS = {
  'rotation.unknown': {
    kind: 'not-found',
    rule: 'there must be a campaign of this name',
    remedy: 'keystead rotate list',
  },
  'rotation.malformed': { kind: 'invalid', rule: 'a plan must have the form that keystead rotate plan takes' },
  'rotation.plan-differs': {
    kind: 'conflict',
    rule: 'one name is one campaign: the same again must say the same',
    remedy: 'give the campaign another name',
  },
  'rotation.target': { kind: 'invalid', rule: 'what is rotated must be there, and be of the kind of the campaign' },
  'rotation.overlaps': {
    kind: 'conflict',
    rule: 'one thing is rotated by one campaign at a time',
    remedy: 'end the other one first: keystead rotate list',
  },
  'rotation.backup-pin': {
    kind: 'forbidden',
    rule: 'server keys rotate under a bundle that has the current, the next and a backup pin of the role',
    remedy: 'make and sign a trust bundle with the three of them',
  },
  'rotation.step': {
    kind: 'conflict',
    rule: 'a campaign goes from state to state as its table says',
    remedy: 'keystead rotate states',
  },
  'rotation.not-ready': {
    kind: 'conflict',
    rule: 'a campaign goes on when what its next state needs is there',
    remedy: 'keystead rotate status NAME says what is missing',
  },
  'rotation.too-early': { kind: 'conflict', rule: 'old and new stay side by side as long as the plan says' },
  'rotation.strands-devices': {
    kind: 'forbidden',
    rule: 'a rotation that would cut devices off goes on only when a quorum insists on these very devices',
    remedy: 'keystead rotate dry-run NAME shows them and why; keystead rotate insist propose NAME asks for it',
  },
  'rotation.too-many-devices': {
    kind: 'too-large',
    rule: 'a campaign has at most a million devices',
  },
  'rotation.unplanned-device': { kind: 'not-found', rule: 'the device must be one of the campaign' },
  'rotation-order.malformed': {
    kind: 'invalid',
    rule: 'a statement about a rotation must have the form that keystead rotate insist writes',
  },
  'rotation-order.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer must be an operator of the policy in force',
  },
  'rotation-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a CA operator asks for it, and those approve whose role the policy names in its quorum ca-rotation',
  },
  'rotation-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must be signed with the key that the policy in force has for its signer',
  },
  'rotation-order.other-order': {
    kind: 'conflict',
    rule: 'every statement must be about the very same campaign, plan and devices, which are those of now',
    remedy: 'look at the dry run again, and ask anew',
  },
  'rotation-order.expired': { kind: 'forbidden', rule: 'a statement must not have expired', remedy: 'ask anew' },
  'rotation-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'rotation-order.too-long': {
    kind: 'forbidden',
    rule: 'a statement may not be valid for longer than the policy in force allows',
  },
  'rotation-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'rotation-order.duplicate': { kind: 'forbidden', rule: 'a person, and a key, counts once' },
  'rotation-order.too-few': {
    kind: 'forbidden',
    rule: 'as many people must approve as the policy in force asks for in its quorum ca-rotation',
    remedy: 'keystead rotate insist approve, by another person',
  },
} as const satisfies Record<string, ErrorEntry>;
