import { z } from 'zod';
import type { DerCertificate } from '../../bytes/index.ts';
import { sameBytes, toHex } from '../../bytes/index.ts';
import type { Clock } from '../../clock.ts';
import { sha256, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { checkPath, readCertificate } from '../../x509/index.ts';
import { CEREMONY_KIND_NAMES, type CeremonyKind } from './kind.ts';

/** What stands in the `prev` of the first line. */
export const NO_LINE = '0'.repeat(64);

/** A value that a line may tell: flat enough to be read aloud. */
export type Detail = Record<string, string | number | boolean | readonly string[] | Readonly<Record<string, string>>>;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const LineSchema = z.strictObject({
  n: z.int().min(1),
  time: z.iso.datetime({ offset: false }),
  step: z.string().regex(/^[a-z][a-z-]*$/),
  detail: z.record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.record(z.string(), z.string())]),
  ),
  /** SHA-256, hex, of the line before without its line feed. */
  prev: hash,
});
export type TranscriptLine = z.infer<typeof LineSchema>;

/**
 * The transcript of a ceremony as it grows: JSON lines, each naming the hash of the one before, so that none
 * can be changed, dropped or moved without breaking every later one; a signature over the whole closes it.
 * `prev` stands last in each line, where a shell finds it without reading JSON (docs/ceremony.md).
 */
export class Transcript {
  readonly #clock: Clock;
  readonly #lines: string[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a line with the present time. */
  add(step: string, detail: Detail): void {
    const last = this.#lines.at(-1);
    const prev = last === undefined ? NO_LINE : hexOf(last);
    const time = this.#clock.now().toISOString();
    this.#lines.push(JSON.stringify({ n: this.#lines.length + 1, time, step, detail, prev }));
  }

  /** The file: UTF-8, each line ended by a line feed. */
  bytes(): Uint8Array {
    return new TextEncoder().encode(this.#lines.map((line) => `${line}\n`).join(''));
  }
}

/** Files that a ceremony lists: a name that leads out of the directory would make a verifier read elsewhere. */
export const OUTPUT_NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}(?:\.[A-Za-z0-9]{1,8}){1,2}$/;

/** What a verified transcript says that others rely on. */
export interface VerifiedTranscript {
  readonly lines: readonly TranscriptLine[];
  readonly ceremony: CeremonyKind;
  /** 1 for the founding; each later ceremony counts on. */
  readonly number: number;
  /** SHA-256 of the transcript of the ceremony before; undefined for the founding. */
  readonly previousTranscriptSha256: string | undefined;
  readonly rehearsal: boolean;
  readonly policySha256: string;
  /** SHA-256 of the request of keyd that was answered, where there was one. */
  readonly requestSha256: string | undefined;
  /** False when the ceremony was told to accept a machine with a network. */
  readonly offline: boolean;
  /** False when nobody was asked. */
  readonly attended: boolean;
  readonly witnesses: readonly string[];
  /** SHA-256 (hex) of each file that the ceremony wrote, by file name. */
  readonly outputs: Readonly<Record<string, string>>;
}

/**
 * Verifies a transcript: the chain of hashes, the order of numbers and times, the signature (ECDSA with
 * SHA-384 over the file's bytes, DER), and that the signer's certificate was issued by `root` and valid when
 * the ceremony ended. A rehearsal verifies as well, and says what it is. REQ-KEY-GEN-02.
 * @throws KeysteadError `transcript.altered` with the first line that is wrong, or `transcript.signature-invalid`.
 */
export function verifyTranscript(
  bytes: Uint8Array,
  signature: Uint8Array,
  signer: DerCertificate,
  root: DerCertificate,
): VerifiedTranscript {
  const lines = readChain(bytes);
  const last = lines.at(-1);
  const first = lines[0];
  if (first?.step !== 'begin') throw altered(1, "does not begin with the step 'begin'");
  if (last?.step !== 'end') throw altered(lines.length, "does not end with the step 'end': lines are missing");
  const now = new Date(last.time);
  const rehearsal = first.detail.rehearsal === true;
  const path = checkPath(signer, [], [root], { now, rehearsal });
  if (!path.ok) {
    throw new KeysteadError('transcript.signature-invalid', { field: 'transcript-signer.pem', seen: path.rule });
  }
  const { spki, ca, keyUsage } = readCertificate(signer);
  // The root certifies CAs too, and their keys are online: a transcript that one of those signed proves nothing.
  if (ca || !keyUsage.includes('digitalSignature')) {
    throw new KeysteadError('transcript.signature-invalid', {
      field: 'transcript-signer.pem',
      seen: 'another kind of key',
    });
  }
  if (!verifySignature('ecdsa-with-SHA384', spki, bytes, signature)) {
    throw new KeysteadError('transcript.signature-invalid', { field: 'transcript.sig' });
  }
  return {
    lines,
    ceremony: kindOf(first),
    number: numberOf(first),
    previousTranscriptSha256: optionalText(first, 'previousTranscriptSha256'),
    rehearsal,
    policySha256: text(first, 'policySha256'),
    requestSha256: optionalText(first, 'requestSha256'),
    // Both looks at the network count: at the start, and after the last signature of a root.
    offline: ['network', 'network-after'].every(
      (step) => lines.find((line) => line.step === step)?.detail.offline === true,
    ),
    attended: first.detail.attended === true,
    witnesses: list(first, 'witnesses'),
    outputs: outputsOf(last),
  };
}

