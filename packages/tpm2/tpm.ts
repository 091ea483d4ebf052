import { Channel, type ChannelOptions, readProperties } from './channel.ts';
import { DEFAULT_ADDRESS, openTransport } from './transport/open.ts';
import type { Transport } from './transport/transport.ts';
import { CAP, CURVE, type Curve, PROPERTY } from './wire/constants.ts';
import { malformed } from './wire/reader.ts';
import { TpmRefusal } from './wire/response-code.ts';
import { join, u16, u32 } from './wire/writer.ts';

/** What a TPM says about itself (TPM_PT_FIXED, Part 2 section 6.13). */
export interface TpmInfo {
  /** Four letters of the TCG vendor id registry, such as `IFX`, `STM`, `IBM` (swtpm). */
  readonly manufacturer: string;
  readonly model: string;
  /** The vendor's own numbering, as four numbers. */
  readonly firmware: string;
  /** Revision of the library specification, such as `1.59`. */
  readonly revision: string;
  /** TPMA_MODES bit 0: the TPM says that it runs in FIPS 140-2 mode. What is certified, only its certificate says. */
  readonly fips1402: boolean;
  readonly curves: readonly Curve[];
}

/**
 * A TPM 2.0. Whatever needs several commands in a row, such as load, sign, flush, is one `use`; the next waits for
 * its end. So there are never more than three of our objects in it, which is what every TPM has room for.
 */
export class Tpm {
  readonly #transport: Transport;
  readonly #channel: Channel;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(transport: Transport, channel: Channel) {
    this.#transport = transport;
    this.#channel = channel;
  }

  /**
   * Connects, and starts the TPM up when nobody has (with a device the kernel did).
   * @param address see `openTransport`. @throws KeysteadError `tpm2.address`, `tpm2.unavailable`,
   *   `tpm2.failure-mode`, `tpm2.malformed`.
   */
  static async open(address: string = DEFAULT_ADDRESS, options: ChannelOptions = {}): Promise<Tpm> {
    return Tpm.over(await openTransport(address), options);
  }

  /** The same over a transport that is open; it is closed with the Tpm, and when it is no good. */
  static async over(transport: Transport, options: ChannelOptions = {}): Promise<Tpm> {
    const channel = new Channel(transport, options);
    try {
      await startUp(channel);
      return new Tpm(transport, channel);
    } catch (error) {
      await transport.close();
      throw error;
    }
  }

  get address(): string {
    return this.#transport.address;
  }

  /** Runs `work` alone with the TPM. What it makes there, it flushes. @throws what `work` throws. */
  use<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => work(this.#channel));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  info(): Promise<TpmInfo> {
    return this.use(readInfo);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#last;
    await this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function startUp(channel: Channel): Promise<void> {
  try {
    await readProperties(channel, PROPERTY.FAMILY_INDICATOR, 1);
  } catch (error) {
    if (!(error instanceof TpmRefusal) || error.reason !== 'INITIALIZE') throw error;
    await channel.run('Startup', { parameters: u16(0) }); // TPM_SU_CLEAR
    return;
  }
  // In failure mode a TPM still tells its properties (Part 1 section 12.4); random bytes it gives no more.
  await channel.run('GetRandom', { parameters: u16(1) });
}

async function readInfo(channel: Channel): Promise<TpmInfo> {
  const fixed = await readProperties(channel, PROPERTY.FAMILY_INDICATOR, 64);
  const value = (property: number): number => fixed.get(property) ?? 0;
  const firmware = [value(PROPERTY.FIRMWARE_VERSION_1), value(PROPERTY.FIRMWARE_VERSION_2)];
  return {
    manufacturer: letters(value(PROPERTY.MANUFACTURER)),
    model: [0, 1, 2, 3].map((n) => letters(value(PROPERTY.VENDOR_STRING_1 + n))).join(''),
    firmware: firmware.flatMap((half) => [half >>> 16, half & 0xffff]).join('.'),
    revision: (value(PROPERTY.REVISION) / 100).toFixed(2),
    fips1402: (value(PROPERTY.MODES) & 1) === 1,
    curves: await readCurves(channel),
  };
}

/** A number that holds four characters, as far as they can be printed. */
function letters(value: number): string {
  return Buffer.from(u32(value))
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, '')
    .trim();
}

async function readCurves(channel: Channel): Promise<Curve[]> {
  const { parameters } = await channel.run('GetCapability', { parameters: join(u32(CAP.ECC_CURVES), u32(0), u32(64)) });
  parameters.u8('moreData');
  if (parameters.u32('the capability') !== CAP.ECC_CURVES) throw malformed('the capability', 'another one');
  const ids: number[] = [];
  for (let left = parameters.count(128, 'curves'); left > 0; left -= 1) ids.push(parameters.u16('a curve'));
  parameters.end('the curves');
  return (['P-256', 'P-384'] as const).filter((curve) => ids.includes(CURVE[curve]));
}
