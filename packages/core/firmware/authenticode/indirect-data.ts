import { sameBytes } from '../../bytes/index.ts';
import {
  bitString,
  context,
  contextPrimitive,
  digestIdentifier,
  octetString,
  oid,
  sequence,
} from '../../x509/index.ts';
import { malformed } from '../malformed.ts';

/** Windows Authenticode Portable Executable Signature Format, version 1.0. */
export const SPC_INDIRECT_DATA = '1.3.6.1.4.1.311.2.1.4';
const SPC_PE_IMAGE_DATA = '1.3.6.1.4.1.311.2.1.15';
/** An unsigned attribute: a TimeStampToken (RFC 3161). Readers of Authenticode look for this one, not for that of CMS. */
export const SPC_TIMESTAMP = '1.3.6.1.4.1.311.3.3.1';

const SHA256_OCTETS = 32;
/** What once was a link to a file; the specification wants this text in it, as a BMPString. */
const OBSOLETE = Buffer.from('<<<Obsolete>>>', 'utf16le').swap16();

/**
 * SpcIndirectDataContent of a PE image, DER: the one encoding that there is for a SHA-256 digest, to the octet what
 * sbsign writes.
 */
export const indirectData = (sha256: Uint8Array): Uint8Array =>
  sequence(
    sequence(
      oid(SPC_PE_IMAGE_DATA),
      // No flags; file [0] EXPLICIT SpcLink, of which [2] EXPLICIT is a SpcString, of which [0] is a BMPString.
      sequence(bitString(Uint8Array.of()), context(0, context(2, contextPrimitive(0, OBSOLETE)))),
    ),
    sequence(digestIdentifier('sha256', 'null'), octetString(sha256)),
  );

/** The digest in it. @throws KeysteadError `firmware.malformed` for anything but the one encoding. */
export function imageDigestOf(subject: Uint8Array): Uint8Array {
  const sha256 = Uint8Array.from(subject.subarray(Math.max(0, subject.length - SHA256_OCTETS)));
  if (sha256.length === SHA256_OCTETS && sameBytes(indirectData(sha256), subject)) return sha256;
  throw malformed(
    'subject',
    `${subject.length} bytes that are no SpcIndirectDataContent with a SHA-256 digest of a PE image`,
  );
}

/** The content octets of the SEQUENCE: PKCS #7 hashes the content without its identifier and length (RFC 2315, 9.3). */
export const hashedPart = (subject: Uint8Array): Uint8Array => subject.subarray(2);
