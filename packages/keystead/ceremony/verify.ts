import { readdirSync } from 'node:fs';
import { type DerCertificate, sameBytes, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  CEREMONY_KINDS,
  certificateOf,
  checkBundle,
  REHEARSAL_PREFIX,
  requireListed,
  revokedIssuers,
  transcriptRoot,
} from '@keystead/core/lifecycle';
import { formatName, readCertificate, readCrl } from '@keystead/core/x509';
import { type CeremonyOutputs, readCeremony, readOutput } from '../files/ceremony-outputs.ts';
import { fingerprintRows } from '../files/fingerprint.ts';
import { firmwareFiles, rolloverFiles, signerFiles } from './outputs.ts';

/** One thing that an auditor wants to know, and what was seen. */
export interface Finding {
  readonly check: string;
  readonly verdict: 'passed' | 'failed' | 'note';
  readonly evidence: string;
}

export interface VerifyOptions {
  /** The outputs of the ceremony before. */
  readonly previous?: string;
  /** SHA-256 of the root, lower-case hex, as somebody who was there vouches for it. */
  readonly rootSha256?: string;
}

/**
 * Holds what a ceremony has left against itself, its policy and the ceremony before: files only, no network, no key. It
 * says what is so; it never throws for what is in the files. REQ-KEY-GEN-02, REQ-KEY-SOD-01
 */
export function verifyCeremony(dir: string, options: VerifyOptions = {}): Finding[] {
  let outputs: CeremonyOutputs;
  try {
    outputs = readCeremony(dir);
  } catch (error) {
    return [failed('transcript, bundle and policy', error)];
  }
  const { bundle, transcript, transcriptSha256 } = outputs;
  const { length } = transcript.lines;
  return [
    ...(transcript.rehearsal
      ? [finding('rehearsal', 'note', 'REHEARSAL, NOT FOR USE: its keys are destroyed, no certificate of it is valid')]
      : []),
    finding('what it is', 'note', `ceremony ${bundle.number}: ${CEREMONY_KINDS[bundle.ceremony]}`),
    finding(
      'transcript',
      'passed',
      `${length} lines, chained, signed under the root. SHA-256:\n${rows(transcriptSha256)}`,
    ),
    check('root', () => rootOf(outputs, options.rootSha256)),
    check('files', () => listedFiles(dir, outputs)),
    check('hierarchy', () => hierarchy(outputs)),
    check('script', () => script(outputs)),
    check('people', () => people(outputs)),
    finding(
      'network',
      transcript.offline ? 'passed' : 'failed',
      transcript.offline ? 'none, at the start and at the end' : 'NOT OFFLINE: a network was present and accepted',
    ),
    check('the ceremony before', () => before(outputs, options.previous)),
    ...unlisted(dir, outputs),
  ];
}

const finding = (name: string, verdict: Finding['verdict'], evidence: string): Finding => ({
  check: name,
  verdict,
  evidence,
});

const rows = (hex: string): string => fingerprintRows(hex, '  ');

function check(name: string, run: () => string): Finding {
  try {
    return finding(name, 'passed', run());
  } catch (error) {
    return failed(name, error);
  }
}

function failed(name: string, error: unknown): Finding {
  if (!(error instanceof KeysteadError)) throw error;
  return finding(name, 'failed', `${error.message} [${error.code}]`);
}

function rootOf({ bundle }: CeremonyOutputs, vouched: string | undefined): string {
  const seen = certSha256(bundle.certificates.root);
  if (vouched !== undefined && vouched !== seen) {
    throw new KeysteadError('bundle.foreign', { field: 'root', seen });
  }
  const word = vouched === undefined ? 'to be compared with the paper' : 'as vouched for';
  return `SHA-256 of the root's certificate, ${word}:\n${rows(seen)}`;
}

/** Each file that the transcript lists, and that the single files say what the bundle says. */
function listedFiles(dir: string, { transcript, bundle, read, transcriptSigner }: CeremonyOutputs): string {
  const names = Object.keys(transcript.outputs);
  for (const name of names) requireListed(transcript, name, readOutput(dir, name));
  const same = (name: string, der: DerCertificate) => {
    const file = certificateOf(Buffer.from(read(name)).toString('latin1'), name);
    if (!sameBytes(file, der))
      throw new KeysteadError('bundle.altered', { field: name, seen: 'not the one in bundle.json' });
  };
  for (const [role, der] of Object.entries(bundle.certificates)) same(`${role}.pem`, der);
  same('transcript-signer.pem', transcriptSigner);
  const plain: [string, Uint8Array][] = Object.entries(bundle.crls).map(([role, crl]) => [`${role}.crl`, crl]);
  for (const [name, content] of [
    ...plain,
    ...signerFiles(bundle),
    ...firmwareFiles(bundle),
    ...rolloverFiles(bundle),
  ]) {
    if (sameBytes(read(name), content)) continue;
    throw new KeysteadError('bundle.altered', { field: name, seen: 'not the one in bundle.json' });
  }
  return `${names.length} files, each with its SHA-256 in the last line of the transcript`;
}

