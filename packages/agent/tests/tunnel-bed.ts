import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer as createPlainServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { toPem } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { type TunnelEvent, Tunnels } from '../daemon/tunnels.ts';
import { clientTlsOptions, DeviceState, DeviceTls, type RulesSource } from '../index.ts';
import { deviceCertificate, type Fleet } from './fleet.ts';
import { MemoryDisk } from './memory-disk.ts';
import { pkcs8Of, serverCertificate } from './test-ca.ts';

/** A device with an LDevID, which goes by no bundle unless it is told to. */
export async function enrolledDevice(
  fleet: Fleet,
  deviceId: string,
  options: { ocspUrl?: string; seconds?: number } = {},
  rules: Partial<RulesSource> = {},
): Promise<{ state: DeviceState; tls: DeviceTls }> {
  const opening = { deviceId, anchors: [fleet.root.certificate], secret: SecretBytes.random(32) };
  const state = DeviceState.create('/device', { ...opening, disk: new MemoryDisk() });
  const { csr } = await state.beginKey('ldevid');
  const [certificate, ...chain] = deviceCertificate(fleet, 'ldevid', csr, { seconds: 86_400, ...options });
  const receivedAt = fleet.clock.now().toISOString();
  state.acceptCertificate({ certificate: certificate ?? assert.fail('no certificate'), chain, receivedAt });
  state.promote();
  return { state, tls: new DeviceTls({ state, clock: fleet.clock, carried: () => undefined, ...rules }) };
}

/** What stands at both ends of a device's tunnels, each part made by the test. */
export class TunnelBed {
  readonly work = mkdtempSync(join(tmpdir(), 'keystead-tunnels-'));
  readonly events: TunnelEvent[] = [];
  readonly tunnels: Tunnels;
  readonly #fleet: Fleet;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(fleet: Fleet, tls: DeviceTls, options: ConstructorParameters<typeof Tunnels>[3] = {}) {
    this.#fleet = fleet;
    this.tunnels = new Tunnels(tls, this.work, (event) => this.events.push(event), options);
  }

  /** A server of the fleet for `localhost`, half open as a server may be; resolves to its port. */
  async server(onPeer: (socket: TLSSocket) => void, host = '127.0.0.1', name = 'localhost'): Promise<number> {
    const { key, certificate, chain } = serverCertificate(this.#fleet.server, this.#fleet.start, this.#fleet.end, name);
    const shown = {
      key: toPem('PRIVATE KEY', pkcs8Of(key.privateKey)),
      cert: [certificate, ...chain].map((der) => toPem('CERTIFICATE', der)).join(''),
    };
    const asks = { requestCert: true, rejectUnauthorized: false, allowHalfOpen: true };
    const server = createServer({ ...shown, ...asks }, (socket) => onPeer(this.keep(socket)));
    return this.#listen(server, { host, port: 0 });
  }

  /** An application behind a Unix socket. */
  async application(name: string, onPeer: (socket: Socket) => void): Promise<string> {
    const path = join(this.work, name);
    await this.#listen(
      createPlainServer({ allowHalfOpen: true }, (socket) => onPeer(this.keep(socket))),
      { path },
    );
    return path;
  }

  /** Another device, connected to a tunnel `from-devices`. */
  async peer(state: DeviceState, port: number, host = '127.0.0.1'): Promise<TLSSocket> {
    const options = { host, port, allowHalfOpen: true, ...clientTlsOptions(state.identity('current')) };
    const socket = this.keep(tlsConnect(options));
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    return socket;
  }

  /** A wire that resets both ends when `cut` says so of the bytes that are about to pass, whichever way. */
  async relay(to: number, cut: (bytes: number) => boolean): Promise<number> {
    const server = createPlainServer((near) => {
      const far = this.keep(connect(to, '127.0.0.1'));
      for (const [from, other] of [
        [this.keep(near), far],
        [far, near],
      ] as const) {
        from.on('data', (part: Buffer) => {
          if (!cut(part.length)) return other.write(part);
          near.resetAndDestroy();
          far.resetAndDestroy();
        });
        from.on('close', () => other.destroy());
      }
    });
    return this.#listen(server, { host: '127.0.0.1', port: 0 });
  }

  /** What the test holds itself ends with the bed. */
  keep<T extends Socket>(socket: T): T {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    return socket;
  }

  async close(): Promise<void> {
    await this.tunnels.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(this.work, { recursive: true });
  }

  async #listen(server: Server, where: { host: string; port: number } | { path: string }): Promise<number> {
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(where, resolve));
    const address = server.address() as AddressInfo | string;
    return typeof address === 'string' ? 0 : address.port;
  }
}

/** Reads to the end of a socket, no faster than `sip` lets it; the number of bytes. */
export async function drink(socket: Socket, sip: () => Promise<void> = async () => undefined): Promise<number> {
  let bytes = 0;
  for await (const part of socket) {
    bytes += (part as Buffer).length;
    await sip();
  }
  return bytes;
}
