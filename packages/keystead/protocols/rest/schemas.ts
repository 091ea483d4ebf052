import { fromBase64, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  BackupIdSchema,
  KEY_PURPOSE_IDS,
  KEY_STATES,
  type KeyState,
  MemberSchema,
  MOST_CUSTODIANS,
  MOST_MEMBERS,
  MOST_SHARE_BYTES,
  PayloadSchema,
} from '@keystead/core/lifecycle';
import { z } from 'zod';

export const pemOrBase64 = z.string().min(1).max(16_384);
export const line = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, '1 to 32 letters, digits, . _ -');
export const ticketId = z.string().min(1).max(64);
export const deviceId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');

/** Whole octets, as every tool prints them. */
const serial = z.string().regex(/^(?:[0-9a-fA-F]{2}){1,20}$/, '1 to 20 octets in hex');

export const CertificateSerial = z.strictObject({ serial });
export const OpenBatch = z.strictObject({ ticket: z.string().min(1).max(16_384) });
export const EnrolOperator = z.strictObject({ name: z.string().min(1).max(64), csr: pemOrBase64 });
export const EnrolServer = z.strictObject({
  csr: pemOrBase64,
  hosts: z.array(z.string().min(1).max(253)).min(1).max(16),
});
/** A query string: everything in it is text. */
export const Keys = z.strictObject({
  purpose: z.enum(KEY_PURPOSE_IDS).optional(),
  state: z.enum(Object.keys(KEY_STATES) as [KeyState, ...KeyState[]]).optional(),
  owner: z.string().min(1).max(160).optional(),
  custody: z.string().min(1).max(32).optional(),
  endingWithin: z
    .string()
    .regex(/^\d{1,10}$/, 'a number of seconds')
    .transform(Number)
    .optional(),
  after: z.string().max(1024).optional(),
});
export const KeyOrder = z.strictObject({ order: z.string().min(1).max(8192) });
export const RecountOrder = z.strictObject({ order: z.string().min(1).max(65_536) });
export const Decommission = z.strictObject({
  wiped: z.array(z.string().max(256)).max(64).default([]),
  /** What the device signed when it wiped itself, as it was collected there. */
  wipeEvidence: z.string().max(64_000).optional(),
  /** Why the device ends, for the evidence and the audit log. */
  reason: z.string().min(1).max(200).default('end of life'),
});
/** Why a device is let in again, for the audit log. */
export const Readmission = z.strictObject({ reason: z.string().min(1).max(200) });
export const ChangePolicy = z.strictObject({
  /** The policy's file and its approvals file, as they are. */
  policy: z.string().min(1).max(1_000_000),
  approvals: z.string().min(1).max(200_000),
});

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const person = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/);

/** What `keystead backup create` has encrypted and wants signed. */
export const SignBackup = z.strictObject({
  backupId: BackupIdSchema,
  checkpoint: z.string().max(4096).nullable(),
  payload: PayloadSchema,
  members: z.array(MemberSchema).min(1).max(MOST_MEMBERS),
  shares: z
    .array(z.strictObject({ name: person, commitment: sha256, share: z.base64().max(MOST_SHARE_BYTES * 2) }))
    .max(MOST_CUSTODIANS),
});
/** How a drill went: `code` is the error's when it was refused. */
export const RecordDrill = z.strictObject({
  manifestSha256: sha256,
  custodians: z.array(person).max(MOST_CUSTODIANS),
  outcome: z.enum(['done', 'refused']),
  code: z
    .string()
    .regex(/^[a-z-]+\.[a-z-]+$/)
    .max(64)
    .optional(),
  /** What was compared: files of the backup, and entries of the log that were proven. */
  members: z.int().min(0),
  logEntries: z.int().min(0),
});
export const BackupId = z.strictObject({ id: BackupIdSchema });

/**
 * The body of a request as a checked value. @throws KeysteadError `request.malformed` naming the field.
 */
export function checkBody<T>(schema: z.ZodType<T, unknown>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  const field = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : path;
  throw new KeysteadError('request.malformed', { field: field === '' ? 'body' : field, seen: issue?.message });
}

/** A CSR as PEM or as base64 of its DER. */
export function csrBytes(text: string): Uint8Array {
  try {
    const [pem] = [...fromPem('CERTIFICATE REQUEST', text), ...fromPem('NEW CERTIFICATE REQUEST', text)];
    return pem ?? fromBase64(text);
  } catch (cause) {
    throw new KeysteadError('request.malformed', { field: 'csr', seen: 'neither PEM nor base64', cause });
  }
}
