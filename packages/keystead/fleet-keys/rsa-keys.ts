import { type SpkiSha256, toHex } from '@keystead/core/bytes';
import { readCertificate, rsaModulus } from '@keystead/core/x509';
import { parseEntry } from '../audit/index.ts';
import type { Certificate, Reader } from '../store/index.ts';

/** An RSA key that was certified here, whatever became of it since. */
export interface RsaKey {
  readonly spkiSha256: SpkiSha256;
  /** Unsigned, big-endian, without leading zeros. */
  readonly modulus: Uint8Array;
}

/** rsaEncryption (RFC 8017 appendix A.1) as it stands in a certificate: most certificates are seen not to have it. */
const RSA_ENCRYPTION = Buffer.from('06092a864886f70d010101', 'hex');
const PAGE = 1000;

/**
 * RSA keys that entries of the log from `cursor` on name by the serial number of a certificate, in order: the log is what
 * grows at its end only, so that nothing that came by another way or later is passed over.
 * @param known whether a key was taken before. @param most keys.
 * @returns them, and where the next call begins.
 */
export function rsaKeysFrom(
  records: Reader,
  cursor: number,
  v: { readonly most: number; readonly known: (spkiSha256: SpkiSha256) => boolean },
): { readonly keys: RsaKey[]; readonly next: number } {
  const keys = new Map<SpkiSha256, RsaKey>();
  let next = cursor;
  for (;;) {
    const page = records.auditEntries(next, PAGE);
    for (const { seq, bytes } of page) {
      const { serial } = parseEntry(bytes).subject;
      const named = typeof serial === 'string' && /^[0-9a-f]{2,42}$/.test(serial) ? serial : undefined;
      for (const one of named === undefined ? [] : records.certificatesBySerial(named as Certificate['serial'])) {
        if (keys.has(one.spkiSha256) || v.known(one.spkiSha256)) continue;
        const modulus = modulusOf(one.der);
        if (modulus !== undefined) keys.set(one.spkiSha256, { spkiSha256: one.spkiSha256, modulus });
      }
      next = seq + 1;
      if (keys.size >= v.most) return { keys: [...keys.values()], next };
    }
    if (page.length < PAGE) return { keys: [...keys.values()], next };
  }
}

function modulusOf(der: Uint8Array): Uint8Array | undefined {
  if (!Buffer.from(der.buffer, der.byteOffset, der.byteLength).includes(RSA_ENCRYPTION)) return undefined;
  return rsaModulus(readCertificate(der).spki);
}

/** The number that octets spell. */
export const numberOf = (octets: Uint8Array): bigint => BigInt(`0x${toHex(octets) || '0'}`);
