import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { MadeSignature } from '@keystead/core/firmware';
import type { FirmwareTimestamp } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { durableDirectory, durableWrite, removeUnfinished } from '../files/durable.ts';

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

/**
 * keyd gives no signature without the time stamp that its policy requires; serve goes by a policy of its own reading, and
 * keeps nothing where the two differ. @throws KeysteadError `signing.timestamp-waits`.
 */
export function requireStamped(wish: FirmwareTimestamp, signatures: readonly KeySignature[]): void {
  const bare = signatures.find(({ timestamp }) => timestamp === undefined);
  if (wish !== 'required' || bare === undefined) return;
  throw new KeysteadError('signing.timestamp-waits', { field: bare.key, seen: 'keyd gave none' });
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
