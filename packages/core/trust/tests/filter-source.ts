import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import type { FilterSource } from '@keystead/core/trust';

/** The hash of a made-up issuer's key, whose bytes are its name. */
export const issuerOf = (name: string): SpkiSha256 => toHex(sha256(Buffer.from(name))) as SpkiSha256;

/** A serial number of 20 octets that a name gives. */
export const serialOf = (name: string): Serial => `4${toHex(sha256(Buffer.from(name))).slice(1, 40)}` as Serial;

/**
 * The first days of a year, counted from 1. Of each issuer its certificates, those that are revoked, and until when all
 * are known where that is earlier.
 */
export function sourceOf(
  issuers: readonly (readonly [SpkiSha256, readonly Serial[], ReadonlySet<Serial>, Date?])[],
  day = 1,
): FilterSource {
  const date = new Date(Date.UTC(2027, 0, day));
  return {
    issuers: issuers.map(([issuerSpkiSha256, serials, revoked, through]) => ({
      issuerSpkiSha256,
      serials,
      isRevoked: (serial) => revoked.has(serial),
      ...(through === undefined ? {} : { through }),
    })),
    date,
    backdateSeconds: 300,
    expires: new Date(date.getTime() + 30 * 86_400_000),
  };
}

/** Bits that tell which `revoked` of `count` it is, at the least: the logarithm of the binomial coefficient. */
export function entropyBound(count: number, revoked: number): number {
  const logFactorial = (n: number) => {
    let sum = 0;
    for (let factor = 2; factor <= n; factor += 1) sum += Math.log2(factor);
    return sum;
  };
  return logFactorial(count) - logFactorial(revoked) - logFactorial(count - revoked);
}
