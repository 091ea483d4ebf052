import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { firstIssue } from '../schema-field.ts';
import { MOST_CONSIGNED } from './consignment.ts';

/** The most bytes of one parcel: four times what 500 units with RSA certificates need. */
export const MOST_PARCEL_BYTES = 6 * 1024 * 1024;

const bytes = (max: number) => z.base64().max(Math.ceil(max / 3) * 4);

const ContentSchema = z.strictObject({
  /** DER, base64. */
  certificate: bytes(8192),
  /** The provisioning record, YAML, exactly the bytes that are signed. */
  record: z.string().min(1).max(16_384),
  /** Over the record, by the node's evidence key: DER, base64. */
  signature: bytes(1024),
});
export type ParcelContent = z.infer<typeof ContentSchema>;

/**
 * A consignment with what its units are proven by: everything that headquarters needs to take them in. The consignment is
 * what keyd signed; the rest is put to it by the front end and proves itself, and keyd seals that it is all there.
 */
const ParcelSchema = z.strictObject({
  v: z.literal(1),
  /** The file of the consignment, see `signConsignment`. */
  consignment: z
    .string()
    .min(1)
    .max(3 * 1024 * 1024),
  /** The signed tickets of its units, as they came. */
  tickets: z.array(z.string().min(1).max(65_536)).max(MOST_CONSIGNED),
  /** For each unit of the consignment, in its order; null where nobody was given the certificate. */
  contents: z.array(ContentSchema.nullable()).max(MOST_CONSIGNED),
  /** See `signSeal`. */
  seal: z.string().min(1).max(4096),
});
export type Parcel = z.infer<typeof ParcelSchema>;

/** One line of JSON, without its end. */
export const formatParcel = (parcel: Omit<Parcel, 'v'>): string => JSON.stringify({ v: 1, ...parcel });

/** Reads a parcel; verifies nothing. @throws KeysteadError `consignment.malformed` with the field. */
export function parseParcel(text: string): Parcel {
  if (Buffer.byteLength(text, 'utf8') > MOST_PARCEL_BYTES)
    throw malformed('parcel', `more than ${MOST_PARCEL_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('parcel', 'something that is not JSON');
  }
  return checkParcel(value);
}

/** The same of a value that was JSON. @throws KeysteadError `consignment.malformed` with the field. */
export function checkParcel(value: unknown): Parcel {
  const parsed = ParcelSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { field, seen } = firstIssue(parsed.error, 'parcel');
  throw malformed(field, seen);
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('consignment.malformed', { field, seen });
