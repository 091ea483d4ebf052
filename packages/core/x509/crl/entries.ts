import type { Serial } from '../../bytes/index.ts';
import { booleanTrue, context, generalizedTime, octetString, oid, sequence } from '../der/writer.ts';
import { EXTENSIONS } from '../oids.ts';
import { CRL_REASONS, type CrlReason } from './reasons.ts';

/** One revoked certificate. */
export interface RevokedEntry {
  readonly serial: Serial;
  /** To the second; what is finer is cut off. */
  readonly revokedAt: Date;
  /** Left out of the CRL when it is `unspecified` (RFC 5280 section 5.3.1); `removeFromCRL` stands in delta CRLs only. */
  readonly reason?: CrlReason;
  /** When the key was lost or the certificate became invalid, to the second (RFC 5280 section 5.3.2). */
  readonly invalidityDate?: Date;
  /**
   * The Name, DER, of who issued this certificate and those after it, in an indirect CRL (RFC 5280 section 5.3.3); for
   * the first without one it is the CRL's own issuer.
   */
  readonly certificateIssuer?: Uint8Array;
}

/**
 * One entry as it is written: the octets of its serial number stand in `octets` from `from` on, `length` of them,
 * without leading zeros. A list of a million may give the same object each time with other values.
 */
export interface EntryOctets {
  readonly octets: Uint8Array;
  readonly from: number;
  readonly length: number;
  /** Whole seconds since 1970. */
  readonly seconds: number;
  /** CRLReason (RFC 5280 section 5.3.1). */
  readonly reason: number;
  /** Milliseconds since 1970. */
  readonly invalidityDate?: number;
  readonly certificateIssuer?: Uint8Array;
}

/** Written in pieces of this size. */
const PIECE_BYTES = 256 * 1024;
/** An entry with a serial of 20 octets, a GeneralizedTime and a reason has 54. */
const MOST_BYTES_PER_ENTRY = 64;
/** RFC 5280 section 4.1.2.2. */
const MOST_SERIAL_OCTETS = 20;
/** RFC 5280 section 5.1.2.6: UTCTime through 2049. */
const YEAR_1950 = Date.UTC(1950, 0, 1) / 1000;
const YEAR_2050 = Date.UTC(2050, 0, 1) / 1000;
const YEAR_10000 = Date.UTC(10_000, 0, 1) / 1000;
const DAY = 86_400;

const reasonExtension = (code: number): Uint8Array =>
  sequence(oid(EXTENSIONS.reasonCode), octetString(Uint8Array.of(0x0a, 1, code)));

/** The crlEntryExtensions with only a reason code, by its number (RFC 5280 section 5.3.1). */
const REASON_EXTENSIONS: readonly Uint8Array[] = Array.from({ length: 11 }, (_, code) =>
  code === 0 ? new Uint8Array(0) : sequence(reasonExtension(code)),
);

/**
 * Entries in the form in which they are written; they can be gone through as often as `entries` can.
 * @throws RangeError, while they are gone through, for a serial that is not 1 to 20 octets of hex without leading
 *   zeros, or a time outside the years 1950 to 9999.
 */
export function entryOctets(entries: Iterable<RevokedEntry>): Iterable<EntryOctets> {
  return {
    *[Symbol.iterator]() {
      for (const { serial, revokedAt, reason, invalidityDate, certificateIssuer } of entries) {
        const octets = Buffer.from(serial, 'hex');
        const { length } = octets;
        if (length === 0 || length > MOST_SERIAL_OCTETS || length * 2 !== serial.length)
          throw new RangeError('a serial number is 1 to 20 octets of hex');
        if (octets[0] === 0 && length > 1) throw new RangeError('a serial number has no leading zero octets');
        const seconds = Math.floor(revokedAt.getTime() / 1000);
        if (!(seconds >= YEAR_1950 && seconds < YEAR_10000))
          throw new RangeError('a revocation time lies from 1950 to 9999');
        yield {
          ...{ octets, from: 0, length, seconds, reason: CRL_REASONS[reason ?? 'unspecified'] },
          ...{ invalidityDate: invalidityDate?.getTime(), certificateIssuer },
        };
      }
    },
  };
}

