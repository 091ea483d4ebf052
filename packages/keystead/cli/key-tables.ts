import { styleText } from 'node:util';
import { KEY_STATES, KEY_TRANSITIONS, type KeyPurposeId, keyPurpose, type Policy } from '@keystead/core/lifecycle';
import type { KeyEventView, KeyView } from '../inventory/index.ts';
import { table } from './operator.ts';

type Colour = 'green' | 'yellow' | 'red' | 'dim';

const COLOURS: Readonly<Record<string, Colour>> = {
  active: 'green',
  'pre-activation': 'dim',
  suspended: 'yellow',
  deactivated: 'dim',
  compromised: 'red',
  destroyed: 'dim',
  due: 'yellow',
  overdue: 'red',
};

/** Colours where standard output is a terminal that has them (NO_COLOR, FORCE_COLOR), and nowhere else. */
function paint(cell: string): string {
  const colour = COLOURS[cell.trim().split(':')[0] ?? ''];
  return colour === undefined ? cell : styleText(colour, cell, { stream: process.stdout });
}

/** What names a key in few characters: its id, or so much of its hash as `keys show` takes. */
export const nameOf = ({ id }: Pick<KeyView, 'id'>): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 16) : id);

const day = (iso: string | null): string => iso?.slice(0, 10) ?? '-';

/** A line for each key. */
export function keyTable(keys: readonly KeyView[]): string {
  const rows = keys.map((key) => [
    nameOf(key),
    key.purpose,
    key.owner,
    key.algorithm,
    key.custody,
    day(key.originatorEnd),
    key.state,
    key.attention.level === 'none' ? '' : `${key.attention.level}: ${key.attention.why}`,
  ]);
  const head = ['key', 'purpose', 'owner', 'algorithm', 'custody', 'may protect until', 'state', ''];
  return table([head, ...rows], (cell, column) => (column >= 6 ? paint(cell) : cell));
}

/** One key in full, with its history and what it may do. */
export function keyPage(key: KeyView & { readonly history: readonly KeyEventView[] }): string {
  const dates = [
    ['generated', key.generatedAt],
    ['activated', key.activatedAt],
    ['suspended', key.suspendedAt],
    ['deactivated', key.deactivatedAt],
    ['compromised', key.compromisedAt],
    ['destroyed', key.destroyedAt],
    ['originator period ends', key.originatorEnd],
    ['recipient period ends', key.recipientEnd],
  ].filter((row): row is [string, string] => row[1] !== null);
  const verdict = ({ allowed, why }: { allowed: boolean; why: string }): string => `${allowed ? 'yes' : 'no'}, ${why}`;
  const facts: string[][] = [
    ['key', key.id],
    ['SPKI SHA-256', key.spkiSha256 ?? 'none: a symmetric key'],
    ['purpose', key.purpose],
    [
      'algorithm',
      `${key.algorithm}, ${key.strengthBits === 0 ? 'unknown strength' : `${key.strengthBits} bits of strength`}`,
    ],
    ['custody', `${key.custody} (FIPS 140: ${key.fips140})`],
    ['owner', key.owner],
    ['state', key.state],
    ...dates,
    ['successor', key.successor ?? 'none'],
    ['may protect', verdict(key.protect)],
    ['may process', verdict(key.process)],
    ...(key.attention.level === 'none' ? [] : [[key.attention.level, key.attention.why]]),
    ...Object.entries(key.evidence).map(([name, value]) => [name, String(value)]),
  ];
  const history = key.history.map(({ at, event, to, by, reason, auditSeq }) => [
    at ?? '',
    event,
    to,
    by,
    String(auditSeq),
    reason,
  ]);
  const head = ['time', 'event', 'state', 'by', 'log entry', 'why'];
  const told =
    history.length === 0
      ? 'Its history is that of its certificates: keystead audit has it.'
      : table([head, ...history], (cell, column) => (column === 2 ? paint(cell) : cell));
  return `${table(facts, (cell) => paint(cell))}\n\n${told}`;
}

/** The states, the ways between them, and the periods in force, as tables. */
export function lifecyclePage(policy: Policy | undefined): string {
  const yes = (allowed: boolean): string => (allowed ? 'yes' : 'no');
  const states = Object.entries(KEY_STATES).map(([name, { protect, process: processes, meaning }]) => [
    name,
    yes(protect),
    yes(processes),
    meaning,
  ]);
  const ways = KEY_TRANSITIONS.map(({ from, event, to, when }) => [from, event, to, when]);
  const sections = [
    'States (SP 800-57 pt 1 r5 section 7)',
    table([['state', 'may protect', 'may process', 'meaning'], ...states]),
    'Every way from one to another',
    table([['from', 'event', 'to', 'when'], ...ways]),
  ];
  if (policy === undefined) return sections.join('\n\n');
  const periods = policy.cryptoperiods.map(({ purpose, originatorSeconds, recipientSeconds, warnSeconds }) => [
    purpose,
    span(originatorSeconds),
    span(recipientSeconds),
    span(warnSeconds),
    keyPurpose(purpose as KeyPurposeId).atEnd,
  ]);
  const head = ['purpose', 'originator', 'recipient', 'warned ahead', 'at the end'];
  return [
    ...sections,
    `Cryptoperiods of the policy in force (${policy.name}, version ${policy.version}), both from activation`,
    table([head, ...periods]),
  ].join('\n\n');
}

function span(seconds: number | 'none'): string {
  if (seconds === 'none') return 'no end';
  if (seconds === 0) return '-';
  if (seconds % (365 * 86_400) === 0) return `${seconds / (365 * 86_400)} y`;
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`;
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds} s`;
}
