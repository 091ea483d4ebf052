import { createHash, createHmac } from 'node:crypto';
import { BLOCK_BYTES, HASH_BYTES, type KdfHash, requireDerivable, uint32 } from './kdf-bounds.ts';
import { offHeap, SecretBytes } from './secret.ts';

/** The auxiliary function H (SP 800-56C r2 section 4.2): option 1, a hash; option 2, HMAC with a salt. */
export type OneStepFunction =
  | { readonly function: 'hash'; readonly hash: KdfHash }
  | {
      readonly function: 'hmac';
      readonly hash: KdfHash;
      /** May be public. Left out: as many zero octets as the hash has in an input block (section 4.2). */
      readonly salt?: Uint8Array;
    };

/**
 * One-step derivation from a shared secret (SP 800-56C r2 section 4.1): H(1 ‖ Z ‖ fixedInfo) ‖ H(2 ‖ Z ‖ fixedInfo) ‖ …,
 * the counter in 32 bits. As `openssl kdf SSKDF`. Z has one length for each group, so that it does not run into the rest.
 * REQ-KEY-KAG-01.
 * @param z what an agreement gave, at least 14 bytes; stays with the caller, who wipes it.
 * @param fixedInfo who agrees on what, as {@link agreementInfo} writes it. @param length bytes, 1 to 8160.
 * @throws KeysteadError `kdf.length`, `kdf.master-too-short`.
 */
export function oneStepKdf(h: OneStepFunction, z: SecretBytes, fixedInfo: Uint8Array, length: number): SecretBytes {
  requireDerivable(z, length);
  const salt = h.function === 'hmac' ? (h.salt ?? new Uint8Array(BLOCK_BYTES[h.hash])) : new Uint8Array();
  const output = offHeap(length);
  for (let at = 0, i = 1; at < length; at += HASH_BYTES[h.hash], i += 1) {
    const block = z.use((secret) => {
      const auxiliary = h.function === 'hmac' ? createHmac(h.hash, salt) : createHash(h.hash);
      return auxiliary.update(uint32(i)).update(secret).update(fixedInfo).digest();
    });
    output.set(block.subarray(0, length - at), at);
    block.fill(0);
  }
  return SecretBytes.take(output);
}
