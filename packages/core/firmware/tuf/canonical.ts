import { canonicalJson, type JsonValue } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { MOST_SUBJECT_BYTES } from '../format.ts';
import { malformed } from '../malformed.ts';

/** Objects and lists within each other; the metadata here takes seven. */
const MOST_DEPTH = 12;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all but the line feed, which PEM has
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
const ASCII = /^[\u0020-\u007e]*$/;

/**
 * The signed part of metadata as it is stored and approved: JSON by RFC 8785, UTF-8. What TUF signs, OLPC Canonical JSON,
 * is no JSON where a string has a line feed (keys in PEM have), so that it cannot be read back: {@link signedBytes}
 * makes it.
 * @throws KeysteadError `firmware.malformed` with the member, for what the two encodings would not agree on.
 */
export function tufSubject(value: JsonValue): Uint8Array {
  requireUndisputed(value, 'signed');
  return new Uint8Array(Buffer.from(canonicalJson(value), 'utf8'));
}

/**
 * The bytes that TUF signs (specification 1.0 section 4.2: OLPC Canonical JSON, which escapes the quotation mark and the
 * backslash alone), of a subject. RFC 8785 differs from it in control characters, of which a subject has the line
 * feed only; in numbers with a fraction or beyond 2^53, which OLPC has not; and in the order of member names outside
 * the Basic Multilingual Plane: a subject has none of those.
 */
export function signedBytes(subject: Uint8Array): Uint8Array {
  const text = Buffer.from(subject).toString('utf8');
  // Whole escapes are matched, so that a backslash before an n stays what it is.
  const olpc = text.replace(/\\(.)/g, (whole, what: string) => (what === 'n' ? '\n' : whole));
  return new Uint8Array(Buffer.from(olpc, 'utf8'));
}

/**
 * JSON from outside, in any spelling: at most 4 MiB and 12 levels, UTF-8 without a byte order mark.
 * @throws KeysteadError `firmware.malformed`.
 */
export function parseTufJson(bytes: Uint8Array, field: string): JsonValue {
  if (bytes.length > MOST_SUBJECT_BYTES) throw malformed(field, `${bytes.length} octets`);
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const octet = bytes[at];
    if (octet === 0x22) quoted = !quoted;
    else if (quoted && octet === 0x5c) at += 1;
    else if (!quoted && (octet === 0x5b || octet === 0x7b)) depth += 1;
    else if (!quoted && (octet === 0x5d || octet === 0x7d)) depth -= 1;
    if (depth > MOST_DEPTH) throw malformed(field, `more than ${MOST_DEPTH} levels`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as JsonValue;
  } catch (cause) {
    // No text of the parser: it quotes what it read.
    throw new KeysteadError('firmware.malformed', { field, seen: 'no JSON in UTF-8', cause });
  }
}

function requireUndisputed(value: JsonValue | undefined, field: string): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw malformed(field, 'no integer within 2^53');
  if (typeof value === 'string' && (CONTROL.test(value) || !value.isWellFormed())) {
    throw malformed(field, 'a control character or half a character');
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!ASCII.test(name)) throw malformed(field, 'a member name outside ASCII');
    requireUndisputed(member, `${field}.${name.slice(0, 80)}`);
  }
}
