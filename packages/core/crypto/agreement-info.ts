import { KeysteadError } from '../errors/index.ts';
import { uint32 } from './kdf-bounds.ts';

/** Who agrees on a key, and for what. Nothing in it is secret; both parties must say the same. */
export interface Agreement {
  /** The algorithm or use that the key is for, such as `A256GCM`. */
  readonly algorithm: string | Uint8Array;
  /** The party that began, and whatever it put in: name, nonce, ephemeral public key. */
  readonly partyU: string | Uint8Array;
  readonly partyV: string | Uint8Array;
  /** Anything else that both know, such as a transcript hash. */
  readonly supplement?: string | Uint8Array;
}

/** Far above any name or hash, and below what would make a hash input a burden. */
const PART_CEILING = 65_535;

/**
 * FixedInfo in the concatenation format of SP 800-56A r3 section 5.8.2.1.1: algorithm, party U and party V, each behind its
 * length in 32 bits (big-endian), then the length of the key in bits, 32 bits, then the supplement as it is. Without a
 * supplement these are the bytes of RFC 7518 section 4.6.2 (JOSE ECDH-ES). Strings are UTF-8. No two agreements or lengths
 * give the same bytes. REQ-KEY-KAG-01.
 * @param length bytes of the key that is derived.
 * @throws KeysteadError `kdf.context-malformed` for a part of more than 65535 bytes or half a character, and without
 *   algorithm or parties.
 */
export function agreementInfo(agreement: Agreement, length: number): Uint8Array {
  const { algorithm, partyU, partyV, supplement = '' } = agreement;
  const named = Object.entries({ algorithm, partyU, partyV }).flatMap(([field, part]) => {
    const bytes = octets(field, part);
    if (bytes.length === 0) throw new KeysteadError('kdf.context-malformed', { field, seen: '0 bytes' });
    return [uint32(bytes.length), bytes];
  });
  return Buffer.concat([...named, uint32(length * 8), octets('supplement', supplement)]);
}

function octets(field: string, part: string | Uint8Array): Uint8Array {
  const bytes = typeof part === 'string' ? Buffer.from(part) : part;
  // What is not well-formed would become U+FFFD, and two texts the same bytes.
  if (bytes.length > PART_CEILING || (typeof part === 'string' && !part.isWellFormed())) {
    throw new KeysteadError('kdf.context-malformed', { field, seen: `${bytes.length} bytes` });
  }
  return bytes;
}
