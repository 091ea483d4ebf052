import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { type CeremonyBundle, formatBundle, OFFLINE_CAS } from '@keystead/core/lifecycle';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import { sealedName } from './hierarchy.ts';
import type { CeremonyInputs } from './inputs.ts';
import type { CeremonyOptions } from './options.ts';

/** What a ceremony has made and certified, before any of it is on disk. */
export interface Made extends Pick<CeremonyBundle, 'certificates' | 'crls'> {
  readonly transcriptSigner: DerCertificate;
}

/** The files that the last line of the transcript lists, by name. None holds a secret. */
export function outputFiles(inputs: CeremonyInputs, script: string, made: Made): Map<string, Uint8Array> {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const { policySha256, requestSha256 } = inputs;
  const { certificates, crls } = made;
  return new Map<string, Uint8Array>([
    ['policy.json', inputs.policyBytes],
    ['request.json', inputs.requestBytes],
    ['script.md', utf8(script)],
    ...Object.entries(certificates).map(([role, der]): [string, Uint8Array] => [
      `${role}.pem`,
      utf8(toPem('CERTIFICATE', der)),
    ]),
    ...Object.entries(crls).map(([role, der]): [string, Uint8Array] => [`${role}.crl`, der]),
    ['bundle.json', utf8(formatBundle({ policySha256, requestSha256, certificates, crls }))],
    ['transcript-signer.pem', utf8(toPem('CERTIFICATE', made.transcriptSigner))],
  ]);
}

/** SHA-256 (hex) of each file, as the transcript lists them. */
export const hashesOf = (files: Iterable<readonly [string, Uint8Array]>): Record<string, string> =>
  Object.fromEntries([...files].map(([name, bytes]) => [name, toHex(sha256(bytes))]));

/** The sealed files of the roots, still under `work`. */
export const sealedFiles = (work: string): [string, Uint8Array][] =>
  OFFLINE_CAS.map((role) => [sealedName(role), readFileSync(join(work, sealedName(role)))]);

/** Writes everything durably: the signature last, so that an `out` with one is complete. */
export function writeOutputs(
  options: CeremonyOptions,
  outputs: Map<string, Uint8Array>,
  closed: { transcript: Uint8Array; signature: Uint8Array; work: string },
): void {
  mkdirSync(options.out, { recursive: true, mode: 0o700 });
  for (const [name, content] of outputs) durableWrite(join(options.out, name), content, 0o644);
  durableWrite(join(options.out, 'transcript.jsonl'), closed.transcript, 0o644);
  for (const role of OFFLINE_CAS) {
    renameSync(join(closed.work, sealedName(role)), join(options.offline, sealedName(role)));
  }
  syncDirectory(options.offline);
  durableWrite(join(options.out, 'transcript.sig'), closed.signature, 0o644);
}
