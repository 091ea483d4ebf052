import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, fromBase64, type SpkiSha256, toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import type { UnitKeyJournalEntry } from './journal-entry.ts';

/** A key that keyd made for a unit: what the journal knows of it. */
export interface MadeKey {
  readonly deviceId: string;
  readonly spkiSha256: SpkiSha256;
  /** Of the public key that it was wrapped to. */
  readonly recipientSha256: SpkiSha256;
  /** Of the package, DER. */
  readonly packageSha256: string;
  /** Of the file that has package and request. */
  readonly fileSha256: string;
  readonly chip?: UnitKeyJournalEntry['chip'];
}

/** What the unit gets, and what is certified. */
export interface UnitPackage {
  /** PKCS#10, DER, signed by the new key before it was forgotten. */
  readonly csr: Uint8Array;
  /** CMS, DER: only the owner of the recipient key opens it. */
  readonly envelope: Uint8Array;
}

const FileSchema = z.strictObject({ csr: z.base64(), envelope: z.base64() });

/** A unit that asks with many ephemeral keys before one is certified has something else wrong with it. */
const MOST_PER_UNIT = 4;

/**
 * The keys that keyd made for units without a random source. The private half is in no file: what lies in `injected/` is
 * the package, which only the unit's own ephemeral key opens, so that a unit or a station that lost power gets the same
 * package again and never a second identity. Made again from the journal. REQ-KEY-GEN-03, REQ-KEY-PROV-01
 */
export class Injections {
  readonly #byUnit = new Map<string, MadeKey[]>();
  readonly #bySpki = new Map<string, MadeKey>();
  readonly #recipients = new Map<string, string>();
  #dir: string | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** One key after the other: two for one unit, or to one recipient, would get past the checks. */
  inTurn<T>(make: () => Promise<T>): Promise<T> {
    const made = this.#last.then(make);
    this.#last = made.catch(() => {});
    return made;
  }

  /** Where packages lie: keyd's own directory. */
  within(keydDirectory: string): void {
    this.#dir = join(keydDirectory, 'injected');
  }

  /** Takes an entry of the journal into account. */
  replay(entry: UnitKeyJournalEntry): void {
    const { subject: deviceId, spkiSha256, recipientSha256, packageSha256, fileSha256, chip } = entry;
    const made: MadeKey = {
      deviceId,
      spkiSha256: spkiSha256 as SpkiSha256,
      recipientSha256: recipientSha256 as SpkiSha256,
      packageSha256,
      fileSha256,
      ...(chip === undefined ? {} : { chip }),
    };
    this.#byUnit.set(deviceId, [...(this.#byUnit.get(deviceId) ?? []), made]);
    this.#bySpki.set(spkiSha256, made);
    this.#recipients.set(recipientSha256, deviceId);
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

  /** Writes a package; durable when it returns. @returns SHA-256 of the file, hex. @throws Error of node:fs. */
  write(spkiSha256: SpkiSha256, { csr, envelope }: UnitPackage): string {
    const text = canonicalJson({ csr: toBase64(csr), envelope: toBase64(envelope) });
    const dir = this.#directory();
    if (!existsSync(dir)) {
      mkdirSync(dir, { mode: 0o700 });
      syncDirectory(join(dir, '..'));
    }
    durableWrite(join(dir, `${spkiSha256}.json`), text, 0o600);
    return toHex(sha256(Buffer.from(text, 'utf8')));
  }

  /** The package of a key. @throws KeysteadError `injection.package-lost`. */
  read({ deviceId, spkiSha256, fileSha256 }: MadeKey): UnitPackage {
    const path = join(this.#directory(), `${spkiSha256}.json`);
    const lost = (seen: string): KeysteadError =>
      new KeysteadError('injection.package-lost', { field: deviceId, seen });
    if (!existsSync(path)) throw lost('no file');
    const bytes = readFileSync(path);
    if (toHex(sha256(bytes)) !== fileSha256) throw lost('another file than was written');
    const { csr, envelope } = FileSchema.parse(JSON.parse(bytes.toString('utf8')));
    return { csr: fromBase64(csr), envelope: fromBase64(envelope) };
  }

  #directory(): string {
    if (this.#dir === undefined) throw new Error('no directory was given');
    return this.#dir;
  }
}
