import { setTimeout as wait } from 'node:timers/promises';
import { type Authorization, parameterHash, passwordArea, Session } from './session/session.ts';
import type { Transport } from './transport/transport.ts';
import { COMMANDS, type CommandName, type CommandRow, TIMEOUT_MS } from './wire/commands.ts';
import { CAP, PROPERTY, TAG } from './wire/constants.ts';
import { malformed, WireReader } from './wire/reader.ts';
import { asksAgain, decodeResponseCode, TpmRefusal } from './wire/response-code.ts';
import { join, u16, u32 } from './wire/writer.ts';

/** Something in the TPM that a command is about: its handle, and its Name, which goes into each HMAC. */
export interface Entity {
  readonly handle: number;
  readonly name: Uint8Array;
}

/** A hierarchy, a PCR or a session: their Name is their handle (Part 1 section 16). */
export const permanent = (handle: number): Entity => ({ handle, name: u32(handle) });

/** An authorization without a value: the owner's and the lockout's, until somebody sets one; keys without a value. */
export const EMPTY_AUTH: Authorization = { password: undefined };

export interface CommandInput {
  readonly handles?: readonly Entity[];
  /** For the handles that need it, in their order. */
  readonly auth?: readonly Authorization[];
  readonly parameters?: Uint8Array;
  /** Encrypt the first parameter of command or response; the one authorization must then be a session. */
  readonly encrypt?: 'command' | 'response' | 'both';
}

export interface CommandOutput {
  /** 0 for a command that answers none. */
  readonly handle: number;
  readonly parameters: WireReader;
}

export interface ChannelOptions {
  /** Milliseconds that every command is waited for, instead of the specification's. */
  readonly timeoutMs?: number;
}

/** How often a TPM that asks for the same command again gets it, and how long after: 20 ms more each time. */
const TRIES = 12;
const PAUSE_MS = 20;

/**
 * Speaks TPM 2.0 commands (Part 1 section 18, Part 3) over a transport, one after the other. It knows tags, sizes,
 * handles, authorizations and response codes; what a command means stands with whoever runs it.
 */
export class Channel {
  readonly #transport: Transport;
  readonly #options: ChannelOptions;

  constructor(transport: Transport, options: ChannelOptions = {}) {
    this.#transport = transport;
    this.#options = options;
  }

  get address(): string {
    return this.#transport.address;
  }

  /**
   * Runs one command.
   * @throws TpmRefusal with the code that belongs to the TPM's, `tpm2.unavailable`, `tpm2.malformed`.
   */
  async run(name: CommandName, input: CommandInput = {}): Promise<CommandOutput> {
    const row: CommandRow = COMMANDS[name];
    const { handles = [], auth = [], parameters = new Uint8Array(0), encrypt } = input;
    if (handles.length !== row.handles || auth.length !== row.authorized) throw new RangeError(`TPM2_${name}: handles`);
    const session = auth.find((one) => one instanceof Session);
    if (encrypt !== undefined && session === undefined) throw new RangeError(`TPM2_${name}: no session to encrypt in`);
    const flags = {
      decrypt: encrypt === 'command' || encrypt === 'both',
      encrypt: encrypt === 'response' || encrypt === 'both',
    };
    const sent = session?.seal(parameters, flags.decrypt) ?? parameters;
    const cpHash = parameterHash(u32(row.code), ...handles.map((handle) => handle.name), sent);
    const areas = auth.map((one) =>
      one instanceof Session ? one.authorize(cpHash, flags) : passwordArea(one.password),
    );
    const command = frame(row.code, handles, areas, sent);
    try {
      const response = await this.#send(name, row, command);
      return readResponse(row, response, auth, flags.encrypt);
    } finally {
      // A password or a secret to be sealed without a session stands in it in clear.
      command.fill(0);
    }
  }

