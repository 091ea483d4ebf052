import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PolicyFile } from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { type CeremonyPins, foundingPolicy } from './hierarchy.ts';
import type { PolicyJournalEntry } from './journal-entry.ts';
import { PolicyChain } from './policy-chain.ts';
import { readJournal } from './read-journal.ts';

/** What keyd's own journal says while keyd does not run, as far as an import goes by it. */
export interface StoppedState {
  /** The policy that is in force, verified from that of the ceremony on. */
  readonly policy: PolicyFile;
  /** By the SHA-256 of their public keys, those that never sign again, and what ended them. */
  readonly dead: ReadonlyMap<string, DeadBy>;
}

/**
 * A quorum killed a firmware key; or one operator reported any key compromised, or deactivated it: firmware keys too, in
 * journals of before docs/decisions/0045.
 */
export type DeadBy = 'killed' | 'compromised' | 'deactivated';

/** @throws KeysteadError `policy.chain-broken`, `keyd.journal-damaged`, `bundle.policy-differs`. */
export function stoppedState(layout: Layout, pins: CeremonyPins): StoppedState {
  const path = join(layout.keyd, 'journal');
  const entries = existsSync(path) ? readJournal(path).entries : [];
  const changes: PolicyJournalEntry[] = [];
  const dead = new Map<string, DeadBy>();
  for (const entry of entries) {
    if (entry.kind === 'policy') changes.push(entry);
    // The last counts: what was deactivated may be known to be in foreign hands later, and not the other way round.
    if (entry.kind === 'key' && entry.change === 'deactivate') dead.set(entry.spkiSha256, 'deactivated');
    if (entry.kind === 'key' && entry.change === 'compromise') dead.set(entry.spkiSha256, 'compromised');
    if (entry.kind === 'firmware-key' && entry.change === 'kill') dead.set(entry.spkiSha256, 'killed');
  }
  const founding = foundingPolicy(layout, pins);
  const { inForce } = PolicyChain.read({ dir: layout.keyd, published: layout.policy }, founding, changes);
  return { policy: inForce, dead };
}
