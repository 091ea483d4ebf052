import type { Serial } from '@keystead/core/bytes';

/** RFC 5280 section 4.1.2.2. */
const OCTETS = 20;
const FIRST_SLOTS = 1024;
/** The end of a certificate that has none; also of one after 2106. */
const NEVER = 0xffff_ffff;

/**
 * The serial numbers of one CA, never taken out again, with the end of each: 24 octets each in a table that is at most half
 * full, 72 MB for a million at the worst, where a Set of strings takes twice that and ends at 16.7 million. What is put in was drawn at
 * random by keyd itself, so its last octets place it as well as a hash would, and nobody can choose
 * numbers that crowd together.
 */
export class SerialSet {
  #table = Buffer.alloc(FIRST_SLOTS * OCTETS);
  /** When each ends, seconds since 1970, by its slot. */
  #ends = new Uint32Array(FIRST_SLOTS);
  #slots = FIRST_SLOTS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param notAfter when the certificate ends, milliseconds since 1970; without it, never. */
  add(serial: Serial, notAfter = Number.POSITIVE_INFINITY): void {
    if ((this.#size + 1) * 2 > this.#slots) this.#grow();
    const end = Math.max(0, Math.min(Math.ceil(notAfter / 1000), NEVER));
    if (this.#put(octetsOf(serial), end)) this.#size += 1;
  }

  /** Whether it is one of these and ends after `at`, seconds since 1970. */
  endsAfter(serial: Serial, at: number): boolean {
    const octets = octetsOf(serial);
    if (octets.length !== OCTETS) return false;
    const slot = this.#slotOf(octets);
    return !this.#isFree(slot) && (this.#ends[slot / OCTETS] ?? 0) > at;
  }

  /** Those that end after `at`, seconds since 1970. */
  endingAfter(at: number): Serial[] {
    const found: Serial[] = [];
    for (let slot = 0; slot < this.#slots; slot += 1) {
      if ((this.#ends[slot] ?? 0) <= at || this.#isFree(slot * OCTETS)) continue;
      let from = slot * OCTETS;
      while (this.#table[from] === 0) from += 1;
      found.push(this.#table.toString('hex', from, (slot + 1) * OCTETS) as Serial);
    }
    return found;
  }

  has(serial: Serial): boolean {
    const octets = octetsOf(serial);
    // Longer ones, and the negative ones that others write, are none of keyd's.
    if (octets.length !== OCTETS) return false;
    return !this.#isFree(this.#slotOf(octets));
  }

  #put(octets: Buffer, end: number): boolean {
    const at = this.#slotOf(octets);
    if (!this.#isFree(at)) return false;
    octets.copy(this.#table, at);
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
    const ends = this.#ends;
    this.#slots *= 2;
    this.#table = Buffer.alloc(this.#slots * OCTETS);
    this.#ends = new Uint32Array(this.#slots);
    for (let at = 0; at < old.length; at += OCTETS) {
      const octets = old.subarray(at, at + OCTETS);
      if (octets.some((octet) => octet !== 0)) this.#put(octets, ends[at / OCTETS] ?? 0);
    }
  }
}

const octetsOf = (serial: Serial): Buffer => Buffer.from(serial.padStart(OCTETS * 2, '0'), 'hex');
