import { closeSync, existsSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { canonicalJson, fromBase64, type SpkiSha256, toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { syncDirectory } from '../files/durable.ts';
import type { UnitKeyJournalEntry } from './journal-entry.ts';

/** A key that keyd made for a unit: what the journal knows of it. */
export interface MadeKey {
  readonly deviceId: string;
  readonly spkiSha256: SpkiSha256;
  /** Of the public key that it was wrapped to. */
  readonly recipientSha256: SpkiSha256;
  /** Of the package, DER. */
  readonly packageSha256: string;
  /** Where package and request lie. */
  readonly place: PackagePlace;
  readonly chip?: UnitKeyJournalEntry['chip'];
}

/** What the unit gets, and what is certified. */
export interface UnitPackage {
  /** PKCS#10, DER, signed by the new key before it was forgotten. */
  readonly csr: Uint8Array;
  /** CMS, DER: only the owner of the recipient key opens it. */
  readonly envelope: Uint8Array;
}

/** A line of the file `injected`: where it begins, how long it is with its line feed, and its SHA-256, hex. */
export type PackagePlace = UnitKeyJournalEntry['place'];

const LineSchema = z.strictObject({ csr: z.base64(), envelope: z.base64() });

/** A unit that asks with many ephemeral keys before one is certified has something else wrong with it. */
const MOST_PER_UNIT = 4;

/**
 * The keys that keyd made for units without a random source. The private half is in no file: what lies in `injected` is
 * the package, which only the unit's own ephemeral key opens, so that a unit or a station that lost power gets the same
 * package again and never a second identity. Made again from the journal. REQ-KEY-GEN-03, REQ-KEY-PROV-01
 */
export class Injections {
  readonly #byUnit = new Map<string, MadeKey[]>();
  readonly #bySpki = new Map<string, MadeKey>();
  readonly #recipients = new Map<string, string>();
  #path: string | undefined;
  /** Where the next line goes. */
  #end = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** One key after the other: two for one unit, or to one recipient, would get past the checks. */
  inTurn<T>(make: () => Promise<T>): Promise<T> {
    const made = this.#last.then(make);
    this.#last = made.catch(() => {});
    return made;
  }

  /** Where packages lie: keyd's own directory. */
  within(keydDirectory: string): void {
    this.#path = join(keydDirectory, 'injected');
  }

  /** Takes an entry of the journal into account. */
  replay(entry: UnitKeyJournalEntry): void {
    const { subject: deviceId, spkiSha256, recipientSha256, packageSha256, place, chip } = entry;
    const made: MadeKey = {
      deviceId,
      spkiSha256: spkiSha256 as SpkiSha256,
      recipientSha256: recipientSha256 as SpkiSha256,
      packageSha256,
      place,
      ...(chip === undefined ? {} : { chip }),
    };
    this.#byUnit.set(deviceId, [...(this.#byUnit.get(deviceId) ?? []), made]);
    this.#bySpki.set(spkiSha256, made);
    this.#recipients.set(recipientSha256, deviceId);
    this.#end = Math.max(this.#end, place.at + place.bytes);
  }

  /** The key with this hash, if keyd made it. */
  madeWith(spkiSha256: SpkiSha256): MadeKey | undefined {
    return this.#bySpki.get(spkiSha256);
  }

  /** The key that was made for this unit and wrapped to this very key. */
  madeFor(deviceId: string, recipientSha256: SpkiSha256): MadeKey | undefined {
    return this.#byUnit.get(deviceId)?.find((made) => made.recipientSha256 === recipientSha256);
  }

  /**
   * That a key may be wrapped to this one for this unit, and that it is not one too many.
   * @throws KeysteadError `injection.recipient-used`, `injection.too-many`.
   */
  requireFree(deviceId: string, recipientSha256: SpkiSha256): void {
    const owner = this.#recipients.get(recipientSha256);
    if (owner !== undefined)
      throw new KeysteadError('injection.recipient-used', { field: 'recipient', seen: `the key of ${owner}` });
    // One that keyd made for somebody is no key that a unit made.
    if (this.#bySpki.has(recipientSha256))
      throw new KeysteadError('injection.recipient-unfit', { field: 'recipient', seen: 'a key that keyd made' });
    const many = this.#byUnit.get(deviceId)?.length ?? 0;
    if (many >= MOST_PER_UNIT) throw new KeysteadError('injection.too-many', { field: deviceId, seen: `${many} keys` });
  }

  /**
   * Appends a package; durable when it returns. What a crash left behind the last one that the journal names is written
   * over. @throws KeysteadError `keyd.journal-failed` where it cannot be written: a full disk, most often.
   */
  write({ csr, envelope }: UnitPackage): PackagePlace {
    const text = canonicalJson({ csr: toBase64(csr), envelope: toBase64(envelope) });
    const line = Buffer.from(`${text}\n`, 'utf8');
    const path = this.#file();
    try {
      this.#put(path, line);
    } catch (cause) {
      const seen = cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error';
      throw new KeysteadError('keyd.journal-failed', { field: path, seen, cause });
    }
    return { at: this.#end, bytes: line.length, sha256: toHex(sha256(line)) };
  }

  #put(path: string, line: Buffer): void {
    const isNew = !existsSync(path);
    const file = openSync(path, isNew ? 'wx' : 'r+', 0o600);
    try {
      for (let done = 0; done < line.length; )
        done += writeSync(file, line, done, line.length - done, this.#end + done);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (isNew) syncDirectory(dirname(path));
  }

  /** The package of a key. @throws KeysteadError `injection.package-lost`. @throws Error of node:fs. */
  read({ deviceId, place }: MadeKey): UnitPackage {
    const line = this.#line(place);
    if (line === undefined || toHex(sha256(line)) !== place.sha256)
      throw new KeysteadError('injection.package-lost', {
        field: deviceId,
        seen: `${place.bytes} bytes at ${place.at}`,
      });
    const { csr, envelope } = LineSchema.parse(JSON.parse(line.toString('utf8')));
    return { csr: fromBase64(csr), envelope: fromBase64(envelope) };
  }

  #line({ at, bytes }: PackagePlace): Buffer | undefined {
    const path = this.#file();
    if (!existsSync(path)) return undefined;
    const file = openSync(path, 'r');
    try {
      const line = Buffer.alloc(bytes);
      return readSync(file, line, 0, bytes, at) === bytes ? line : undefined;
    } finally {
      closeSync(file);
    }
  }

  #file(): string {
    if (this.#path === undefined) throw new Error('no directory was given');
    return this.#path;
  }
}
