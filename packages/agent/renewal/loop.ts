import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { acceptIssued, CmpRefusal, type EnrolmentClient, EstRefusal, keepCaCertificates } from '../enrol/index.ts';
import {
  type Credential,
  type DeviceIdentity,
  type DeviceKeyAlgorithm,
  type DeviceState,
  datesOf,
} from '../state/index.ts';
import { type RenewalNeed, type RenewalWindow, renewalNeed } from './schedule.ts';
import { nodeTimers, type Timers } from './timers.ts';
import { type Backoff, DEFAULT_BACKOFF, halfRandom, longWait, waitAfter } from './waits.ts';

/** What happened, for logs and screens. */
export type RenewalEvent =
  | { readonly type: 'enrolled' | 'renewed' | 'recovered'; readonly serial: string; readonly notAfter: Date }
  | { readonly type: 'postponed'; readonly seconds: number }
  | { readonly type: 'failed'; readonly error: unknown; readonly attempt: number; readonly retrySeconds: number }
  | { readonly type: 'stopped'; readonly error: KeysteadError };

export interface RenewalOptions {
  readonly state: DeviceState;
  /** EST, or CMP in its place: see `enrolmentClient`. */
  readonly est: EnrolmentClient;
  readonly clock: Clock;
  readonly timers?: Timers;
  /**
   * Proves a new credential by a real request to a peer that checks it; throws when it is not accepted. In TLS 1.3
   * a handshake alone proves nothing: the server judges after the client has finished, so an answer is needed.
   */
  readonly prove: (identity: DeviceIdentity) => Promise<void>;
  /** How long after its LDevID's end a device may still recover by its IDevID, seconds. */
  readonly graceSeconds: number;
  /**
   * Whether a CA above the current LDevID was revoked ({@link issuerRevoked}); asked after a refusal. The device then
   * recovers by its IDevID. Without it, it waits for the end of its LDevID.
   */
  readonly issuerRevoked?: (current: Credential) => Promise<boolean>;
  /**
   * First and longest of the doubling waits after a failure, seconds; default 1 and 300. Then waits are a part of what is
   * left of the LDevID where that is longer, so that a fleet does not come back at once from a long outage
   * (docs/decisions/0066). After refusals they grow up to a day.
   */
  readonly backoff?: Backoff;
  /**
   * The kinds of key that the device makes for its LDevID, the best first; by default P-256 alone. Where there are several,
   * the server is asked which it would have; one that does not say is offered the best, and after each refusal the next.
   */
  readonly keys?: readonly DeviceKeyAlgorithm[];
  /**
   * What the device's own certificates and the CA certificates it is told must chain to, now; by default the anchors that
   * it was made with. A trust bundle brings others.
   */
  readonly anchors?: () => readonly DerCertificate[];
  /** Called when a new credential is durable and before anything uses it: a hardware counter counts here. */
  readonly settled?: () => Promise<void>;
  readonly onEvent?: (event: RenewalEvent) => void;
}

/** After this many failed proofs a new key is made: its certificate may have been lost on the server's side. */
const MOST_PROOFS = 5;

/** After this many faults of a server at one kind of key the next one is tried: it may be the kind that it fails at. */
const MOST_FAULTS = 5;

const isForGood = (error: unknown): boolean =>
  (error instanceof EstRefusal || error instanceof CmpRefusal) && !error.isPassing;

/** A server that broke over a request, where it does not say that it is overloaded: that may be the request's fault. */
const isFault = (error: unknown): boolean =>
  (error instanceof EstRefusal && error.status >= 500 && error.status !== 503 && error.status !== 504) ||
  (error instanceof CmpRefusal && error.failure === 'systemFailure');

/**
 * Keeps the device's LDevID alive: renews with a fresh key by 75 % of the life, keeps the old
 * credential in use until the new one was proven, tries again with growing, jittered waits, and recovers by the
 * IDevID within the grace period. It never falls back to the IDevID because the LDevID was refused: a
 * device that was revoked must not enrol around its revocation. It does where the CA of its LDevID was revoked.
 *
 * REQ-KEY-ROT-01.
 */
