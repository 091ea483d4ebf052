import { z } from 'zod';
import { canonicalJson, fromBase64, toBase64 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { firstIssue } from '../schema-field.ts';
import { MOST_CUSTODIANS } from './custodians.ts';
import { requireMember } from './members.ts';

export const MANIFEST_FORMAT = 'keystead-backup-manifest/1';
/** Ciphertext that has a hash of its own: damage is named to within this many bytes. */
export const CHUNK_BYTES = 1024 * 1024;
/** More than a share ever takes: 1 KiB of JSON in an age file for one recipient. */
export const MOST_SHARE_BYTES = 4096;
export const MOST_MEMBERS = 256;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** Only the one spelling of base64: no byte of a signed text may be changed without being noticed. */
const base64 = z.string().refine((text) => {
  try {
    return toBase64(fromBase64(text)) === text;
  } catch {
    return false;
  }
}, 'must be canonical base64');
const size = z.int().min(0);

export const BackupIdSchema = z.string().regex(/^[0-9a-f]{32}$/);

/** The encrypted content. */
export const PayloadSchema = z.strictObject({
  bytes: size,
  chunkBytes: z.literal(CHUNK_BYTES),
  /** SHA-256 over the list of the chunks' SHA-256. */
  chunksSha256: sha256,
  /** The one-time key to which it is encrypted; the custodians share its private half. */
  recipient: z.string().max(128),
});

/** A file in the content, in order, without anything between them. `sha256` is of the plaintext. */
export const MemberSchema = z.strictObject({ path: z.string().max(128), bytes: size, sha256 });

/** One custodian's share, encrypted to this person's key. */
export const ShareSchema = z.strictObject({
  name: z.string().max(64),
  recipient: z.string().max(128),
  /** From 1, as the policy lists them. */
  index: z.int().min(1).max(MOST_CUSTODIANS),
  /** SHA-256 over the share's own text: a share of something else is told from this one. */
  commitment: sha256,
  /** An age file, base64. */
  share: base64.max(Math.ceil(MOST_SHARE_BYTES / 3) * 4),
});

const ManifestSchema = z.strictObject({
  format: z.literal(MANIFEST_FORMAT),
  backupId: BackupIdSchema,
  createdAt: z.iso.datetime({ offset: false }),
  /** The operator who asked for it. */
  createdBy: z.string().max(64),
  requestId: z.string().max(128),
  software: z.string().max(128),
  logOrigin: z.string().max(256),
  policySha256: sha256,
  /** The newest checkpoint of the log in this backup, a signed note; null when the log was empty. */
  checkpoint: z.string().max(4096).nullable(),
  payload: PayloadSchema,
  members: z.array(MemberSchema).min(1).max(MOST_MEMBERS),
  threshold: z.int().min(2).max(MOST_CUSTODIANS),
  custodians: z.array(ShareSchema).min(2).max(MOST_CUSTODIANS),
  /** Certificates, base64 DER: the evidence signer's, and that of the CA above it. */
  signer: z.strictObject({ certificate: base64.max(16_384), issuer: base64.max(16_384) }),
});

/** What a backup says of itself, in the clear, and keyd signs. REQ-KEY-BAK-02 */
export type BackupManifest = z.infer<typeof ManifestSchema>;
export type BackupMember = z.infer<typeof MemberSchema>;
export type BackupShare = z.infer<typeof ShareSchema>;

/** The bytes that are signed: RFC 8785 canonical JSON, UTF-8. @throws KeysteadError as {@link parseManifest}. */
export function formatManifest(manifest: BackupManifest): string {
  const text = canonicalJson(check(manifest));
  return text;
}

/**
 * Reads a manifest, strictly: canonical JSON, the known members and no others, only files that a backup may hold.
 * It verifies no signature.
 * @throws KeysteadError `backup.malformed` with the field, `backup.signing-key-forbidden`, `backup.member-unknown`.
 */
export function parseManifest(bytes: Uint8Array): BackupManifest {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new KeysteadError('backup.malformed', { field: 'manifest', seen: 'no UTF-8 JSON', cause });
  }
  const manifest = check(value);
  if (canonicalJson(manifest) !== text) {
    throw new KeysteadError('backup.malformed', { field: 'manifest', seen: 'JSON that is not canonical (RFC 8785)' });
  }
  return manifest;
}

function check(value: unknown): BackupManifest {
  const parsed = ManifestSchema.safeParse(value);
  if (!parsed.success) throw new KeysteadError('backup.malformed', firstIssue(parsed.error, 'manifest'));
  const { members, custodians, threshold } = parsed.data;
  for (const { path } of members) requireMember(path);
  const unlike = (seen: string): KeysteadError => new KeysteadError('backup.malformed', { field: 'manifest', seen });
  if (new Set(members.map(({ path }) => path)).size !== members.length) throw unlike('a member twice');
  if (new Set(custodians.map(({ name }) => name)).size !== custodians.length) throw unlike('a custodian twice');
  if (custodians.some(({ index }, at) => index !== at + 1)) throw unlike('shares out of order');
  if (threshold > custodians.length) throw unlike(`${threshold} shares of ${custodians.length}`);
  return parsed.data;
}
