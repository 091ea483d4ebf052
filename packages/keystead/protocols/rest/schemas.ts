import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

const pemOrBase64 = z.string().min(1).max(16_384);
const line = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, '1 to 32 letters, digits, . _ -');
const deviceId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 letters, digits, . _ -');

/** Whole octets, as every tool prints them. */
const serial = z.string().regex(/^(?:[0-9a-fA-F]{2}){1,20}$/, '1 to 20 octets in hex');

/** The reasons that a request may give (RFC 5280 section 5.3.1); hold and removal have acts of their own. */
export const REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const;

export const CertificateSerial = z.strictObject({ serial });
export const OpenBatch = z.strictObject({ ticket: z.string().min(1).max(16_384) });
export const ProvisionUnit = z.strictObject({ ticketId: z.string().min(1).max(64), deviceId, csr: pemOrBase64, line });
export const EnrolOperator = z.strictObject({ name: z.string().min(1).max(64), csr: pemOrBase64 });
export const EnrolServer = z.strictObject({
  csr: pemOrBase64,
  hosts: z.array(z.string().min(1).max(253)).min(1).max(16),
});
export const Revoke = z
  .strictObject({
    deviceId: deviceId.optional(),
    serial: serial.optional(),
    reason: z.enum(REASONS),
  })
  .refine((body) => (body.deviceId === undefined) !== (body.serial === undefined), {
    message: 'name exactly one of deviceId and serial',
    path: ['deviceId'],
  });
export const Decommission = z.strictObject({ wiped: z.array(z.string().max(256)).max(64).default([]) });
export const ChangePolicy = z.strictObject({
  /** The policy's file and its approvals file, as they are. */
  policy: z.string().min(1).max(1_000_000),
  approvals: z.string().min(1).max(200_000),
});

/**
 * The body of a request as a checked value. @throws KeysteadError `request.malformed` naming the field.
 */
export function checkBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  const field = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : path;
  throw new KeysteadError('request.malformed', { field: field === '' ? 'body' : field, seen: issue?.message });
}
