import { type DerCertificate, type Serial, toBase64, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type ConsignedUnit,
  contentsSha256,
  type Parcel,
  parseConsignment,
  type SignedTicket,
  signConsignment,
  signSeal,
} from '@keystead/core/lifecycle';
import { CertificateTemplate, newSerial, readCertificate } from '@keystead/core/x509';
import { IDEVID, issue, newHierarchy, URLS, valuesOf } from '../../../core/x509/tests/profiles.ts';
import { ConsignableUnits, Consigned, type ConsigningFactory, Intake } from '../consigned/index.ts';
import type { JournalDraft, JournalEntry } from '../journal-entry.ts';
import { makeKey, type TestKey } from './bed.ts';

export const NOW = new Date('2026-06-01T12:00:00.000Z');

/** keyd's journal, in memory: what is in it is durable. */
export class MemoryJournal {
  readonly entries: JournalEntry[] = [];
  /** Fails that many writes from now on. */
  failing = 0;
  /** Called while an entry is on its way to the disk. */
  writing: () => void = () => {};

  async append(draft: JournalDraft): Promise<void> {
    // As the real one: others run meanwhile.
    await Promise.resolve();
    this.writing();
    if (this.failing > 0) {
      this.failing -= 1;
      throw new KeysteadError('keyd.journal-failed', { field: 'journal', seen: 'ENOSPC' });
    }
    this.entries.push({ n: this.entries.length + 1, ...draft } as JournalEntry);
  }

  read(from: number, limit: number) {
    const entries = this.entries.slice(from, from + limit);
    return { entries, next: from + entries.length, end: from + entries.length >= this.entries.length };
  }
}

/** A device in a factory: its key stays the same, also when it comes again. */
export interface MadeUnit {
  readonly unit: ConsignedUnit;
  readonly content: Parcel['contents'][number];
}

/** A parcel before its seal. */
export type Packed = Omit<Parcel, 'seal'>;

/** A factory with its sub-CA, and what its node's keyd would have written. */
export class ModelNode {
  readonly name: string;
  readonly journal = new MemoryJournal();
  readonly underWay = new Set<string>();
  readonly evidence: TestKey;
  readonly #ca: Awaited<ReturnType<typeof newHierarchy>>['ca'];
  /** When headquarters closed it. */
  closedAt: Date | undefined;
  readonly contents = new Map<string, NonNullable<Parcel['contents'][number]>>();
  #units = this.#open();

  private constructor(name: string, ca: Awaited<ReturnType<typeof newHierarchy>>['ca'], evidence: TestKey) {
    this.name = name;
    this.#ca = ca;
    this.evidence = evidence;
  }

  static async make(name: string): Promise<ModelNode> {
    const { ca } = await newHierarchy('P-384', 'P-256', NOW);
    return new ModelNode(name, ca, makeKey());
  }