  async #send(name: CommandName, row: CommandRow, command: Uint8Array): Promise<WireReader> {
    for (let tries = 1; ; tries += 1) {
      const bytes = await this.#transport.exchange(
        command,
        this.#options.timeoutMs ?? TIMEOUT_MS[row.duration ?? 'usual'],
      );
      const reader = new WireReader(bytes);
      const tag = reader.u16('tag');
      reader.u32('responseSize');
      const code = reader.u32('responseCode');
      if (code === 0) {
        const expected = row.authorized > 0 ? TAG.SESSIONS : TAG.NO_SESSIONS;
        if (tag !== expected) throw malformed('tag', `0x${tag.toString(16)} in the response to TPM2_${name}`);
        return reader;
      }
      if (tries === TRIES || !asksAgain(code)) throw new TpmRefusal(name, code, await this.#detail(code));
      await wait(PAUSE_MS * tries);
    }
  }

  /** What helps to understand a refusal and only the TPM knows: how long a lockout lasts. */
  async #detail(code: number): Promise<string | undefined> {
    if (decodeResponseCode(code).name !== 'LOCKOUT') return undefined;
    try {
      const properties = await readProperties(this, PROPERTY.PERMANENT, 32);
      const counter = properties.get(PROPERTY.LOCKOUT_COUNTER) ?? 0;
      const most = properties.get(PROPERTY.MAX_AUTH_FAIL) ?? 0;
      const interval = properties.get(PROPERTY.LOCKOUT_INTERVAL) ?? 0;
      const needed = Math.max(1, counter - most + 1) * interval;
      return `${counter} failed authorizations of at most ${most}; one is forgiven every ${interval} s, so usable in ${needed} s at the latest`;
    } catch {
      // The refusal itself is what the caller must hear of.
      return undefined;
    }
  }
}

/** Command header, handles, authorization area, parameters (Part 1 section 18.2). */
function frame(
  code: number,
  handles: readonly Entity[],
  areas: readonly Uint8Array[],
  parameters: Uint8Array,
): Uint8Array {
  const authorization = join(...areas);
  const body = join(
    ...handles.map(({ handle }) => u32(handle)),
    ...(areas.length === 0 ? [] : [u32(authorization.length), authorization]),
    parameters,
  );
  authorization.fill(0);
  const command = join(
    u16(areas.length === 0 ? TAG.NO_SESSIONS : TAG.SESSIONS),
    u32(10 + body.length),
    u32(code),
    body,
  );
  body.fill(0);
  return command;
}

function readResponse(
  row: CommandRow,
  reader: WireReader,
  auth: readonly Authorization[],
  decrypt: boolean,
): CommandOutput {
  const handle = row.answersHandle === true ? reader.u32('the handle') : 0;
  if (auth.length === 0) return { handle, parameters: new WireReader(reader.rest()) };
  let parameters = reader.bytes(reader.u32('parameterSize'), 'the parameters');
  const rpHash = parameterHash(u32(0), u32(row.code), parameters);
  for (const one of auth) {
    if (!(one instanceof Session)) {
      reader.sized(0, 'the nonce of a password');
      reader.u8('the attributes of a password');
      reader.sized(0, 'the HMAC of a password');
      continue;
    }
    one.verify(reader, rpHash);
    if (decrypt) parameters = one.open(parameters);
  }
  reader.end('the response');
  return { handle, parameters: new WireReader(parameters) };
}

/** TPM properties by their number, `count` of them from `first` on (Part 3 section 30.2, TPM_CAP_TPM_PROPERTIES). */
export async function readProperties(channel: Channel, first: number, count: number): Promise<Map<number, number>> {
  const properties = new Map<number, number>();
  for (let next = first; ; ) {
    const { parameters } = await channel.run('GetCapability', {
      parameters: join(u32(CAP.TPM_PROPERTIES), u32(next), u32(first + count - next)),
    });
    const more = parameters.u8('moreData') === 1;
    if (parameters.u32('the capability') !== CAP.TPM_PROPERTIES) throw malformed('the capability', 'another one');
    let last = next - 1;
    for (let left = parameters.count(256, 'properties'); left > 0; left -= 1) {
      last = parameters.u32('the property');
      properties.set(last, parameters.u32('its value'));
    }
    parameters.end('the properties');
    // A TPM that promises more and gives nothing must not be asked for ever.
    if (!more || last < next || last + 1 >= first + count) return properties;
    next = last + 1;
  }
}
