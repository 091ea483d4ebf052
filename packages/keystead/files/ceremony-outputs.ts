import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  certificateOf,
  checkTranscriptSigner,
  MAX_BUNDLE_BYTES,
  OUTPUT_NAME,
  type Policy,
  parseBundle,
  parsePolicy,
  REHEARSAL_PREFIX,
  requireListed,
  transcriptRoot,
  type VerifiedTranscript,
  verifyTranscript,
} from '@keystead/core/lifecycle';

/** What one ceremony has left in its directory, read and verified under the root that it names itself. */
export interface CeremonyOutputs {
  readonly bundle: CeremonyBundle;
  readonly transcript: VerifiedTranscript;
  readonly transcriptSha256: string;
  readonly transcriptSigner: DerCertificate;
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  /** A further file, by its name without the mark of a rehearsal. @throws KeysteadError `bundle.*` */
  read(name: string): Uint8Array;
}

/**
 * Reads the directory of a ceremony that is finished: the transcript's chain and signature, and that bundle and policy
 * are the ones that it lists and tells of. Whether its root is the right one is for the caller to say.
 * @throws KeysteadError `transcript.*`, `bundle.*`, `policy.*`, with the file.
 */
export function readCeremony(dir: string): CeremonyOutputs {
  const prefix = existsSync(join(dir, `${REHEARSAL_PREFIX}bundle.json`)) ? REHEARSAL_PREFIX : '';
  const read = (name: string): Uint8Array => readOutput(dir, prefix + name);
  const bundleBytes = read('bundle.json');
  const policyBytes = read('policy.json');
  const transcriptBytes = read('transcript.jsonl');
  const bundle = parseBundle(bundleBytes);
  const signerText = Buffer.from(read('transcript-signer.pem')).toString('latin1');
  const transcriptSigner = certificateOf(signerText, 'transcript-signer.pem');
  const root = transcriptRoot(bundle);
  const transcript = verifyTranscript(transcriptBytes, read('transcript.sig'), transcriptSigner, root);
  requireListed(transcript, `${prefix}bundle.json`, bundleBytes);
  const policySha256 = toHex(sha256(policyBytes));
  if (policySha256 !== transcript.policySha256 || policySha256 !== bundle.policySha256) {
    throw new KeysteadError('bundle.policy-differs', { field: 'policy.json', seen: `sha256 ${policySha256}` });
  }
  requireSameStory(bundle, transcript);
  const policy = parsePolicy(policyBytes);
  // The policy says what a transcript signer is; a certificate of another kind under the same root is none.
  checkTranscriptSigner(transcriptSigner, bundle, policy);
  const transcriptSha256 = toHex(sha256(transcriptBytes));
  return { bundle, transcript, transcriptSha256, transcriptSigner, policy, policyBytes, read };
}

/** Bundle and transcript tell of the same ceremony. */
function requireSameStory(bundle: CeremonyBundle, transcript: VerifiedTranscript): void {
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['ceremony', bundle.ceremony, transcript.ceremony],
    ['number', bundle.number, transcript.number],
    ['previousTranscriptSha256', bundle.previousTranscriptSha256 ?? undefined, transcript.previousTranscriptSha256],
    ['rehearsal', bundle.rehearsal, transcript.rehearsal],
    ['requestSha256', bundle.requestSha256 ?? undefined, transcript.requestSha256],
  ];
  const other = pairs.find(([, ours, theirs]) => ours !== theirs);
  if (other !== undefined) {
    throw new KeysteadError('bundle.altered', { field: other[0], seen: `${other[1]}, transcript ${other[2]}` });
  }
}

/**
 * One file of a ceremony's directory. A name that leads elsewhere, a link, a device or a pipe, and a file that is far
 * too large are refused before anything of it is read: a medium from outside may hold anything.
 * @throws KeysteadError `bundle.file-name`, `bundle.too-large`, `bundle.altered` when there is none.
 */
export function readOutput(dir: string, name: string): Uint8Array {
  if (!OUTPUT_NAME.test(name)) throw new KeysteadError('bundle.file-name', { field: 'file', seen: name });
  const file = openRegular(join(dir, name), name);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new KeysteadError('bundle.file-name', { field: name, seen: 'no regular file' });
    if (stats.size > MAX_BUNDLE_BYTES) {
      throw new KeysteadError('bundle.too-large', { field: name, seen: `${stats.size} bytes` });
    }
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

function openRegular(path: string, name: string): number {
  try {
    // Not through a link, and not waiting for a pipe.
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ELOOP') {
      throw new KeysteadError('bundle.file-name', { field: name, seen: 'a link', cause });
    }
    throw new KeysteadError('bundle.altered', { field: name, seen: 'no readable file', cause });
  }
}
