import { KeysteadError } from '@keystead/core/errors';
import type { Plan } from './plan.ts';

/** A key for firmware of the policy in force, as keyd holds it. */
export interface HeldFirmwareKey {
  readonly id: string;
  readonly spkiSha256: string;
  /** SP 800-57: as keyd enforces it. */
  readonly state: string;
  /** What the policy lets it do. */
  readonly use: 'signs' | 'trusted' | 'retired';
  /** Null for one that no ceremony has certified. */
  readonly certifiedUntil: string | null;
}

type Held = readonly HeldFirmwareKey[];

/** Whether the old key was killed: no device needs to believe it any more, whatever else the plan says. */
export const isOldKilled = ({ old }: Plan, held: Held): boolean =>
  held.some(({ spkiSha256, state }) => spkiSha256 === old && KILLED.includes(state));
const KILLED: readonly string[] = ['compromised', 'destroyed'];

/**
 * That the new key could sign: certified, not stopped, and in the policy. A key that is not of this keyd signs elsewhere,
 * and is asked about nowhere but in the bundle. REQ-KEY-ROT-02
 * @throws KeysteadError `rotation.not-ready`.
 */
export function requireNextUsable({ next }: Plan, held: Held): void {
  const key = held.find(({ spkiSha256 }) => spkiSha256 === next);
  if (key === undefined) return;
  if (key.certifiedUntil === null) throw notReady('next', `${key.id} has no certificate: docs/signing-rotation.md`);
  if (key.state !== 'active') throw notReady('next', `${key.id} is ${key.state}`);
  if (key.use === 'retired') throw notReady('next', `${key.id} is in no line of the policy in force`);
}

/**
 * That the new key signs and the old one does not: it is in no line of the policy, so that keyd signs nothing by it and
 * no anchor has it. REQ-KEY-ROT-02
 * @throws KeysteadError `rotation.not-ready`.
 */
export function requireOldOut(plan: Plan, held: Held): void {
  requireNextUsable(plan, held);
  const next = held.find(({ spkiSha256 }) => spkiSha256 === plan.next);
  if (next?.use === 'trusted') throw notReady('next', `${next.id} signs nothing by the policy in force`);
  const old = held.find(({ spkiSha256 }) => spkiSha256 === plan.old);
  if (old === undefined || old.use === 'retired') return;
  throw notReady('old', `${old.id} ${old.use === 'signs' ? 'signs' : 'is trusted'} still, by the policy in force`);
}

const notReady = (field: string, seen: string): KeysteadError =>
  new KeysteadError('rotation.not-ready', { field, seen });
