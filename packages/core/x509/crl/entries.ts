import type { Serial } from '../../bytes/index.ts';
import { octetString, oid, sequence } from '../der/writer.ts';
import { EXTENSIONS } from '../oids.ts';
import { REVOCATION_REASONS, type RevocationReason } from './reasons.ts';

/** One revoked certificate. */
export interface RevokedEntry {
  readonly serial: Serial;
  /** To the second; what is finer is cut off. */
  readonly revokedAt: Date;
  /** Left out of the CRL when it is `unspecified` (RFC 5280 section 5.3.1). */
  readonly reason?: RevocationReason;
}

/** Written in pieces of this size: one buffer that grows would be copied again and again, and stand there twice. */
const PIECE_BYTES = 256 * 1024;
/** An entry with a serial of 20 octets, a GeneralizedTime and a reason has 54. */
const MOST_BYTES_PER_ENTRY = 64;
/** RFC 5280 section 4.1.2.2. */
const MOST_SERIAL_OCTETS = 20;

/** The crlEntryExtensions with only a reason code, by reason (RFC 5280 section 5.3.1). */
const REASON_EXTENSIONS = new Map<RevocationReason, Uint8Array>(
  (Object.entries(REVOCATION_REASONS) as [RevocationReason, number][])
    .filter(([, code]) => code !== 0)
    .map(([reason, code]) => [
      reason,
      sequence(sequence(oid(EXTENSIONS.reasonCode), octetString(Uint8Array.of(0x0a, 1, code)))),
    ]),
);

/**
 * The entries of revokedCertificates, written one after another as bytes. A CRL of a large fleet has
 * a million of them: through the general encoder each would be a dozen short-lived arrays.
 */
export class RevokedEntries {
  readonly #full: Uint8Array[] = [];
  #fullBytes = 0;
  #buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
  #length = 0;
  #day = Number.NaN;
  #dayDigits = '';

  /** Bytes written so far. */
  get length(): number {
    return this.#fullBytes + this.#length;
  }

  /** @throws RangeError for a serial that is not 1 to 20 octets of hex, or a time outside the years 1950 to 9999. */
  add({ serial, revokedAt, reason }: RevokedEntry): void {
    if (this.#length + MOST_BYTES_PER_ENTRY > PIECE_BYTES) this.#nextPiece();
    const out = this.#buffer;
    const start = this.#length;
    // SEQUENCE header: an entry is shorter than 128 bytes, so its length is one octet, set at the end.
    out[start] = 0x30;
    let at = this.#writeSerial(serial, start + 2);
    at = this.#writeTime(revokedAt.getTime(), at);
    const extensions = reason === undefined ? undefined : REASON_EXTENSIONS.get(reason);
    if (extensions !== undefined) {
      out.set(extensions, at);
      at += extensions.length;
    }
    out[start + 1] = at - start - 2;
    this.#length = at;
  }

  /** The header of the SEQUENCE OF whose content is `pieces()`, by itself, so that the content is not copied for it. */
  header(): Uint8Array {
    const length = this.length;
    const octets = length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8);
    const header = new Uint8Array(2 + octets);
    header[0] = 0x30;
    header[1] = octets === 0 ? length : 0x80 | octets;
    for (let i = 0; i < octets; i += 1) header[1 + octets - i] = (length >>> (8 * i)) & 0xff;
    return header;
  }

  /** The entries, one after another in pieces: views that the next `add` may make stale. */
  pieces(): Uint8Array[] {
    return [...this.#full, this.#buffer.subarray(0, this.#length)];
  }

  #nextPiece(): void {
    this.#full.push(this.#buffer.subarray(0, this.#length));
    this.#fullBytes += this.#length;
    this.#buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
    this.#length = 0;
  }

  #writeSerial(serial: string, at: number): number {
    const octets = serial.length / 2;
    const written = this.#buffer.write(serial, at + 3, 'hex');
    // `write` stops at the first character that is not hex.
    if (written !== octets || octets === 0 || octets > MOST_SERIAL_OCTETS)
      throw new RangeError('a serial number is 1 to 20 octets of hex');
    const out = this.#buffer;
    if (out[at + 3] === 0 && octets > 1) throw new RangeError('a serial number has no leading zero octets');
    out[at] = 0x02;
    if (((out[at + 3] ?? 0) & 0x80) === 0) {
      out[at + 1] = octets;
      out.copyWithin(at + 2, at + 3, at + 3 + octets);
      return at + 2 + octets;
    }
    out[at + 1] = octets + 1;
    out[at + 2] = 0;
    return at + 3 + octets;
  }

  /** UTCTime, or GeneralizedTime outside its years (RFC 5280 section 5.1.2.6), from milliseconds since 1970. */
  #writeTime(ms: number, at: number): number {
    const seconds = Math.floor(ms / 1000);
    const day = Math.floor(seconds / 86_400);
    // Revocations come in runs of one day; formatting a Date for each is what would cost the most here.
    if (day !== this.#day) {
      const date = new Date(day * 86_400_000);
      const year = date.getUTCFullYear();
      if (!(year >= 1950 && year <= 9999)) throw new RangeError('a revocation time lies from 1950 to 9999');
      const digits = date.toISOString().slice(0, 10).replaceAll('-', '');
      this.#dayDigits = year < 2050 ? digits.slice(2) : digits;
      this.#day = day;
    }
    const out = this.#buffer;
    const digits = this.#dayDigits;
    out[at] = digits.length === 6 ? 0x17 : 0x18;
    out[at + 1] = digits.length + 7;
    let i = at + 2;
    for (let j = 0; j < digits.length; j += 1, i += 1) out[i] = digits.charCodeAt(j);
    const second = seconds - day * 86_400;
    i = writeTwoDigits(out, i, Math.floor(second / 3600));
    i = writeTwoDigits(out, i, Math.floor(second / 60) % 60);
    i = writeTwoDigits(out, i, second % 60);
    out[i] = 0x5a;
    return i + 1;
  }
}

function writeTwoDigits(out: Uint8Array, at: number, value: number): number {
  out[at] = 0x30 + Math.floor(value / 10);
  out[at + 1] = 0x30 + (value % 10);
  return at + 2;
}
