import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { firstIssue } from '../schema-field.ts';
import { pemRequest } from './fields.ts';
import { factoryName } from './name.ts';

/** A hundred times what a request needs. */
const MOST_BYTES = 256 * 1024;

/** What counts units where no old disk image can set it back; `none` rests on the disk alone. */
export const COUNTER_KINDS = ['tpm2', 'pkcs11', 'none'] as const;
export type CounterKind = (typeof COUNTER_KINDS)[number];

/** Where a factory node keeps its keys. */
export const FACTORY_CUSTODIES = ['sealed', 'pkcs11', 'tpm2'] as const;

/**
 * What the keyd of a factory node asks of headquarters: a certification request (PKCS#10, PEM) for its manufacturing
 * sub-CA, its server sub-CA and its evidence key, and the public keys of its audit log (C2SP signed-note). The common
 * name of each request is that of `requestName`.
 */
const RequestSchema = z.strictObject({
  version: z.literal(1),
  factory: factoryName,
  createdAt: z.iso.datetime({ offset: false }),
  certificateRequests: z.strictObject({ manufacturing: pemRequest, server: pemRequest, evidence: pemRequest }),
  log: z.strictObject({ vkey: z.string().min(1).max(512), cosignVkey: z.string().min(1).max(512) }),
  custody: z.enum(FACTORY_CUSTODIES),
  counter: z.enum(COUNTER_KINDS),
});

export type FactoryRequest = z.infer<typeof RequestSchema>;
/** The keys that headquarters certifies for a factory node. */
export const FACTORY_SLOTS = ['manufacturing', 'server', 'evidence'] as const;
export type FactorySlot = (typeof FACTORY_SLOTS)[number];

export const formatFactoryRequest = (request: FactoryRequest): string => `${JSON.stringify(request, null, 2)}\n`;

/**
 * Reads the file of a request, exactly as {@link formatFactoryRequest} writes it. No proof of possession is verified.
 * @throws KeysteadError `factory.request-malformed` with the field.
 */
export function parseFactoryRequest(bytes: Uint8Array): FactoryRequest {
  if (bytes.length > MOST_BYTES) throw malformed('request', `${bytes.length} bytes`);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed('request', 'something that is not UTF-8 JSON', cause);
  }
  const parsed = RequestSchema.safeParse(value);
  if (!parsed.success) {
    const { field, seen } = firstIssue(parsed.error, 'request');
    throw malformed(field, seen, parsed.error);
  }
  // A member that stands twice: another reader may take the other one.
  if (formatFactoryRequest(parsed.data) !== text) throw malformed('request', 'another form than keyd writes');
  return parsed.data;
}

const malformed = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('factory.request-malformed', { field, seen, cause });
