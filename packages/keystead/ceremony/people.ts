import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import type { CeremonyOptions } from './options.ts';

/** Who is in the room. */
export interface People {
  readonly administrator?: string;
  readonly witnesses: readonly string[];
  readonly custodians: readonly string[];
}

/** Letters of any script, marks, digits and what stands in names: nothing that a terminal or a page takes for more. */
const NAME = /^[\p{L}\p{N}][\p{L}\p{M}\p{N} .,()'’-]{0,63}$/u;

/**
 * The people of a ceremony, as many as the policy asks for. REQ-KEY-GEN-02
 * @throws KeysteadError `ceremony.name-malformed`, `ceremony.no-witness`, `ceremony.too-few-witnesses`.
 */
export function peopleOf(options: CeremonyOptions, policy: Policy): People {
  const { administrator, witnesses, custodians = [] } = options;
  const named = [...(administrator === undefined ? [] : [administrator]), ...witnesses];
  for (const name of [...named, ...custodians]) {
    if (!NAME.test(name)) throw new KeysteadError('ceremony.name-malformed', { field: 'name', seen: name });
  }
  const twice = named.find((name, at) => named.findIndex((other) => sameName(other, name)) !== at);
  if (twice !== undefined)
    throw new KeysteadError('ceremony.name-malformed', { field: 'name', seen: `${twice}, twice` });
  requireWitnesses(options, policy);
  return { administrator, witnesses, custodians };
}

function requireWitnesses({ unattended, witnesses, rehearsal }: CeremonyOptions, policy: Policy): void {
  const { approvals } = policy.quorums['ceremony-witnesses'];
  if (unattended) {
    if (policy.demonstration || rehearsal === true) return;
    throw new KeysteadError('ceremony.too-few-witnesses', { field: 'unattended', seen: `nobody, of ${approvals}` });
  }
  if (witnesses.length === 0) throw new KeysteadError('ceremony.no-witness', { field: 'witness' });
  if (witnesses.length >= approvals) return;
  throw new KeysteadError('ceremony.too-few-witnesses', {
    field: 'witness',
    seen: `${witnesses.length}, of ${approvals}`,
  });
}

const sameName = (a: string, b: string): boolean => a.trim().toLowerCase() === b.trim().toLowerCase();

/** Who confirms a step: the administrator; at a critical one, or without an administrator, each witness too. */
export const askedAt = ({ administrator, witnesses }: People, critical: boolean): readonly string[] => [
  ...(administrator === undefined ? [] : [administrator]),
  ...(critical || administrator === undefined ? witnesses : []),
];
