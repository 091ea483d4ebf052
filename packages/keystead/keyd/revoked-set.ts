import { type Serial, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { CRL_REASONS, type CrlReason, type EntryOctets, type RevocationReason, reasonOf } from '@keystead/core/x509';

/** RFC 5280 section 4.1.2.2. */
const OCTETS = 20;
/**
 * serial number, when it was revoked, number of the first CRL that lists it, reason with {@link LISTED}, when it was listed;
 * times in seconds since 1970.
 */
const RECORD = 36;
const AT_SECONDS = 20;
const AT_SINCE = 24;
const AT_REASON = 30;
const AT_LISTED = 32;
/** Set in the reason's octet of a record that stands on the list. */
const LISTED = 0x80;
const RECORDS_PER_SEGMENT = 32_768;
const FIRST_SLOTS = 1024;
/** What has left the list is cleared away when it is more than this and more than half of all. */
const CLEAR_FROM = 1024;

/** A revocation for good. */
export interface Revoked {
  readonly serial: Serial;
  readonly revokedAt: Date;
  readonly reason?: RevocationReason;
}

/** Which of the revocations a CRL lists. */
export interface RevokedFilter {
  /** Those alone that no CRL up to this number lists: for a delta CRL. */
  readonly after?: number;
  /** Those of one partition alone. */
  readonly shard?: { readonly index: number; readonly of: number };
}

/**
 * What one CA has revoked for good: 36 octets each and four to find it, 46 MB for a million, where a Map of objects
 * takes 300. Serial numbers on a list come from the front end, so they are placed by a hash under a key that nobody
 * outside of this process knows: nobody can choose numbers that crowd together.
 */
export class RevokedSet {
  readonly #segments: Buffer[] = [];
  /** Number of the record plus one; 0 is a free slot. */
  #index = new Uint32Array(FIRST_SLOTS);
  readonly #key = new Uint32Array(randomBytes(24).buffer.slice(0, 24));
  /** Records, also those that have left the list. */
  #records = 0;
  #size = 0;
  /** Nothing on the list was listed earlier, seconds since 1970. */
  #oldest = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#size;
  }

  has(serial: Serial): boolean {
    return this.reason(serial) !== undefined;
  }

  /** Why a certificate is on the list; undefined for one that is not. */
  reason(serial: Serial): CrlReason | undefined {
    const octets = octetsOf(serial);
    if (octets === undefined) return undefined;
    const record = this.#recordAt(this.#slotOf(octets));
    if (record === undefined || !isListed(record.segment, record.at)) return undefined;
    return reasonOf((record.segment[record.at + AT_REASON] ?? 0) & ~LISTED);
  }

  /**
   * Lists a certificate, first on the CRL with the number `since`. @returns false for one that is listed: the first
   * times and reason stay.
   * @param listedAt when that is, milliseconds since 1970: a front end says when something was revoked, and not how long
   *   it stays.
   */
  add({ serial, revokedAt, reason }: Revoked, since: number, listedAt: number): boolean {
    const octets = octetsOf(serial);
    if (octets === undefined) throw new RangeError(`a serial number of more than ${OCTETS} octets`);
    if ((this.#records + 1) * 2 > this.#index.length) this.#grow();
    const slot = this.#slotOf(octets);
    const { segment, at } = this.#recordAt(slot) ?? this.#newRecord(slot, octets);
    if (isListed(segment, at)) return false;
    const listed = Math.floor(listedAt / 1000);
    segment.writeUInt32BE(Math.floor(revokedAt.getTime() / 1000), at + AT_SECONDS);
    segment.writeUIntBE(since, at + AT_SINCE, 6);
    segment[at + AT_REASON] = LISTED | CRL_REASONS[reason ?? 'unspecified'];
    segment.writeUInt32BE(listed, at + AT_LISTED);
    this.#oldest = Math.min(this.#oldest, listed);
    this.#size += 1;
    return true;
  }

  /** Takes back an `add`. */
  delete(serial: Serial): void {
    const octets = octetsOf(serial);
    const record = octets === undefined ? undefined : this.#recordAt(this.#slotOf(octets));
    if (record === undefined || !isListed(record.segment, record.at)) return;
    record.segment[record.at + AT_REASON] = 0;
    this.#size -= 1;
  }

  /**
   * Lets go what was listed at `listedBy` (milliseconds since 1970) or earlier, where `hasEnded` agrees.
   * @param hasEnded of a serial number, and when it was listed.
   */
  forget(listedBy: number, hasEnded: (serial: Serial, listedAt: number) => boolean): void {
    const limit = Math.floor(listedBy / 1000);
    if (limit < this.#oldest) return;
    this.#oldest = Number.POSITIVE_INFINITY;
    for (const { segment, at } of this.#all()) {
      if (!isListed(segment, at)) continue;
      const listed = segment.readUInt32BE(at + AT_LISTED);
      if (listed > limit || !hasEnded(serialAt(segment, at), listed * 1000)) {
        this.#oldest = Math.min(this.#oldest, listed);
      } else {
        segment[at + AT_REASON] = 0;
        this.#size -= 1;
      }
    }
    if (this.#records - this.#size > Math.max(CLEAR_FROM, this.#size)) this.#clear();
  }

  /**
   * The serial numbers on the list, each with the number of its record, one at a time. What is added meanwhile is not among
   * them.
   * @param from the first record to look at.
   */
  *listed(from = 0): Generator<readonly [record: number, serial: Serial]> {
    // When it is cleared, these stay as they are.
    const segments = [...this.#segments];
    const records = this.#records;
    for (let record = from; record < records; record += 1) {
      const segment = segments[Math.floor(record / RECORDS_PER_SEGMENT)];
      const at = (record % RECORDS_PER_SEGMENT) * RECORD;
      if (segment === undefined || !isListed(segment, at)) continue;
      yield [record, serialAt(segment, at)];
    }
  }

  /**
   * What a CRL lists, in the order in which it was listed; it may be gone through as often as nothing is added. The
   * same object comes each time, with other values.
   */
  entries(filter: RevokedFilter = {}): Iterable<EntryOctets> {
    return { [Symbol.iterator]: () => this.#entries(filter) };
  }

  *#entries({ after = -1, shard }: RevokedFilter): Generator<EntryOctets> {
    const entry = { octets: Buffer.alloc(0) as Buffer, from: 0, length: 0, seconds: 0, reason: 0 };
    for (const { segment, at } of this.#all()) {
      const reason = segment[at + AT_REASON] ?? 0;
      if ((reason & LISTED) === 0) continue;
      if (shard !== undefined && segment.readUInt32BE(at + OCTETS - 4) % shard.of !== shard.index) continue;
      if (after >= 0 && segment.readUIntBE(at + AT_SINCE, 6) <= after) continue;
      let from = at;
      while (segment[from] === 0 && from < at + OCTETS - 1) from += 1;
      entry.octets = segment;
      entry.from = from;
      entry.length = at + OCTETS - from;
      entry.seconds = segment.readUInt32BE(at + AT_SECONDS);
      entry.reason = reason & ~LISTED;
      yield entry;
    }
  }

  /** Every record; the same object each time. */
  *#all(): Generator<{ segment: Buffer; at: number }> {
    const record = { segment: Buffer.alloc(0) as Buffer, at: 0 };
    let left = this.#records;
    for (const segment of this.#segments) {
      record.segment = segment;
      const end = Math.min(left, RECORDS_PER_SEGMENT) * RECORD;
      for (let at = 0; at < end; at += RECORD) {
        record.at = at;
        yield record;
      }
      left -= RECORDS_PER_SEGMENT;
    }
  }

  #newRecord(slot: number, octets: Buffer): { segment: Buffer; at: number } {
    const place = this.#records % RECORDS_PER_SEGMENT;
    if (place === 0) this.#segments.push(Buffer.alloc(RECORDS_PER_SEGMENT * RECORD));
    const segment = this.#segments[this.#segments.length - 1] as Buffer;
    octets.copy(segment, place * RECORD);
    this.#records += 1;
    this.#index[slot] = this.#records;
    return { segment, at: place * RECORD };
  }

  #recordAt(slot: number): { segment: Buffer; at: number } | undefined {
    const number = (this.#index[slot] ?? 0) - 1;
    const segment = this.#segments[Math.floor(number / RECORDS_PER_SEGMENT)];
    return segment === undefined ? undefined : { segment, at: (number % RECORDS_PER_SEGMENT) * RECORD };
  }

  /** Where the number of the record with this serial stands in the index, or the free slot where it would. */
  #slotOf(octets: Buffer): number {
    const slots = this.#index.length;
    let slot = this.#hash(octets) % slots;
    for (;;) {
      const record = this.#recordAt(slot);
      if (record === undefined) return slot;
      const { segment, at } = record;
      if (segment.compare(octets, 0, OCTETS, at, at + OCTETS) === 0) return slot;
      slot = (slot + 1) % slots;
    }
  }

  /** Multilinear over the five words, modulo 2^32, then mixed: the low bits decide the slot. */
  #hash(octets: Buffer): number {
    const key = this.#key;
    let sum = key[5] ?? 0;
    for (let i = 0; i < OCTETS / 4; i += 1) {
      const word = octets.readUInt32BE(i * 4);
      sum = Math.imul(sum ^ word, (key[i] ?? 0) | 1);
      sum ^= sum >>> 15;
    }
    return Math.imul(sum ^ (sum >>> 13), 0x85ebca6b) >>> 0;
  }

  #grow(): void {
    this.#index = new Uint32Array(this.#index.length * 2);
    let number = 0;
    for (const { segment, at } of this.#all()) {
      number += 1;
      this.#index[this.#slotOf(segment.subarray(at, at + OCTETS))] = number;
    }
  }

  /** Begins anew with what stands on the list. */
  #clear(): void {
    const before = this.#segments.splice(0);
    const records = this.#records;
    this.#records = 0;
    this.#index = new Uint32Array(FIRST_SLOTS);
    let left = records;
    for (const segment of before) {
      const end = Math.min(left, RECORDS_PER_SEGMENT) * RECORD;
      left -= RECORDS_PER_SEGMENT;
      for (let at = 0; at < end; at += RECORD) {
        if (!isListed(segment, at)) continue;
        if ((this.#records + 1) * 2 > this.#index.length) this.#grow();
        const octets = segment.subarray(at, at + OCTETS);
        const made = this.#newRecord(this.#slotOf(octets), octets);
        segment.copy(made.segment, made.at, at, at + RECORD);
      }
    }
  }
}

const isListed = (segment: Buffer, at: number): boolean => ((segment[at + AT_REASON] ?? 0) & LISTED) !== 0;

/** Without the zeros in front that fill the record. */
function serialAt(segment: Buffer, at: number): Serial {
  let first = at;
  while (segment[first] === 0 && first < at + OCTETS - 1) first += 1;
  return toHex(segment.subarray(first, at + OCTETS)) as Serial;
}

/** One for all: what is looked up is copied where it is to stay. */
const looked = Buffer.alloc(OCTETS);

/** Good until the next call. Short numbers get zeros in front; longer and negative ones are none of keyd's. */
function octetsOf(serial: Serial): Buffer | undefined {
  const from = OCTETS - serial.length / 2;
  if (from < 0 || !Number.isInteger(from)) return undefined;
  looked.fill(0, 0, from);
  return looked.write(serial, from, 'hex') === OCTETS - from ? looked : undefined;
}
