/** Who calls: the certificate proven in the TLS handshake (DER), and the request's id. */
export interface Caller {
  readonly certificate: Uint8Array | undefined;
  readonly requestId: string;
}
