import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type FirmwareOrder, firmwareTimestamp } from '@keystead/core/lifecycle';
import type { SigningRequestRow } from '../store/index.ts';
import type { Blob, BlobStore } from './blob-store.ts';
import type { AskedBy, SigningDeps } from './deps.ts';
import { takeStep } from './step.ts';
import { requireStamped, type TimeStampFiles } from './time-stamps.ts';
import { textOf } from './told.ts';
import { statementsOf } from './view.ts';

/** As many are looked for at a start. */
const LISTED = 500;
/**
 * So many are carried out at once, and the rest in their turn: each hashes its image twice and holds a subject in memory,
 * here and at keyd.
 */
const AT_ONCE = 4;
/** How much longer than its image a signed image may be, octets. */
const MOST_ADDED = 16 * 1024 * 1024;

/**
 * Has keyd sign what was approved, puts the result together and keeps it. Whatever stops it, an approved request is taken
 * up again: keyd gives the signature of an order that it has signed from its journal, and makes no second one.
 */
export class CarryOut {
  readonly #deps: SigningDeps;
  readonly #files: BlobStore;
  readonly #stamps: TimeStampFiles;
  readonly #running = new Map<string, Promise<void>>();
  /** Those that begin when one that runs has ended, the first that was asked for first. */
  readonly #waiting = new Set<string>();
  readonly #late = new Map<string, string>();

  constructor(deps: SigningDeps, files: BlobStore, stamps: TimeStampFiles) {
    this.#deps = deps;
    this.#files = files;
    this.#stamps = stamps;
  }

  /** Begins with an approved request, or puts it behind those that are under way; one of these goes on. */
  begin(id: string): void {
    if (this.#running.has(id)) return;
    this.#waiting.add(id);
    this.#next();
  }

  #next(): void {
    for (const id of this.#waiting) {
      if (this.#running.size >= AT_ONCE) return;
      this.#waiting.delete(id);
      const run = this.#try(id).finally(() => {
        this.#running.delete(id);
        this.#next();
      });
      this.#running.set(id, run);
    }
  }

  /** Why an approved request is not signed yet, as the last try found it. */
  late(id: string): string | null {
    return this.#late.get(id) ?? null;
  }

  /** Begins with all that are approved. */
  async all(): Promise<void> {
    const approved = this.#deps.store.read(({ signing }) => signing.requestsIn('approved', LISTED));
    for (const { id } of approved) this.begin(id);
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  /** What is refused, ends; what cannot be had now, waits for the next time. It never rejects. */
  async #try(id: string): Promise<void> {
    const by: AskedBy = { actor: { kind: 'system', id: 'serve' }, requestId: 'none' };
    try {
      const row = this.#deps.store.read(({ signing }) => signing.request(id));
      if (row?.state !== 'approved') return;
      const asked = { ...by, requestId: row.requestId };
      try {
        await this.#signed(row, asked);
        this.#late.delete(id);
      } catch (error) {
        if (!(error instanceof KeysteadError) || error.kind === 'unavailable' || error.kind === 'internal') throw error;
        await this.#end(row, 'refuse', asked, { refusal: textOf(error) });
        this.#late.delete(id);
      }
    } catch (error) {
      this.#late.set(
        id,
        error instanceof KeysteadError ? textOf(error) : 'an unexpected failure: see the log of serve',
      );
      this.#deps.log.error({ err: error, request: id }, 'a firmware signature could not be made; it is tried again');
    }
  }

  /** @throws KeysteadError `signing.image-changed`, and of keyd and the format. */
  async #signed(row: SigningRequestRow, by: AskedBy): Promise<void> {
    const order = JSON.parse(row.order) as FirmwareOrder;
    const format = this.#deps.formatOf(order.format);
    await using image = await this.#files.read(order.image.sha256);
    // What people approved is a hash, and what lies on the disk may be something else by now.
    await image.verify();
    const { subject } = await format.read(image);
    if (toHex(sha256(subject)) !== order.subjectSha256) {
      throw new KeysteadError('signing.image-changed', { field: 'subject', seen: 'another subject than was approved' });
    }
    // What was approved with the image must be there to be shown, or the signature vouches for what nobody has.
    for (const { sha256: document } of order.documents) {
      await using file = await this.#files.read(document);
      await file.verify();
    }
    const statements = statementsOf(row);
    const made = await this.#deps.keyd.signFirmware({ statements, subject, requestId: row.requestId });
    const wish = firmwareTimestamp(this.#deps.policy, order);
    const { signatures } = made;
    requireStamped(wish, signatures);
    const pieces = format.assemble(image, subject, signatures);
    const kept = await this.#files.take(pieces, { most: image.size + MOST_ADDED });
    // It was read again while the result was put together.
    await image.verify();
    const stamps = signatures.flatMap(({ key, signature, timestamp }) =>
      timestamp === undefined ? [] : [{ key, signature, token: timestamp }],
    );
    if (format.stamped !== true && stamps.length > 0) this.#stamps.keep(row.id, stamps);
    await this.#end(
      row,
      'sign',
      by,
      {
        resultSha256: kept.sha256,
        keys: signatures.map(({ key }) => key).join(', '),
        timestamps: stamps.map(({ token }) => toHex(sha256(token))).join(', ') || wish,
      },
      kept,
    );
  }

  async #end(
    row: SigningRequestRow,
    event: 'sign' | 'refuse',
    by: AskedBy,
    said: Readonly<Record<string, string | number>>,
    kept?: Blob,
  ): Promise<void> {
    await this.#deps.store.commit((tx) => {
      const known = tx.signing.request(row.id);
      if (known?.state !== 'approved') return;
      const withResult = { ...known, resultSha256: kept?.sha256 ?? null, resultBytes: kept?.bytes ?? null };
      takeStep(this.#deps, tx, withResult, event, by, said);
    });
  }
}
