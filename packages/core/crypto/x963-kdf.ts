import { createHash } from 'node:crypto';
import { HASH_BYTES, type KdfHash, requireDerivable, uint32 } from './kdf-bounds.ts';
import { offHeap, SecretBytes } from './secret.ts';

/**
 * The derivation of ANSI X9.63 (SEC 1 section 3.6.1), which CMS uses after an ECDH agreement (RFC 5753 section 7.2):
 * H(Z ‖ 1 ‖ sharedInfo) ‖ H(Z ‖ 2 ‖ sharedInfo) ‖ …, the counter in 32 bits. As `openssl kdf X963KDF`. It stands here for
 * CMS alone: where both ends are ours, `oneStepKdf` is the one to take.
 * @param z what an agreement gave, at least 14 bytes; stays with the caller, who wipes it.
 * @param length bytes, 1 to 8160.
 * @throws KeysteadError `kdf.length`, `kdf.master-too-short`.
 */
export function x963Kdf(hash: KdfHash, z: SecretBytes, sharedInfo: Uint8Array, length: number): SecretBytes {
  requireDerivable(z, length);
  const output = offHeap(length);
  for (let at = 0, i = 1; at < length; at += HASH_BYTES[hash], i += 1) {
    const block = z.use((secret) => createHash(hash).update(secret).update(uint32(i)).update(sharedInfo).digest());
    output.set(block.subarray(0, length - at), at);
    block.fill(0);
  }
  return SecretBytes.take(output);
}
