import { type EnrolAnswer, type EnrolmentClient, EstRefusal } from '@keystead/agent';
import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import type { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { Tally } from './tally.ts';
import type { Answer, Ask, World } from './wire.ts';

type Issued = { readonly certificate: DerCertificate; readonly issuer: string };

/** Answers that devices get in one turn of the event loop. */
const DELIVERED_TOGETHER = 4;

/** The server as the devices of one shard see it. Requests of one turn of the event loop travel together. */
export class ServerLink {
  readonly clock: SimulatedClock;
  readonly #tally: Tally;
  readonly #send: (asks: { ask: Ask; id: number }[]) => void;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #answers: { to: number; answer: Answer }[] = [];
  #isDelivering = false;
  #asks: { ask: Ask; id: number }[] = [];
  #last = 0;
  world: World;

  constructor(v: {
    clock: SimulatedClock;
    tally: Tally;
    world: World;
    send: (asks: { ask: Ask; id: number }[]) => void;
  }) {
    this.clock = v.clock;
    this.#tally = v.tally;
    this.world = v.world;
    this.#send = v.send;
  }

  get root(): DerCertificate {
    return this.world.root;
  }

  /** The IDevID of the unit of this number, with its chain. */
  async provision(number: number, csr: Uint8Array): Promise<{ certificate: DerCertificate; chain: DerCertificate[] }> {
    const { certificate, issuer } = issuedOf(await this.#ask({ op: 'provision', number, csr }));
    return { certificate, chain: [this.#certificateOf(issuer)] };
  }

  /** What a device speaks to. `isOnline` is asked at each request. */
  clientOf(isOnline: () => boolean): EnrolmentClient {
    return {
      enrol: ({ certificate }, csr) => this.#enrol(isOnline, { op: 'enrol', certificate, csr }),
      reenrol: ({ certificate }, csr) => this.#enrol(isOnline, { op: 'reenrol', certificate, csr }),
      caCertificates: async () => {
        this.#requireReachable(isOnline);
        return this.world.issuers.filter(({ revoked }) => !revoked).map(({ certificate }) => certificate);
      },
    };
  }

  /** A peer that asks the records of a device's certificate, as `serve` does at each request. @throws KeysteadError */
  async accepts(certificate: DerCertificate, isOnline: () => boolean): Promise<void> {
    this.#requireReachable(isOnline);
    const answer = await this.#ask({ op: 'prove', certificate });
    if ('refused' in answer) throw new KeysteadError(answer.refused.code, { seen: answer.refused.message });
  }

  /** The newest list of the root, as it is fetched. */
  rootCrl(isOnline: () => boolean): DerCrl {
    this.#requireReachable(isOnline);
    return this.world.rootCrl;
  }

  /**
   * Takes answers that have come: a few in one turn of the event loop, so that what their devices ask next is on its way
   * while the others still work. All at once the two threads would wait for each other in turns.
   */
  answered(answers: readonly { to: number; answer: Answer }[]): void {
    const isIdle = this.#answers.length === 0 && !this.#isDelivering;
    this.#answers.push(...answers);
    if (isIdle) this.#deliver();
  }

  #deliver(): void {
    for (const { to, answer } of this.#answers.splice(0, DELIVERED_TOGETHER)) {
      this.#waiting.get(to)?.(answer);
      this.#waiting.delete(to);
    }
    this.#isDelivering = this.#answers.length > 0;
    if (this.#isDelivering) setImmediate(() => this.#deliver());
  }

  async #enrol(isOnline: () => boolean, ask: Extract<Ask, { op: 'enrol' | 'reenrol' }>): Promise<EnrolAnswer> {
    this.#requireReachable(isOnline);
    const { traffic } = this.#tally.counts;
    traffic.requests += 1;
    traffic.requestBytes += ask.csr.length;
    const answer = await this.#ask(ask);
    if ('refused' in answer) {
      const { code, message, isPassing } = answer.refused;
      this.#tally.refused(code);
      throw new EstRefusal('enrol', isPassing ? 503 : 403, Buffer.from(JSON.stringify({ error: { code, message } })));
    }
    const { certificate, issuer } = issuedOf(answer);
    const certificates = [certificate, this.#certificateOf(issuer)];
    traffic.answerBytes += certificates.reduce((sum, { length }) => sum + length, 0);
    return { status: 'issued', certificates };
  }

  #ask(ask: Ask): Promise<Answer> {
    this.#last += 1;
    const id = this.#last;
    if (this.#asks.length === 0) setImmediate(() => this.#send(this.#asks.splice(0)));
    this.#asks.push({ ask, id });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  #requireReachable(isOnline: () => boolean): void {
    if (this.world.isAway || !isOnline()) throw new KeysteadError('est.unreachable', { field: 'the server' });
  }

  #certificateOf(id: string): DerCertificate {
    const found = this.world.issuers.find((one) => one.id === id);
    if (found === undefined) throw new TypeError(`no issuer ${id}`);
    return found.certificate;
  }
}

function issuedOf(answer: Answer): Issued {
  if ('refused' in answer) throw new KeysteadError(answer.refused.code, { seen: answer.refused.message });
  if (answer.ok === undefined) throw new TypeError('an answer without a certificate');
  return answer.ok;
}
