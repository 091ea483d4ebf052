import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ShownTpm } from '@keystead/agent';
import { type DerCertificate, fromBase64, toBase64, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type Credential, formatCredentialFile, publicOfFile } from '@keystead/tpm2';
import { z } from 'zod';

/*
 * What a device and its station pass to each other: JSON on standard input and output, bytes in base64; or the files of
 * tpm2-tools in a directory.
 */

const bytes = z
  .base64()
  .min(1)
  .max(16_384)
  .transform((text) => fromBase64(text));

const Shown = z.strictObject({
  ekCertificate: bytes.transform((der) => der as DerCertificate).optional(),
  ekPublic: bytes,
  akPublic: bytes,
  keyPublic: bytes,
  attest: bytes,
  signature: bytes,
});
const Challenge = z.strictObject({
  challengeId: z.string(),
  idObject: bytes,
  encryptedSecret: bytes,
  expiresAt: z.string(),
});
const Answer = z.strictObject({ challengeId: z.string(), secret: bytes, csr: z.string() });

/** What a device shows, as the server takes it. */
export type ShownJson = z.input<typeof Shown>;
export type ChallengeJson = z.input<typeof Challenge>;
export type AnswerJson = z.input<typeof Answer>;

export function shownJson({ ekCertificate, ekPublic, akPublic, keyPublic, statement }: ShownTpm): ShownJson {
  return {
    ...(ekCertificate === undefined ? {} : { ekCertificate: toBase64(ekCertificate) }),
    ekPublic: toBase64(ekPublic),
    akPublic: toBase64(akPublic),
    keyPublic: toBase64(keyPublic),
    attest: toBase64(statement.attest),
    signature: toBase64(statement.signature),
  };
}

/** A file, or standard input for `-`. */
export const readShown = (path: string): ShownJson => inputOf(Shown, path);
export const readAnswer = (path: string): AnswerJson => inputOf(Answer, path);
export const readChallenge = (path: string): { challengeId: string; credential: Credential } => {
  const { challengeId, ...credential } = Challenge.parse(inputOf(Challenge, path));
  return { challengeId, credential };
};

/** The text itself is passed on: the server reads it again. @throws KeysteadError `request.malformed`. */
function inputOf<Schema extends z.ZodType>(schema: Schema, path: string): z.input<Schema> {
  const from = path === '-' ? 0 : path;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(from, 'utf8'));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new KeysteadError('request.malformed', { field: path, seen: 'something that is not JSON' });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as z.input<Schema>;
  const issue = parsed.error.issues[0];
  throw new KeysteadError('request.malformed', { field: `${path}: ${issue?.path.join('.')}`, seen: issue?.message });
}

/**
 * What tpm2-tools left in a directory: `ek.pub`, `ak.pub`, `key.pub` (`tpm2_readpublic -f tss`), `certify.attest` and
 * `certify.sig` (`tpm2_certify`), and `ek.crt`, the endorsement certificate in DER, which may be missing.
 */
export function shownByTools(directory: string): ShownJson {
  const read = (name: string): Uint8Array => readFileSync(join(directory, name));
  const area = (name: string): string => toBase64(publicOfFile(read(name)));
  return {
    ...(existsSync(join(directory, 'ek.crt')) ? { ekCertificate: toBase64(read('ek.crt')) } : {}),
    ekPublic: area('ek.pub'),
    akPublic: area('ak.pub'),
    keyPublic: area('key.pub'),
    attest: toBase64(read('certify.attest')),
    signature: toBase64(read('certify.sig')),
  };
}

/** `credential.blob` for `tpm2_activatecredential`, and `challenge.json`. */
export function challengeForTools(directory: string, challenge: ChallengeJson): string {
  const { idObject, encryptedSecret } = Challenge.parse(challenge);
  const path = join(directory, 'credential.blob');
  writeFileSync(path, formatCredentialFile({ idObject, encryptedSecret }));
  writeFileSync(join(directory, 'challenge.json'), `${JSON.stringify(challenge, null, 2)}\n`);
  return path;
}

/** `challenge.json`, `secret` (what `tpm2_activatecredential` opened) and `csr.der`. */
export function answerByTools(directory: string): AnswerJson {
  const { challengeId } = readChallenge(join(directory, 'challenge.json'));
  const secret = readFileSync(join(directory, 'secret'));
  const csr = toPem('CERTIFICATE REQUEST', readFileSync(join(directory, 'csr.der')));
  try {
    return { challengeId, secret: toBase64(secret), csr };
  } finally {
    secret.fill(0);
  }
}
