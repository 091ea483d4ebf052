import { setImmediate as turn } from 'node:timers/promises';
import type { Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Consignment,
  contentsSha256,
  type EvidenceDocument,
  type Parcel,
  parseConsignment,
  parseReceipt,
  type SignedTicket,
  signReceipt,
  type UnitConflict,
  verifyConsignment,
  verifySeal,
} from '@keystead/core/lifecycle';
import type { JournalDraft } from '../journal-entry.ts';
import type { Consigned } from './consigned.ts';
import type { TakenUnit } from './entries.ts';
import { CLOCK_SKEW_MS, judgeUnit } from './judgement.ts';
import { type ConsigningFactory, verifyContent } from './proof.ts';

/** What the intake works with. */
export interface IntakeDeps {
  readonly consigned: Consigned;
  factoryOf(name: string): ConsigningFactory | undefined;
  /** A ticket whose quorum is verified, by the policy in force or one before. @throws KeysteadError `ticket.*` */
  ticket(text: string): SignedTicket;
  /** @throws KeysteadError `key.*` for a key that no IDevID may have. */
  checkKey(content: ReturnType<typeof verifyContent>): void;
  /** What the certificate of a unit has that no profile gives it; undefined where there is nothing. */
  profileFault(
    content: ReturnType<typeof verifyContent>,
    deviceId: string,
    factory: ConsigningFactory,
  ): string | undefined;
  /** Resolves when the entry is durable. */
  append(draft: JournalDraft): Promise<void>;
  readonly signer: Pick<Signer, 'sign'>;
}

/** A parcel at headquarters. */
export interface Arrival {
  readonly parcel: Parcel;
  /** What the records of headquarters have against its units, by their place: they know keys that are no IDevID's. */
  readonly seen: readonly ({ readonly index: number } & UnitConflict)[];
  readonly requestId: string;
  readonly now: Date;
}

export interface Intaken {
  readonly factory: string;
  readonly number: number;
  readonly sha256: string;
  /** The file of the receipt. */
  readonly receipt: string;
  /** Whether it had been taken before. */
  readonly repeated: boolean;
  /** Numbers of this factory below the highest that have not come. */
  readonly missing: readonly number[];
}

/** Signatures are verified for so many units between two turns of the event loop. */
const UNITS_A_TURN = 16;
/** What a conflict says of the other side, characters: the form of receipts has no more. */
const MOST_SAID = 160;

/**
 * Takes consignments of factories in, one at a time: what proves itself is judged, decided about, and durable in one
 * entry of the journal before the receipt is given out. The same consignment again has the same receipt. A consignment
 * that contradicts the history of its factory stops that factory. REQ-KEY-PROV-01, REQ-KEY-PROV-03, REQ-KEY-AUD-01
 */
export class Intake {
  readonly #deps: IntakeDeps;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  /**
   * @throws KeysteadError `factory.document-malformed`, `factory.signature-invalid`, `consignment.*`,
   *   `keyd.journal-failed`; nothing is taken then.
   */
  take(arrival: Arrival): Promise<Intaken> {
    const work = this.#last.then(() => this.#take(arrival));
    this.#last = work.catch(() => {});
    return work;
  }

