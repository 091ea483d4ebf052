import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { KeysteadError } from '@keystead/core/errors';
import { clientTlsOptions, type TlsIdentity } from './options.ts';
import { type ExpectedPeer, type PeerRules, peerCertificates, verifyPeer } from './peer.ts';
import { stapledAnswer } from './stapling.ts';

export interface Destination {
  /** Host name or address, as the server's certificate names it. */
  readonly host: string;
  readonly port: number;
  /** The device that must answer there: its certificate names it, and not the host. */
  readonly deviceId?: string;
  /** How long connecting may take, milliseconds; default 10000. */
  readonly timeoutMs?: number;
  /** Whether we may go on sending when the server has ended (RFC 8446 section 6.1); default false. */
  readonly halfOpen?: boolean;
}

/** Who must answer: a server by its name, or one device. */
export const expectedAt = ({ host, deviceId }: Destination): ExpectedPeer =>
  deviceId === undefined ? { host } : { device: true, deviceId };

/**
 * Connects by TLS 1.3, showing `identity` when given, and judges the server before anything is sent.
 * @throws KeysteadError peer.unreachable; peer.refused, whose `field` is the rule that refused the server.
 */
export async function connectMutual(
  to: Destination,
  identity: TlsIdentity | undefined,
  rules: Omit<PeerRules, 'extKeyUsage' | 'expected' | 'staple' | 'stapledAt'>,
): Promise<TLSSocket> {
  const { socket, staple } = await handshake(to, identity);
  const verdict = await verifyPeer(peerCertificates(socket), {
    ...rules,
    ...(staple === undefined ? {} : { staple }),
    extKeyUsage: 'serverAuth',
    expected: expectedAt(to),
  });
  if (verdict.ok) {
    if (staple !== undefined) stapled.set(socket, { staple, stapledAt: rules.clock.now() });
    return socket;
  }
  socket.destroy();
  throw new KeysteadError('peer.refused', { field: verdict.rule, seen: `${to.host}:${to.port}: ${verdict.detail}` });
}

const stapled = new WeakMap<TLSSocket, Pick<PeerRules, 'staple' | 'stapledAt'>>();

/** What the server stapled to the handshake of a connection that `connectMutual` made, for another look at its peer. */
export const stapledTo = (socket: TLSSocket): Pick<PeerRules, 'staple' | 'stapledAt'> => stapled.get(socket) ?? {};

function handshake(
  to: Destination,
  identity: TlsIdentity | undefined,
): Promise<{ socket: TLSSocket; staple: Uint8Array | undefined }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: to.host,
      port: to.port,
      ...(to.halfOpen === true ? { allowHalfOpen: true } : {}),
      ...(isIP(to.host) === 0 ? { servername: to.host } : {}),
      ...clientTlsOptions(identity),
      requestOCSP: true,
    });
    const answer = stapledAnswer(socket);
    const seen = `${to.host}:${to.port}`;
    const fail = (cause: Error): void => {
      socket.destroy();
      reject(new KeysteadError('peer.unreachable', { field: 'tls', seen, cause }));
    };
    socket.setTimeout(to.timeoutMs ?? 10_000, () => fail(new Error('no answer in time')));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.setTimeout(0);
      socket.off('error', fail);
      // From here on the caller's request reports errors; without a listener a reset would end the process.
      socket.on('error', () => undefined);
      void answer.then((staple) => resolve({ socket, staple }));
    });
  });
}
