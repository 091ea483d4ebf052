import { REQUEST_FORMATS } from '@keystead/core/x509';
import { z } from 'zod';
import { bytes, certificate, label, requestId } from '../wire-types.ts';
import { Issued } from './issued.ts';
import { stationOrder } from './station.ts';

/** On whose behalf a certificate is asked for. keyd believes none of it without the evidence that belongs to it. */
const Requester = z.strictObject({
  kind: z.enum(['device', 'operator', 'station', 'system', 'authorised']),
  /** Device id, operator name, station name, `serve`, or the id of the authorisation. */
  id: label,
  /** What the requester showed in its TLS handshake; keyd verifies it against its own CAs. */
  certificate: certificate.optional(),
  /** For `authorised`: the signed enrolment authorisation, as `signAuthorisation` wrote it. */
  authorisation: z.string().min(1).max(20_480).optional(),
  /** For `authorised`, where the profile names a device. */
  deviceId: label.optional(),
  /**
   * For `device`: the CMP message (RFC 9810), DER, in which the device signed this very request with the key of
   * `certificate`. keyd verifies it; where the policy wants it, nothing else proves a device.
   */
  message: bytes().optional(),
  /** For the certificate of a station: the order that an operator signed for it. */
  order: stationOrder.optional(),
});

/** Issues one certificate by a profile of the policy. */
export const Issue = {
  params: z.strictObject({
    profile: label,
    /** The request, DER. */
    csr: bytes(),
    /** PKCS#10 unless it says otherwise. */
    format: z.enum(REQUEST_FORMATS).optional(),
    requester: Requester,
    /** For profiles that name hosts; the first becomes the common name. */
    hosts: z.array(z.string().min(1).max(253)).min(1).max(16).optional(),
    requestId,
  }),
  result: Issued,
};
