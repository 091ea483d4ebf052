import { RandomSource } from '@keystead/core/crypto';

/** As many as the start-up test of `RandomSource` takes (SP 800-90B section 4.3 demands 1024). */
const START_BYTES = 4096;
const SAMPLE_BYTES = 64;

/**
 * The token's random source, from which its keys and nonces come, behind the health tests of SP 800-90B section 4.4 on
 * what C_GenerateRandom gives: at the start, before each key, and along with signatures. The bytes are used for
 * nothing else. Once failed, failed for good. REQ-KEY-GEN-01
 */
export class TokenRandom {
  readonly #draw: (bytes: number) => Promise<Uint8Array>;
  readonly #source: RandomSource;
  #ahead: Uint8Array = new Uint8Array();

  /** @param draw asks the token; what it throws is no failure of the source. */
  constructor(draw: (bytes: number) => Promise<Uint8Array>) {
    this.#draw = draw;
    this.#source = new RandomSource((length) => {
      const bytes = this.#ahead.slice(0, length);
      this.#ahead = this.#ahead.slice(length);
      return bytes;
    });
  }

  /** The start-up test. @throws KeysteadError `rng.unhealthy`, and what the token throws. */
  async start(): Promise<void> {
    // Drawn first and tested then: a token that is pulled out meanwhile is gone, not sick.
    this.#ahead = await this.#draw(START_BYTES);
    this.#source.check();
  }

  /** Tests a fresh sample. @throws KeysteadError `rng.unhealthy`, and what the token throws. */
  async sample(): Promise<void> {
    const bytes = await this.#draw(SAMPLE_BYTES);
    this.#ahead = bytes;
    this.#source.bytes(bytes.length === 0 ? SAMPLE_BYTES : bytes.length).fill(0);
  }

  /** @throws KeysteadError `rng.unhealthy` after a failure. */
  requireHealthy(): void {
    this.#source.check();
  }
}
