import { oid, sequence, setOf } from '@keystead/core/x509';

const ID_EC_PUBLIC_KEY = '1.2.840.10045.2.1'; // RFC 5480 section 2.1.1
const PRIME256V1 = '1.2.840.10045.3.1.7'; // RFC 5480 section 2.1.1.1
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'; // RFC 5758 section 3.2

/**
 * What the CA would like to see in a request (RFC 7030 section 4.5.2): a P-256 key, and a request signed by
 * ECDSA with SHA-256. A hint only: what is accepted stands in the profile. DER of CsrAttrs.
 */
export function csrAttributes(): Uint8Array {
  return sequence(sequence(oid(ID_EC_PUBLIC_KEY), setOf(oid(PRIME256V1))), oid(ECDSA_WITH_SHA256));
}
