/** Attributes of a SCEP message (RFC 8894 section 3.2.1; failInfoText section 3.2.1.4.3). */
export const SCEP_ATTRIBUTES = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
  failInfoText: '1.3.6.1.5.5.7.24.1',
} as const;

/** RFC 8894 section 3.2.1.2. */
export const MESSAGE_TYPES = {
  CertRep: '3',
  RenewalReq: '17',
  PKCSReq: '19',
  CertPoll: '20',
  GetCert: '21',
  GetCRL: '22',
} as const;
/** What a client sends. */
export type RequestType = Exclude<keyof typeof MESSAGE_TYPES, 'CertRep'>;

/** RFC 8894 section 3.2.1.3. */
export const PKI_STATUS = { SUCCESS: '0', FAILURE: '2', PENDING: '3' } as const;
export type PkiStatus = keyof typeof PKI_STATUS;

/** RFC 8894 section 3.2.1.4. badTime is not used: no message here has a time. */
export const FAIL_INFO = { badAlg: '0', badMessageCheck: '1', badRequest: '2', badTime: '3', badCertId: '4' } as const;
export type FailInfo = keyof typeof FAIL_INFO;

/** RFC 8894 section 3.2.1.5. */
export const NONCE_OCTETS = 16;
