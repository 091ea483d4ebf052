import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, type DerCrl, fromBase64, type Serial, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Commission } from '@keystead/core/lifecycle';
import { type CrlInfo, readCrl } from '@keystead/core/x509';
import { durableWrite } from '../../files/durable.ts';

/** The CAs of headquarters whose CRLs a node goes by: what they certified is believed here. */
export const HEADQUARTERS_CAS = ['root', 'manufacturing', 'server', 'operator'] as const;
export type HeadquartersCa = (typeof HEADQUARTERS_CAS)[number];

/** A CRL may be from a clock that is ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

interface Held {
  readonly der: DerCrl;
  readonly info: CrlInfo;
}

/** How one of these lists stands. */
export interface HeadquartersCrl {
  readonly ca: HeadquartersCa;
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly der: DerCrl;
}

/**
 * What headquarters has revoked, as far as this node has heard: the CRLs of the commission, and newer ones that came
 * since, by whatever way, for each is signed by a CA that the commission names. They are files of keyd's own. A list is
 * never set back, so that a front end cannot make keyd forget a revocation. REQ-KEY-PROV-01, REQ-KEY-REV-03
 */
export class HeadquartersCrls {
  readonly #dir: string;
  readonly #cas: Readonly<Record<HeadquartersCa, DerCertificate>>;
  readonly #lists = new Map<HeadquartersCa, Held>();

  private constructor(dir: string, cas: Readonly<Record<HeadquartersCa, DerCertificate>>) {
    this.#dir = dir;
    this.#cas = cas;
  }

  /**
   * @param dir keyd's own directory; the lists are in `headquarters/`.
   * @param crls those of the commission, DER in base64: which CA each is of, its signature says.
   * @throws KeysteadError `factory.crl-unfit` when there is none of one of the CAs; `bundle.altered` for a file of keyd's
   *   own that is no CRL of its CA any more.
   */
  static open(
    dir: string,
    cas: Readonly<Record<HeadquartersCa, DerCertificate>>,
    crls: Commission['crls'],
  ): HeadquartersCrls {
    const made = new HeadquartersCrls(join(dir, 'headquarters'), cas);
    for (const text of Object.values(crls)) {
      const der = fromBase64(text) as DerCrl;
      const found = made.#readOf(der);
      if (found !== undefined) made.#keepNewer(found.ca, found.held);
    }
    for (const ca of HEADQUARTERS_CAS) {
      const path = made.#path(ca);
      if (existsSync(path)) made.#load(ca, path);
      if (made.#lists.has(ca)) continue;
      throw new KeysteadError('factory.crl-unfit', { field: `crls.${ca}`, seen: 'no full CRL that this CA signed' });
    }
    return made;
  }

  /**
   * Takes a newer list, durably. One that is known already changes nothing.
   * @returns which CA's it is, and whether it is new here.
   * @throws KeysteadError `factory.crl-unfit`; the list that is here stays.
   */
  take(der: DerCrl, now: Date): { readonly ca: HeadquartersCa; readonly fresh: boolean } {
    const found = this.#readOf(der);
    if (found === undefined) throw unfit('crl', 'not a full CRL by a CA of headquarters');
    const { ca, held } = found;
    const before = this.#held(ca).info;
    const { number, thisUpdate, nextUpdate } = held.info;
    if (thisUpdate.getTime() > now.getTime() + CLOCK_SKEW_MS) throw unfit(`${ca}.thisUpdate`, thisUpdate.toISOString());
    if (nextUpdate <= thisUpdate) throw unfit(`${ca}.nextUpdate`, nextUpdate.toISOString());
    if (number === before.number && sameBytes(der, this.#held(ca).der)) return { ca, fresh: false };
    if (number <= before.number || thisUpdate < before.thisUpdate) {
      throw unfit(`${ca}.number`, `${number}, where this node has ${before.number}`);
    }
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    durableWrite(this.#path(ca), der, 0o600);
    this.#lists.set(ca, held);
    return { ca, fresh: true };
  }

  isRevoked(ca: HeadquartersCa, serial: Serial): boolean {
    return this.#held(ca).info.entries.has(serial);
  }

  /** Until when a node may go on by what it has heard. */
  goodUntil(offlineSeconds: number): Date {
    const ends = HEADQUARTERS_CAS.map((ca) => this.#held(ca).info.nextUpdate.getTime());
    return new Date(Math.min(...ends) + offlineSeconds * 1000);
  }

  /** @throws KeysteadError `factory.offline-too-long` with the list that is the oldest. */
  requireFresh(offlineSeconds: number, now: Date): void {
    if (now <= this.goodUntil(offlineSeconds)) return;
    const [oldest] = this.list().sort((a, b) => a.nextUpdate.getTime() - b.nextUpdate.getTime());
    const seen = `CRL ${oldest?.number} of the ${oldest?.ca} CA, which ended at ${oldest?.nextUpdate.toISOString()}; ${offlineSeconds} s more are allowed`;
    throw new KeysteadError('factory.offline-too-long', { field: 'factory.offlineSeconds', seen });
  }

  list(): HeadquartersCrl[] {
    return HEADQUARTERS_CAS.map((ca) => {
      const { der, info } = this.#held(ca);
      return { ca, number: info.number, thisUpdate: info.thisUpdate, nextUpdate: info.nextUpdate, der };
    });
  }

  #path(ca: HeadquartersCa): string {
    return join(this.#dir, `${ca}.crl`);
  }

  #held(ca: HeadquartersCa): Held {
    const held = this.#lists.get(ca);
    if (held === undefined) throw new TypeError(`no CRL of ${ca}`);
    return held;
  }

  #load(ca: HeadquartersCa, path: string): void {
    const der = new Uint8Array(readFileSync(path)) as DerCrl;
    const found = this.#readOf(der);
    if (found === undefined) requireReadable(der, path);
    // A renewal may name another key of the CA: the list of the one before says nothing any more.
    if (found === undefined && this.#lists.has(ca)) return;
    if (found?.ca !== ca) throw new KeysteadError('bundle.altered', { field: path, seen: 'not a CRL of this CA' });
    this.#keepNewer(ca, found.held);
  }

  #keepNewer(ca: HeadquartersCa, held: Held): void {
    const before = this.#lists.get(ca);
    if (before === undefined || before.info.number < held.info.number) this.#lists.set(ca, held);
  }

  /** A full CRL by one of the CAs; undefined for every other: partitions, delta CRLs and lists of others are no use here. */
  #readOf(der: DerCrl): { ca: HeadquartersCa; held: Held } | undefined {
    let info: CrlInfo;
    try {
      info = readCrl(der);
    } catch (error) {
      if (error instanceof KeysteadError) return undefined;
      throw error;
    }
    const ca = HEADQUARTERS_CAS.find((one) => info.verify(this.#cas[one]));
    return ca === undefined ? undefined : { ca, held: { der, info } };
  }
}

/** A file that is no list any more would else be passed over, and what it had revoked forgotten. */
function requireReadable(der: DerCrl, path: string): void {
  try {
    readCrl(der);
  } catch (cause) {
    throw new KeysteadError('bundle.altered', { field: path, seen: 'not a CRL', cause });
  }
}

const unfit = (field: string, seen: string): KeysteadError => new KeysteadError('factory.crl-unfit', { field, seen });