/** How many octets the entries take, one after another. */
export function entriesLength(entries: Iterable<EntryOctets>): number {
  let length = 0;
  for (const entry of entries) {
    if (isLong(entry)) {
      length += longEntry(entry).length;
      continue;
    }
    const sign = ((entry.octets[entry.from] ?? 0) & 0x80) >> 7;
    const extensions = REASON_EXTENSIONS[entry.reason]?.length ?? 0;
    length += 4 + sign + entry.length + (entry.seconds < YEAR_2050 ? 15 : 17) + extensions;
  }
  return length;
}

/**
 * The entries of revokedCertificates, written one after another. A CRL of a large fleet has a million of them: through
 * the general encoder each would be a dozen short-lived arrays. Each piece is good until the next is asked for.
 */
export function* entryPieces(entries: Iterable<EntryOctets>): Generator<Uint8Array> {
  const out = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const clock = new DayDigits();
  let at = 0;
  for (const entry of entries) {
    const long = isLong(entry) ? longEntry(entry) : undefined;
    if (at + MOST_BYTES_PER_ENTRY > PIECE_BYTES || long !== undefined) {
      yield out.subarray(0, at);
      at = 0;
    }
    if (long === undefined) at = writeEntry(out, at, entry, clock);
    else yield long;
  }
  yield out.subarray(0, at);
}

function writeEntry(out: Buffer, start: number, entry: EntryOctets, clock: DayDigits): number {
  // SEQUENCE header: an entry is shorter than 128 bytes, so its length is one octet, set at the end.
  out[start] = 0x30;
  let at = writeSerial(out, start + 2, entry);
  at = clock.write(out, at, entry.seconds);
  const extensions = REASON_EXTENSIONS[entry.reason];
  if (extensions === undefined) throw new RangeError(`the reason ${entry.reason}`);
  if (extensions.length > 0) out.set(extensions, at);
  at += extensions.length;
  out[start + 1] = at - start - 2;
  return at;
}

function writeSerial(out: Buffer, start: number, { octets, from, length }: EntryOctets): number {
  const sign = ((octets[from] ?? 0) & 0x80) >> 7;
  out[start] = 0x02;
  out[start + 1] = length + sign;
  let at = start + 2;
  if (sign === 1) {
    out[at] = 0;
    at += 1;
  }
  for (let i = 0; i < length; i += 1) out[at + i] = octets[from + i] ?? 0;
  return at + length;
}

const isLong = ({ certificateIssuer, invalidityDate }: EntryOctets): boolean =>
  certificateIssuer !== undefined || invalidityDate !== undefined;

/** An entry that names its certificate's issuer or tells since when it is invalid, through the general encoder. */
function longEntry(entry: EntryOctets): Uint8Array {
  const out = Buffer.alloc(MOST_BYTES_PER_ENTRY);
  const serialEnd = writeSerial(out, 0, entry);
  const timeEnd = new DayDigits().write(out, serialEnd, entry.seconds);
  const extensions = entry.reason === 0 ? [] : [reasonExtension(entry.reason)];
  // RFC 5280 section 5.3.2: always GeneralizedTime, and not critical.
  if (entry.invalidityDate !== undefined)
    extensions.push(
      sequence(oid(EXTENSIONS.invalidityDate), octetString(generalizedTime(new Date(entry.invalidityDate)))),
    );
  // GeneralNames with one directoryName [4]; the extension is critical (RFC 5280 section 5.3.3).
  const { certificateIssuer: name } = entry;
  if (name !== undefined)
    extensions.push(
      sequence(oid(EXTENSIONS.certificateIssuer), booleanTrue(), octetString(sequence(context(4, name)))),
    );
  return sequence(out.subarray(0, timeEnd), sequence(...extensions));
}

/** Writes times. Revocations come in runs of one day; formatting a Date for each is what would cost the most here. */
class DayDigits {
  #day = Number.NaN;
  #digits = '';

  /** UTCTime, or GeneralizedTime outside its years (RFC 5280 section 5.1.2.6). */
  write(out: Uint8Array, at: number, seconds: number): number {
    const day = Math.floor(seconds / DAY);
    if (day !== this.#day) {
      const digits = new Date(day * DAY * 1000).toISOString().slice(0, 10).replaceAll('-', '');
      this.#digits = seconds < YEAR_2050 ? digits.slice(2) : digits;
      this.#day = day;
    }
    const digits = this.#digits;
    out[at] = digits.length === 6 ? 0x17 : 0x18;
    out[at + 1] = digits.length + 7;
    let i = at + 2;
    for (let j = 0; j < digits.length; j += 1, i += 1) out[i] = digits.charCodeAt(j);
    const second = seconds - day * DAY;
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
