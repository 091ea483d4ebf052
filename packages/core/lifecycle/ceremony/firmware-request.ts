import { z } from 'zod';
import type { Signer } from '../../crypto/index.ts';
import { firmwareKeyId } from '../firmware/policy.ts';
import { formatSignedRequest, parseSignedRequest, SignedRequestShape } from './signed-request.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
/** As many as witnesses compare in one ceremony. */
export const MOST_ASKED_FIRMWARE_KEYS = 16;

/**
 * What keyd asks of a later ceremony for keys that sign firmware of production: a certificate of each by the signing root.
 * The policy that names the keys is told by its hash, so that the ceremony and keyd go by one. REQ-KEY-SOD-01
 */
const FirmwareRequestSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('firmware'),
  createdAt: z.iso.datetime({ offset: false }),
  /** The roots that this keyd stands under, and the last ceremony that it knows. */
  rootSha256: hash,
  signingRootSha256: hash,
  transcriptSha256: hash,
  /** The policy that is in force at keyd. */
  policySha256: hash,
  firmware: z
    .array(
      z.strictObject({
        key: firmwareKeyId,
        certificateRequest: z
          .string()
          .regex(/^-----BEGIN CERTIFICATE REQUEST-----\n/, 'must be a PEM certification request'),
      }),
    )
    .min(1)
    .max(MOST_ASKED_FIRMWARE_KEYS),
  ...SignedRequestShape,
});

/** A request for certificates of firmware keys as it stands in its file. */
export type FirmwareCertificateRequest = z.infer<typeof FirmwareRequestSchema>;
export type FirmwareCertificateFacts = Omit<FirmwareCertificateRequest, 'version' | 'kind' | 'signer' | 'signature'>;

/** The file of such a request: JSON, UTF-8, signed by the evidence key. */
export function formatFirmwareRequest(facts: FirmwareCertificateFacts, evidence: Signer): Promise<string> {
  const { createdAt, rootSha256, signingRootSha256, transcriptSha256, policySha256, firmware } = facts;
  const asked = { version: 1, kind: 'firmware', createdAt, rootSha256, signingRootSha256, transcriptSha256 };
  const keys = firmware.map(({ key, certificateRequest }) => ({ key, certificateRequest }));
  return formatSignedRequest({ ...asked, policySha256, firmware: keys }, evidence);
}

/**
 * Reads such a request and verifies that the evidence key with this hash signed it.
 * @throws KeysteadError `ceremony.request-malformed` with the field, `ceremony.request-signature`.
 */
export const parseFirmwareRequest = (bytes: Uint8Array, evidenceSpkiSha256: string): FirmwareCertificateRequest =>
  parseSignedRequest(FirmwareRequestSchema, bytes, evidenceSpkiSha256);
