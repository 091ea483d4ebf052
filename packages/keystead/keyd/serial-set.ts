import type { Serial } from '@keystead/core/bytes';

/** RFC 5280 section 4.1.2.2. */
const OCTETS = 20;
const FIRST_SLOTS = 1024;

/**
 * The serial numbers of one CA, never taken out again: 20 octets each in a table that is at most half full, 60 MB for a
 * million at the worst, where a Set of strings takes twice that and ends at 16.7 million. What is put in was drawn at
 * random by keyd itself, so its last octets place it as well as a hash would, and nobody can choose
 * numbers that crowd together.
 */
export class SerialSet {
  #table = Buffer.alloc(FIRST_SLOTS * OCTETS);
  #slots = FIRST_SLOTS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(serial: Serial): void {
    if ((this.#size + 1) * 2 > this.#slots) this.#grow();
    if (this.#put(octetsOf(serial))) this.#size += 1;
  }

  has(serial: Serial): boolean {
    const octets = octetsOf(serial);
    // Longer ones, and the negative ones that others write, are none of keyd's.
    if (octets.length !== OCTETS) return false;
    return !this.#isFree(this.#slotOf(octets));
  }

  #put(octets: Buffer): boolean {
    const at = this.#slotOf(octets);
    if (!this.#isFree(at)) return false;
    octets.copy(this.#table, at);
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
    this.#slots *= 2;
    this.#table = Buffer.alloc(this.#slots * OCTETS);
    for (let at = 0; at < old.length; at += OCTETS) {
      const octets = old.subarray(at, at + OCTETS);
      if (octets.some((octet) => octet !== 0)) this.#put(octets);
    }
  }
}

const octetsOf = (serial: Serial): Buffer => Buffer.from(serial.padStart(OCTETS * 2, '0'), 'hex');
