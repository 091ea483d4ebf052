import { etagOf } from '../http/etag.ts';

/** An answer is made anew when less than this part of its life is left, so that clients never get one at its end. */
const SPARE_PART = 1 / 4;
/** From here on, whoever asks has a successor made, and does not wait for it: what is asked for often is always there. */
const REFRESH_PART = 1 / 2;

/** One signed answer in the form in which it is sent. */
export class CachedAnswer {
  /** So many members of `headers` are of the body: they come first, and a 304 leaves them out (RFC 9110 15.4.5). */
  static readonly bodyHeaders = 4;
  readonly body: Buffer;
  /** The body with one character a byte: it goes out in one piece with the headers, which is what makes it quick. */
  readonly text: string;
  readonly etag: string;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Milliseconds since 1970 from which it is not given any more. */
  readonly freshUntilMs: number;
  /** Milliseconds since 1970 from which the first who asks has it made anew in the background. */
  readonly refreshFromMs: number;
  readonly #lastModified: string;
  readonly #expires: string;

  constructor(der: Uint8Array, { thisUpdate, nextUpdate }: { thisUpdate: Date; nextUpdate: Date }) {
    this.body = Buffer.from(der.buffer, der.byteOffset, der.byteLength);
    this.text = this.body.toString('latin1');
    this.etag = etagOf(this.body);
    this.thisUpdate = thisUpdate;
    this.nextUpdate = nextUpdate;
    this.freshUntilMs = nextUpdate.getTime() - (nextUpdate.getTime() - thisUpdate.getTime()) * SPARE_PART;
    this.refreshFromMs = thisUpdate.getTime() + (nextUpdate.getTime() - thisUpdate.getTime()) * REFRESH_PART;
    this.#lastModified = thisUpdate.toUTCString();
    this.#expires = nextUpdate.toUTCString();
  }

  /**
   * The headers of RFC 5019 section 6.2, for answers to GET. `maxAgeSeconds` bounds how long a cache between may
   * keep the answer: such a cache hears of no revocation.
   */
  headers(nowMs: number, maxAgeSeconds: number): string[] {
    const left = Math.floor((this.nextUpdate.getTime() - nowMs) / 1000) - 1;
    const maxAge = Math.max(0, Math.min(left, maxAgeSeconds));
    return [
      'Content-Type',
      'application/ocsp-response',
      'Content-Length',
      String(this.body.length),
      'Cache-Control',
      `max-age=${maxAge},public,no-transform,must-revalidate`,
      'Last-Modified',
      this.#lastModified,
      'Expires',
      this.#expires,
      'ETag',
      this.etag,
    ];
  }
}
