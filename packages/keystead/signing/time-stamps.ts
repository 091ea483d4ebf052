import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { MadeSignature } from '@keystead/core/firmware';
import type { FirmwareTimestamp } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { z } from 'zod';
import { durableDirectory, durableWrite, removeUnfinished } from '../files/durable.ts';

/** What stamping asks of keyd. */
export interface TimeStamper {
  signTimestamp(asked: {
    hash: 'sha256';
    imprint: Uint8Array;
    certReq: boolean;
    requestId: string;
  }): Promise<{ readonly token: Uint8Array; readonly time: Date }>;
}

/** A signature of one of the keys of an order, as keyd gave it. */
export type KeySignature = MadeSignature & { readonly key: string };

/** A time stamp that stands beside what was signed. */
export interface DetachedTimeStamp {
  readonly key: string;
  /** What is stamped: the value of the signature. */
  readonly signature: Uint8Array;
  /** TimeStampToken, DER, over the SHA-256 of `signature`, with the certificates of the TSA. */
  readonly token: Uint8Array;
}

/** The TSA says that it stamps nothing, and will not in a moment. */
const STOPPED: ReadonlySet<string> = new Set(['tsp.off', 'key.use-forbidden', 'key.cryptoperiod-ended']);

/**
 * Stamps the values of signatures (RFC 3161), so that they outlive the certificates of their keys: who verifies later
 * judges a certificate at the time of the token (RFC 5126 section 4.4.1). A token of after the end of the certificate
 * would say nothing, and is not taken.
 * @param wish of the policy. `required`: no signature comes back without its token. `wanted`: without one where the TSA is
 *   stopped.
 * @throws KeysteadError `signing.timestamp-waits` where none can be had now and one is required, or the TSA is not stopped;
 *   `signing.timestamp-late` where one is required and none can be had any more.
 */
export async function stamped(
  keyd: TimeStamper,
  wish: FirmwareTimestamp,
  signatures: readonly KeySignature[],
  requestId: string,
): Promise<readonly KeySignature[]> {
  if (wish === 'none') return signatures;
  const done: KeySignature[] = [];
  for (const made of signatures) {
    try {
      const imprint = sha256(made.signature);
      const { token, time } = await keyd.signTimestamp({ hash: 'sha256', imprint, certReq: true, requestId });
      requireInTime(made, time);
      done.push({ ...made, timestamp: token });
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      const late = error.code === 'signing.timestamp-late';
      if (wish === 'wanted' && (late || STOPPED.has(error.code))) done.push(made);
      else if (late) throw error;
      // Whatever else it is, a clock that went back or a full disk, it is no fault of the request.
      else
        throw new KeysteadError('signing.timestamp-waits', {
          field: made.key,
          seen: `${error.code}${error.seen === undefined ? '' : `: ${error.seen.slice(0, 120)}`}`,
          cause: error,
        });
    }
  }
  return done;
}

function requireInTime({ key, signer }: KeySignature, time: Date): void {
  const { notAfter } = readCertificate(signer);
  if (time <= notAfter) return;
  const seen = `${time.toISOString()}, and the certificate of ${key} ended ${notAfter.toISOString()}`;
  throw new KeysteadError('signing.timestamp-late', { field: key, seen });
}

const Kept = z.strictObject({
  timestamps: z.array(z.strictObject({ key: z.string(), signature: z.base64(), token: z.base64() })),
});

/**
 * The time stamps of requests whose format has no place for them, one file for each request. Each token says itself what
 * it is of and by whom: the file is not the witness.
 */
export class TimeStampFiles {
  readonly #directory: string;

  /** @param directory of firmware signing: beside it the service may make nothing. */
  constructor(directory: string) {
    this.#directory = join(directory, 'time-stamps');
  }

  /** Makes the directory; before anything is kept. @throws Error of node:fs. */
  open(): void {
    durableDirectory(this.#directory, 0o700);
  }

  /** Keeps them, durably; those of an earlier try are replaced. @throws Error of node:fs. */
  keep(id: string, timestamps: readonly DetachedTimeStamp[]): void {
    const text = timestamps.map(({ key, signature, token }) => ({
      key,
      signature: toBase64(signature),
      token: toBase64(token),
    }));
    removeUnfinished(this.#path(id));
    durableWrite(this.#path(id), JSON.stringify({ timestamps: text }), 0o600);
  }

  /** Those of a request; none where there are none, or they are in what was signed. */
  of(id: string): readonly DetachedTimeStamp[] {
    if (!existsSync(this.#path(id))) return [];
    return Kept.parse(JSON.parse(readFileSync(this.#path(id), 'utf8'))).timestamps.map(({ key, signature, token }) => ({
      key,
      signature: fromBase64(signature),
      token: fromBase64(token),
    }));
  }

  /** An id is a name of letters, digits and ._- that begins with one of the first two (protocols/rest). */
  #path(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}
