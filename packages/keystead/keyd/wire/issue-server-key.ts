import { z } from 'zod';
import { bytes, certificate, label, requestId } from '../wire-types.ts';
import { Issued } from './issued.ts';

/** A key that keyd makes for a device, with its certificate (RFC 7030 section 4.4). */
export const IssueServerKey = {
  params: z.strictObject({
    profile: label,
    /** PKCS#10, DER. Of its key only the kind counts, and its signature not at all (RFC 7030 section 4.4.1). */
    csr: bytes(),
    /** A device, by what it showed in its TLS handshake. */
    device: z.strictObject({ id: label, certificate }),
    /** Another certificate of the same device, to which the key is wrapped; the one that it showed unless given. */
    recipient: certificate.optional(),
    requestId,
  }),
  result: Issued.extend({
    /**
     * The private key: ContentInfo, DER, of EnvelopedData to the recipient over SignedData by the evidence key over
     * AsymmetricKeyPackage (RFC 7030 section 4.4.2, RFC 5958).
     */
    envelope: bytes(),
  }),
};
