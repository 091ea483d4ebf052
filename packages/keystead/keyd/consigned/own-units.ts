import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { type ConsignedUnit, MOST_CONSIGNED } from '@keystead/core/lifecycle';
import type { JournalEntry } from '../journal.ts';
import type { JournalPage } from '../read-journal.ts';

/** What the next consignment is made of. */
export interface Gathered {
  readonly from: number;
  readonly to: number;
  readonly units: readonly ConsignedUnit[];
}

/** A certificate of a unit in the journal, and its record where that has followed. */
interface Certified {
  readonly n: number;
  readonly requestId: string;
  readonly unit: Omit<ConsignedUnit, 'recordSha256' | 'keyOrigin'>;
  record?: Pick<ConsignedUnit, 'recordSha256' | 'keyOrigin'>;
}

/** The last consignment that was signed. */
export interface LastConsignment {
  readonly number: number;
  readonly sha256: string;
  readonly to: number;
}

const PAGE = 2000;

/**
 * The units of a factory node, out of the journal of its keyd and nothing else: what is consigned is what was signed. It
 * reads on from where it came to, so that a consignment costs what has happened since the last one. REQ-KEY-PROV-01
 *
 * A certificate whose record is not in the journal is either being made, and the next consignment ends before it; or
 * keyd was stopped in between, and it is consigned without a record: nobody was given it. So each certificate is in
 * exactly one consignment.
 */
export class OwnUnits {
  readonly #read: (from: number, limit: number) => JournalPage;
  readonly #underWay: (requestId: string) => boolean;
  /** Certificates that are in no consignment yet, in the journal's order. */
  #open: Certified[] = [];
  readonly #bySerial = new Map<string, Certified>();
  #next = 0;
  /** The number of the last entry that was read. */
  #seen = 0;
  /** The latest time of an entry, milliseconds since 1970. */
  #time = 0;
  /** From then on the journal may have lost certificates; milliseconds since 1970. */
  #sureUntil = Number.POSITIVE_INFINITY;
  #last: LastConsignment | undefined;

  /**
   * @param read a page of the journal, durable entries only.
   * @param underWay whether an operation for this request is still running.
   */
  constructor(read: (from: number, limit: number) => JournalPage, underWay: (requestId: string) => boolean) {
    this.#read = read;
    this.#underWay = underWay;
  }

  /** The last consignment in the journal; undefined before the first. */
  last(): LastConsignment | undefined {
    this.#readOn();
    return this.#last;
  }

  /** What has happened since the last consignment, at most {@link MOST_CONSIGNED} units; undefined for nothing. */
  gather(): Gathered | undefined {
    // Reading and asking what is under way are one step: a record that is durable by the time its operation ends has
    // been read, or its operation has not ended.
    this.#readOn();
    const waiting = this.#open.findIndex(({ record, requestId }) => record === undefined && this.#underWay(requestId));
    const settled = waiting < 0 ? this.#open : this.#open.slice(0, waiting);
    const taken = settled.slice(0, MOST_CONSIGNED);
    if (taken.length === 0) return undefined;
    const beyond = this.#open[taken.length];
    const to = beyond === undefined ? this.#seen : beyond.n - 1;
    const units = taken.map(({ unit, record }) => ({
      ...unit,
      ...(record ?? { recordSha256: null, keyOrigin: null }),
    }));
    return { from: (this.#last?.to ?? 0) + 1, to, units };
  }

  /**
   * Every certificate that was signed until then is among these units or was consigned before.
   * @param now from here on nothing is dated before it, neither what begins nor what is under way.
   */
  completeUntil({ units }: Gathered, now: Date): Date {
    const first = this.#open
      .slice(units.length)
      .reduce((least, { unit }) => Math.min(least, Date.parse(unit.at)), Math.min(now.getTime(), this.#sureUntil));
    return new Date(Math.max(0, first - 1));
  }

  /** A consignment that was signed before: it is looked for from the beginning, for that is rare. */
  document(number: number): string | null {
    for (let from = 0, end = false; !end; ) {
      const page = this.#read(from, PAGE);
      for (const entry of page.entries) {
        if (entry.kind === 'consignment' && entry.number === number) return entry.document;
      }
      from = page.next;
      end = page.end;
    }
    return null;
  }

  #readOn(): void {
    for (let end = false; !end; ) {
      const page = this.#read(this.#next, PAGE);
      for (const entry of page.entries) this.#take(entry);
      this.#next = page.next;
      end = page.end;
    }
  }

  #take(entry: JournalEntry): void {
    this.#seen = entry.n;
    // What was signed between the last entry that is left and the order to go on may be in no journal any more.
    if (entry.kind === 'recount') this.#sureUntil = Math.min(this.#sureUntil, this.#time);
    this.#time = Math.max(this.#time, Date.parse(entry.time));
    if (entry.kind === 'certificate' && entry.ticket !== undefined) {
      const { n, requestId, subject, serial, spkiSha256, ticket, time } = entry;
      const certified: Certified = {
        n,
        requestId,
        unit: {
          deviceId: subject,
          serial: serial as Serial,
          spkiSha256: spkiSha256 as SpkiSha256,
          ticket: { id: ticket.id, sha256: ticket.sha256 },
          at: time,
        },
      };
      this.#open.push(certified);
      this.#bySerial.set(serial, certified);
    }
    if (entry.kind === 'document' && entry.unit !== undefined) {
      const certified = this.#bySerial.get(entry.unit.serial);
      if (certified !== undefined) certified.record = { recordSha256: entry.sha256, keyOrigin: entry.unit.keyOrigin };
    }
    if (entry.kind === 'consignment') {
      const { number, sha256, to } = entry;
      this.#last = { number, sha256, to };
      for (const one of this.#open) if (one.n <= to) this.#bySerial.delete(one.unit.serial);
      this.#open = this.#open.filter(({ n }) => n > to);
    }
  }
}
