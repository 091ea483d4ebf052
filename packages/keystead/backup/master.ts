import { randomBytes, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** As long as `readPassphrase` takes. */
const MOST_BYTES = 4096;
const NONCE_BYTES = 32;
const LENGTH_AT = NONCE_BYTES;
const TEXT_AT = NONCE_BYTES + 2;
const MEMBER_BYTES = TEXT_AT + MOST_BYTES;

/**
 * The passphrase of keyd's sealed keystore as a member of a backup: 32 random bytes, its length (uint16, big-endian),
 * itself, zeros. The manifest tells the size and the SHA-256 of each member to everybody; random bytes and padding keep
 * both from saying anything of the passphrase. @param passphrase stays with the caller.
 */
export function masterMember(passphrase: SecretBytes): SecretBytes {
  if (passphrase.length > MOST_BYTES) throw new RangeError('a passphrase that readPassphrase would not take');
  const member = Buffer.alloc(MEMBER_BYTES);
  member.set(randomBytes(NONCE_BYTES));
  member.writeUInt16BE(passphrase.length, LENGTH_AT);
  passphrase.use((bytes) => member.set(bytes, TEXT_AT));
  return SecretBytes.take(member);
}

/** The passphrase out of its member. @throws KeysteadError `backup.malformed`. */
export function masterOf(member: SecretBytes): SecretBytes {
  return member.use((bytes) => {
    const length = bytes.length === MEMBER_BYTES ? ((bytes[LENGTH_AT] ?? 0) << 8) | (bytes[LENGTH_AT + 1] ?? 0) : 0;
    if (length === 0 || length > MOST_BYTES) throw new KeysteadError('backup.malformed', { field: 'master/keyd' });
    return SecretBytes.copy(bytes.subarray(TEXT_AT, TEXT_AT + length));
  });
}
