import { describe, type Find, privateKeyOf } from './find.ts';

/** Longer than the PKCS#8 of an RSA key of 16,384 bits. */
export const LONGEST_DER = 16 * 1024;

type KeyType = Parameters<typeof privateKeyOf>[1];

/**
 * How unencrypted private keys go on after the header of their SEQUENCE: the version, and the tag of what follows. PKCS#8
 * (RFC 5208, RFC 5958 for version 1), PKCS#1 (RFC 8017 appendix A.1.2), SEC 1 (RFC 5915). An encrypted PKCS#8 has no
 * version.
 */
const ANCHORS: readonly (readonly [bytes: Buffer, type: KeyType])[] = [
  [Buffer.from('02010030', 'hex'), 'pkcs8'],
  [Buffer.from('02010130', 'hex'), 'pkcs8'],
  [Buffer.from('02010002', 'hex'), 'pkcs1'],
  [Buffer.from('02010104', 'hex'), 'sec1'],
];

/** Where DER begins that may be a private key, and how long it is. */
interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly type: KeyType;
}

/** Every private key in DER, proven by OpenSSL, or for SEC 1 without a curve by its structure. */
export function* derKeys(bytes: Buffer): Generator<Find & { readonly length: number }> {
  for (const { start, end, type } of candidates(bytes)) {
    const der = bytes.subarray(start, end);
    const key = privateKeyOf(der, type);
    if (key === undefined && !(type === 'sec1' && isSec1(der))) continue;
    const known = key === undefined ? { key: 'ec' } : describe(key);
    yield { form: 'der', offset: start, encrypted: false, length: end - start, ...known };
  }
}

/** Whether DER that may be a private key begins at the first byte. */
export const beginsKey = (head: Buffer): number | undefined => {
  for (const [anchor] of ANCHORS) {
    for (let header = 2; header <= 4; header += 1) {
      if (!head.subarray(header, header + anchor.length).equals(anchor)) continue;
      const end = endOf(head, 0, header);
      if (end !== undefined) return end;
    }
  }
  return undefined;
};

function* candidates(bytes: Buffer): Generator<Candidate> {
  for (const [anchor, type] of ANCHORS) {
    for (let at = bytes.indexOf(anchor); at >= 0; at = bytes.indexOf(anchor, at + 1)) {
      for (let header = 2; header <= 4 && header <= at; header += 1) {
        const start = at - header;
        const end = endOf(bytes, start, header);
        if (end !== undefined && end <= bytes.length) yield { start, end, type };
      }
    }
  }
}

/** Where a SEQUENCE ends whose header has this many bytes; undefined when it is none, or too short or long for a key. */
function endOf(bytes: Buffer, start: number, header: number): number | undefined {
  if (bytes[start] !== 0x30) return undefined;
  const first = bytes[start + 1] ?? 0;
  const size = header - 2;
  if (size === 0 ? first >= 0x80 : first !== 0x80 + size) return undefined;
  const length = size === 0 ? first : bytes.readUIntBE(start + 2, size);
  return length < 20 || length > LONGEST_DER ? undefined : start + header + length;
}

/** RFC 5915: version 1, the key, and at most parameters [0] and public key [1], to the very end. */
function isSec1(der: Buffer): boolean {
  let at = der[1] === 0x81 ? 6 : 5;
  const length = der[at + 1] ?? 0;
  if (der[at] !== 0x04 || ![20, 24, 28, 30, 32, 48, 64, 66].includes(length)) return false;
  at += 2 + length;
  for (const tag of [0xa0, 0xa1]) {
    if (at === der.length) return true;
    if (der[at] !== tag) continue;
    const first = der[at + 1] ?? 0;
    at += first === 0x81 ? 3 + (der[at + 2] ?? 0) : 2 + first;
  }
  return at === der.length;
}