/** The lines of a transcript whose chain of hashes holds. The signature is not looked at. */
export function readChain(bytes: Uint8Array): TranscriptLine[] {
  let content: string;
  try {
    content = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KeysteadError('transcript.altered', {
      field: 'transcript.jsonl',
      seen: 'bytes that are not UTF-8',
      cause,
    });
  }
  if (!content.endsWith('\n'))
    throw new KeysteadError('transcript.altered', { field: 'transcript.jsonl', seen: 'a torn last line' });
  const lines: TranscriptLine[] = [];
  let prev = NO_LINE;
  for (const raw of content.slice(0, -1).split('\n')) {
    const n = lines.length + 1;
    const parsed = LineSchema.safeParse(lineOf(raw, n));
    if (!parsed.success) throw altered(n, parsed.error.issues[0]?.message ?? 'not a transcript line');
    const line = parsed.data;
    // A member that stands twice, or blanks between: another reader may see another line in it.
    if (JSON.stringify(line) !== raw) throw altered(n, 'it is not written as a ceremony writes it');
    if (line.prev !== prev) throw altered(n, 'it does not follow the line before: prev is another hash');
    if (line.n !== n) throw altered(n, `it is numbered ${line.n}`);
    if (line.time < (lines.at(-1)?.time ?? '')) throw altered(n, 'its time is before that of the line above');
    lines.push(line);
    prev = hexOf(raw);
  }
  return lines;
}

/**
 * Checks a file against the list in the transcript's last line.
 * @throws KeysteadError `bundle.altered` when its SHA-256 is another, or the transcript does not list it.
 */
export function requireListed(transcript: VerifiedTranscript, name: string, bytes: Uint8Array): void {
  const listed = transcript.outputs[name];
  const seen = toHex(sha256(bytes));
  if (listed === undefined || !sameBytes(Buffer.from(listed, 'hex'), Buffer.from(seen, 'hex'))) {
    throw new KeysteadError('bundle.altered', {
      field: name,
      seen: `sha256 ${seen}, transcript ${listed ?? 'without it'}`,
    });
  }
}

const hexOf = (line: string): string => toHex(sha256(new TextEncoder().encode(line)));

const altered = (n: number, seen: string): KeysteadError =>
  new KeysteadError('transcript.altered', { field: `line ${n}`, seen });

function lineOf(raw: string, n: number): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    throw altered(n, 'it is not JSON');
  }
}

function text(line: TranscriptLine, key: string): string {
  const value = line.detail[key];
  if (typeof value !== 'string') throw altered(line.n, `it has no ${key}`);
  return value;
}

function list(line: TranscriptLine, key: string): string[] {
  const value = line.detail[key];
  if (!Array.isArray(value)) throw altered(line.n, `it has no ${key}`);
  return value;
}

function kindOf(line: TranscriptLine): CeremonyKind {
  const kind = CEREMONY_KIND_NAMES.find((name) => name === line.detail.ceremony);
  if (kind === undefined) throw altered(line.n, 'it names no ceremony');
  return kind;
}

function numberOf(line: TranscriptLine): number {
  const { number } = line.detail;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1)
    throw altered(line.n, 'it has no number');
  return number;
}

const optionalText = (line: TranscriptLine, key: string): string | undefined =>
  key in line.detail ? text(line, key) : undefined;

function outputsOf(line: TranscriptLine): Record<string, string> {
  const value = line.detail.outputs;
  if (typeof value !== 'object' || Array.isArray(value)) throw altered(line.n, 'it has no outputs');
  for (const name of Object.keys(value)) {
    if (!OUTPUT_NAME.test(name)) throw new KeysteadError('bundle.file-name', { field: `line ${line.n}`, seen: name });
  }
  return value;
}
