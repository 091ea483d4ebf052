import { canonicalJson } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { MAX_ENTRY_BYTES } from '@keystead/core/log';
import { z } from 'zod';

/** Names of members: a few characters that mean nothing anywhere, so that no reader is led astray (`__proto__`). */
const memberName = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/);
const scalar = z.union([z.string(), z.number()]);

const EventFields = {
  /** What happened, as `noun.verb`: `certificate.issued`, `device.provisioned`, `request.refused`. */
  type: z.string().regex(/^[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)+$/),
  /** Who caused it. */
  actor: z.strictObject({
    kind: z.enum(['operator', 'device', 'station', 'system', 'anonymous', 'authorised', 'workload']),
    id: z.string(),
  }),
  /** The request that it belongs to: the same id stands in the service's log lines and in keyd's journal. */
  requestId: z.string(),
  outcome: z.enum(['done', 'refused']),
  /** What it happened to: device id, serial, SPKI SHA-256, … */
  subject: z.record(memberName, scalar),
  /** What else an auditor needs. */
  detail: z.record(memberName, z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
};
const EntrySchema = z.strictObject({
  ...EventFields,
  v: z.literal(1),
  /** The index of the entry in the log. */
  seq: z.int().min(0),
  /** 128 random bits, lower-case hex: names the event for ever. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  /** UTC with milliseconds, `2026-01-31T12:00:00.000Z`; never before that of the entry before. */
  time: z.iso.datetime({ offset: false, precision: 3 }),
});

const EventSchema = z.strictObject(EventFields);

/** What happened, told by the room in which it happened. Never put a secret here: the log is published. */
export type AuditEvent = z.infer<typeof EventSchema>;
/** An event in its place in the log. */
export type AuditEntry = z.infer<typeof EntrySchema>;

/**
 * The bytes of an entry that are hashed into the log: RFC 8785 canonical JSON, UTF-8.
 * @throws KeysteadError `log.entry-malformed` for what is no entry or cannot be JSON, `log.entry-too-large`.
 */
export function entryBytes(entry: AuditEntry): Uint8Array {
  // What cannot be read back must not get in: it would stand there as a bad entry for ever.
  const parsed = EntrySchema.safeParse(entry);
  if (!parsed.success) throw malformed(parsed.error);
  // The one name that the schema passes over in silence.
  if (Object.hasOwn(entry.subject, '__proto__') || Object.hasOwn(entry.detail ?? {}, '__proto__')) {
    throw new KeysteadError('log.entry-malformed', { field: entry.type, seen: '__proto__' });
  }
  let bytes: Uint8Array;
  try {
    bytes = Buffer.from(canonicalJson(entry));
  } catch (cause) {
    throw new KeysteadError('log.entry-malformed', { field: entry.type, cause });
  }
  if (bytes.length > MAX_ENTRY_BYTES) {
    throw new KeysteadError('log.entry-too-large', { field: entry.type, seen: `${bytes.length} bytes` });
  }
  return bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads an entry back, strictly: canonical bytes, the known members and no others.
 * @throws KeysteadError `log.entry-malformed` with the member that is wrong.
 */
export function parseEntry(bytes: Uint8Array): AuditEntry {
  let json: string;
  let value: unknown;
  try {
    json = utf8.decode(bytes);
    value = JSON.parse(json);
  } catch (cause) {
    throw new KeysteadError('log.entry-malformed', { seen: 'bytes that are not UTF-8 JSON', cause });
  }
  const parsed = EntrySchema.safeParse(value);
  if (!parsed.success) throw malformed(parsed.error);
  if (canonical(parsed.data) !== json) {
    throw new KeysteadError('log.entry-malformed', { seen: 'JSON that is not canonical (RFC 8785)' });
  }
  return parsed.data;
}

function malformed(error: z.ZodError): KeysteadError {
  const [issue] = error.issues;
  const field = issue?.path.join('.') || 'entry';
  return new KeysteadError('log.entry-malformed', { field, seen: issue?.message, cause: error });
}

function canonical(entry: AuditEntry): string | undefined {
  try {
    return canonicalJson(entry);
  } catch {
    return undefined;
  }
}
