import type { Serial } from '@keystead/core/bytes';

/** RFC 5280 section 4.1.2.2. */
const OCTETS = 20;
const FIRST_SLOTS = 1024;
/** The end of a certificate that has none; also of one after 2106. */
const NEVER = 0xffff_ffff;

/** When a certificate begins and ends, milliseconds since 1970. */
export interface Life {
  readonly notBefore: number;
  readonly notAfter: number;
}
/** Of one of which it is not known: it has begun, and never ends. */
const ALWAYS: Life = { notBefore: 0, notAfter: Number.POSITIVE_INFINITY };

/**
 * The serial numbers of one CA, never taken out again, with the life of each: 28 octets each in a table that is at most half
 * full, 88 MB for a million while it grows, where a Set of strings takes twice that and ends at 16.7 million. What is put in was drawn at
 * random by keyd itself, so its last octets place it as well as a hash would, and nobody can choose
 * numbers that crowd together.
 */
export class SerialSet {
  #table = Buffer.alloc(FIRST_SLOTS * OCTETS);
  /** When each ends, seconds since 1970, by its slot. */
  #ends = new Uint32Array(FIRST_SLOTS);
  /** When each begins, the same. */
  #begins = new Uint32Array(FIRST_SLOTS);
  #slots = FIRST_SLOTS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(serial: Serial, { notBefore, notAfter }: Life = ALWAYS): void {
    if ((this.#size + 1) * 2 > this.#slots) this.#grow();
    const end = Math.max(0, Math.min(Math.ceil(notAfter / 1000), NEVER));
    const begin = Math.max(0, Math.min(Math.floor(notBefore / 1000), NEVER));
    if (this.#put(octetsOf(serial), begin, end)) this.#size += 1;
  }

  /** Whether it is one of these and ends after `at`, seconds since 1970. */
  endsAfter(serial: Serial, at: number): boolean {
    const octets = octetsOf(serial);
    if (octets.length !== OCTETS) return false;
    const slot = this.#slotOf(octets);
    return !this.#isFree(slot) && (this.#ends[slot / OCTETS] ?? 0) > at;
  }

  /**
   * Those that begin at `begunBy` or before and end after `endingAfter`, seconds since 1970, each with its slot: one at a
   * time, so that a million of them are never there at once. What is added meanwhile may be among them or not; none that
   * was there is missing.
   * @param from the first slot to look at.
   */
  *living(
    { begunBy, endingAfter }: { readonly begunBy: number; readonly endingAfter: number },
    from = 0,
  ): Generator<readonly [slot: number, serial: Serial]> {
    // When it grows, these stay as they are.
    const [table, begins, ends, slots] = [this.#table, this.#begins, this.#ends, this.#slots];
    for (let slot = from; slot < slots; slot += 1) {
      // A free slot ends at 0.
      if ((ends[slot] ?? 0) <= endingAfter || (begins[slot] ?? 0) > begunBy) continue;
      let first = slot * OCTETS;
      const end = first + OCTETS;
      while (first < end && table[first] === 0) first += 1;
      if (first < end) yield [slot, table.toString('hex', first, end) as Serial];
    }
  }

  has(serial: Serial): boolean {
    const octets = octetsOf(serial);
    // Longer ones, and the negative ones that others write, are none of keyd's.
    if (octets.length !== OCTETS) return false;
    return !this.#isFree(this.#slotOf(octets));
  }

  #put(octets: Buffer, begin: number, end: number): boolean {
    const at = this.#slotOf(octets);
    if (!this.#isFree(at)) return false;
    octets.copy(this.#table, at);
    this.#begins[at / OCTETS] = begin;
    this.#ends[at / OCTETS] = end;
    return true;
  }

  /** Where these octets stand in the table, or the free place where they would. */
  #slotOf(octets: Buffer): number {
    // The last octets: a short number of an older CA has zeros in front.
    let slot = octets.readUInt32BE(OCTETS - 4) % this.#slots;
    for (;;) {
      const at = slot * OCTETS;
      if (this.#isFree(at) || this.#table.compare(octets, 0, OCTETS, at, at + OCTETS) === 0) return at;
      slot = (slot + 1) % this.#slots;
    }
  }

  /** No serial number is zero. */
  #isFree(at: number): boolean {
    for (let i = at; i < at + OCTETS; i += 1) if (this.#table[i] !== 0) return false;
    return true;
  }

  #grow(): void {
    const old = this.#table;
    const [begins, ends] = [this.#begins, this.#ends];
    this.#slots *= 2;
    this.#table = Buffer.alloc(this.#slots * OCTETS);
    this.#begins = new Uint32Array(this.#slots);
    this.#ends = new Uint32Array(this.#slots);
    for (let at = 0; at < old.length; at += OCTETS) {
      const octets = old.subarray(at, at + OCTETS);
      const slot = at / OCTETS;
      if (octets.some((octet) => octet !== 0)) this.#put(octets, begins[slot] ?? 0, ends[slot] ?? 0);
    }
  }
}

const octetsOf = (serial: Serial): Buffer => Buffer.from(serial.padStart(OCTETS * 2, '0'), 'hex');
