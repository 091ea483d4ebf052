import { createCipheriv, createDecipheriv } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { randomBytes } from './random.ts';
import { SecretBytes } from './secret.ts';

const BLOCK_BYTES = 16;

/** Content under AES-CBC with PKCS #7 padding (RFC 3565 section 2.3, RFC 5652 section 6.3). It is not authenticated. */
export interface CbcContent {
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/**
 * Encrypts for a CMS message, with a fresh IV. Nothing protects the result from being changed: what it is wrapped in, or
 * what lies inside, must be signed.
 * @param key 16 or 32 bytes, used for this content alone; stays with the caller, as does `plaintext`.
 * @throws RangeError for a key of another length. @throws KeysteadError `rng.unhealthy`.
 */
export function encryptCbc(key: SecretBytes, plaintext: Uint8Array): CbcContent {
  const iv = randomBytes(BLOCK_BYTES);
  return key.use((bytes) => {
    const cipher = createCipheriv(cipherOf(bytes.length), bytes, iv);
    return { iv, ciphertext: new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final()])) };
  });
}

/**
 * The plaintext, or random bytes of some length where the padding is wrong: whoever changes a ciphertext and asks what
 * became of it gets the same answer either way, which is that the plaintext makes no sense (RFC 8894 has no other
 * protection of it). That holds only as long as the caller tells nobody why a plaintext makes no sense.
 * @param key 16 or 32 bytes. @throws RangeError for a key of another length.
 * @throws KeysteadError `cms.message-malformed` for an IV or ciphertext that is no whole number of blocks.
 */
export function decryptCbc(key: SecretBytes, { iv, ciphertext }: CbcContent): SecretBytes {
  const name = cipherOf(key.length);
  if (iv.length !== BLOCK_BYTES || ciphertext.length === 0 || ciphertext.length % BLOCK_BYTES !== 0)
    throw new KeysteadError('cms.message-malformed', { field: 'encryptedContent', seen: `${ciphertext.length} bytes` });
  return key.use((bytes) => {
    const decipher = createDecipheriv(name, bytes, iv).setAutoPadding(false);
    const padded = decipher.update(ciphertext);
    decipher.final();
    return unpadded(padded) ?? SecretBytes.random(BLOCK_BYTES);
  });
}

/** Looks at each octet of the last block, whatever the others were; undefined for a padding that is none. */
function unpadded(padded: Buffer): SecretBytes | undefined {
  const count = padded[padded.length - 1] ?? 0;
  let wrong = count === 0 || count > BLOCK_BYTES ? 1 : 0;
  for (let i = 1; i <= BLOCK_BYTES; i += 1) {
    const differs = (padded[padded.length - i] ?? 0) ^ count;
    wrong |= i <= count ? differs : 0;
  }
  const length = wrong === 0 ? padded.length - count : 0;
  const plaintext = wrong === 0 ? SecretBytes.copy(padded.subarray(0, length)) : undefined;
  padded.fill(0);
  return plaintext;
}

function cipherOf(length: number): string {
  if (length !== 16 && length !== 32) throw new RangeError('content is encrypted under 16 or 32 bytes');
  return `aes-${length * 8}-cbc`;
}
