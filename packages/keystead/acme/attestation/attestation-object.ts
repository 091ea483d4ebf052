import { KeysteadError } from '@keystead/core/errors';
import { decode } from 'cborg';
import { z } from 'zod';

/** A TPM statement with two certificates has about 4 KiB. */
const MOST_BYTES = 16 * 1024;
/** CBOR that nests deeper than a statement does is not read at all: each level costs stack. */
const MOST_DEPTH = 8;

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array).refine((value) => value.length > 0);
const x5c = z.array(bytes).min(1).max(8);
/** COSEAlgorithmIdentifier (IANA COSE Algorithms). */
const alg = z.int();

/** WebAuthn level 3 section 8.3. */
const TpmStatement = z.strictObject({ ver: z.literal('2.0'), alg, x5c, sig: bytes, certInfo: bytes, pubArea: bytes });
/** docs/acme.md says what is signed. */
const IdevidStatement = z.strictObject({ alg, x5c, sig: bytes, spki: bytes });

export const IDEVID_FORMAT = 'keystead-idevid';

export type AttestationObject =
  | { readonly fmt: 'tpm'; readonly attStmt: z.output<typeof TpmStatement> }
  | { readonly fmt: typeof IDEVID_FORMAT; readonly attStmt: z.output<typeof IdevidStatement> };

const ObjectSchema = z.object({ fmt: z.string().max(64), attStmt: z.record(z.string(), z.unknown()) });

const refused = (seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('acme.attestation-refused', { field: 'attObj', seen, cause });

/**
 * Reads an attestation object (WebAuthn level 3 section 6.5.4; `authData` is passed over, as
 * draft-ietf-acme-device-attest-10 section 5 has it).
 * @throws KeysteadError `acme.attestation-refused` for anything but well-formed CBOR of bounded size and depth with one
 *   of the two formats.
 */
export function readAttestationObject(encoded: Uint8Array): AttestationObject {
  if (encoded.length > MOST_BYTES) throw refused(`${encoded.length} bytes of at most ${MOST_BYTES}`);
  requireShallow(encoded);
  let value: unknown;
  try {
    value = decode(encoded, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      rejectDuplicateMapKeys: true,
    });
  } catch (cause) {
    throw refused('not CBOR with definite lengths and no key twice', cause);
  }
  const { fmt, attStmt } = parsed(ObjectSchema, value);
  if (fmt === 'tpm') return { fmt, attStmt: parsed(TpmStatement, attStmt) };
  if (fmt === IDEVID_FORMAT) return { fmt, attStmt: parsed(IdevidStatement, attStmt) };
  throw refused(`the format ${JSON.stringify(fmt)}; tpm and ${IDEVID_FORMAT} are known`);
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw refused(`${issue?.path.join('.') || 'the object'}: ${issue?.message ?? 'malformed'}`);
}

/**
 * Goes through the heads of the items (RFC 8949 section 3) and keeps account of how deep they lie; it reads no values
 * and judges nothing else, which the library does after it.
 */
function requireShallow(encoded: Uint8Array): void {
  /** How many items each open array or map still waits for. */
  const open: number[] = [];
  for (let at = 0; at < encoded.length; ) {
    const head = encoded[at] ?? 0;
    const major = head >> 5;
    const short = head & 31;
    const extra = short < 24 ? 0 : short <= 27 ? 2 ** (short - 24) : 0;
    let argument = short < 24 ? short : 0;
    for (let i = 1; i <= extra; i += 1) argument = argument * 256 + (encoded[at + i] ?? 0);
    at += 1 + extra;
    if (major === 2 || major === 3) at += argument;
    const items = major === 4 ? argument : major === 5 ? argument * 2 : major === 6 ? 1 : 0;
    if (items > encoded.length) throw refused('a list that is longer than the object');
    if (items > 0) {
      open.push(items);
      if (open.length > MOST_DEPTH) throw refused(`more than ${MOST_DEPTH} levels`);
      continue;
    }
    for (let left = open.pop(); left !== undefined; left = open.pop()) {
      if (left > 1) {
        open.push(left - 1);
        break;
      }
    }
  }
}
