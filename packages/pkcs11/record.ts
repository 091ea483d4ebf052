import { canonicalJson } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

/** CKA_APPLICATION of Keystead's data objects. */
export const APPLICATION = 'keystead';

/** What a key on a token may do: one thing each (SP 800-57 pt 1 r5 section 5.2). */
export type KeyUse = 'sign' | 'agree' | 'wrap' | 'derive';

const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Whether `id` may name a key. */
export const isKeyId = (id: string): boolean => KEY_ID.test(id);

const RecordSchema = z
  .strictObject({
    version: z.literal(1),
    id: z.string().regex(KEY_ID),
    use: z.enum(['sign', 'agree', 'wrap', 'derive']),
    algorithm: z.enum(['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096', 'AES-256', 'HMAC-SHA256']),
    purpose: z.string().max(200),
    createdAt: z.iso.datetime(),
    /** Place in the list of keys. */
    sequence: z.int().min(0),
  })
  .refine(({ use, algorithm }) => (use === 'wrap') === (algorithm === 'AES-256'), 'a use that the algorithm has not')
  .refine(
    ({ use, algorithm }) => (use === 'derive') === (algorithm === 'HMAC-SHA256'),
    'a use that the algorithm has not',
  )
  .refine(({ use, algorithm }) => use !== 'agree' || /^P-/.test(algorithm), 'a use that the algorithm has not');

/**
 * What Keystead knows of a key beside the key itself. It lies on the token as a private data object (CKO_DATA,
 * CKA_APPLICATION `keystead`, CKA_LABEL the key's id), so that it goes where the token goes and only who logs in can
 * write it. docs/decisions/0012-pkcs11.md says why not in a file.
 */
export type KeyRecord = z.infer<typeof RecordSchema>;

/** CKA_VALUE of the record: canonical JSON, UTF-8. */
export const formatRecord = (record: KeyRecord): Uint8Array => new TextEncoder().encode(canonicalJson(record));

/**
 * @param label CKA_LABEL of the data object.
 * @throws KeysteadError `keystore.damaged` unless it is a record, in its one spelling, of the key with that id.
 */
export function parseRecord(label: string, bytes: Uint8Array): KeyRecord {
  let record: KeyRecord | undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const parsed = RecordSchema.safeParse(JSON.parse(text));
    if (parsed.success && parsed.data.id === label && canonicalJson(parsed.data) === text) record = parsed.data;
  } catch {
    // No JSON: told below.
  }
  if (record !== undefined) return record;
  throw new KeysteadError('keystore.damaged', {
    field: `record of key ${label}`,
    seen: 'a data object of Keystead on the token that is no record',
    remedy: "remove the data object with the token's tools if no key belongs to it",
  });
}

/**
 * CKA_ID of the key `id`: 20 bytes, as long as the hash that PKCS#11 suggests for it, and found again from the id alone,
 * so that a second object of that name on the token is seen.
 */
export const objectIdOf = (id: string): Uint8Array => sha256(Buffer.from(`keystead key ${id}`, 'utf8')).slice(0, 20);
