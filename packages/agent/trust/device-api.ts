import type { CredentialSlot } from '../state/index.ts';
import { type HttpAnswer, HttpOverTls, type HttpRequest } from '../tls/index.ts';
import type { DeviceTls } from './device-tls.ts';

/**
 * One request to the server's `/api/v1/device/` over mutual TLS, on a connection of its own.
 * @param server `https://host:port`.
 * @throws KeysteadError `peer.unreachable`, `peer.refused`, `state.*`.
 */
export async function askServer(
  tls: DeviceTls,
  server: string,
  wanted: HttpRequest,
  { pin, slot }: { readonly pin?: string; readonly slot?: CredentialSlot },
): Promise<HttpAnswer> {
  const { host: authority, hostname, port } = new URL(server);
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket = await tls.connect({ host, port: port === '' ? 443 : Number(port) }, pin, slot);
  const http = new HttpOverTls(socket, authority);
  try {
    return await http.send(wanted);
  } finally {
    http.close();
  }
}
