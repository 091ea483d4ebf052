import type { ForkProof } from '../fork.ts';
import { FAULTS, type Fault, type Finding } from './faults.ts';
import type { Gap } from './milestones.ts';

/** The outcome of verifying a log, as JSON. Times are ISO 8601 UTC, hashes base64. */
export interface LogReport {
  readonly format: 'keystead-log-report/1';
  readonly verdict: 'proven' | 'not-proven';
  /** The signed head that everything was measured against; absent when there is none. */
  readonly head?: {
    readonly origin: string;
    readonly size: number;
    readonly root: string;
    readonly signedAt?: string;
    readonly source: string;
  };
  readonly entries: { readonly checked: number; readonly first?: string; readonly last?: string };
  readonly checkpoints: {
    readonly archived: number;
    /** The most that lies between two successive archived checkpoints. */
    readonly widest: Gap;
  };
  readonly comparedWith: {
    /** Leaves that keyd holds; absent when its file was not given. */
    readonly keydLeaves?: number;
    readonly otherCheckpoints: number;
    /** Rows of the database, and how many of them are not published yet; absent when it was not given. */
    readonly database?: { readonly rows: number; readonly unpublished: number };
  };
  /** The first bad entry. `upTo`: no signature tells more closely than that it is one of these. */
  readonly firstBad?: { readonly index: number; readonly upTo?: number; readonly fault: Fault; readonly why: string };
  readonly findings: readonly Finding[];
  /** Proof that the log signed two histories: write it to a file of its own and show it to others. */
  readonly fork?: ForkProof;
  /** What is not wrong and still worth knowing. */
  readonly remarks: readonly string[];
}

/** The first bad entry among findings: the lowest index; the more exact of two with the same. */
export function firstBad(findings: readonly Finding[]): LogReport['firstBad'] {
  let first: Finding | undefined;
  for (const finding of findings) {
    const { index, upTo, fault } = finding;
    if (index === undefined || FAULTS[fault].about === 'file') continue;
    const lower = first?.index === undefined || index < first.index;
    if (lower || (index === first?.index && first.upTo !== undefined && upTo === undefined)) first = finding;
  }
  if (first?.index === undefined) return undefined;
  const { index, upTo, fault } = first;
  return { index, upTo, fault, why: sentence(first) };
}

/** One finding as a sentence: `entry 17 was altered after it was signed: …`. */
export function sentence({ fault, index, upTo, detail }: Finding): string {
  if (index === undefined) return `${FAULTS[fault].says}: ${detail}`;
  const place = upTo === undefined ? `entry ${index}` : `an entry from ${index} to ${upTo}`;
  return `${place} ${FAULTS[fault].says}: ${detail}`;
}

/** The report for people: plain text, lines of any length, ends in a newline. */
export function formatLogReport(report: LogReport): string {
  const { head, entries, checkpoints, comparedWith, remarks } = report;
  const lines = [`audit log ${head?.origin ?? '(no signed head)'}`];
  if (head !== undefined) {
    lines.push(`  head         ${head.size} entries, signed ${head.signedAt ?? 'at an unknown time'} (${head.source})`);
    lines.push(`  root         ${head.root}`);
  }
  const span = entries.first === undefined ? '' : `, from ${entries.first} to ${entries.last}`;
  lines.push(`  entries      ${entries.checked} checked${span}`);
  const { widest } = checkpoints;
  lines.push(
    `  checkpoints  ${checkpoints.archived} archived, at most ${widest.entries} entries and ${widest.seconds} s apart`,
  );
  lines.push(`  compared     ${comparisons(comparedWith)}`);
  lines.push(...remarks.map((remark) => `  note         ${remark}`), '');
  lines.push(...verdict(report));
  return `${lines.join('\n')}\n`;
}

function comparisons({ keydLeaves, otherCheckpoints, database }: LogReport['comparedWith']): string {
  const parts: string[] = [];
  if (keydLeaves !== undefined) parts.push(`keyd's own ${keydLeaves} leaves`);
  if (otherCheckpoints > 0)
    parts.push(`${otherCheckpoints} checkpoint${otherCheckpoints === 1 ? '' : 's'} from elsewhere`);
  if (database !== undefined) parts.push(`${database.rows} database rows (${database.unpublished} not published yet)`);
  return parts.length === 0 ? 'nothing but the files of the log' : parts.join(', ');
}

function verdict({ verdict: outcome, firstBad: bad, findings, fork }: LogReport): string[] {
  if (outcome === 'proven')
    return ['PROVEN: every entry is the one that was signed, in its order, none missing, time only forward.'];
  const lines = [
    `NOT PROVEN${bad === undefined ? '' : `: first bad entry ${bad.index}${bad.upTo === undefined ? '' : ` (to ${bad.upTo})`}`}`,
  ];
  lines.push(...findings.map((finding) => `  ${finding.fault.padEnd(20)} ${sentence(finding)}`));
  if (fork !== undefined)
    lines.push('  The two notes of the fork prove it to anyone who has the public key of the log.');
  return lines;
}

/** The report for programs: JSON with a newline at its end. */
export const logReportJson = (report: LogReport): string => `${JSON.stringify(report, null, 2)}\n`;
