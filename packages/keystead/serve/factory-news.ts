import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64 } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { type FactoryHello, parseTicket, verifyHello } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import type { KeydClient } from '../keyd-client/index.ts';
import type { NewsView } from '../protocols/rest/reconciliation.ts';
import type { Store } from '../store/index.ts';
import { type FactoryRecords, HEADQUARTERS_LISTS, MOST_CRL_BYTES } from './factory-records.ts';

/** The most tickets of one answer: each is at most 64 KiB, and almost always 2. */
const TICKETS_AT_ONCE = 16;
const PAGE = 200;

export interface FactoryNewsDeps {
  readonly store: Store;
  readonly keyd: Pick<KeydClient, 'policyUpdate'>;
  readonly factories: Pick<FactoryRecords, 'one' | 'commission'>;
  readonly clock: Clock;
  readonly layout: Layout;
}

/**
 * At headquarters: what waits for a factory node. Everything is signed by whom the node believes, so nothing here is
 * trusted by it; but tickets and policies name people and plans, and are told to nobody but the factory. REQ-KEY-PROV-01
 */
export class FactoryNews {
  readonly #deps: FactoryNewsDeps;

  constructor(deps: FactoryNewsDeps) {
    this.#deps = deps;
  }

  /**
   * @param hello what the node's keyd says of itself, see `signHello`.
   * @param have the ids of tickets that the node wants no more.
   * @throws KeysteadError `factory.unknown`, `factory.document-malformed`, `factory.signature-invalid`,
   *   `factory.hello-not-now`; of keyd.
   */
  async for(name: string, hello: string, have: readonly string[]): Promise<NewsView> {
    const { factories, clock } = this.#deps;
    const { acts } = factories.one(name);
    const evidence = acts.map(({ certified }) => readCertificate(certified.evidence.certificate).spki);
    const now = clock.now();
    const said = verifyHello(hello, { name, evidence }, now);
    const policy = await this.#policy(said);
    const tickets = this.#tickets(name, new Set(have), now);
    const last = acts.at(-1)?.number ?? 0;
    return {
      factory: name,
      policy,
      crls: this.#crls(said),
      tickets: tickets.slice(0, TICKETS_AT_ONCE),
      commission: last > said.commission ? await factories.commission(name, last) : null,
      more: tickets.length > TICKETS_AT_ONCE || policy !== null,
    };
  }

  /** The one after the node's: each is judged by the one before. */
  async #policy({ policyVersion }: FactoryHello): Promise<NewsView['policy']> {
    const { update } = await this.#deps.keyd.policyUpdate({ version: policyVersion + 1 });
    if (update === null) return null;
    return { policy: Buffer.from(update.policy).toString('utf8'), approvals: update.approvals };
  }

  /** Those that are newer than what the node has. One that is longer the node fetches where all fetch it. */
  #crls({ crls }: FactoryHello): string[] {
    return HEADQUARTERS_LISTS.flatMap((ca) => {
      const path = join(this.#deps.layout.crl, `${ca}.crl`);
      if (!existsSync(path)) return [];
      const der = new Uint8Array(readFileSync(path)) as Parameters<typeof readCrl>[0];
      return der.length <= MOST_CRL_BYTES && readCrl(der).number > crls[ca] ? [toBase64(der)] : [];
    });
  }

  /** The next of this factory's that are in force; one more than are told, where there are more. */
  #tickets(name: string, have: ReadonlySet<string>, now: Date): string[] {
    return this.#deps.store.read((records) => {
      const found: string[] = [];
      for (let after = ''; found.length <= TICKETS_AT_ONCE; ) {
        const page = records.ticketsInForce(now.getTime(), after, PAGE);
        for (const { ticketId, text } of page) if (!have.has(ticketId) && isFor(text, name)) found.push(text);
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) break;
        after = last.ticketId;
      }
      return found;
    });
  }
}

function isFor(text: string, name: string): boolean {
  try {
    return parseTicket(text).ticket.factory === name;
  } catch (error) {
    if (error instanceof KeysteadError) return false;
    throw error;
  }
}
