import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { caProfile, OFFLINE_CAS, ONLINE_CAS, type Policy, profileOf } from '@keystead/core/lifecycle';
import type { Profile } from '@keystead/core/x509';
import { hexGroups } from './fingerprint.ts';
import type { CeremonyInputs } from './inputs.ts';

/** One step of the ceremony as people see it. */
export interface ScriptStep {
  readonly title: string;
  readonly what: readonly string[];
}

/**
 * The script of a ceremony, made from its inputs before anything is done, so that it can be printed, reviewed and
 * signed off; the ceremony then takes exactly these steps (REQ-KEY-GEN-02).
 */
export function scriptSteps({ policy, policySha256, requestSha256, keys, request }: CeremonyInputs): ScriptStep[] {
  return [
    { title: 'Network', what: ['No network interface is up and no route exists on this machine.'] },
    {
      title: 'Inputs',
      what: [
        `Policy '${policy.name}', version ${policy.version}, of ${policy.issued}. SHA-256 of policy.json:`,
        hexGroups(policySha256, '  '),
        'SHA-256 of request.json, to be compared with what keyd showed when it made it:',
        hexGroups(requestSha256, '  '),
        'Keys that are not certified here but approved with the request:',
        `  evidence signer, SHA-256 of its public key:\n${hexGroups(keys.evidence.spkiSha256, '    ')}`,
        `  audit log: ${request.log.vkey}`,
        `  audit log, timestamps: ${request.log.cosignVkey}`,
      ],
    },
    ...OFFLINE_CAS.map((role) => ({
      title: `Key of the ${role === 'root' ? 'root CA' : 'signing root'}`,
      what: [`Generated on this machine into ${role}.sealed, and certified by itself.`, ...profileLines(policy, role)],
    })),
    ...ONLINE_CAS.map((role) => ({
      title: `Certificate of the ${role} CA`,
      what: [
        'Signed by the root CA for the key with this SHA-256:',
        hexGroups(keys[role].spkiSha256, '  '),
        ...profileLines(policy, role),
      ],
    })),
    {
      title: 'Revocation lists of the two roots',
      what: [`Empty, number 1, good for ${duration(policy.revocation.rootCrlSeconds)}.`],
    },
    {
      title: 'Transcript',
      what: [
        'The network is looked at once more.',
        'A one-time key is generated and certified by the root CA; it signs the transcript and is wiped.',
        ...describe(profileOf(policy, 'transcript-signer')),
      ],
    },
  ];
}

/** The script as Markdown, for printing and review. The transcript holds its SHA-256. */
export function scriptMarkdown(inputs: CeremonyInputs): string {
  const steps = scriptSteps(inputs).map(
    ({ title, what }, index) =>
      `## ${index + 1}. ${title}\n\n${what.map((line) => `    ${line.replaceAll('\n', '\n    ')}`).join('\n')}\n`,
  );
  return `# Script of the key ceremony\n\n${steps.join('\n')}`;
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

const profileLines = (policy: Policy, role: (typeof OFFLINE_CAS | typeof ONLINE_CAS)[number]): string[] =>
  describe(caProfile(policy, role));

function describe(profile: Profile): string[] {
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
function duration(seconds: number): string {
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
