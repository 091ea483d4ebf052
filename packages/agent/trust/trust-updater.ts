import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CarriedFilter, parseBundle, passBundle, type TakenBundle, takeBundle } from '@keystead/core/trust';
import type { DeviceState, HeldTrust } from '../state/index.ts';
import { CarriedTrust } from './carried-trust.ts';
import { type FoundFilter, findFilter } from './filter-chain.ts';
import type { TrustSource } from './trust-source.ts';

export interface TrustUpdaterOptions {
  readonly state: DeviceState;
  readonly source: TrustSource;
  /** That of the device, which is never behind what is proven (`ProvenClock`). */
  readonly clock: Clock;
  /** Called when the new state is durable and before anything goes by it: a hardware counter counts here. */
  readonly settled?: () => Promise<void>;
}

/** What a bundle in between may say otherwise: who signs, and until when. */
const MAY_BE_NEWS: ReadonlySet<string> = new Set(['trust-bundle.signer-unknown', 'trust-bundle.signer-retired']);

/** What asking has brought. */
export type TrustNews =
  | { readonly type: 'taken'; readonly version: number; readonly before: number }
  | { readonly type: 'unchanged'; readonly version: number };

/**
 * Brings a device's trust bundle and filter up to date. A bundle is taken with the very filter that it names or not at
 * all; both are durable, in one step, before anything goes by them; whatever is refused or does not come leaves the
 * device as it was. REQ-KEY-REV-04
 */
export class TrustUpdater {
  readonly #options: TrustUpdaterOptions;
  #carried: CarriedTrust | undefined;
  #etag: string | undefined;

  /** Opens what the state holds. Files that are damaged are fetched again by the next {@link update}. */
  constructor(options: TrustUpdaterOptions) {
    this.#options = options;
    try {
      this.#carried = CarriedTrust.open(options.state);
    } catch (error) {
      if (!(error instanceof KeysteadError && error.code === 'state.damaged')) throw error;
    }
  }

  /** What the device goes by; undefined before the first bundle, and when its files were damaged. */
  get carried(): CarriedTrust | undefined {
    return this.#carried;
  }

  /**
   * Asks once. A device that does not know the signer of the newest bundle, or only a time of it that is over, asks for those
   * in which the signers changed.
   * @throws KeysteadError `trust.unreachable`, `trust.filter-differs`, `trust-bundle.*`, `filter.*`, `trust.none`:
   *   nothing has changed then.
   */
  async update(): Promise<TrustNews> {
    const { state, source } = this.#options;
    const held = state.trust;
    if (held === undefined) throw new KeysteadError('trust.none', { field: state.deviceId });
    // Only whoever has what the ETag stands for may be told that it is still the same.
    const answer = await source.latest(this.#carried === undefined ? undefined : this.#etag);
    if ('unchanged' in answer) return { type: 'unchanged', version: held.state.version };
    const news = await this.#take(answer.body, held);
    this.#etag = answer.etag;
    return news;
  }

  /** Takes a bundle that was brought by hand, as {@link update} does one that was fetched. */
  async take(bundle: Uint8Array): Promise<TrustNews> {
    const held = this.#options.state.trust;
    if (held === undefined) throw new KeysteadError('trust.none', { field: this.#options.state.deviceId });
    return this.#take(bundle, held);
  }

  async #take(latest: Uint8Array, held: HeldTrust): Promise<TrustNews> {
    const { state, clock } = this.#options;
    const taken = await this.#judge(latest, held);
    const { version } = taken.state;
    const least = held.leastVersion ?? 0;
    if (version < least)
      throw new KeysteadError('trust-bundle.rolled-back', { field: 'version', seen: `${version}, after ${least}` });
    if (taken.repeated && this.#carried?.content.version === version) return { type: 'unchanged', version };
    const filter = await this.#filterOf(taken, held);
    // The judging took time, and another answer may have been taken meanwhile: by what is known now.
    if (state.trust !== held) return this.#take(latest, state.trust ?? held);
    const opened = filter === undefined ? undefined : CarriedFilter.open(filter.base, filter.deltas);
    const bundle = toHex(sha256(latest));
    const proven = Math.min(
      Math.max(taken.content.issuedAt, opened === undefined ? 0 : opened.date.getTime() / 1000),
      Math.floor(clock.now().getTime() / 1000),
    );
    state.keepTrust(
      {
        state: taken.state,
        bundle,
        filters: filter?.hashes ?? [],
        provenTime: Math.max(held.provenTime, proven),
      },
      new Map([...(filter?.files ?? []), [bundle, latest]]),
    );
    await this.#options.settled?.();
    this.#carried = new CarriedTrust(taken.content, opened);
    return { type: 'taken', version, before: held.state.version };
  }

  /** By what is held; where the signer does not stand there with this time, by the bundles in which the signers changed. */
  async #judge(latest: Uint8Array, { state: known }: HeldTrust): Promise<TakenBundle> {
    const { source, clock } = this.#options;
    try {
      return takeBundle(latest, known, clock.now());
    } catch (error) {
      if (!(error instanceof KeysteadError && MAY_BE_NEWS.has(error.code))) throw error;
      const { version } = parseBundle(latest).content;
      const missed = (await source.signerChanges()).filter((one) => known.version < one && one < version);
      if (missed.length === 0) throw error;
      let state = known;
      // The list is from anybody: each is judged when it comes, so that a false one is the last that is fetched.
      for (const one of missed) {
        state = passBundle(await source.bundle(one), state, clock.now()).state;
        if (state.version === one) continue;
        throw new KeysteadError('trust.unreachable', { field: `bundle ${one}`, seen: `bundle ${state.version}` });
      }
      return takeBundle(latest, state, clock.now());
    }
  }

  async #filterOf({ content }: TakenBundle, held: HeldTrust): Promise<FoundFilter | undefined> {
    const { state, source } = this.#options;
    if (content.filterSha256 === null) return undefined;
    return findFilter(content.filterSha256, held.filters, (hash) => state.readFilter(hash), source);
  }
}
