import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { DeviceTls } from '../trust/index.ts';
import type { TunnelConfig } from './config.ts';
import { joinSockets } from './joined.ts';

/** What happened on a tunnel, for the log. */
export type TunnelEvent = { readonly type: 'tunnel-refused'; readonly tunnel: string; readonly error: unknown };

/**
 * Gives applications the device's credential without its key: a Unix socket in, mutual TLS out, and the other way round.
 * The application speaks plain text to the socket; the daemon shows the newest LDevID, judges the peer by the trust bundle
 * before the first byte, and ends a connection whose peer a newer bundle refuses. No private key is ever a file.
 * docs/decisions/0049
 */
export class Tunnels {
  readonly #tls: Pick<DeviceTls, 'connect' | 'createServer'>;
  readonly #directory: string;
  readonly #onEvent: (event: TunnelEvent) => void;
  readonly #halfOpenMs: number | undefined;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /**
   * @param directory where the sockets of `to-server` tunnels are; only its owner and group may connect.
   * @param halfOpenMs see `joinSockets`.
   */
  constructor(
    tls: Pick<DeviceTls, 'connect' | 'createServer'>,
    directory: string,
    onEvent: (event: TunnelEvent) => void,
    { halfOpenMs }: { readonly halfOpenMs?: number } = {},
  ) {
    this.#tls = tls;
    this.#directory = directory;
    this.#onEvent = onEvent;
    this.#halfOpenMs = halfOpenMs;
  }

  /** Opens one; resolves to where it listens: a path, or a port. @throws what node:net throws. */
  async open(config: TunnelConfig): Promise<string | number> {
    return config.kind === 'to-server' ? this.#toServer(config) : this.#fromDevices(config);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  async #toServer(config: Extract<TunnelConfig, { kind: 'to-server' }>): Promise<string> {
    const { socket: name, host, port, pin, deviceId } = config;
    const to = { host, port, halfOpen: true, ...(deviceId === undefined ? {} : { deviceId }) };
    const path = join(this.#directory, `${name}.sock`);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (local) => {
      this.#tls.connect(to, pin).then(
        (remote) => this.#join(local, remote),
        (error: unknown) => {
          local.destroy();
          this.#onEvent({ type: 'tunnel-refused', tunnel: name, error });
        },
      );
    });
    // A socket that a killed daemon left: the lock of the state says that nobody else has it.
    rmSync(path, { force: true });
    await this.#listen(server, { path }, config.most, name);
    chmodSync(path, 0o660);
    return path;
  }

  async #fromDevices(config: Extract<TunnelConfig, { kind: 'from-devices' }>): Promise<number> {
    const { host, port, to, deviceId } = config;
    const refused = (error: unknown): void =>
      this.#onEvent({ type: 'tunnel-refused', tunnel: `${host}:${port}`, error });
    const server = this.#tls.createServer(
      { device: true, ...(deviceId === undefined ? {} : { deviceId }) },
      (remote) => {
        const local = connect({ path: to, allowHalfOpen: true });
        this.#track(local);
        local.once('connect', () => this.#join(local, remote));
        local.once('error', (error) => {
          remote.destroy();
          refused(error);
        });
      },
      ({ rule, detail }) => refused(new KeysteadError('peer.refused', { field: rule, seen: detail })),
      { halfOpen: true },
    );
    await this.#listen(server, { host, port }, config.most, `${host}:${port}`);
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  #join(local: Socket, remote: Socket): void {
    this.#track(remote);
    joinSockets(local, remote, this.#halfOpenMs);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  /** @param most connections at once, those in their handshake too; whoever comes beyond is closed at once, and told of. */
  async #listen(
    server: Server,
    where: { path: string } | { host: string; port: number },
    most: number,
    tunnel: string,
  ): Promise<void> {
    server.maxConnections = most;
    // Once, until there is room for half again: who knocks at a full door must not fill the log.
    let told = false;
    server.on('drop', () => {
      if (told) return;
      told = true;
      const error = new KeysteadError('agent.tunnel-full', { field: 'most', seen: `${most} connections` });
      this.#onEvent({ type: 'tunnel-refused', tunnel, error });
    });
    let open = 0;
    server.on('connection', (socket) => {
      open += 1;
      socket.once('close', () => {
        open -= 1;
        if (open <= most / 2) told = false;
      });
    });
    // From the first byte on: a peer that never ends its handshake must not hold up the end.
    server.on('connection', (socket) => this.#track(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(where, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#servers.push(server);
  }
}
