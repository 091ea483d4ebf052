import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseConsignment, parseParcel } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import { RestClient } from '../client/rest.ts';
import type { ExchangeView } from '../protocols/rest/reconciliation.ts';
import type { Outbox, ReadyParcel } from '../provisioning/index.ts';

/** How often is looked whether there is anything to send. */
const EVERY_MS = 5_000;
const FIRST_MS = 500;
/** After failures the pause doubles up to this. */
const LONGEST_MS = 5 * 60_000;
/** The most parcels that are sent before others get a turn. */
const AT_ONCE = 8;

export interface DrainOptions {
  readonly outbox: Outbox;
  /** For example `https://hq.example:8443`. */
  readonly headquarters: string;
  /** PEM: what headquarters' TLS certificate must lead to. */
  readonly root: string;
  readonly log: Logger;
  readonly everyMs?: number;
}

/**
 * Sends what waits in the outbox to headquarters in the background, one parcel after the other, and takes the receipts.
 * A link that is down costs nothing but the pause, which doubles, with chance in it, so that a hundred factories do not
 * all come back in one moment. A parcel that headquarters refuses does not hold up those after it. REQ-KEY-PROV-01
 */
export class OutboxDrain {
  readonly #options: DrainOptions;
  readonly #client: RestClient;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #failures = 0;
  #ended = false;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#client = new RestClient({ baseUrl: options.headquarters, anchor: options.root, timeoutMs: 60_000 });
  }

  start(): void {
    // Soon, and not after a whole pause: a service that is often restarted would never send anything.
    this.#next(FIRST_MS);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#client.close();
    await this.#running;
  }

  /** Sends everything that can be sent now. @returns how many receipts came. */
  async drain(): Promise<number> {
    const { outbox, log } = this.#options;
    const requestId = toHex(randomBytes(8));
    await outbox.collect(requestId);
    let settled = 0;
    for (let after = 0; !this.#ended; ) {
      const parcels = await outbox.ready(after, AT_ONCE, requestId);
      const last = parcels.at(-1);
      if (last === undefined) break;
      for (const parcel of parcels) if (await this.#send(parcel, requestId)) settled += 1;
      after = last.number;
    }
    if (settled > 0)
      log.info({ requestId, receipts: settled, ...outbox.progress() }, 'headquarters has taken consignments');
    return settled;
  }

  async #send({ number, text }: ReadyParcel, requestId: string): Promise<boolean> {
    const { outbox, log } = this.#options;
    const parcel = parseParcel(text);
    const { factory } = parseConsignment(parcel.consignment).content;
    try {
      const answer = await this.#client.post<ExchangeView>(`/api/v1/factories/${factory}/consignments`, parcel);
      if (answer.quarantined > 0)
        log.error({ requestId, number, quarantined: answer.quarantined }, 'headquarters has put units into quarantine');
      return await outbox.settle(answer.receipt, requestId);
    } catch (error) {
      if (!(error instanceof KeysteadError) || isForLater(error)) throw error;
      await outbox.refused(number, error);
      log.error({ requestId, number, err: error }, 'headquarters refuses a consignment; the others are sent');
      return false;
    }
  }

  #next(pause = this.#pause()): void {
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#run().finally(() => this.#next());
    }, pause);
  }

  async #run(): Promise<void> {
    try {
      await this.drain();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const { log, outbox } = this.#options;
      log.warn(
        { err: error, failures: this.#failures, ...outbox.progress() },
        'headquarters cannot be reached; it is tried again',
      );
    }
  }

  /** Half of the pause is chance. */
  #pause(): number {
    const whole = Math.min((this.#options.everyMs ?? EVERY_MS) * 2 ** Math.min(this.#failures, 10), LONGEST_MS);
    const [chance = 0] = randomBytes(1);
    return Math.round(whole / 2 + (whole / 2) * (chance / 255));
  }
}

const isForLater = ({ kind, code }: KeysteadError): boolean =>
  kind === 'unavailable' || kind === 'too-many' || code === 'service.bad-answer';
