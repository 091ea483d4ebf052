import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readHeader, readTime } from '../der/strict.ts';

/** Of a file, so much holds all that stands before the entries: names have at most a few hundred octets. */
export const CRL_WINDOW_BYTES = 4096;

/**
 * thisUpdate and nextUpdate of a CRL of which only the beginning is at hand: for a server that hands out lists that it
 * does not hold in memory. Whether the rest is a CRL is not looked at.
 * @param head the first {@link CRL_WINDOW_BYTES}, or all when it is shorter.
 * @param length of the whole CRL, octets.
 * @throws KeysteadError `crl.malformed`.
 */
export function readCrlWindow(head: Uint8Array, length: number): { thisUpdate: Date; nextUpdate: Date } {
  try {
    const tbs = sequenceStart(head, 0);
    if (tbs.end !== length) throw new DerError(`${length} bytes, where the CRL has ${tbs.end}`);
    let { content: at } = sequenceStart(head, tbs.content);
    // version, signature, issuer, thisUpdate, nextUpdate (RFC 5280 section 5.1).
    const fields: DerNode[] = [];
    while (fields.length < 5) {
      const field = readHeader(head, at, head.length);
      fields.push(field);
      at = field.end;
    }
    return { thisUpdate: readTime(fields[3], 'thisUpdate'), nextUpdate: readTime(fields[4], 'nextUpdate') };
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('crl.malformed', { field: 'crl', seen: cause.message, cause });
    throw cause;
  }
}

/**
 * Where the content of the SEQUENCE at `at` begins and ends. The strict reader wants the whole of an element, and this
 * one ends beyond what is at hand. @throws DerError
 */
function sequenceStart(head: Uint8Array, at: number): { content: number; end: number } {
  if (head[at] !== 0x30) throw new DerError(`no SEQUENCE at offset ${at}`);
  const first = head[at + 1] ?? 0x80;
  if (first < 0x80) return { content: at + 2, end: at + 2 + first };
  const octets = first & 0x7f;
  // X.690 section 10.1; no CRL has 4 GiB.
  if (octets === 0 || octets > 4 || head.length < at + 2 + octets) throw new DerError(`a length at offset ${at}`);
  let length = 0;
  for (let i = 0; i < octets; i += 1) length = length * 256 + (head[at + 2 + i] ?? 0);
  return { content: at + 2 + octets, end: at + 2 + octets + length };
}
