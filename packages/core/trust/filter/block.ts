import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import { CertificateHash, LEVELS } from './place.ts';
import { BAND, sumOver } from './ribbon.ts';

/** How the certificates of one issuer are told apart. */
export type BlockForm =
  /** No certificate is listed. */
  | { readonly kind: 'none' }
  /** The first `width` bytes of the hash of each that is listed, sorted: for few. */
  | { readonly kind: 'list'; readonly width: number; readonly hashes: Uint8Array }
  /** Two ribbons: what passes every column of the first is asked of the second, which is exact. */
  | {
      readonly kind: 'ribbon';
      readonly approximate: Ribbon;
      readonly exact: Ribbon;
    };

/** Columns of a solved system; none with a size of 0 says the same to all. */
export interface Ribbon {
  readonly salt: number;
  readonly size: number;
  readonly columns: readonly Uint32Array[];
}

/** The part of a filter that is about the certificates of one key of one CA. */
export interface Block {
  readonly issuerSpkiSha256: SpkiSha256;
  /** Whether those are listed that are not revoked: where most are. */
  readonly inverted: boolean;
  /**
   * Of an issuer whose certificates are known until an earlier time than the others': certificates of it are covered
   * whose notBefore is not later than this, seconds since 1970. Earlier than the file's `through`, which holds without it.
   */
  readonly through?: number;
  readonly form: BlockForm;
}

/** Answers from one block. */
export class BlockReader {
  readonly #block: Block;
  readonly #hash: CertificateHash;

  /** @param hash of the same issuer: readers of several files share one, so that each hash is made once. */
  constructor(block: Block, hash = new CertificateHash(block.issuerSpkiSha256)) {
    this.#block = block;
    this.#hash = hash;
  }

  /** What the block says of a certificate that it was built with; of another it says anything. */
  says(serial: Serial): boolean {
    return this.#isListed(serial) !== this.#block.inverted;
  }

  /** What the block says of every serial number; undefined where that depends on the number. */
  get saysOfAll(): boolean | undefined {
    return this.#block.form.kind === 'none' ? this.#block.inverted : undefined;
  }

  #isListed(serial: Serial): boolean {
    const { form } = this.#block;
    if (form.kind === 'none') return false;
    if (form.kind === 'list') return isIn(form.hashes, form.width, this.#hash.of(serial, LEVELS.list, 0));
    return passes(this.#hash, form.approximate, serial) && exactly(this.#hash, form.exact, serial);
  }
}

/** Whether the sums of every column are zero. */
export function passes(hash: CertificateHash, { salt, size, columns }: Ribbon, serial: Serial): boolean {
  if (size === 0) return true;
  const band = hash.band(serial, LEVELS.approximate, salt, size);
  return columns.every((column) => sumOver(column, band) === 0);
}

function exactly(hash: CertificateHash, { salt, size, columns: [column] }: Ribbon, serial: Serial): boolean {
  if (column === undefined || size < BAND) return true;
  return sumOver(column, hash.band(serial, LEVELS.exact, salt, size)) === 1;
}

/** Binary search among the sorted prefixes. */
function isIn(hashes: Uint8Array, width: number, hash: Uint8Array): boolean {
  const wanted = Buffer.from(hash.buffer, hash.byteOffset, width);
  let low = 0;
  let high = hashes.length / width;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = Buffer.compare(hashes.subarray(middle * width, (middle + 1) * width), wanted);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return false;
}
