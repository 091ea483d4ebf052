import { z } from 'zod';
import { type JsonValue, sameBytes } from '../../bytes/index.ts';
import { malformed } from '../malformed.ts';
import { parseTufJson, tufSubject } from './canonical.ts';
import { spkiOfTufKey, tufKeyId, tufKeySchema } from './key.ts';

/** The four top-level roles (TUF 1.0 section 2.1). */
export const TUF_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type TufRole = (typeof TUF_ROLES)[number];

const SPEC_VERSION = '1.0.31';
const MOST_KEYS = 64;
/** What every reader's integers hold. */
const MOST_NUMBER = 2 ** 31 - 1;

const hex64 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits in lower case');
const number = z.int().min(1).max(MOST_NUMBER);
const hashes = z.strictObject({ sha256: hex64 });
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$/, 'must be a name in letters, digits and ._+-');

/**
 * Path of a target: segments of a URL without escapes. Neither the file system nor a URL reads anything else into it.
 */
export const targetPath = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._+-]*(\/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$/, 'must be a relative path of plain names');

const common = {
  spec_version: z.string().regex(/^1\.0(\.\d{1,4})?$/, 'must be TUF 1.0'),
  version: number,
  /** UTC, whole seconds. */
  expires: z.iso.datetime({ offset: false, precision: 0 }),
};
const role = z.strictObject({ keyids: z.array(hex64).min(1).max(MOST_KEYS), threshold: z.int().min(1).max(MOST_KEYS) });

const rootSchema = z.strictObject({
  _type: z.literal('root'),
  ...common,
  consistent_snapshot: z.literal(true),
  keys: z.record(hex64, tufKeySchema),
  roles: z.strictObject({ root: role, targets: role, snapshot: role, timestamp: role }),
});
const targetSchema = z.strictObject({
  length: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  hashes,
  custom: z
    .strictObject({
      product: name.optional(),
      version: name.optional(),
      securityCounter: z
        .int()
        .min(0)
        .max(2 ** 32 - 1)
        .optional(),
    })
    .optional(),
});
const targetsSchema = z.strictObject({
  _type: z.literal('targets'),
  ...common,
  targets: z.record(targetPath, targetSchema),
});
const fileSchema = z.strictObject({ version: number, length: z.int().min(1).max(MOST_NUMBER), hashes });
const snapshotSchema = z.strictObject({
  _type: z.literal('snapshot'),
  ...common,
  meta: z.strictObject({ 'targets.json': fileSchema }),
});
const timestampSchema = z.strictObject({
  _type: z.literal('timestamp'),
  ...common,
  meta: z.strictObject({ 'snapshot.json': fileSchema }),
});
const signedSchema = z.discriminatedUnion('_type', [rootSchema, targetsSchema, snapshotSchema, timestampSchema]);

export type TufRoot = z.output<typeof rootSchema>;
export type TufTargets = z.output<typeof targetsSchema>;
export type TufTarget = z.output<typeof targetSchema>;
export type TufSnapshot = z.output<typeof snapshotSchema>;
export type TufTimestamp = z.output<typeof timestampSchema>;
export type TufSigned = z.output<typeof signedSchema>;
export type TufFile = z.output<typeof fileSchema>;

/** A version 1 metadata's members that all roles have. */
export const tufCommon = (
  version: number,
  expires: Date,
): { spec_version: string; version: number; expires: string } => ({
  spec_version: SPEC_VERSION,
  version,
  expires: `${expires.toISOString().slice(0, 19)}Z`,
});

/**
 * The signed part of metadata, read strictly: what Keystead does not know it does not sign, for nobody would have seen
 * it. Delegated targets are not known yet.
 * @throws KeysteadError `firmware.malformed` with the member.
 */
export function readSigned(value: JsonValue): TufSigned {
  const { data, error } = signedSchema.safeParse(value);
  if (error !== undefined) {
    const [issue] = error.issues;
    const path = [...(issue?.path ?? [])].map((part) => String(part).slice(0, 80)).join('.');
    throw malformed(path === '' ? 'signed' : `signed.${path}`, issue?.message.slice(0, 200) ?? 'another form');
  }
  if (data._type === 'root') requireRoot(data);
  if (data._type === 'targets') requireOneProduct(data);
  return data;
}

/** As {@link readSigned}, of bytes that are the one encoding of what they say. */
export function parseSubject(subject: Uint8Array): TufSigned {
  const signed = readSigned(parseTufJson(subject, 'signed'));
  // Members told twice, or that a schema passes over, do not come back.
  if (!sameBytes(tufSubject(signed), subject)) throw malformed('signed', 'another encoding than canonical JSON');
  return signed;
}

/** What a root may not be, whatever came before it (TUF 1.0 section 4.3; the third rule is Keystead's). */
function requireRoot({ keys, roles }: TufRoot): void {
  const used = new Set<string>();
  for (const [id, key] of Object.entries(keys)) {
    spkiOfTufKey(key, `signed.keys.${id}`);
    if (tufKeyId(key) !== id) throw malformed(`signed.keys.${id}`, `a key with the id ${tufKeyId(key)}`);
  }
  for (const which of TUF_ROLES) {
    const { keyids, threshold } = roles[which];
    const field = `signed.roles.${which}`;
    if (new Set(keyids).size !== keyids.length) throw malformed(`${field}.keyids`, 'a key twice');
    if (threshold > keyids.length) {
      throw malformed(`${field}.threshold`, `${threshold} of ${keyids.length} keys`);
    }
    for (const id of keyids) {
      if (keys[id] === undefined) throw malformed(`${field}.keyids`, `${id}, which is none of the keys`);
      // Who may sign targets could else make a root, at a threshold of one.
      if (which !== 'root' && roles.root.keyids.includes(id)) throw malformed(field, `the key ${id} of the root`);
      if ((which === 'snapshot' || which === 'timestamp') && roles.targets.keyids.includes(id)) {
        throw malformed(field, `the key ${id} of targets, which would be online then`);
      }
      used.add(id);
    }
  }
  const idle = Object.keys(keys).find((id) => !used.has(id));
  if (idle !== undefined) throw malformed(`signed.keys.${idle}`, 'a key of no role');
}

/** Targets are approved for one product; a second one in their shadow would not be. */
function requireOneProduct({ targets }: TufTargets): void {
  const products = new Set(Object.values(targets).map(({ custom }) => custom?.product));
  if (products.size > 1) throw malformed('signed.targets', 'targets of more than one product, or some without one');
}