export class RenewalLoop {
  readonly #options: RenewalOptions;
  readonly #timers: Timers;
  readonly #waits: Backoff;
  #cancel: (() => void) | undefined;
  #running: Promise<number | undefined> | undefined;
  #stopped = true;
  /** It ended because people must help. */
  #isHelpless = false;
  #failures = 0;
  #failedProofs = 0;
  /** Refusals for good, one after the other. */
  #refusals = 0;
  /** Faults of the server since it has last issued. */
  #faults = 0;
  /** What the last look found to be due. */
  #tried: RenewalNeed['need'] = 'none';
  /** A credential has come into force that is not counted yet, and nobody knows of it. */
  #untold: 'enrolled' | 'renewed' | 'recovered' | undefined;
  /** The credential was refused: its CA may be gone. */
  #suspect = false;
  /** The wait under way goes by the life that is left. */
  #isLong = false;
  /** What a server has suggested, and for which credential. */
  #suggested: { readonly keyId: string; readonly window: RenewalWindow | undefined } | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#timers = options.timers ?? nodeTimers;
    this.#waits = options.backoff ?? DEFAULT_BACKOFF;
  }

  /** Begins; the first step is taken at once. */
  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#isHelpless = false;
    this.#wait(0);
  }

  /**
   * A peer refuses the current credential: the next step looks whether its CA still counts. It is taken at once; where one
   * is under way, when that is over, and where that one asks a server, after the wait that it ends with.
   */
  suspect(): void {
    this.#suspect = true;
    if (!this.#stopped && this.#running === undefined) this.#wait(0);
  }

  /**
   * A server would have a credential renewed in a window, which may be over; undefined: when it is due by itself. It holds
   * for that credential, and never puts off what is due. A wait after a failure is not cut short; only a long one is, by
   * a window that was not known and is over before that wait: a rotation in a hurry.
   */
  suggest(keyId: string, window: RenewalWindow | undefined): void {
    const isNews = window !== undefined && window.end.getTime() !== this.#windowOf(keyId)?.end.getTime();
    this.#suggested = { keyId, window };
    if (this.#stopped || this.#running !== undefined) return;
    if (this.#failures === 0) this.#wait(0);
    else if (this.#isLong && isNews && this.#isHurried()) this.#wait(halfRandom(this.#waits.mostSeconds));
  }

  /**
   * To be called now and then: the clock may have been set since the wait under way was reckoned by it, or since the loop
   * ended because people must help. It goes on where something is due after all; no other wait is cut short.
   */
  lookAgain(): void {
    if (this.#running !== undefined) return;
    const { need } = this.#need();
    const wasIdle = this.#tried === 'none' && need !== 'none';
    if (this.#isHelpless && need !== 'people') this.start();
    else if (!this.#stopped && (wasIdle || this.#endedMeanwhile())) this.#wait(0);
  }

  /** Ends; resolves when a step that was under way is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#isHelpless = false;
    this.#cancel?.();
    await this.#running;
  }

  /**
   * One look at the state and at most one renewal. Resolves to the seconds until the next look is due, or undefined
   * when people must help. Never throws: failures are events. Steps are taken one at a time: who asks for one while another
   * is under way has that one's end.
   */
  step(): Promise<number | undefined> {
    this.#running ??= this.#step().then((next) => {
      this.#running = undefined;
      if (next === undefined) this.#stopped = true;
      else if (!this.#stopped) this.#wait(next);
      return next;
    });
    return this.#running;
  }

  async #step(): Promise<number | undefined> {
    try {
      this.#isLong = false;
      const seconds = await this.#act();
      this.#failures = 0;
      this.#refusals = 0;
      return seconds;
    } catch (error) {
      if (error instanceof KeysteadError && error.code === 'renewal.grace-ended') {
        this.#tell({ type: 'stopped', error });
        this.#isHelpless ||= !this.#stopped;
        return undefined;
      }
      this.#failures += 1;
      this.#refusals = isForGood(error) ? this.#refusals + 1 : 0;
      if (isForGood(error)) this.#suspect = true;
      const retrySeconds = this.#endedMeanwhile() ? this.#waits.firstSeconds : this.#backoff();
      this.#tell({ type: 'failed', error, attempt: this.#failures, retrySeconds });
      return retrySeconds;
    }
  }

  /** The one alarm: another wait takes its place. */
  #wait(seconds: number): void {
    this.#cancel?.();
    this.#cancel = this.#timers.after(seconds * 1000, () => void this.step());
  }

  async #act(): Promise<number> {
    const { state, issuerRevoked } = this.#options;
    this.#tried = 'none';
    const need = (await this.#issuerGone()) ?? this.#need();
    this.#tried = need.need;
    this.#retireExpiredPrevious();
    if (need.need === 'none') await this.#tellOfNew();
    // A suspicion that came while the CRLs were asked may know more than they did.
    if (need.need === 'none') return this.#suspect && issuerRevoked !== undefined ? 0 : this.#secondsUntil(need.until);
    if (need.need === 'people') {
      throw new KeysteadError('renewal.grace-ended', {
        field: state.deviceId,
        seen: `expired ${need.expiredAt.toISOString()}`,
      });
    }
    this.#dropExpiredPending();
    if (state.credential('pending') === undefined) {
      const wait = await this.#ask(need.need);
      if (wait !== undefined) return wait;
    }
    await this.#prove();
    const had = state.credential('current');
    this.#suspect = false;
    state.promote(need.need === 'renew' ? 'renewed' : 'fresh');
    this.#untold = need.need === 'renew' ? 'renewed' : had === undefined ? 'enrolled' : 'recovered';
    // No server is asked any more: what fails from here on is tried again soon.
    this.#tried = 'none';
    await this.#tellOfNew();
    const next = this.#need();
    return next.need === 'none' ? this.#secondsUntil(next.until) : this.#waits.firstSeconds;
  }

  /** Whoever shows the old credential must hear of the new one, also where it is counted only by a later step. */
  async #tellOfNew(): Promise<void> {
    if (this.#untold === undefined) return;
    await this.#options.settled?.();
    const { serial, notAfter } = readCertificate(this.#options.state.identity('current').certificate);
    const type = this.#untold;
    this.#untold = undefined;
    this.#tell({ type, serial, notAfter });
  }

  #need(): RenewalNeed {
    const { state, clock, graceSeconds } = this.#options;
    const current = state.credential('current');
    const window = current === undefined ? undefined : this.#windowOf(current.keyId);
    return renewalNeed(current, clock.now(), graceSeconds, window);
  }

  #windowOf(keyId: string): RenewalWindow | undefined {
    return this.#suggested?.keyId === keyId ? this.#suggested.window : undefined;
  }

  /** What to do where the CA of the current credential was revoked. A certificate of it that waits is given up. */
  async #issuerGone(): Promise<Extract<RenewalNeed, { need: 'enrol' }> | undefined> {
    const { state, issuerRevoked } = this.#options;
    const current = state.credential('current');
    if (!this.#suspect || current === undefined || issuerRevoked === undefined) return undefined;
    this.#suspect = false;
    if (!(await issuerRevoked(current))) return undefined;
    // A failure on the way, and the next step asks again.
    this.#suspect = true;
    const waiting = state.credential('pending');
    if (waiting !== undefined && (await issuerRevoked(waiting))) state.discardPending();
    return { need: 'enrol', why: 'issuer-revoked' };
  }

  /** Gets a certificate for a fresh key; resolves to the seconds to wait when the server postpones. */
  async #ask(need: 'renew' | 'enrol'): Promise<number | undefined> {
    const { state, est, clock } = this.#options;
    const identity = state.identity(need === 'renew' ? 'current' : 'idevid');
    if (state.intermediates.length === 0)
      keepCaCertificates(state, await est.caCertificates(identity), clock, this.#options.anchors?.());
    const { csr } = await state.beginKey('ldevid', await this.#kindOfKey(identity));
    const asked = need === 'renew' ? est.reenrol(identity, csr) : est.enrol(identity, csr);
    const answer = await asked.catch((error: unknown) => {
      if (isFault(error)) this.#faults += 1;
      const isNextKind = isFault(error) && this.#faults % MOST_FAULTS === 0 && (this.#options.keys?.length ?? 1) > 1;
      // The server read this request and does not want it, or breaks over it: the next one comes with a fresh key.
      if (isForGood(error) || isNextKind) state.discardPending();
      throw error;
    });
    if (answer.status === 'pending') {
      this.#tell({ type: 'postponed', seconds: answer.retryAfterSeconds });
      return Math.max(1, answer.retryAfterSeconds);
    }
    acceptIssued(state, answer.certificates, clock, this.#options.anchors?.());
    this.#faults = 0;
    this.#failedProofs = 0;
    return undefined;
  }

  /**
   * The kind of the next key: what the server asks for, if the device makes it, or the next one of its own list. A server
   * that breaks over what it has asked for gets another one in its turn.
   */
  async #kindOfKey(identity: DeviceIdentity): Promise<DeviceKeyAlgorithm> {
    const { est, keys = ['P-256'] } = this.#options;
    if (keys.length < 2) return keys[0] ?? 'P-256';
    // A hint that cannot be had, or read, is none: nothing of a renewal hangs on it.
    const wanted = await est.wantedKey?.(identity).catch(() => undefined);
    const [asked] = keys.filter((one) => one === wanted);
    const kinds = asked === undefined ? keys : [asked, ...keys.filter((one) => one !== asked)];
    const turn = (asked === undefined ? this.#refusals : 0) + Math.floor(this.#faults / MOST_FAULTS);
    return kinds[turn % kinds.length] ?? 'P-256';
  }

  async #prove(): Promise<void> {
    const { state, prove } = this.#options;
    try {
      await prove(state.identity('pending'));
    } catch (error) {
      this.#failedProofs += 1;
      if (this.#failedProofs >= MOST_PROOFS) state.discardPending();
      throw error;
    }
  }

  #retireExpiredPrevious(): void {
    const { state, clock } = this.#options;
    const previous = state.credential('previous');
    if (previous === undefined) return;
    if (datesOf(previous).notAfter.getTime() < clock.now().getTime()) state.retirePrevious();
  }

  #dropExpiredPending(): void {
    const { state, clock } = this.#options;
    const pending = state.credential('pending');
    if (pending === undefined) return;
    if (datesOf(pending).notAfter.getTime() < clock.now().getTime()) state.discardPending();
  }

  /**
   * Whether the LDevID ended while it was being renewed. Its refusal then says nothing of the next try, which goes by
   * the IDevID, and a device without a credential must not wait long for it.
   */
  #endedMeanwhile(): boolean {
    return this.#tried === 'renew' && this.#need().need === 'enrol';
  }

  #backoff(): number {
    const leftSeconds = this.#secondsLeft();
    const isAtLeisure = this.#tried === 'renew' && !this.#suspect && !this.#isHurried();
    const trouble = { failures: this.#failures, refusals: this.#refusals, leftSeconds, isAtLeisure };
    const { seconds, isLong } = waitAfter(trouble, this.#waits);
    this.#isLong = isLong;
    return seconds;
  }

  /** Whether the window that a server has suggested for the current credential ends before a long wait would. */
  #isHurried(): boolean {
    const keyId = this.#options.state.credential('current')?.keyId;
    const window = keyId === undefined ? undefined : this.#windowOf(keyId);
    return window !== undefined && this.#secondsUntil(window.end) < longWait(this.#secondsLeft());
  }

  /** Of the current credential's life; below 0 after its end, 0 without one. */
  #secondsLeft(): number {
    const { state, clock } = this.#options;
    const current = state.credential('current');
    return current === undefined ? 0 : (datesOf(current).notAfter.getTime() - clock.now().getTime()) / 1000;
  }

  #secondsUntil(time: Date): number {
    return Math.max(0, (time.getTime() - this.#options.clock.now().getTime()) / 1000);
  }

  #tell(event: RenewalEvent): void {
    this.#options.onEvent?.(event);
  }
}
