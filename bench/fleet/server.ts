import type { DerCertificate } from '@keystead/core/bytes';
import type { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import { DomainBed } from 'keystead/authority/tests/bed.ts';
import { holdIntermediate } from 'keystead/ceremony/intermediate.ts';
import { holdCrl } from 'keystead/ceremony/revocation-lists.ts';
import { LaterCeremonies, silent } from 'keystead/keyd/tests/later-bed.ts';
import type { FleetPlan } from './plan.ts';
import type { Answer, Ask, World } from './wire.ts';

/** Units of one ticket. */
const BATCH = 1_000;
const DAY = 86_400;
const YEAR = 365 * DAY;

/**
 * The server's side: the real keyd behind its socket after a real ceremony, the real records and audit log on disk, and
 * the rooms that decide, by a clock that the simulation sets. What is left out is TLS and HTTP in front of them.
 */
export class FleetServer {
  readonly bed: DomainBed;
  readonly #ceremonies: LaterCeremonies;
  readonly #opened = new Map<number, Promise<void>>();
  #issuers: { id: IssuerId; certificate: DerCertificate; revoked: boolean }[] = [];
  #root: DerCertificate | undefined;
  #held = 0;
  /** How many keys the operational CA has had. */
  #keys = 1;
  #requests = 0;

  private constructor(bed: DomainBed) {
    this.bed = bed;
    this.#ceremonies = new LaterCeremonies(bed.keyd);
  }

  static async make(plan: FleetPlan): Promise<FleetServer> {
    const bed = await DomainBed.make(
      {},
      {
        lifetimes: {
          ldevid: { seconds: plan.ldevidSeconds, backdateSeconds: 300 },
          'operational-ca': { seconds: 10 * YEAR },
        },
        grace: { renewalSeconds: plan.graceSeconds },
        tickets: { maxQuota: BATCH, maxSeconds: YEAR },
        // Lists for days: what they cost is measured elsewhere, and each hour of a year would make one.
        revocation: { rootCrlSeconds: 2 * YEAR, crlSeconds: 7 * DAY, crlRefreshSeconds: 3 * DAY },
      },
    );
    const server = new FleetServer(bed);
    await server.#learn();
    return server;
  }

  get clock(): SimulatedClock {
    return this.bed.clock;
  }

  get #rootOrThrow(): DerCertificate {
    const root = this.#root;
    if (root === undefined) throw new TypeError('there is no root');
    return root;
  }

  /** What devices can fetch, as it is now. */
  world(isAway: boolean): World {
    return { root: this.#rootOrThrow, rootCrl: this.#ceremonies.bundle().crls.root, issuers: this.#issuers, isAway };
  }

  /** Does what a device asks. */
  async answer(ask: Ask): Promise<Answer> {
    try {
      return { ok: await this.#do(ask) };
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      return { refused: { code: error.code, message: error.message, isPassing: error.kind === 'unavailable' } };
    }
  }

  async #do(ask: Ask): Promise<{ certificate: DerCertificate; issuer: string } | undefined> {
    this.#requests += 1;
    const requestId = `fleet-${this.#requests}`;
    const { access, authority } = this.bed;
    if (ask.op === 'provision') return this.#provision(ask.number, ask.csr);
    const client = await access.identify(ask.certificate, { requestId, what: ask.op });
    // A peer that asks the records of a device's certificate, as `serve` does at each request.
    if (ask.op === 'prove') return undefined;
    const { csr } = ask;
    const { certificate, issuer } = await (ask.op === 'enrol'
      ? authority.enrol({ client, csr, requestId })
      : authority.reenrol({ client, csr, requestId }));
    return { certificate, issuer };
  }

  async #provision(number: number, csr: Uint8Array): Promise<{ certificate: DerCertificate; issuer: string }> {
    const batch = Math.floor((number - 1) / BATCH);
    await this.#opening(batch);
    const { certificate, issuer } = await this.bed.provisioning.provisionUnit({
      ticketId: ticketOf(batch),
      deviceId: deviceIdOf(number),
      csr,
      station: 'station-1',
      operator: 'lin',
      line: 'line-1',
      requestId: `unit-${number}`,
    });
    return { certificate, issuer };
  }

  /** A new key of the operational CA: request, ceremony and import; the server is away for as long as that takes. */
  async rotate(): Promise<void> {
    await this.#between(async () => this.#successor());
  }

  /** The key of the operational CA is compromised: the root revokes it and certifies the next. @returns the revoked one. */
  async compromiseCa(): Promise<DerCertificate> {
    const revoked = this.#certificateOf(this.#current);
    await this.#between(async () => {
      await this.#hold((options) =>
        holdCrl({ ...options, revoke: { ca: this.#current, reason: 'cACompromise' } }, silent),
      );
      await this.#ceremonies.import();
      await this.#successor();
    });
    return revoked;
  }

  /** Revokes all that a device has, and blocks its return. */
  async revoke(device: string): Promise<void> {
    await this.bed.authority.revoke({
      selector: { deviceId: device },
      reason: 'keyCompromise',
      actor: { kind: 'operator', id: 'ada' },
      requestId: `revoke-${device}`,
    });
  }

  /** CRLs that are due, as `serve` looks for them. */
  tick(): Promise<void> {
    return this.bed.authority.tick();
  }

  remove(): Promise<void> {
    return this.bed.remove();
  }

  /** The key of the operational CA that issues, as a ceremony names it. */
  get #current(): string {
    return this.#keys === 1 ? 'operational' : `operational.${this.#keys}`;
  }

  async #successor(): Promise<void> {
    this.#keys += 1;
    const request = await this.#ceremonies.request({ ca: 'operational', key: 'successor' });
    await this.#hold((options) => holdIntermediate({ ...options, request }, silent));
    await this.#ceremonies.import();
  }

  async #hold(hold: (options: ReturnType<LaterCeremonies['options']>) => Promise<unknown>): Promise<void> {
    this.#held += 1;
    const options = this.#ceremonies.options(`later-${this.#held}`);
    await hold(options);
    this.#ceremonies.dirs.push(options.out);
  }

  /** With serve and keyd stopped, and started again after. */
  async #between(act: () => Promise<void>): Promise<void> {
    await this.bed.crash();
    await this.bed.keyd.stop();
    await act();
    await this.bed.keyd.start();
    await this.bed.start();
    await this.#learn();
  }

  async #learn(): Promise<void> {
    const { issuers, certificates } = await this.bed.keyd.client.trust();
    this.#issuers = issuers.map(({ id, certificate, revoked }) => ({ id, certificate, revoked }));
    this.#root = certificates.root;
  }

  #certificateOf(id: string): DerCertificate {
    const found = this.#issuers.find((one) => one.id === id);
    if (found === undefined) throw new TypeError(`no issuer ${id}`);
    return found.certificate;
  }

  #opening(batch: number): Promise<void> {
    const opening = this.#opened.get(batch) ?? this.#open(batch);
    this.#opened.set(batch, opening);
    return opening;
  }

  async #open(batch: number): Promise<void> {
    const ticket = await this.bed.keyd.ticket({
      id: ticketOf(batch),
      quota: BATCH,
      deviceIds: { prefix: 'F-', from: batch * BATCH + 1, to: (batch + 1) * BATCH, width: 7 },
    });
    await this.bed.provisioning.openBatch({
      ticket,
      actor: { kind: 'operator', id: 'ada' },
      requestId: `open-${batch}`,
    });
  }
}

const ticketOf = (batch: number): string => `fleet-${batch}`;
export const deviceIdOf = (number: number): string => `F-${String(number).padStart(7, '0')}`;
