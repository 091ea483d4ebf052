import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import { spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CertificateInfo, RevocationFilter } from '../../x509/index.ts';
import { BlockReader } from './block.ts';
import { decodeFilter, type FilterFile, filterSha256 } from './file.ts';
import { CertificateHash } from './place.ts';

/** A serial number as octets. */
const OCTETS = /^(?:[0-9a-f]{2})+$/;

type Verdict = ReturnType<RevocationFilter['verdict']>;

/**
 * A revocation filter that a device carries, with the deltas that have come since: exact for every certificate that it
 * covers, without a network. REQ-KEY-REV-04
 */
export class CarriedFilter implements RevocationFilter {
  readonly #newest: FilterFile;
  /** Until when the certificates of each issuer are covered. */
  readonly #through: ReadonlyMap<SpkiSha256, number>;
  /** The base, then each delta: what they say of an issuer's certificates is added up. */
  readonly #readers: readonly ReadonlyMap<SpkiSha256, BlockReader>[];

  private constructor(files: readonly FilterFile[], newest: FilterFile) {
    this.#newest = newest;
    const hashes = new Map<SpkiSha256, CertificateHash>();
    const through = new Map<SpkiSha256, number>();
    this.#readers = files.map((file) => {
      const readers = new Map<SpkiSha256, BlockReader>();
      for (const block of file.blocks) {
        const { issuerSpkiSha256: issuer } = block;
        const hash = hashes.get(issuer) ?? new CertificateHash(issuer);
        hashes.set(issuer, hash);
        readers.set(issuer, new BlockReader(block, hash));
        // What the last file that knows an issuer says of it holds, also where it says less than one before.
        through.set(issuer, block.through ?? file.through);
      }
      return readers;
    });
    this.#through = through;
  }

  /**
   * @param base the file of a filter that stands alone; whoever calls has verified what it came in.
   * @param deltas each for the file before it, the oldest first.
   * @throws KeysteadError `filter.malformed`; `filter.base-differs` for a delta of another filter, or a delta alone.
   */
  static open(base: Uint8Array, deltas: readonly Uint8Array[] = []): CarriedFilter {
    const first = decodeFilter(base);
    if (first.base !== undefined) throw differs(first.base);
    const files = [first];
    let [newest, before] = [first, filterSha256(base)];
    for (const bytes of deltas) {
      const delta = decodeFilter(bytes);
      if (delta.base !== before || delta.date < newest.date || delta.through < newest.through) {
        throw differs(delta.base ?? 'none');
      }
      files.push(delta);
      [newest, before] = [delta, filterSha256(bytes)];
    }
    return new CarriedFilter(files, newest);
  }

  /** When the records were read that it was built from. */
  get date(): Date {
    return new Date(this.#newest.date * 1000);
  }

  /** Until when the certificates of this issuer were issued that it covers; undefined for an issuer that it does not know. */
  knownUntil(issuer: Pick<CertificateInfo, 'spki'>): Date | undefined {
    const through = this.#through.get(spkiSha256(issuer.spki));
    return through === undefined ? undefined : new Date(through * 1000);
  }

  get expires(): Date {
    return new Date(this.#newest.expires * 1000);
  }

  /**
   * As `RevocationFilter` has it. Not covered is what is too new or had ended by the filter's date, of an issuer that it does
   * not know, and all after its end.
   */
  verdict(
    certificate: Pick<CertificateInfo, 'serial' | 'notBefore' | 'notAfter'>,
    issuer: Pick<CertificateInfo, 'spki'>,
    now: Date,
  ): Verdict {
    if (!(now.getTime() < this.#newest.expires * 1000)) return 'not-covered';
    const hash = spkiSha256(issuer.spki);
    // A certificate that says to be older than it is would have been made by a CA that lies: that is not this list's matter.
    if (!(certificate.notBefore.getTime() <= this.through(hash) * 1000)) return 'not-covered';
    // What has ended is left out, revoked or not: a clock that is behind would take it for good.
    if (!(certificate.notAfter.getTime() > this.#newest.date * 1000)) return 'not-covered';
    const said = this.says(hash, certificate.serial);
    if (said === undefined) return 'not-covered';
    return said ? 'revoked' : 'good';
  }

  /** Certificates of this issuer are covered whose notBefore is not later than this, seconds since 1970. */
  through(issuer: SpkiSha256): number {
    return this.#through.get(issuer) ?? this.#newest.through;
  }

  /**
   * Whether a certificate is revoked, by issuer and serial number; undefined for an issuer that the filter does not know,
   * and for a negative number, which is none that a filter could have (`serialOf` writes it with a sign).
   */
  says(issuer: SpkiSha256, serial: Serial): boolean | undefined {
    if (!OCTETS.test(serial)) return undefined;
    let said: boolean | undefined;
    for (const readers of this.#readers) {
      const reader = readers.get(issuer);
      if (reader !== undefined) said = (said ?? false) !== reader.says(serial);
    }
    return said;
  }

  /**
   * What is said of every serial number of an issuer, whether one was issued or not; undefined where that depends on the
   * number. An issuer that the filter does not know has nothing that is revoked.
   */
  saysOfAll(issuer: SpkiSha256): boolean | undefined {
    let said = false;
    for (const readers of this.#readers) {
      const reader = readers.get(issuer);
      if (reader === undefined) continue;
      if (reader.saysOfAll === undefined) return undefined;
      said = said !== reader.saysOfAll;
    }
    return said;
  }
}

const differs = (seen: string): KeysteadError => new KeysteadError('filter.base-differs', { field: 'base', seen });
