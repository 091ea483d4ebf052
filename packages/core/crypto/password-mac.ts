import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { offHeap, SecretBytes } from './secret.ts';

export type MacHash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** How a MAC is made with a shared secret; it stands beside the MAC, and nothing of it is secret. */
export type PasswordMac =
  | {
      /** PasswordBasedMac (RFC 4211 section 4.4): a hash made again and again gives the key. */
      readonly kind: 'password-based-mac';
      readonly salt: Uint8Array;
      readonly hash: MacHash;
      readonly iterations: number;
      readonly hmac: MacHash;
    }
  | {
      /** PBMAC1 (RFC 8018 section 7.1) with PBKDF2. */
      readonly kind: 'pbmac1';
      readonly salt: Uint8Array;
      readonly prf: MacHash;
      readonly iterations: number;
      /** Octets. */
      readonly keyLength: number;
      readonly hmac: MacHash;
    };

const pbkdf2Async = promisify(pbkdf2);

/**
 * The MAC of `data` by `secret`. How many iterations are borne is the business of whoever reads the parameters: they
 * come from outside. The whole output of the hash is the key of the HMAC, as OpenSSL and others have it.
 * @param secret stays with the caller and must not be wiped before the promise settles.
 */
export async function passwordMac(how: PasswordMac, secret: SecretBytes, data: Uint8Array): Promise<Uint8Array> {
  using key = await (how.kind === 'pbmac1' ? pbmac1Key(how, secret) : hashedKey(how, secret));
  return key.use((bytes) => new Uint8Array(createHmac(how.hmac, bytes).update(data).digest()));
}

async function pbmac1Key(how: PasswordMac & { kind: 'pbmac1' }, secret: SecretBytes): Promise<SecretBytes> {
  const { salt, iterations, keyLength, prf } = how;
  return SecretBytes.take(await secret.use((bytes) => pbkdf2Async(bytes, salt, iterations, keyLength, prf)));
}

function hashedKey(how: PasswordMac & { kind: 'password-based-mac' }, secret: SecretBytes): SecretBytes {
  const { salt, hash, iterations } = how;
  let key = secret.use((bytes) => createHash(hash).update(bytes).update(salt).digest());
  for (let done = 1; done < iterations; done += 1) {
    const next = createHash(hash).update(key).digest();
    key.fill(0);
    key = next;
  }
  return SecretBytes.take(key);
}

const BASE64URL = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', 'latin1');

/**
 * A secret as the octets of its base64url text without padding (RFC 4648 section 5), which is how people carry it and
 * so what a protocol that knows only passwords is given. Never a string: that could not be wiped.
 */
export function base64urlOctets(secret: SecretBytes): SecretBytes {
  return secret.use((bytes) => {
    const text = offHeap(Math.ceil((bytes.length * 4) / 3));
    for (let at = 0; at < text.length; at += 1) {
      const bit = at * 6;
      const two = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
      text[at] = BASE64URL[(two >> (10 - (bit & 7))) & 0x3f] ?? 0;
    }
    return SecretBytes.take(text);
  });
}
