import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { firmwareKeystoreId, formatBundle, ROOT_CRL_PROFILE } from '@keystead/core/lifecycle';
import { durableWrite } from '../files/durable.ts';
import type { Plan } from './plan.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const certificateFile = (der: DerCertificate): Uint8Array => utf8(toPem('CERTIFICATE', der));

/** The files that the last line of the transcript lists, by name. None holds a secret. */
export function outputFiles(
  plan: Plan,
  script: string,
  transcriptSigner: DerCertificate,
  prefix: string,
): Map<string, Uint8Array> {
  const bundle = plan.bundle();
  const files = new Map<string, Uint8Array>([
    ['policy.json', plan.policyBytes],
    ...plan.files,
    ['script.md', utf8(script)],
    ...Object.entries(bundle.certificates).map(([role, der]): [string, Uint8Array] => [
      `${role}.pem`,
      certificateFile(der),
    ]),
    ...Object.entries(bundle.crls).map(([role, der]): [string, Uint8Array] => [`${role}.crl`, der]),
    ...signerFiles(bundle),
    ...firmwareFiles(bundle),
    ['bundle.json', utf8(formatBundle(bundle))],
    ['transcript-signer.pem', certificateFile(transcriptSigner)],
  ]);
  for (const [name, der] of rolloverFiles(bundle)) files.set(name, der);
  return new Map([...files].map(([name, content]) => [prefix + name, content]));
}

/** The certificate of who signs the indirect CRL of the root, where there is one. */
export const signerFiles = ({ crlSigner }: ReturnType<Plan['bundle']>): [string, Uint8Array][] =>
  crlSigner === undefined ? [] : [[`${ROOT_CRL_PROFILE}.pem`, certificateFile(crlSigner)]];

/** The certificates of the keys that sign firmware of production. */
export const firmwareFiles = ({ firmware = [] }: ReturnType<Plan['bundle']>): [string, Uint8Array][] =>
  firmware.map(({ key, certificate }) => [`${firmwareKeystoreId(key)}.pem`, certificateFile(certificate)]);

/** Each old root by its generation, and the two certificates that lead from it to its successor and back. */
export function rolloverFiles({ rollovers }: ReturnType<Plan['bundle']>): [string, Uint8Array][] {
  const generations = { root: 0, 'signing-root': 0 };
  return rollovers.flatMap(({ role, old, newWithOld, oldWithNew, crl }): [string, Uint8Array][] => {
    generations[role] += 1;
    const name = `${role}-${generations[role]}`;
    return [
      [`${name}.pem`, certificateFile(old)],
      [`${name}-new-with-old.pem`, certificateFile(newWithOld)],
      [`${name}-old-with-new.pem`, certificateFile(oldWithNew)],
      [`${name}.crl`, crl],
    ];
  });
}

/** SHA-256 (hex) of each file, as the transcript lists them. */
export const hashesOf = (files: Iterable<readonly [string, Uint8Array]>): Record<string, string> =>
  Object.fromEntries([...files].map(([name, bytes]) => [name, toHex(sha256(bytes))]));

/**
 * Writes everything durably. The keys become lasting before the signature is there, so that an `out` with a
 * signature is complete, and a key that lasts without one is known to certify nothing.
 */
export function writeOutputs(
  out: string,
  prefix: string,
  files: ReadonlyMap<string, Uint8Array>,
  closed: { transcript: Uint8Array; signature: Uint8Array; keep: () => void },
): void {
  mkdirSync(out, { recursive: true, mode: 0o700 });
  for (const [name, content] of files) durableWrite(join(out, name), content, 0o644);
  durableWrite(join(out, `${prefix}transcript.jsonl`), closed.transcript, 0o644);
  closed.keep();
  durableWrite(join(out, `${prefix}transcript.sig`), closed.signature, 0o644);
}

/** Leaves the record of a ceremony that a person stopped. Nothing signs it: its hash is for the paper. */
export function writeStopped(out: string, prefix: string, transcript: Uint8Array, at: Date): string {
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const path = join(out, `${prefix}stopped-${at.toISOString().replace(/[-:.]/g, '')}.jsonl`);
  durableWrite(path, transcript, 0o644);
  return path;
}
