import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CEREMONY_KINDS, type CeremonyKind, caProfile, type Policy } from '@keystead/core/lifecycle';
import type { CaRole, Profile } from '@keystead/core/x509';
import { askedAt, type People } from './people.ts';
import type { Step } from './session.ts';

/** What a script says before its steps. */
export interface ScriptHead {
  readonly kind: CeremonyKind;
  readonly number: number;
  readonly rehearsal: boolean;
  readonly people: People;
}

/**
 * The script as Markdown, for printing, review and sign-off. It is made from the steps that the ceremony then takes, and
 * the transcript holds its SHA-256. REQ-KEY-GEN-02
 */
export function scriptMarkdown(head: ScriptHead, steps: readonly Step[]): string {
  const { kind, number, rehearsal, people } = head;
  const mark = rehearsal ? 'REHEARSAL, NOT FOR USE: ' : '';
  const written = steps.map(
    (step, index) =>
      `## ${rehearsal ? 'REHEARSAL ' : ''}${index + 1}. ${step.title}\n\n${step.what
        .map((line) => `    ${line.replaceAll('\n', '\n    ')}`)
        .join('\n')}\n\n${signOff(people, step.critical === true)}\n`,
  );
  return `# ${mark}Script of a key ceremony: ${CEREMONY_KINDS[kind]} (ceremony ${number})\n
| role | name | signature |
|---|---|---|
${roleRows(people).join('\n')}

Date ____________  Place ______________________________

The administrator leads and confirms every step. At a critical step each witness confirms too: that the screen shows what
this script says, and that the fingerprints are the same, word for word. Whoever does not agree says no; the ceremony
then ends, and no key of it is kept.

${written.join('\n')}
## SHA-256 of transcript.jsonl, in words

    __________________________________________________________________

`;
}

function roleRows({ administrator, witnesses, custodians }: People): string[] {
  const row = (role: string, name: string) => `| ${role} | ${name} | |`;
  const blank = '______________________________';
  return [
    row('ceremony administrator', administrator ?? 'none: the witnesses confirm every step'),
    ...(witnesses.length === 0 ? [blank] : witnesses).map((name) => row('witness', name)),
    ...(custodians.length === 0 ? [blank] : custodians).map((name) => row('custodian', name)),
  ];
}

function signOff(people: People, critical: boolean): string {
  const asked = askedAt(people, critical);
  const initials = (asked.length === 0 ? ['initials'] : asked).map((name) => `${name} ________`);
  return `${critical ? 'Critical. ' : ''}Time ________  ${initials.join('  ')}`;
}

export const scriptSha256 = (markdown: string): string => toHex(sha256(new TextEncoder().encode(markdown)));

/**
 * Checks that a reviewed script is the one that this ceremony would follow.
 * @throws KeysteadError `ceremony.script-differs` with the first line that differs.
 */
export function requireScript(script: string, reviewed: Uint8Array | undefined): void {
  if (reviewed === undefined) return;
  const theirs = Buffer.from(reviewed).toString('utf8').split('\n');
  const ours = script.split('\n');
  const at = Math.max(ours.length, theirs.length);
  for (let line = 0; line < at; line += 1) {
    if (ours[line] === theirs[line]) continue;
    throw new KeysteadError('ceremony.script-differs', {
      field: `script line ${line + 1}`,
      seen: `${JSON.stringify(theirs[line] ?? '')}, where this ceremony has ${JSON.stringify(ours[line] ?? '')}`,
    });
  }
}

/** What a CA's certificate will hold, in lines. */
export const profileLines = (policy: Policy, role: CaRole): string[] => describeProfile(caProfile(policy, role));

export function describeProfile(profile: Profile): string[] {
  const { commonName, organization } = profile.subject;
  const name = typeof commonName === 'string' ? commonName : commonName.fixed;
  const { seconds } = profile.validity;
  return [
    `Name: ${organization === undefined ? '' : `O=${organization}, `}CN=${name}`,
    `Key: ${profile.keyAlgorithms.join(' or ')}; usage: ${profile.keyUsage.join(', ')}`,
    `Validity: ${seconds === 'none' ? 'without end' : duration(seconds)}${
      profile.ca === false ? '' : `; CAs below it: ${profile.ca.pathLength ?? 'any number'}`
    }`,
  ];
}

/** A number of seconds in the largest unit that divides it. */
export function duration(seconds: number): string {
  const units: [number, string][] = [
    [365 * 86_400, 'year'],
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
  ];
  const [size, name] = units.find(([unit]) => seconds % unit === 0) ?? [1, 'second'];
  const count = seconds / size;
  return `${count} ${name}${count === 1 ? '' : 's'}${name === 'year' ? ' of 365 days' : ''}`;
}
