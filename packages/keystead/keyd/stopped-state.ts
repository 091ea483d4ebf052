import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PolicyFile } from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { type CeremonyPins, foundingPolicy } from './hierarchy.ts';
import { readJournal } from './journal.ts';
import type { PolicyJournalEntry } from './journal-entry.ts';
import { PolicyChain } from './policy-chain.ts';

/** What keyd's own journal says while keyd does not run, as far as an import goes by it. */
export interface StoppedState {
  /** The policy that is in force, verified from that of the ceremony on. */
  readonly policy: PolicyFile;
  /** SHA-256 of the public keys that never sign again: reported compromised, killed or deactivated. */
  readonly dead: ReadonlySet<string>;
}

/** @throws KeysteadError `policy.chain-broken`, `keyd.journal-damaged`, `bundle.policy-differs`. */
export function stoppedState(layout: Layout, pins: CeremonyPins): StoppedState {
  const path = join(layout.keyd, 'journal');
  const entries = existsSync(path) ? readJournal(path).entries : [];
  const changes: PolicyJournalEntry[] = [];
  const dead = new Set<string>();
  for (const entry of entries) {
    if (entry.kind === 'policy') changes.push(entry);
    if (entry.kind === 'key' && (entry.change === 'compromise' || entry.change === 'deactivate'))
      dead.add(entry.spkiSha256);
    if (entry.kind === 'firmware-key' && entry.change === 'kill') dead.add(entry.spkiSha256);
  }
  const founding = foundingPolicy(layout, pins);
  const { inForce } = PolicyChain.read({ dir: layout.keyd, published: layout.policy }, founding, changes);
  return { policy: inForce, dead };
}
