import { SENSITIVE_ACTS, type SensitiveAct } from '../keying.ts';
import type { Policy } from '../policy.ts';
import { EXCLUSIVE_ROLES, PERMISSIONS, type Permission, permits, ROLES, type Role } from '../roles.ts';
import { isHeldInHardware } from '../signers/keys.ts';
import { signerText } from '../signers/text.ts';
import { ticketQuorum } from '../ticket.ts';
import { type Block, code, list, paragraph, section, subsection, type Text, table } from './content.ts';

/** A policy that was in force, and who put it there. */
export interface PolicyHistoryEntry {
  readonly version: number;
  readonly sha256: string;
  /** ISO 8601. */
  readonly since: string;
  readonly by:
    | { readonly kind: 'ceremony'; readonly witnesses: readonly string[]; readonly transcriptSha256: string }
    | {
        readonly kind: 'quorum';
        readonly proposer: string;
        readonly approvers: readonly { readonly name: string; readonly role: string; readonly signedAt: string }[];
      };
}

const RESPONSIBILITIES: Readonly<Record<Role, string>> = {
  'policy-administrator': 'writes and proposes this policy; approves the proposals of others; answers for the roots',
  'ca-operator': 'runs the CAs: certificates, revocation, batch tickets, decommissioning',
  'line-operator': 'provisions devices at one line of the factory, within a signed ticket',
  'release-engineer': 'asks for firmware signatures',
  approver: 'checks and approves what others ask for; asks for nothing of it',
  custodian: 'keeps a share of the backup, and takes part in a restore',
  auditor: 'reads everything and changes nothing',
};

export const roleSections = (policy: Policy): Block[] => [
  section('Roles and responsibilities'),
  table(
    ['Role', 'Responsibility', 'Held by'],
    ROLES.map((role) => [role, RESPONSIBILITIES[role], holders(policy, [role]) || 'nobody']),
  ),
  paragraph('What each role may do; whatever is not here is refused and the refusal is logged.'),
  table(
    ['Permission', 'Allows to', 'Roles'],
    Object.entries(PERMISSIONS).map(([permission, what]) => [
      [code(permission)],
      what,
      ROLES.filter((role) => permits([role], permission as Permission)).join(', '),
    ]),
  ),
  subsection('Separation of duties'),
  paragraph('One person may not hold both roles of a pair:'),
  list(...EXCLUSIVE_ROLES.map(([a, b]) => `${a} and ${b}`)),
  ...keysOfPeople(policy),
];

/** Where nobody has another key than that of their certificate, there is nothing to say. REQ-KEY-SOD-02 */
function keysOfPeople({ operators }: Policy): Block[] {
  const rows = operators.flatMap(({ name, signers = [] }) =>
    signers.map((signer): Text[] => [name, signerText(signer), isHeldInHardware(signer) ? 'yes' : 'no']),
  );
  if (rows.length === 0) return [];
  return [
    subsection('Keys by which people sign'),
    paragraph(
      'Besides the key of their certificate, these people sign requests and approvals with the following keys. A person counts once, and so does a key, whichever of them is used. That a key is in hardware is what those who approved this policy have seen; a passkey that says of itself that it can be copied does not count as such.',
    ),
    table(['Person', 'Key, with the beginning of the SHA-256 of its public half', 'Held in hardware'], rows),
  ];
}

const holders = (policy: Policy, roles: readonly Role[]): string =>
  policy.operators
    .filter((operator) => operator.roles.some((role) => roles.includes(role)))
    .map(({ name }) => name)
    .join(', ');

/** Who sees to it that the quorum is there. */
const ENFORCED: Readonly<Record<SensitiveAct, string>> = {
  'policy-change': 'keyd verifies every signature itself',
  restore: 'keyd verifies every signature itself, and is closed until then',
  'ca-rotation':
    'serve verifies every signature where a campaign would cut devices off; the keys themselves by procedure: it takes a ceremony',
  'ca-revocation':
    'keyd verifies every signature itself, of the CA and of what it issued, unless revocation.authority says otherwise',
  'firmware-signing': 'keyd verifies every signature itself, where the policy has firmware',
  'ceremony-witnesses': 'the transcript names them; their number is by procedure',
};

export const quorumSections = (policy: Policy): Block[] => [
  section('Quorums'),
  paragraph(
    'These acts need several people. The one who asks never counts: nobody approves their own request. An approval is a signature over this one request, by the key that stands for the person in the policy in force, and it ends by itself.',
  ),
  table(
    ['Act', 'Approvals besides the one who asks', 'By', 'Who may', 'Enforced'],
    (Object.keys(SENSITIVE_ACTS) as SensitiveAct[]).map((act): Text[] => {
      const { approvals, roles, hardware } = policy.quorums[act];
      const keys = hardware === true ? ', with keys that are held in hardware' : '';
      const who = roles.length === 0 ? 'anybody, named in the transcript' : `${roles.join(', ')}${keys}`;
      return [SENSITIVE_ACTS[act], `${approvals}`, who, holders(policy, roles) || '-', ENFORCED[act]];
    }),
  ),
  batchTickets(policy),
];

/** It is no act of one person to whom others agree: whoever signs asks. */
function batchTickets(policy: Policy): Block {
  const { signatures, roles, hardware } = ticketQuorum(policy);
  const who = holders(policy, roles) || 'nobody';
  const keys = hardware === true ? ', with keys that are held in hardware' : '';
  return paragraph(
    `A batch ticket, by which one node provisions so many units, is signed by at least ${signatures} of those who are ${roles.join(' or ')} (${who})${keys}. keyd verifies every signature itself, by the policy in force; a person counts once.`,
  );
}

export const historySections = (history: readonly PolicyHistoryEntry[]): Block[] => [
  section('Change history'),
  history.length === 0
    ? paragraph('This policy is a draft: no deployment goes by it yet.')
    : table(
        ['Version', 'In force since', 'Put in force by', 'SHA-256 of the policy'],
        history.map(({ version, since, by, sha256 }) => [`${version}`, since, byText(by), [code(sha256)]]),
      ),
];

function byText(by: PolicyHistoryEntry['by']): Text {
  if (by.kind === 'ceremony') {
    return [`ceremony, witnessed by ${by.witnesses.join(', ')}; transcript SHA-256 `, code(by.transcriptSha256)];
  }
  const approvers = by.approvers.map(({ name, role, signedAt }) => `${name} (${role}, ${signedAt})`).join(', ');
  return `proposed by ${by.proposer}; approved by ${approvers}`;
}