function hierarchy({ bundle, transcript, policy }: CeremonyOutputs): string {
  const ended = new Date(transcript.lines.at(-1)?.time ?? 0);
  const revoked = [...checkBundle(bundle, policy, ended)];
  const numbers = Object.entries(bundle.crls).map(([role, crl]) => `${role} ${readCrl(crl).number}`);
  return [
    `6 CAs by policy '${policy.name}', version ${policy.version}; CRLs ${numbers.join(', ')}`,
    revoked.length === 0 ? 'no CA of it revoked' : `REVOKED: ${revoked.join(', ')}`,
    `${bundle.rollovers.length} rollovers`,
    bundle.crlSigner === undefined
      ? 'no indirect CRL of the root'
      : `indirect CRL of the root by ${formatName(readCertificate(bundle.crlSigner).subject)}`,
  ].join('; ');
}

function script({ transcript, read }: CeremonyOutputs): string {
  const seen = toHex(sha256(read('script.md')));
  if (seen !== transcript.lines[0]?.detail.scriptSha256) {
    throw new KeysteadError('bundle.altered', { field: 'script.md', seen: `sha256 ${seen}` });
  }
  const confirmed = transcript.lines.filter(({ step }) => step === 'confirmed').length;
  return `script.md is the one that was followed, in ${confirmed} steps`;
}

/** As many witnesses as the policy asks for, and each of them at every critical step. */
function people({ transcript, policy }: CeremonyOutputs): string {
  const { witnesses, attended, lines, rehearsal } = transcript;
  const { approvals } = policy.quorums['ceremony-witnesses'];
  if (!attended) {
    if (policy.demonstration || rehearsal) return 'UNATTENDED, as this demonstration may be';
    throw new KeysteadError('ceremony.too-few-witnesses', { field: 'attended', seen: `nobody, of ${approvals}` });
  }
  if (witnesses.length < approvals) {
    throw new KeysteadError('ceremony.too-few-witnesses', {
      field: 'witnesses',
      seen: `${witnesses.length}, of ${approvals}`,
    });
  }
  for (const { n, step, detail } of lines) {
    if (step !== 'confirmed') continue;
    const by = typeof detail.by === 'object' && !Array.isArray(detail.by) ? Object.keys(detail.by) : [];
    const missing = detail.critical === true ? witnesses.find((name) => !by.includes(name)) : undefined;
    if (missing !== undefined || by.length === 0) {
      throw new KeysteadError('transcript.altered', {
        field: `line ${n}`,
        seen: `not confirmed by ${missing ?? 'anyone'}`,
      });
    }
  }
  return `${witnesses.join(', ')}; each confirmed every critical step`;
}

function before({ bundle }: CeremonyOutputs, dir: string | undefined): string {
  const named = bundle.previousTranscriptSha256;
  if (named === null) return 'none: this is the founding';
  if (dir === undefined) return `its transcript has SHA-256 (give --previous DIR to verify):\n${rows(named)}`;
  const earlier = readCeremony(dir);
  if (earlier.transcriptSha256 !== named || earlier.bundle.number !== bundle.number - 1) {
    throw new KeysteadError('bundle.foreign', { field: 'previous', seen: earlier.transcriptSha256 });
  }
  if (earlier.bundle.rehearsal !== bundle.rehearsal && !bundle.rehearsal) {
    throw new KeysteadError('ceremony.rehearsal-input', { field: 'previous' });
  }
  const ours = certSha256(transcriptRoot(bundle));
  if (!bundle.rehearsal && certSha256(earlier.bundle.certificates.root) !== ours) {
    throw new KeysteadError('bundle.foreign', { field: 'root', seen: ours });
  }
  const gone = [...revokedIssuers(earlier.bundle)].join(', ') || 'none';
  return `ceremony ${earlier.bundle.number} verifies and is the one that is named; revoked CAs then: ${gone}`;
}

/** What lies beside the listed files: nobody vouches for it. */
function unlisted(dir: string, { transcript }: CeremonyOutputs): Finding[] {
  const prefix = transcript.rehearsal ? REHEARSAL_PREFIX : '';
  const known = new Set([...Object.keys(transcript.outputs), `${prefix}transcript.jsonl`, `${prefix}transcript.sig`]);
  const others = readdirSync(dir).filter((name) => !known.has(name));
  if (others.length === 0) return [];
  return [finding('other files', 'note', `not listed, so nobody vouches for them: ${others.join(', ')}`)];
}

/** For people: a line for each finding, what was seen below it. */
export function formatFindings(findings: readonly Finding[]): string {
  const lines = findings.map(
    ({ check: name, verdict, evidence }) =>
      `${verdict.padEnd(6)}  ${name.padEnd(20)}  ${evidence.replaceAll('\n', `\n${' '.repeat(30)}`)}`,
  );
  const bad = findings.filter(({ verdict }) => verdict === 'failed').length;
  return `${lines.join('\n')}\n${bad === 0 ? 'PROVEN' : `NOT PROVEN: ${bad} failed`}\n`;
}
