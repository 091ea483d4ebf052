import { RandomSource } from '@keystead/core/crypto';
import type { Tpm } from './tpm.ts';
import { malformed } from './wire/reader.ts';
import { u16 } from './wire/writer.ts';

/** TPMs give at most one digest at a time (Part 3 section 16.1). */
const PIECE = 32;

/**
 * The random bytes of a TPM behind the health tests of SP 800-90B section 4.4, at start and on every byte. A TPM gives
 * the output of its generator, not of its noise source: there is no command for that. REQ-KEY-GEN-01.
 */
export class TpmRandom {
  readonly #tpm: Tpm;
  readonly #source: RandomSource;
  #drawn: Uint8Array = new Uint8Array(0);
  #started = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(tpm: Tpm) {
    this.#tpm = tpm;
    this.#source = new RandomSource((length) => this.#take(length));
  }

  /**
   * `length` bytes.
   * @throws KeysteadError `rng.unhealthy`, and from then on always; `tpm2.*`.
   */
  bytes(length: number): Promise<Uint8Array> {
    // One after the other: two that fill at the same time would begin with the same bytes.
    const turn = this.#last.then(() => this.#next(length));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #next(length: number): Promise<Uint8Array> {
    if (!this.#started) await this.#fill(RandomSource.START_SAMPLES);
    // Only a start that was tried counts: a TPM that did not answer may be asked again.
    this.#started = true;
    this.#source.check();
    await this.#fill(length);
    return this.#source.bytes(length);
  }

  /** Tests a sample: to be called before the TPM makes a key. @throws KeysteadError as {@link bytes}. */
  async check(): Promise<void> {
    (await this.bytes(PIECE)).fill(0);
  }

  async #fill(length: number): Promise<void> {
    const pieces: Uint8Array[] = [this.#drawn];
    let total = this.#drawn.length;
    await this.#tpm.use(async (channel) => {
      for (let empty = 0; total < length; ) {
        const { parameters } = await channel.run('GetRandom', { parameters: u16(Math.min(PIECE, length - total)) });
        const piece = parameters.sized(PIECE, 'randomBytes');
        parameters.end('randomBytes');
        empty = piece.length === 0 ? empty + 1 : 0;
        if (empty > 8) throw malformed('randomBytes', 'nothing, again and again');
        pieces.push(piece);
        total += piece.length;
      }
    });
    this.#drawn = new Uint8Array(Buffer.concat(pieces));
  }

  #take(length: number): Uint8Array {
    const bytes = this.#drawn.slice(0, length);
    const rest = this.#drawn.slice(length);
    this.#drawn.fill(0);
    this.#drawn = rest;
    return bytes;
  }
}
