import { createDecipheriv } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { hmacSha256 } from './hash.ts';
import { offHeap, SecretBytes } from './secret.ts';

/** RFC 9180 sections 7.1 to 7.3: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. */
const KEM_SUITE = Buffer.from('KEM\x00\x10', 'latin1');
const HPKE_SUITE = Buffer.from('HPKE\x00\x10\x00\x01\x00\x03', 'latin1');
const VERSION = Buffer.from('HPKE-v1', 'latin1');
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MODE_BASE = 0x00;

/** One message to a P-256 key, as its recipient sees it. */
export interface HpkeParts {
  /** The Diffie-Hellman value between the recipient's key and `enc`: the x-coordinate, 32 bytes. It stays with the caller. */
  readonly dh: SecretBytes;
  /** The sender's ephemeral key, an uncompressed point. */
  readonly enc: Uint8Array;
  /** The recipient's own public key, an uncompressed point. */
  readonly recipient: Uint8Array;
  readonly info: Uint8Array;
}

/**
 * Opens the first message of HPKE in base mode (RFC 9180 section 6.1, SealBase with an empty aad). The private half
 * may be anywhere: only what it agreed on comes in here.
 * @throws KeysteadError `seal.damaged` when the message is not one for this key and `info`.
 */
export function hpkeOpen(parts: HpkeParts, ciphertext: Uint8Array): SecretBytes {
  if (ciphertext.length < TAG_BYTES) {
    throw new KeysteadError('seal.damaged', { field: 'ciphertext', seen: `${ciphertext.length} bytes` });
  }
  const { key, nonce } = hpkeKeys(parts);
  try {
    return key.use((bytes) => {
      const decipher = createDecipheriv('chacha20-poly1305', bytes, nonce, { authTagLength: TAG_BYTES });
      decipher.setAuthTag(ciphertext.subarray(ciphertext.length - TAG_BYTES));
      const plaintext = decipher.update(ciphertext.subarray(0, ciphertext.length - TAG_BYTES));
      try {
        decipher.final();
      } catch {
        plaintext.fill(0);
        throw new KeysteadError('seal.damaged', { field: 'ciphertext', seen: 'a tag that does not fit' });
      }
      return SecretBytes.take(plaintext);
    });
  } finally {
    key.wipe();
  }
}

/** The key and the nonce of the first message (RFC 9180 sections 4.1 and 5.1). */
export function hpkeKeys({ dh, enc, recipient, info }: HpkeParts): { key: SecretBytes; nonce: Uint8Array } {
  using eaePrk = labeledExtract(KEM_SUITE, undefined, 'eae_prk', dh);
  const context = Buffer.concat([enc, recipient]);
  using shared = labeledExpand(KEM_SUITE, eaePrk, 'shared_secret', context, KEY_BYTES);
  using empty = SecretBytes.take(offHeap(0));
  using infoBytes = SecretBytes.copy(info);
  using pskIdHash = labeledExtract(HPKE_SUITE, undefined, 'psk_id_hash', empty);
  using infoHash = labeledExtract(HPKE_SUITE, undefined, 'info_hash', infoBytes);
  const schedule = pskIdHash.use((a) => infoHash.use((b) => Buffer.concat([Buffer.of(MODE_BASE), a, b])));
  using secret = labeledExtract(HPKE_SUITE, shared, 'secret', empty);
  using nonce = labeledExpand(HPKE_SUITE, secret, 'base_nonce', schedule, NONCE_BYTES);
  return {
    key: labeledExpand(HPKE_SUITE, secret, 'key', schedule, KEY_BYTES),
    nonce: nonce.use((bytes) => Uint8Array.from(bytes)),
  };
}

/** RFC 9180 section 4: LabeledExtract, with HKDF-Extract of RFC 5869 section 2.2. */
function labeledExtract(
  suite: Uint8Array,
  salt: SecretBytes | undefined,
  label: string,
  ikm: SecretBytes,
): SecretBytes {
  // RFC 5869: no salt is a string of zeros of the hash's length.
  using zeros = SecretBytes.take(offHeap(KEY_BYTES));
  return ikm.use((bytes) => {
    const message = offHeapConcat([VERSION, suite, Buffer.from(label, 'latin1'), bytes]);
    try {
      return SecretBytes.take(hmacSha256(salt ?? zeros, message));
    } finally {
      message.fill(0);
    }
  });
}

/** RFC 9180 section 4: LabeledExpand, for no more than one block of HKDF-Expand (RFC 5869 section 2.3). */
function labeledExpand(
  suite: Uint8Array,
  prk: SecretBytes,
  label: string,
  info: Uint8Array,
  length: number,
): SecretBytes {
  const size = Buffer.of(length >> 8, length & 0xff);
  const message = Buffer.concat([size, VERSION, suite, Buffer.from(label, 'latin1'), info, Buffer.of(1)]);
  const block = hmacSha256(prk, message);
  const out = SecretBytes.copy(block.subarray(0, length));
  block.fill(0);
  return out;
}

function offHeapConcat(parts: readonly Uint8Array[]): Uint8Array {
  const out = offHeap(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
