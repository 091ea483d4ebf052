import type { TLSSocket } from 'node:tls';
import { toBase64 } from '@keystead/core/bytes';

/** RFC 9266 section 2: the exporter's label and length; the context is of no octets. */
const EXPORTER = { label: 'EXPORTER-Channel-Binding', octets: 32 } as const;

/**
 * What binds a request to the TLS connection that brings it, base64, as the challengePassword of the request must have
 * it (RFC 7030 section 3.5): tls-unique (RFC 5929 section 3) in TLS 1.2, which is the client's Finished message, for this
 * server resumes no session; tls-exporter (RFC 9266) in TLS 1.3, which has no tls-unique. With it, a request that was
 * taken from one connection is of no use on another, also to somebody in the middle who holds a certificate.
 * That no session is resumed is also why tls-unique needs no extended master secret here (RFC 7627 section 1).
 * @returns undefined on a connection that has ended.
 */
export function channelBinding(socket: TLSSocket): string | undefined {
  const bytes =
    socket.getProtocol() === 'TLSv1.3'
      ? socket.exportKeyingMaterial(EXPORTER.octets, EXPORTER.label, Buffer.alloc(0))
      : socket.getPeerFinished();
  return bytes === undefined ? undefined : toBase64(new Uint8Array(bytes));
}
