import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { type PolicyFile, type PolicyHistoryEntry, policyFile } from '@keystead/core/lifecycle';
import type { Layout } from '../files/layout.ts';
import { nodeAsFounded } from '../keyd/factory/hierarchy.ts';
import { foundingPolicy, pinsPath, readPins } from '../keyd/hierarchy.ts';
import { PolicyChain } from '../keyd/policy-chain.ts';
import { readJournal } from '../keyd/read-journal.ts';

/** The policy of a data directory, and how it came to be in force. */
export interface PolicyInPlace {
  readonly file: PolicyFile;
  /** The oldest first; the last is `file`. */
  readonly history: readonly PolicyHistoryEntry[];
}

/** Reads a policy's file. @throws KeysteadError `policy.*`; `policy.malformed` also when it cannot be read. */
export function readPolicyFile(path: string): PolicyFile {
  return policyFile(readOrRefuse(path));
}

/** The bytes of a file that a person named. @throws KeysteadError `policy.malformed`. */
export function readOrRefuse(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('policy.malformed', { field: path, seen: 'no readable file', cause });
  }
}

/**
 * The policy in force of a deployment, from its files alone: every step since the ceremony is verified on the way.
 * Nothing is changed, also while keyd runs. REQ-KEY-POL-01
 * @throws KeysteadError `config.missing` where no ceremony has been taken over; `policy.chain-broken`, `bundle.*`.
 */
export function policyInPlace(layout: Layout): PolicyInPlace {
  const pins = readPins(layout) ?? nodeAsFounded(layout);
  if (pins === undefined) throw new KeysteadError('config.missing', { field: pinsPath(layout) });
  const founding = foundingPolicy(layout, pins);
  const journal = join(layout.keyd, 'journal');
  const entries = existsSync(journal) ? readJournal(journal).entries.filter((entry) => entry.kind === 'policy') : [];
  const { steps, inForce } = PolicyChain.read({ dir: layout.keyd, published: layout.policy }, founding, entries);
  const history: PolicyHistoryEntry[] = [
    {
      version: founding.policy.version,
      sha256: founding.sha256,
      since: pins.importedAt,
      by: { kind: 'ceremony', witnesses: pins.witnesses, transcriptSha256: pins.transcriptSha256 },
    },
    ...steps.map(({ file, appliedAt, proposer, approvers }) => ({
      version: file.policy.version,
      sha256: file.sha256,
      since: appliedAt,
      by: { kind: 'quorum' as const, proposer, approvers },
    })),
  ];
  return { file: inForce, history };
}
