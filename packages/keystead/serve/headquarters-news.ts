import { existsSync, readFileSync } from 'node:fs';
import { type DerCrl, type DerSpki, fromBase64, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { MOST_TICKETS_KNOWN, parseTicket, verifyCommission } from '@keystead/core/lifecycle';
import type { Logger } from 'pino';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { NewsView } from '../protocols/rest/reconciliation.ts';
import type { Rooms } from './rooms.ts';

/** Half a minute to a minute: a hundred factories do not ask in one moment. */
const EVERY_MS = 30_000;
const FIRST_MS = 300;
/** The most answers that are asked for in a row. */
const IN_A_ROW = 32;
/** Refusals of a ticket that pass by themselves. */
const PASSING: ReadonlySet<string> = new Set(['ticket.not-yet-valid', 'clock.went-back']);
const SYSTEM = { kind: 'system', id: 'headquarters' } as const;

export interface NewsParts {
  readonly rooms: Pick<Rooms, 'policies' | 'provisioning' | 'store' | 'clock'>;
  readonly keyd: Pick<KeydClient, 'signHello' | 'takeCrls' | 'status'>;
  readonly factory: string;
  /** Signs commissions at headquarters. */
  readonly evidence: DerSpki;
  readonly layout: Pick<Layout, 'waitingCommission'>;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Puts the question to headquarters. */
  readonly ask: (body: { hello: string; have: readonly string[] }) => Promise<NewsView>;
}

/** What came of asking once. */
export interface Heard {
  readonly tickets: readonly string[];
  readonly policyVersions: readonly number[];
  readonly crls: readonly string[];
  /** The number of a commission that waits to be imported. */
  readonly commission: number | undefined;
}

/**
 * At a factory node: asks headquarters for what waits, and takes each thing by the way on which people would bring it, for
 * it is signed by them and not by the link: policies first, since tickets are judged by them, then CRLs, then tickets. A
 * later commission is kept for the import, for which keyd must not run. REQ-KEY-PROV-01
 */
export class HeadquartersNews {
  readonly #parts: NewsParts;
  /** Tickets that this node does not take: asked for again after a start or another policy. */
  readonly #refused = new Set<string>();
  /** Policies that keyd did not take: to try them each minute would fill the log with refusals. */
  readonly #refusedPolicies = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #ended = false;
  #told = '';

  constructor(parts: NewsParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#next(FIRST_MS);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Asks until nothing more waits. @throws KeysteadError of the link or of keyd; what was taken before is taken. */
  async once(): Promise<Heard> {
    const { keyd, factory, ask } = this.#parts;
    const heard = { tickets: [] as string[], policyVersions: [] as number[], crls: [] as string[] };
    let commission: number | undefined;
    for (let asked = 0; asked < IN_A_ROW; asked += 1) {
      const requestId = toHex(randomBytes(8));
      const { document } = await keyd.signHello({ requestId });
      const news = await ask({ hello: document, have: this.#have() });
      if (news.factory !== factory)
        throw new KeysteadError('service.bad-answer', { field: 'factory', seen: news.factory });
      const before = heard.tickets.length + heard.policyVersions.length + this.#refused.size;
      if (news.policy !== null) {
        const version = await this.#policy(news.policy, requestId);
        if (version !== undefined) heard.policyVersions.push(version);
      }
      for (const crl of news.crls) {
        const taken = await this.#taken('CRL', () => keyd.takeCrls({ crls: [fromBase64(crl) as DerCrl] }));
        heard.crls.push(...(taken?.fresh ?? []));
      }
      for (const ticket of news.tickets) {
        const id = await this.#ticket(ticket, requestId);
        if (id !== undefined) heard.tickets.push(id);
      }
      if (news.commission !== null) commission = await this.#taken('commission', () => this.#keep(news.commission));
      const gone = heard.tickets.length + heard.policyVersions.length + this.#refused.size;
      if (!news.more || gone === before) break;
    }
    return { ...heard, commission };
  }

  /** What was asked for before is not asked for again. */
  #have(): string[] {
    const { store, clock } = this.#parts.rooms;
    const known = store.read((records) => records.ticketsInForce(clock.now().getTime(), '', MOST_TICKETS_KNOWN));
    return [...new Set([...known.map(({ ticketId }) => ticketId), ...this.#refused])].slice(0, MOST_TICKETS_KNOWN);
  }

  async #policy(
    { policy, approvals }: NonNullable<NewsView['policy']>,
    requestId: string,
  ): Promise<number | undefined> {
    const key = toHex(sha256(Buffer.from(`${policy}\n${approvals}`, 'utf8')));
    if (this.#refusedPolicies.has(key)) return undefined;
    const order = { policy: Buffer.from(policy, 'utf8'), approvals, actor: SYSTEM, requestId };
    const version = await this.#taken('policy', async () => (await this.#parts.rooms.policies.apply(order)).version);
    if (version === undefined) this.#refusedPolicies.add(key);
    // A ticket is judged by the policy in force.
    else this.#refused.clear();
    return version;
  }

  async #ticket(ticket: string, requestId: string): Promise<string | undefined> {
    const { rooms, factory } = this.#parts;
    let id: string | undefined;
    try {
      const { ticket: content } = parseTicket(ticket);
      id = content.id;
      if (content.factory !== factory) throw foreign('ticket', content.factory);
      const { repeated } = await rooms.provisioning.openBatch({ ticket, actor: SYSTEM, requestId });
      return repeated ? undefined : id;
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      if (PASSING.has(error.code)) return undefined;
      this.#parts.log.error({ ticket: id, err: error }, 'a ticket from headquarters is not taken; the others are');
      if (id !== undefined) this.#refused.add(id);
      return undefined;
    }
  }

  /** A refusal of one thing holds up none of the others; no service does. */
  async #taken<T>(what: string, take: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await take();
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
      this.#parts.log.error({ what, err: error }, `a ${what} from headquarters is not taken`);
      return undefined;
    }
  }

  /** @returns its number. @throws KeysteadError `factory.*`; the import verifies all the rest. */
  #keep(text: string | null): number {
    const { layout, evidence, factory } = this.#parts;
    const { content } = verifyCommission(text ?? '', evidence);
    if (content.factory !== factory) throw foreign('commission', content.factory);
    const path = layout.waitingCommission;
    if (!existsSync(path) || readFileSync(path, 'utf8') !== text) durableWrite(path, text ?? '', 0o644);
    return content.number;
  }

  #next(pause: number): void {
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#run().finally(() => {
        const [chance = 0] = randomBytes(1);
        this.#next(EVERY_MS * (1 + chance / 255));
      });
    }, pause);
  }

  async #run(): Promise<void> {
    const { log, layout } = this.#parts;
    let told: string;
    try {
      const heard = await this.once();
      if (heard.tickets.length + heard.policyVersions.length + heard.crls.length > 0)
        log.info({ ...heard }, 'headquarters has sent what waited for this node');
      told = heard.commission === undefined ? '' : `commission ${heard.commission}`;
      if (told !== this.#told && told !== '') {
        const remedy = `stop keyd, then: keystead factory import ${layout.waitingCommission}`;
        log.warn({ commission: heard.commission, remedy }, 'a later commission waits to be imported');
      }
    } catch (error) {
      // Once for each change: a link that is down for a day is not news every minute.
      told = error instanceof Error ? error.message : String(error);
      if (told !== this.#told) log.warn({ err: error }, 'headquarters could not be asked; it is tried again');
    }
    this.#told = told;
  }
}

const foreign = (field: string, seen: string): KeysteadError =>
  new KeysteadError('factory.commission-foreign', { field, seen: `one for ${seen}` });