  get known(): ConsigningFactory {
    return {
      name: this.name,
      manufacturing: [readCertificate(this.#ca.certificate)],
      evidence: [this.evidence.spki],
      deviceIdPrefixes: ['KS-'],
      closedAt: this.closedAt,
    };
  }

  #open(): ConsignableUnits {
    return new ConsignableUnits(
      (from, limit) => this.journal.read(from, limit),
      (requestId) => this.underWay.has(requestId),
    );
  }

  /** keyd was killed: what it had under way never ends. */
  crash(): void {
    this.underWay.clear();
    this.#units = this.#open();
  }

  /** The certificate's entry; the record's comes with the answer. */
  async certify(
    deviceId: string,
    ticket: SignedTicket,
    key: TestKey,
    requestId = deviceId,
  ): Promise<() => Promise<void>> {
    const profile = IDEVID;
    const values = valuesOf(profile, { deviceId }, this.#ca.signer, key.spki, NOW);
    const serial = newSerial();
    const template = new CertificateTemplate(profile, { certificate: this.#ca.certificate }, URLS);
    const der: DerCertificate = await issue(template, { ...values, serial }, this.#ca.signer);
    const record = `record: "${deviceId} ${serial}"\n`;
    const time = NOW.toISOString();
    await this.journal.append({
      time,
      kind: 'certificate',
      serial,
      issuer: 'manufacturing',
      profile: 'idevid',
      subject: deviceId,
      spkiSha256: spkiSha256(key.spki),
      notBefore: time,
      notAfter: time,
      requestId,
      ticket: { id: ticket.ticket.id, sha256: ticket.sha256, quota: ticket.ticket.quota },
    });
    return async () => {
      await this.journal.append({
        time,
        kind: 'document',
        document: 'provisioning',
        subject: deviceId,
        sha256: toHex(sha256(Buffer.from(record))),
        requestId,
        unit: { serial, keyOrigin: 'proof-of-possession' },
      });
      const signature = await this.evidence.signer.sign(Buffer.from(record));
      this.contents.set(serial, { certificate: toBase64(der), record, signature: toBase64(signature) });
    };
  }

  async provision(deviceId: string, ticket: SignedTicket, key: TestKey = makeKey()): Promise<void> {
    const finish = await this.certify(deviceId, ticket, key);
    await finish();
  }

  /** The next consignment, as keyd makes it; null when there is nothing. */
  async consign(): Promise<string | null> {
    const last = this.#units.last();
    const gathered = this.#units.gather();
    if (gathered === undefined) return null;
    const number = (last?.number ?? 0) + 1;
    const document = await signConsignment(
      {
        factory: this.name,
        number,
        previousSha256: last?.sha256 ?? null,
        madeAt: NOW.toISOString(),
        journal: { from: gathered.from, to: gathered.to },
        completeUntil: this.#units.completeUntil(gathered, NOW).toISOString(),
        units: [...gathered.units],
        tickets: [],
        counter: { kind: 'none', value: 0 },
        checkpoint: null,
      },
      this.evidence.signer,
    );
    const { sha256: hash } = parseConsignment(document);
    const { from, to } = gathered;
    await this.journal.append({
      time: NOW.toISOString(),
      kind: 'consignment',
      number,
      sha256: hash,
      from,
      to,
      document,
    });
    return document;
  }

  /** What the front end makes of a consignment. */
  parcel(document: string, tickets: readonly string[]): Packed {
    const { units } = parseConsignment(document).content;
    return {
      v: 1,
      consignment: document,
      tickets: [...tickets],
      contents: units.map(({ serial, recordSha256 }) =>
        recordSha256 === null ? null : (this.contents.get(serial) ?? null),
      ),
    };
  }

  /** As keyd seals what the front end has packed. */
  async seal(packed: Packed): Promise<Parcel> {
    const { content, sha256: consignmentSha256 } = parseConsignment(packed.consignment);
    const about = { factory: this.name, number: content.number, consignmentSha256 };
    const seal = await signSeal({ ...about, contentsSha256: contentsSha256(packed) }, this.evidence.signer);
    return { ...packed, seal };
  }

  /** Every certificate in its journal, by serial number. */
  certified(): string[] {
    return this.journal.entries.flatMap((entry) => (entry.kind === 'certificate' ? [entry.serial] : []));
  }
}

/** Headquarters' keyd. */
export class ModelHeadquarters {
  readonly journal = new MemoryJournal();
  readonly evidence = makeKey();
  readonly #factories: ReadonlyMap<string, ModelNode>;
  readonly #tickets: ReadonlyMap<string, SignedTicket>;
  /** What is found in certificates that are not as the profile says, by serial number. */
  readonly faults = new Map<string, string>();
  /** What headquarters provisioned itself: device id to key. */
  readonly own = new Map<string, string>();
  consigned = this.#replayed();
  #intake = this.#open();

  constructor(nodes: readonly ModelNode[], tickets: ReadonlyMap<string, SignedTicket>) {
    this.#factories = new Map(nodes.map((node) => [node.name, node]));
    this.#tickets = tickets;
  }

  #replayed(): Consigned {
    const consigned = new Consigned({
      unitOf: (deviceId) => {
        const key = this.own.get(deviceId);
        return key === undefined ? undefined : { ticketId: 'own', spkiSha256: key };
      },
      ownerOf: (key) => [...this.own].find(([, owned]) => owned === key)?.[0],
    });
    for (const entry of this.journal.entries) consigned.replay(entry);
    return consigned;
  }

  #open(): Intake {
    return new Intake({
      consigned: this.consigned,
      factoryOf: (name) => this.#factories.get(name)?.known,
      ticket: (text) => {
        const ticket = this.#tickets.get(text);
        if (ticket === undefined) throw new KeysteadError('ticket.signature-invalid', { field: 'signature' });
        return ticket;
      },
      checkKey: () => {},
      profileFault: (content) => this.faults.get(content.serial),
      append: (draft) => this.journal.append(draft),
      signer: this.evidence.signer,
    });
  }

  /** kill -9: what is not in the journal is forgotten. */
  crash(): void {
    this.consigned = this.#replayed();
    this.#intake = this.#open();
  }

  /** @param packed with its seal; without one it gets that of its factory. */
  async take(packed: Packed | Parcel, seen: Parameters<Intake['take']>[0]['seen'] = []): ReturnType<Intake['take']> {
    const node = this.#factories.get(parseConsignment(packed.consignment).content.factory);
    const parcel = 'seal' in packed ? packed : ((await node?.seal(packed)) ?? { ...packed, seal: 'none' });
    return this.#intake.take({ parcel, seen, requestId: 'exchange', now: NOW });
  }

  /** Every certificate that was taken in, by the journal, in its order. */
  taken(): {
    factory: string;
    serial: Serial;
    deviceId: string;
    spkiSha256: string;
    conflicts: readonly { conflict: string }[];
  }[] {
    return this.journal.entries.flatMap((entry) =>
      entry.kind !== 'taken'
        ? []
        : entry.units.map(({ serial, deviceId, spkiSha256: key, conflicts = [] }) => ({
            factory: entry.factory,
            serial: serial as Serial,
            deviceId,
            spkiSha256: key,
            conflicts,
          })),
    );
  }
}
