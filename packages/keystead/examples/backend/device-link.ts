import {
  connectMutual,
  type Destination,
  type DeviceIdentity,
  FrameReader,
  FrameWriter,
  HttpOverTls,
  type PeerRules,
  SALT_LENGTH,
  tlsSessionKeys,
} from '@keystead/agent';
import { fromBase64 } from '@keystead/core/bytes';
import { randomBytes, type SessionKeys } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/**
 * The device's end of a connection to the example backend. A refusal by the backend is a KeysteadError
 * peer.refused whose `field` is the rule that refused this device.
 */
export class DeviceLink {
  readonly #http: HttpOverTls;
  readonly #deviceId: string;
  #keys: SessionKeys | undefined;
  #writer: FrameWriter | undefined;
  #reader: FrameReader | undefined;

  private constructor(http: HttpOverTls, deviceId: string) {
    this.#http = http;
    this.#deviceId = deviceId;
  }

  /** Connects and judges the backend. @throws KeysteadError peer.unreachable, peer.refused. */
  static async connect(
    to: Destination,
    identity: DeviceIdentity,
    rules: Omit<PeerRules, 'extKeyUsage' | 'expected'>,
  ): Promise<DeviceLink> {
    const socket = await connectMutual(to, identity, rules);
    return new DeviceLink(new HttpOverTls(socket, `${to.host}:${to.port}`, to.timeoutMs), identity.deviceId);
  }

  get isOpen(): boolean {
    return !this.#http.socket.destroyed;
  }

  /** The device that the backend takes this one for: the proof that a credential is accepted. */
  async whoAmI(): Promise<string> {
    return textField(await this.#ask('GET', '/whoami'), 'deviceId');
  }

  /** Derives fresh session keys on this connection. */
  async openSession(): Promise<void> {
    const deviceSalt = randomBytes(SALT_LENGTH);
    const serviceSalt = fromBase64(textField(await this.#ask('POST', '/session', deviceSalt), 'salt'));
    this.#keys?.[Symbol.dispose]();
    this.#keys = tlsSessionKeys(this.#http.socket, this.#deviceId, { device: deviceSalt, service: serviceSalt });
    this.#writer = new FrameWriter(this.#keys.clientWrite, 'device to service');
    this.#reader = new FrameReader(this.#keys.serverWrite, 'service to device');
  }

  /** Sends a message under the session keys, opening a session first when there is none, and opens the answer. */
  async echo(message: Uint8Array): Promise<Uint8Array> {
    if (this.#writer === undefined || this.#reader === undefined) await this.openSession();
    const { writer, reader } = { writer: this.#writer, reader: this.#reader };
    if (writer === undefined || reader === undefined)
      throw new KeysteadError('session.frame-refused', { field: 'session', seen: 'none' });
    return reader.open(await this.#ask('POST', '/echo', writer.seal(message)));
  }

  close(): void {
    this.#keys?.[Symbol.dispose]();
    this.#http.close();
  }

  async #ask(method: 'GET' | 'POST', path: string, body?: Uint8Array): Promise<Uint8Array> {
    const answer = await this.#http.send({ method, path, body, contentType: 'application/octet-stream' });
    if (answer.status === 200) return answer.body;
    const { field, message } = refusalIn(answer.body);
    throw new KeysteadError(answer.status === 403 ? 'peer.refused' : 'request.malformed', {
      field: field ?? path,
      seen: `${answer.status} ${message ?? ''}`,
    });
  }
}

function fieldsOf(body: Uint8Array): Map<string, unknown> {
  try {
    return new Map(Object.entries(Object(JSON.parse(Buffer.from(body).toString('utf8')))));
  } catch {
    return new Map();
  }
}

function textField(body: Uint8Array, name: string): string {
  const value = fieldsOf(body).get(name);
  if (typeof value !== 'string')
    throw new KeysteadError('request.malformed', { field: name, seen: 'an answer without it' });
  return value;
}

function refusalIn(body: Uint8Array): { field?: string; message?: string } {
  const error = new Map(Object.entries(Object(fieldsOf(body).get('error') ?? {})));
  const text = (name: string): string | undefined => {
    const value: unknown = error.get(name);
    return typeof value === 'string' ? value.slice(0, 300) : undefined;
  };
  return { field: text('field'), message: text('message') };
}
