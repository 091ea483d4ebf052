import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import {
  type ListedCertificate,
  type RevocationSelector,
  type RevocationStatement,
  type RevocationStatementOrder,
  type Role,
  revocationListSha256,
  signRevocationStatement,
} from '@keystead/core/lifecycle';
import type { KeydBed } from './bed.ts';

export type OrderDraft = RevocationStatementOrder;
type Person = keyof KeydBed['people'];
const ROLES: Readonly<Record<Person, Role>> = {
  ada: 'ca-operator',
  lin: 'line-operator',
  aud: 'auditor',
  pol: 'policy-administrator',
};

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** An order with a fresh id for this list; of the one certificate unless told. */
export function orderOf(
  list: readonly ListedCertificate[],
  more: Pick<OrderDraft, 'act' | 'selector'> & Partial<OrderDraft>,
): OrderDraft {
  return { id: toHex(randomBytes(8)), count: list.length, listSha256: revocationListSha256(list), ...more };
}

export function releaseOf(list: readonly ListedCertificate[], selector?: RevocationSelector): OrderDraft {
  const [one] = list;
  if (one === undefined) throw new RangeError('an empty list');
  const certificate = { kind: 'certificate', ...one } as RevocationSelector;
  return orderOf(list, { act: 'release', selector: selector ?? certificate });
}

/** A statement by one of the bed's people, at its time. `age` and `seconds`: how long ago, and for how long. */
export function signedBy(
  bed: KeydBed,
  name: Person,
  order: OrderDraft,
  how: { act?: RevocationStatement['act']; proposer?: string; age?: number; seconds?: number } = {},
): Promise<string> {
  const { act = 'propose', proposer = name, age = 0, seconds = 3600 } = how;
  const at = bed.clock.now().getTime() - age * 1000;
  const draft = {
    act,
    order,
    proposer,
    role: ROLES[name],
    signedAt: wholeSecond(at),
    expiresAt: wholeSecond(at + seconds * 1000),
  };
  return signRevocationStatement(draft, name, bed.people[name].signer);
}
