import { canonicalJson } from '@keystead/core/bytes';
import type { Pieces } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseFirmwareStatement, requireFirmwareQuorum, verifyFirmwareStatements } from '@keystead/core/lifecycle';
import type { AuditEvent } from '../audit/index.ts';
import { type SigningSettings, SigningSettingsSchema } from '../files/signing-settings.ts';
import type { SigningRequestRow, Tx } from '../store/index.ts';
import { type Blob, BlobStore, type OpenBlob } from './blob-store.ts';
import { CarryOut } from './carry-out.ts';
import type { AskedBy, SigningDeps } from './deps.ts';
import { expireDue } from './expiry.ts';
import { newRequest, refusalOf, requireRoom, requireThisOrder } from './request.ts';
import { requireHigher, requireVersionFree } from './rollback.ts';
import type { SigningEvent } from './states.ts';
import { takeStep } from './step.ts';
import { type Submission, Submissions } from './submission.ts';
import { type DetachedTimeStamp, TimeStampFiles } from './time-stamps.ts';
import { eventOf, textOf } from './told.ts';
import { Unreferenced } from './unreferenced.ts';
import { type RequestView, statementsOf, viewOf } from './view.ts';

/** So often is looked for files that nobody needs. */
const SWEEP_MS = 3_600_000;
/** The most that one answer lists. */
const LISTED = 200;

/**
 * Requests for firmware signatures: an image that is kept by its hash, what people sign of it, and what keyd signs when
 * there are enough of them. Every step and its audit entry are one transaction; a request that is approved is carried out
 * at the next start when everything stops in the middle. REQ-KEY-SOD-02
 */
export class Signing {
  readonly files: BlobStore;
  readonly #deps: SigningDeps;
  readonly #submissions: Submissions;
  readonly #carryOut: CarryOut;
  readonly #stamps: TimeStampFiles;
  readonly #settings: SigningSettings;
  readonly #unreferenced: Unreferenced;
  #sweptAt = 0;

  constructor(deps: SigningDeps) {
    this.#deps = deps;
    this.files = new BlobStore(deps.directory);
    this.#stamps = new TimeStampFiles(deps.directory);
    this.#submissions = new Submissions(deps, this.files);
    this.#settings = SigningSettingsSchema.parse(deps.settings ?? {});
    this.#unreferenced = new Unreferenced(deps, this.files, this.#settings.unusedDays);
    this.#carryOut = new CarryOut(deps, this.files, this.#stamps);
  }

  /** Makes the directory, and goes on with what was approved when everything stopped. */
  async start(): Promise<void> {
    this.files.open();
    this.#stamps.open();
    await this.tick();
  }

