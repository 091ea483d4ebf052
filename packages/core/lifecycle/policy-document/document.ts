import { durationText } from '../duration.ts';
import type { Policy } from '../policy.ts';
import type { PolicyFile } from '../policy-update.ts';
import { type Block, type Content, code, paragraph, section, table, warning } from './content.ts';
import { firmwareSections, tufSections } from './firmware.ts';
import { keySections } from './keys.ts';
import { historySections, type PolicyHistoryEntry, quorumSections, roleSections } from './people.ts';
import { procedureSections } from './procedures.ts';
import { referenceSections } from './references.ts';
import { trustSections } from './trust.ts';

/**
 * The key management policy that a quality department files. Every figure comes from the policy, and nothing from the
 * clock: the same policy with the same history is the same document, byte for byte. REQ-KEY-POL-01
 * @param history the policies up to this one, the oldest first; empty for a draft.
 */
export function policyDocument({ policy, sha256 }: PolicyFile, history: readonly PolicyHistoryEntry[]): Content {
  const { id, owner } = policy.document;
  const { version, name, demonstration } = policy;
  const standing = history.length === 0 ? 'DRAFT, not in force' : 'in force';
  const demo = demonstration ? ' - DEMONSTRATION' : '';
  return {
    title: `Key management policy: ${name}`,
    header: `${id}, version ${version}, ${standing}${demo}`,
    footer: `${id} version ${version} - ${owner} - SHA-256 of the policy ${sha256.slice(0, 16)}...`,
    blocks: [
      ...(demonstration
        ? [
            warning(
              'DEMONSTRATION: this policy lets one approval do where two are needed in earnest. Nothing that is issued under it may be relied on.',
            ),
          ]
        : []),
      ...(history.length === 0 ? [warning('DRAFT: this policy is not in force.')] : []),
      ...control(policy, sha256, history),
      ...roleSections(policy),
      ...keySections(policy),
      ...procedureSections(policy),
      ...quorumSections(policy),
      ...firmwareSections(policy),
      ...tufSections(policy),
      ...trustSections(policy),
      ...historySections(history),
      ...referenceSections(),
    ],
  };
}

function control(policy: Policy, sha256: string, history: readonly PolicyHistoryEntry[]): Block[] {
  const { document, version, issued } = policy;
  const last = history.at(-1);
  const approved =
    last === undefined
      ? 'nobody: it is a draft'
      : last.by.kind === 'ceremony'
        ? `the ceremony, witnessed by ${last.by.witnesses.join(', ')}`
        : `${last.by.approvers.map(({ name }) => name).join(', ')}, on the proposal of ${last.by.proposer}`;
  return [
    section('Scope and document control'),
    paragraph(
      'This document states how cryptographic keys are managed from generation to destruction, for devices, for the servers that they talk to, and for the people who work with both. It is printed from the policy that the software reads and enforces: where this document and the running system could differ, the policy file with the SHA-256 below is what counts.',
    ),
    table(
      ['Item', 'Value'],
      [
        ['Document', document.id],
        ['Version', `${version}`],
        ['Written', issued],
        ['In force since', last?.since ?? 'not in force'],
        ['Owner', document.owner],
        ['Approved by', approved],
        ['Reviewed every', durationText(document.reviewSeconds)],
        ['SHA-256 of the policy', [code(sha256)]],
      ],
    ),
  ];
}
