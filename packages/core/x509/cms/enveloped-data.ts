import { encryptCbc, SecretBytes, type TransportScheme } from '../../crypto/index.ts';
import { contextPrimitive, integer, octetString, oid, sequence, setOf } from '../der/writer.ts';
import { CONTENT_CIPHERS, CONTENT_TYPES, type ContentType } from './oids.ts';
import { type CmsRecipient, recipientOf } from './recipient.ts';

export interface EnvelopedContent {
  readonly type: ContentType;
  /** Stays with the caller, who wipes it when it is secret. */
  readonly content: Uint8Array;
  readonly recipient: CmsRecipient;
  /** Octets of the AES key. */
  readonly keyBytes: 16 | 32;
  /** For a recipient with an RSA key. */
  readonly scheme: TransportScheme;
}

/**
 * EnvelopedData for one recipient (RFC 5652 section 6) under AES-CBC (RFC 3565), DER, without the ContentInfo around it.
 * It hides and does not authenticate: what is inside, or what goes around it, must be signed.
 * @throws KeysteadError `cms.recipient-unfit`, `agreement.key-invalid`, `rng.unhealthy`.
 */
export function envelopedData({ type, content, recipient, keyBytes, scheme }: EnvelopedContent): Uint8Array {
  using key = SecretBytes.random(keyBytes);
  const { info, version } = recipientOf(recipient, key, scheme);
  const { iv, ciphertext } = encryptCbc(key, content);
  return sequence(
    integer(version),
    setOf(info),
    sequence(
      oid(CONTENT_TYPES[type]),
      sequence(oid(CONTENT_CIPHERS[keyBytes]), octetString(iv)),
      contextPrimitive(0, ciphertext),
    ),
  );
}