  /** Ends what has run out, and tries again what keyd was not there for. */
  async tick(): Promise<void> {
    await expireDue(this.#deps);
    await this.#carryOut.all();
    const now = this.#deps.clock.now().getTime();
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    await this.#unreferenced.sweep();
  }

  /**
   * Keeps a file that comes, durably; who brought it stands in the log before it is answered.
   * @param most octets. @throws KeysteadError `signing.image-*`, and what the pieces throw; nothing is kept then.
   */
  async keep(pieces: Pieces, { most, expected }: { most: number; expected: string }, by: AskedBy): Promise<Blob> {
    const kept = await this.files.take(pieces, { most, expected });
    const { sha256, bytes } = kept;
    const event = {
      type: 'signing.uploaded',
      ...by,
      outcome: 'done' as const,
      subject: { file: sha256 },
      detail: { bytes },
    };
    await this.#deps.store.commit((tx) => void this.#deps.audit(tx, event));
    return kept;
  }

  /** The size of a file that is kept, octets. Who looks for one is about to name it: its time begins again. */
  sizeOf(sha256: string): number | undefined {
    this.files.renew(sha256, this.#deps.clock.now());
    return this.files.sizeOf(sha256);
  }

  /**
   * Takes a request as a draft: the image is read and scanned, and shown. The same again changes nothing.
   * @throws KeysteadError `signing.*`, `firmware.*`, audited; nothing is recorded then.
   */
  submit(asked: Submission, by: AskedBy): Promise<RequestView> {
    return this.#audited('request a firmware signature', by, { request: asked.id }, async () => {
      using _held = this.#unreferenced.hold(asked);
      const { order, reading } = await this.#submissions.read(asked);
      const text = canonicalJson(order);
      const now = this.#deps.clock.now().getTime();
      const row = await this.#deps.store.commit((tx) => {
        const known = tx.signing.request(order.id);
        if (known !== undefined) {
          if (known.order === text) return known;
          throw new KeysteadError('signing.request-differs', { field: 'id', seen: order.id });
        }
        requireHigher(tx.signing, order);
        requireVersionFree(tx.signing, order);
        const made = newRequest(order, reading, by, now);
        requireRoom(tx.signing, made, this.#settings.openPerSubmitter);
        tx.signing.insert(made);
        this.#deps.audit(tx, eventOf('signing.submitted', made, by, { reason: order.reason }));
        return made;
      });
      return this.#viewOf(row);
    });
  }

  /**
   * Adds what one person signed of a request: the proposal first, then approvals. It may be brought by somebody else, from
   * a machine that is offline. With the last approval that is needed keyd is asked.
   * @throws KeysteadError `firmware-order.*`, `signing.*`, audited; the request stays as it was, unless one of those who
   *   signed before may no longer: then it is refused for good.
   */
  add(id: string, statement: string, by: AskedBy): Promise<RequestView> {
    return this.#audited('sign a firmware request', by, { request: id }, async () => {
      const { signer, content } = parseFirmwareStatement(statement);
      const row = await this.#deps.store.commit((tx) => {
        const past = tx.signing.request(id);
        // Who had no answer brings it again, and all may have been done since.
        if (past?.state === 'signed' && statementsOf(past).includes(statement)) return past;
        const known = this.#open(tx, id);
        const before = statementsOf(known);
        if (before.includes(statement)) return known;
        requireThisOrder(known, content.order);
        if (known.state === 'approved')
          throw new KeysteadError('signing.request-closed', { field: id, seen: known.state });
        if (before.length > 0) {
          const spoiled = this.#spoiled(before);
          if (spoiled !== undefined) return this.#step(tx, known, 'refuse', by, { refusal: spoiled });
        }
        const statements = [...before, statement];
        const agreed = verifyFirmwareStatements(statements, this.#deps.policy, this.#deps.clock.now());
        requireHigher(tx.signing, agreed.order);
        requireVersionFree(tx.signing, agreed.order);
        const enough = agreed.approvers.length >= agreed.needed;
        if (enough) requireFirmwareQuorum(agreed);
        const signed = { ...known, statements: JSON.stringify(statements), expiresAt: Date.parse(agreed.expiresAt) };
        const said = { signer, role: content.role, approvals: agreed.approvers.length, needed: agreed.needed };
        if (before.length === 0) {
          const waiting = this.#step(tx, signed, 'propose', by, said);
          return enough ? this.#step(tx, waiting, 'approve', by, said) : waiting;
        }
        if (enough) return this.#step(tx, signed, 'approve', by, said);
        tx.signing.step({ ...signed, changedAt: this.#deps.clock.now().getTime() });
        this.#deps.audit(tx, eventOf('signing.approved', signed, by, said));
        return signed;
      });
      if (row.state === 'refused') throw refusalOf(row);
      if (row.state === 'approved') this.#carryOut.begin(id);
      return this.#viewOf(row);
    });
  }

  /** Ends a request that nobody has signed yet, or that waits. @throws KeysteadError `signing.*`, audited. */
  withdraw(id: string, by: AskedBy): Promise<RequestView> {
    return this.#audited('withdraw a firmware request', by, { request: id }, async () => {
      const row = await this.#deps.store.commit((tx) => {
        const known = tx.signing.request(id);
        if (known?.state === 'withdrawn') return known;
        const open = this.#open(tx, id);
        const [first] = statementsOf(open);
        const proposer = first === undefined ? undefined : parseFirmwareStatement(first).signer;
        if (proposer !== undefined && proposer !== by.actor.id) {
          throw new KeysteadError('signing.not-yours', {
            field: id,
            seen: `${by.actor.id}, where ${proposer} asked for it`,
          });
        }
        return this.#step(tx, open, 'withdraw', by, {});
      });
      return this.#viewOf(row);
    });
  }

  /** @throws KeysteadError `signing.request-unknown`. */
  show(id: string): RequestView {
    const row = this.#deps.store.read((records) => records.signing.request(id));
    if (row === undefined) throw new KeysteadError('signing.request-unknown', { field: 'id', seen: id });
    return this.#viewOf(row);
  }

  /** Who submitted it, as audit entries name them. @throws KeysteadError `signing.request-unknown`. */
  submitterOf(id: string): string {
    return this.show(id).submittedBy;
  }

  /**
   * The newest first.
   * @param after the id of the last one of the page before.
   * @throws KeysteadError `signing.request-unknown` for what is no request.
   */
  list(after?: string): { requests: RequestView[]; next: string | null } {
    const rows = this.#deps.store.read(({ signing }) => {
      const last = after === undefined ? undefined : signing.request(after);
      if (after !== undefined && last === undefined)
        throw new KeysteadError('signing.request-unknown', { field: 'after', seen: after });
      return signing.requests(last, LISTED);
    });
    const next = rows.length === LISTED ? (rows.at(-1)?.id ?? null) : null;
    return { requests: rows.map((row) => this.#viewOf(row)), next };
  }

  /** What was signed. @throws KeysteadError `signing.not-signed`, `signing.image-changed`. */
  async result(id: string): Promise<OpenBlob> {
    const { state, result } = this.show(id);
    if (result === null) throw new KeysteadError('signing.not-signed', { field: id, seen: state });
    return this.verified(result.sha256);
  }

  /** The time stamps that stand beside what was signed, for a format without a place for them. @throws as `result`. */
  timestamps(id: string): readonly DetachedTimeStamp[] {
    const { state } = this.show(id);
    if (state !== 'signed') throw new KeysteadError('signing.not-signed', { field: id, seen: state });
    return this.#stamps.of(id);
  }

  /** A file that is kept, whose bytes have been hashed again. The caller closes it. */
  async verified(sha256: string): Promise<OpenBlob> {
    const file = await this.files.read(sha256);
    try {
      await file.verify();
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
    return file;
  }

  /** Resolves when nothing is being carried out any more. */
  settled(): Promise<void> {
    return this.#carryOut.settled();
  }

  /** Why what was signed so far no longer counts; undefined where it does. What has merely ended, expires. */
  #spoiled(statements: readonly string[]): string | undefined {
    try {
      verifyFirmwareStatements(statements, this.#deps.policy, this.#deps.clock.now());
      return undefined;
    } catch (error) {
      if (error instanceof KeysteadError && error.code !== 'clock.went-back') return textOf(error);
      throw error;
    }
  }

  /** A request that may still change. @throws KeysteadError `signing.request-unknown`, `signing.request-closed`. */
  #open(tx: Tx, id: string): SigningRequestRow {
    const row = tx.signing.request(id);
    if (row === undefined) throw new KeysteadError('signing.request-unknown', { field: 'id', seen: id });
    const { state } = this.#viewOf(row);
    if (state === 'draft' || state === 'waiting' || state === 'approved') return row;
    throw new KeysteadError('signing.request-closed', { field: id, seen: state });
  }

  #viewOf(row: SigningRequestRow): RequestView {
    return { ...viewOf(row, this.#deps), late: row.state === 'approved' ? this.#carryOut.late(row.id) : null };
  }

  #step(
    tx: Tx,
    row: SigningRequestRow,
    event: SigningEvent,
    by: AskedBy,
    said: NonNullable<AuditEvent['detail']>,
  ): SigningRequestRow {
    return takeStep(this.#deps, tx, row, event, by, said);
  }

  async #audited<T>(what: string, by: AskedBy, subject: AuditEvent['subject'], act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({ what, error, ...by, subject });
      }
      throw error;
    }
  }
}
