import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { CredentialSlot } from '../state/index.ts';
import {
  connectMutual,
  createTlsServer,
  type Destination,
  type ExpectedPeer,
  expectedAt,
  type PeerRules,
  type PeerVerdict,
  peerCertificates,
  stapledTo,
  verifyPeer,
} from '../tls/index.ts';
import { deviceRules, type RulesSource } from './device-rules.ts';

/** Whoever takes longer for a handshake holds a place that others want. */
const HANDSHAKE_MS = 10_000;

/** A connection with what its peer is judged by, to be judged again. */
type Judgement = () => Promise<PeerVerdict>;

/** What a peer must be. What a server stapled counts at every later look as well; the handshake is not repeated for it. */
interface JudgedPeer extends Pick<PeerRules, 'extKeyUsage' | 'expected'> {
  readonly role: 'server' | 'device';
  readonly pin?: string;
  readonly stapled?: Pick<PeerRules, 'staple' | 'stapledAt'>;
}

/**
 * Ready TLS for the application, both ways: shows the current LDevID, judges peers by the bundle that the device goes by,
 * and follows both. A renewal needs no new server, and a peer that a new bundle or filter refuses loses its connection.
 * REQ-KEY-REV-03, REQ-KEY-ROT-01
 */
export class DeviceTls {
  readonly #source: RulesSource;
  readonly #servers = new Set<Server>();
  readonly #open = new Map<TLSSocket, Judgement>();

  constructor(source: RulesSource) {
    this.#source = source;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#open.size;
  }

  /**
   * Connects to a server, or to a device that serves as one; the newest credential is shown.
   * @param pin the name under which the bundle pins the server's keys.
   * @throws KeysteadError `peer.unreachable`, `peer.refused` with the rule as its field, `state.no-credential`.
   */
  async connect(to: Destination, pin?: string, slot: CredentialSlot = 'current'): Promise<TLSSocket> {
    const identity = this.#source.state.identity(slot);
    const role = to.deviceId === undefined ? 'server' : 'device';
    const socket = await connectMutual(to, identity, deviceRules(this.#source, role, pin));
    const peer = { role, extKeyUsage: 'serverAuth', expected: expectedAt(to), stapled: stapledTo(socket) } as const;
    this.#keep(socket, pin === undefined ? peer : { ...peer, pin });
    return socket;
  }

  /**
   * A server for peers that are devices, or one of them. `onPeer` gets those that are believed; the others are ended, and
   * `onRefused` is told why. The caller lets it listen, and closes it.
   * @param options.halfOpen whether a connection whose peer has ended goes on until we end it too; default false.
   */
  createServer(
    expected: Extract<ExpectedPeer, { device: true }>,
    onPeer: (socket: TLSSocket, peer: PeerVerdict & { ok: true }) => void,
    onRefused: (verdict: PeerVerdict & { ok: false }) => void = () => undefined,
    { halfOpen = false }: { readonly halfOpen?: boolean } = {},
  ): Server {
    const server = createTlsServer(this.#source.state.identity('current'), (options) =>
      createServer({ ...options, handshakeTimeout: HANDSHAKE_MS, allowHalfOpen: halfOpen }, (socket) => {
        socket.on('error', () => socket.destroy());
        void this.#keep(socket, { role: 'device', extKeyUsage: 'clientAuth', expected })().then((verdict) => {
          if (verdict.ok && !socket.destroyed) return onPeer(socket, verdict);
          socket.destroy();
          if (!verdict.ok) onRefused(verdict);
        });
      }),
    );
    // Whoever ends a handshake in the middle is nobody's concern.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#servers.add(server);
    server.on('close', () => this.#servers.delete(server));
    return server;
  }

  /** The credential was renewed: servers show the new one from the next handshake on. */
  renewed(): void {
    const identity = this.#source.state.identity('current');
    for (const server of this.#servers) createTlsServer(identity, (options) => server.setSecureContext(options));
  }

  /** Another bundle is gone by, or the old one has expired: every open connection is judged again. Resolves to how many ended. */
  async judgeAgain(): Promise<number> {
    let ended = 0;
    for (const [socket, judge] of [...this.#open]) {
      if ((await judge()).ok) continue;
      socket.destroy();
      ended += 1;
    }
    return ended;
  }

  #keep(socket: TLSSocket, { role, extKeyUsage, expected, pin, stapled }: JudgedPeer): Judgement {
    const certificates = peerCertificates(socket);
    const judge = (): Promise<PeerVerdict> =>
      verifyPeer(certificates, { ...deviceRules(this.#source, role, pin), ...stapled, extKeyUsage, expected });
    this.#open.set(socket, judge);
    socket.on('close', () => this.#open.delete(socket));
    return judge;
  }
}