  async #take(arrival: Arrival): Promise<Intaken> {
    const { consigned, factoryOf } = this.#deps;
    const { parcel, requestId, now } = arrival;
    const { factory: name } = parseConsignment(parcel.consignment).content;
    const factory = factoryOf(name);
    if (factory === undefined) throw new KeysteadError('consignment.factory-unknown', { field: 'factory', seen: name });
    const document = verifyByAny(parcel.consignment, factory);
    const { content, sha256 } = document;
    const packed = { factory: name, number: content.number, consignmentSha256: sha256 };
    verifySeal(parcel.seal, factory.evidence, { ...packed, contentsSha256: contentsSha256(parcel) });
    const known = consigned.histories.receipt(name, sha256);
    // What came before is looked at again: what is recorded of it must prove itself each time.
    const infos = await this.#proven(content, parcel, factory);
    const told = { factory: name, number: content.number, sha256 };
    if (known !== undefined) {
      return { ...told, receipt: known, repeated: true, missing: consigned.histories.missing(name) };
    }
    await this.#requireOneHistory(document, requestId, now);
    const judged = this.#judge(content, infos, factory, arrival);
    const units = judged.map(({ taken }) => taken);
    try {
      const receipt = await this.#receiptFor(document, units, now);
      const { number, previousSha256 } = content;
      const entry = {
        ...{ time: now.toISOString(), factory: name, number, sha256, previousSha256, units },
        ...completeUntil(content, now),
        ...{ receipt, requestId },
      };
      await this.#deps.append({ kind: 'taken', ...entry });
      for (const { held } of judged) held.settle();
      consigned.histories.take(entry);
      return { ...told, receipt, repeated: false, missing: consigned.histories.missing(name) };
    } catch (error) {
      for (const { held } of judged.reverse()) held.undo();
      throw error;
    }
  }

  #receiptFor(
    { content: { factory, number }, sha256 }: EvidenceDocument<Consignment>,
    units: readonly TakenUnit[],
    now: Date,
  ): Promise<string> {
    return signReceipt(
      {
        factory,
        number,
        consignmentSha256: sha256,
        takenAt: now.toISOString(),
        taken: units.filter((unit) => unit.void !== true && unit.conflicts === undefined).length,
        void: units.filter((unit) => unit.void === true && unit.conflicts === undefined).map(named),
        quarantined: units.flatMap((unit) =>
          unit.conflicts === undefined ? [] : [{ ...named(unit), conflicts: [...unit.conflicts] }],
        ),
      },
      this.#deps.signer,
    );
  }

  /** What each unit's certificate says; undefined for one that nobody was given. */
  async #proven(content: Consignment, parcel: Parcel, factory: ConsigningFactory) {
    if (parcel.contents.length !== content.units.length) {
      const seen = `${parcel.contents.length} for ${content.units.length} units`;
      throw new KeysteadError('consignment.malformed', { field: 'contents', seen });
    }
    const infos: (ReturnType<typeof verifyContent> | undefined)[] = [];
    for (const [index, unit] of content.units.entries()) {
      const given = parcel.contents[index] ?? null;
      if (given !== null && unit.recordSha256 === null) {
        const seen = `${unit.deviceId}: a certificate that keyd made no record of`;
        throw new KeysteadError('consignment.unit-differs', { field: `contents[${index}]`, seen });
      }
      infos.push(given === null ? undefined : verifyContent(unit, given, factory, `contents[${index}]`));
      if (index % UNITS_A_TURN === UNITS_A_TURN - 1) await turn();
    }
    return infos;
  }

  /** @throws KeysteadError `consignment.stopped`, `consignment.forked`, `consignment.too-far`. */
  async #requireOneHistory(
    { content, sha256 }: EvidenceDocument<Consignment>,
    requestId: string,
    now: Date,
  ): Promise<void> {
    const { consigned, append } = this.#deps;
    const { factory, number, previousSha256 } = content;
    const fork = consigned.histories.fork(factory);
    if (fork !== undefined) {
      const seen = `${factory}: number ${fork.number} is ${fork.sha256} beside ${fork.known.sha256}`;
      throw new KeysteadError('consignment.stopped', { field: 'factory', seen });
    }
    const first = number === 1;
    if (first !== (previousSha256 === null)) {
      const seen = first ? 'a first consignment after another' : 'no consignment before, where there must be one';
      throw new KeysteadError('factory.document-malformed', { field: 'previousSha256', seen });
    }
    const known = consigned.histories.contradicted(factory, { number, sha256, previousSha256 });
    if (known === undefined) return;
    const stop = {
      ...{ time: now.toISOString(), factory, number, sha256 },
      known: { number: known.number, sha256: known.sha256 },
    };
    await append({ kind: 'forked', ...stop, requestId });
    consigned.histories.stop(stop);
    const seen = `${factory}: number ${number} is ${sha256}, against number ${known.number}, ${known.sha256}`;
    throw new KeysteadError('consignment.forked', { field: 'number', seen });
  }

  /**
   * Decides about the units, in their order, each with those before it known: one step, in which nothing else happens.
   * None is believed before the entry is durable.
   */
  #judge(
    content: Consignment,
    infos: readonly (ReturnType<typeof verifyContent> | undefined)[],
    factory: ConsigningFactory,
    { parcel, seen, now }: Arrival,
  ) {
    const { consigned } = this.#deps;
    const tickets = this.#tickets(parcel);
    return content.units.map((unit, index) => {
      const info = infos[index];
      const facts = {
        ticket: tickets.get(`${unit.ticket.id} ${unit.ticket.sha256}`),
        keyRefused: info === undefined ? undefined : this.#keyRefused(info),
        certificateDiffers: info && this.#deps.profileFault(info, unit.deviceId, factory)?.slice(0, MOST_SAID),
        seen: seen.filter((one) => one.index === index).map(({ conflict, with: other }) => ({ conflict, with: other })),
        now,
      };
      const taken = judgeUnit(unit, info === undefined, factory, consigned.units, facts);
      return { taken, held: consigned.units.hold(factory.name, taken) };
    });
  }

  #keyRefused(info: ReturnType<typeof verifyContent>): string | undefined {
    try {
      this.#deps.checkKey(info);
      return undefined;
    } catch (error) {
      if (error instanceof KeysteadError) return `${error.code} ${error.seen ?? ''}`.trim().slice(0, MOST_SAID);
      throw error;
    }
  }

  /** By id and hash. One that no quorum signed is not there. */
  #tickets({ tickets }: Parcel): Map<string, SignedTicket> {
    const verified = new Map<string, SignedTicket>();
    for (const text of tickets) {
      try {
        const signed = this.#deps.ticket(text);
        verified.set(`${signed.ticket.id} ${signed.sha256}`, signed);
      } catch (error) {
        if (!(error instanceof KeysteadError)) throw error;
      }
    }
    return verified;
  }
}

/** What the node says of its certificates, and of none that is still to come. */
function completeUntil({ completeUntil: said }: Consignment, now: Date): { completeUntil?: string } {
  if (said === undefined) return {};
  return { completeUntil: new Date(Math.min(Date.parse(said), now.getTime() + CLOCK_SKEW_MS)).toISOString() };
}

const named = ({ deviceId, serial }: TakenUnit) => ({ deviceId, serial: serial as never });

/** @throws KeysteadError `factory.signature-invalid`. */
function verifyByAny(text: string, { evidence, name }: ConsigningFactory): EvidenceDocument<Consignment> {
  for (const spki of evidence) {
    try {
      return verifyConsignment(text, spki);
    } catch (error) {
      if (!(error instanceof KeysteadError) || error.code !== 'factory.signature-invalid') throw error;
    }
  }
  throw new KeysteadError('factory.signature-invalid', { field: 'signature', seen: `not one of ${name}` });
}

/** The units that a receipt puts into quarantine, by serial number. */
export const quarantinedBy = (receipt: string): ReadonlyMap<string, readonly UnitConflict[]> =>
  new Map(parseReceipt(receipt).content.quarantined.map(({ serial, conflicts }) => [serial, conflicts]));
