import { setTimeout as pause } from 'node:timers/promises';
import { toBase64, toPem } from '@keystead/core/bytes';
import type { AcknowledgedFile } from './acknowledged.ts';
import { type Answer, certificateOf, type Identity, unitCertificate } from './https.ts';
import { newKey, type Rig } from './rig.ts';

/** How often a client of {@link Lives} did what. */
export interface Tally {
  units: number;
  enrolled: number;
  renewed: number;
  repeated: number;
  refusedByQuota: number;
  /** Requests that had no answer or a 503, and were made again. */
  again: number;
  wrong: string[];
}

/** The longest that a client waits before it asks again. */
const AGAIN_MS = 120;
const RENEWALS = 3;

/**
 * Devices that are born, enrol and renew one after another while the services are being killed. A client asks with
 * the very same request until it has an answer, notes what it was given, and now and then asks once more.
 */
export class Lives {
  readonly tally: Tally = { units: 0, enrolled: 0, renewed: 0, repeated: 0, refusedByQuota: 0, again: 0, wrong: [] };
  readonly #rig: Rig;
  readonly #acknowledged: AcknowledgedFile;
  readonly #next: () => Promise<{ ticket: string; device: string }>;
  #stopping = false;

  constructor(rig: Rig, acknowledged: AcknowledgedFile, next: () => Promise<{ ticket: string; device: string }>) {
    this.#rig = rig;
    this.#acknowledged = acknowledged;
    this.#next = next;
  }

  /** Runs `clients` of them until {@link stop}; resolves when each has finished the life that it was in. */
  async run(clients: number): Promise<void> {
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (!this.#stopping) await this.#live(await this.#next());
      }),
    );
  }

  stop(): void {
    this.#stopping = true;
  }

  async #live({ ticket, device }: { ticket: string; device: string }): Promise<void> {
    const born = await newKey(device);
    const unit = await this.#until(() => this.#rig.unit(ticket, device, born.csr));
    if (unit.status === 409 || unit.status === 403) {
      if (!unit.text.includes('ticket.quota')) this.#wrong('unit', device, unit);
      this.tally.refusedByQuota += 1;
      return;
    }
    if (unit.status !== 200) return this.#wrong('unit', device, unit);
    const certificate = unitCertificate(unit);
    this.#acknowledged.note({ device, profile: 'idevid', certificate: toBase64(certificate) });
    this.tally.units += 1;
    // A station that lost power comes again with the same key and another request for it.
    const once = await this.#until(() => this.#rig.unit(ticket, device, born.csr));
    if (once.status !== 200 || JSON.parse(once.text).record !== JSON.parse(unit.text).record) {
      this.#wrong('unit again', device, once);
    }
    this.tally.repeated += 1;
    let shown: Identity = { key: born.key, cert: toPem('CERTIFICATE', certificate) };
    let operation: 'simpleenroll' | 'simplereenroll' = 'simpleenroll';
    for (let round = 0; round <= RENEWALS; round += 1) {
      const identity = await this.#certified(device, operation, shown);
      if (identity === undefined) return;
      shown = identity;
      if (operation === 'simpleenroll') this.tally.enrolled += 1;
      else this.tally.renewed += 1;
      operation = 'simplereenroll';
    }
  }

  async #certified(
    device: string,
    operation: 'simpleenroll' | 'simplereenroll',
    shown: Identity,
  ): Promise<Identity | undefined> {
    const { key, csr } = await newKey(device);
    const answer = await this.#until(() => this.#rig.est(operation, shown, csr));
    if (answer.status !== 200) {
      this.#wrong(operation, device, answer);
      return undefined;
    }
    const certificate = certificateOf(answer);
    this.#acknowledged.note({ device, profile: 'ldevid', certificate: toBase64(certificate) });
    const again = await this.#until(() => this.#rig.est(operation, shown, csr));
    if (again.status !== 200 || again.text !== answer.text) this.#wrong(`${operation} again`, device, again);
    this.tally.repeated += 1;
    return { key, cert: toPem('CERTIFICATE', certificate) };
  }

  /** Asks until something answers that is not "unavailable now". */
  async #until(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined && answer.status !== 503) return answer;
      if (answer !== undefined && answer.headers['retry-after'] === undefined) return answer;
      this.tally.again += 1;
      await pause(AGAIN_MS);
    }
  }

  #wrong(what: string, device: string, answer: Answer): void {
    this.tally.wrong.push(`${what} of ${device}: ${answer.status} ${answer.text.slice(0, 300)}`);
  }
}
