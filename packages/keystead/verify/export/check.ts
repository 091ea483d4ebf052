import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicket, isInRange, parseTicket } from '@keystead/core/lifecycle';
import { checkpointKeys } from '../log-keys.ts';
import { RecordVerifier, unproven, type VerifiedRecord } from '../record.ts';
import { unitsInLog } from './in-log.ts';
import { MOST_BYTES, MOST_LIST_BYTES, readListed, textOf } from './listed-file.ts';
import { batchStatement, countUnit, newTally } from './statement.ts';
import { readSums, SUMS } from './sums.ts';

/** A file or a record that does not hold, and why. */
export interface ExportFailure {
  readonly file: string;
  readonly code: string;
  readonly why: string;
}

export interface ExportReport {
  readonly directory: string;
  /** Records that were looked at, and how many of them are proven. */
  readonly records: number;
  readonly proven: number;
  /** At most {@link MOST_NAMED}; `failed` counts them all. */
  readonly failures: readonly ExportFailure[];
  readonly failed: number;
  readonly unitsByKeyOrigin: Readonly<Record<string, number>>;
  /** The statement of the batch, YAML, where the export is one and it is what the records say. */
  readonly statement?: string;
  /** Units of the batch that a copy of the published log has; where one was given. */
  readonly unitsInLog?: number;
}

/**
 * The same, and whether the export has every unit of its batch: it is compared with a copy of the published log, so that
 * nobody can leave one out.
 * @throws KeysteadError as `verifyExport` and `unitsInLog`.
 */
export async function verifyWholeBatch(
  directory: string,
  v: { readonly trust?: string; readonly log: string },
  progress: (done: number, all: number) => void,
): Promise<ExportReport> {
  const report = verifyExport(directory, v.trust, progress);
  const ticket = join(directory, 'batch.ticket');
  if (!existsSync(ticket))
    throw new KeysteadError('record.export-damaged', { field: directory, seen: 'no whole batch' });
  const { id } = parseTicket(textOf(ticket)).ticket;
  const { units, entries } = await unitsInLog(v.log, id, checkpointKeys(v.trust ?? directory));
  if (units === report.records) return { ...report, unitsInLog: units };
  const why = `the log has ${units} units of this batch among its ${entries} entries, and the export ${report.records}`;
  const failures = [...report.failures, { file: 'batch-statement.yml', code: 'record.unproven', why }];
  return { ...report, failures, failed: report.failed + 1, unitsInLog: units };
}

/** Failures that a report names. */
const MOST_NAMED = 1000;

const WHAT_IS_TRUSTED = ['root.pem', 'log.vkey', 'log-cosign.vkey'];

/**
 * Verifies a directory that `RecordExport` wrote: that every file is there, is listed, and is as it was written; every
 * record; and that the statement of the batch is what its records and its ticket say. It goes on after a failure.
 * @param trust where `root.pem` and the log's keys lie that the auditor trusts; without it those of the export, whose
 *   fingerprints the auditor then has to compare.
 * @param progress called with the number of files that are done, and of all.
 * @throws KeysteadError `record.export-damaged` for what is no whole export; `cert.not-der`, `note.*` for bad keys.
 */
export function verifyExport(
  directory: string,
  trust: string | undefined,
  progress: (done: number, all: number) => void,
): ExportReport {
  return new ExportCheck(directory, trust).run(progress);
}

class ExportCheck {
  readonly #dir: string;
  readonly #sums: Map<string, string>;
  readonly #verifier: RecordVerifier;
  readonly #ticket: { readonly text: string; readonly ticket: BatchTicket; readonly sha256: string } | undefined;
  readonly #failures: ExportFailure[] = [];
  readonly #origins: Record<string, number> = {};
  #failed = 0;
  #records = 0;
  #proven = 0;

  constructor(directory: string, trust: string | undefined) {
    this.#dir = directory;
    const list = join(directory, SUMS);
    if (!existsSync(list)) {
      const seen = existsSync(join(directory, `${SUMS}.part`)) ? 'an export that was cut off' : `no ${SUMS}`;
      throw new KeysteadError('record.export-damaged', { field: directory, seen });
    }
    this.#sums = readSums(textOf(list, MOST_LIST_BYTES));
    const from = trust ?? directory;
    this.#verifier = new RecordVerifier({
      anchors: certificates(join(from, 'root.pem')),
      intermediates: certificates(join(directory, 'server.pem')),
      signers: certificates(join(directory, 'evidence-signer.pem')),
      logKeys: checkpointKeys(from),
    });
    const ticket = join(directory, 'batch.ticket');
    if (existsSync(ticket)) {
      const text = textOf(ticket);
      this.#ticket = { text, ...parseTicket(text) };
    }
  }

  run(progress: (done: number, all: number) => void): ExportReport {
    this.#requireListed();
    const tally = this.#ticket === undefined ? undefined : newTally(this.#ticket.ticket);
    let done = 0;
    // In the order of the device ids, whatever the order of the list: the gaps of a statement are told by it.
    for (const [file, sum] of [...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
      done += 1;
      progress(done, this.#sums.size);
      const bytes = this.#content(file, sum);
      if (!file.endsWith('.yaml') || file === 'batch-statement.yml') continue;
      this.#records += 1;
      if (bytes === undefined) continue;
      const unit = this.#record(file, bytes);
      if (unit !== undefined && tally !== undefined && this.#ticket !== undefined)
        countUnit(tally, this.#ticket.ticket, unit);
    }
    const statement =
      tally === undefined || this.#ticket === undefined ? undefined : batchStatement(this.#ticket.text, tally);
    const stated = this.#requireStatement(statement);
    return {
      directory: this.#dir,
      records: this.#records,
      proven: this.#proven,
      failures: this.#failures,
      failed: this.#failed,
      unitsByKeyOrigin: this.#origins,
      ...(stated === undefined ? {} : { statement: stated }),
    };
  }

  /** What lies there and is not on the list was put there by somebody else. */
  #requireListed(): void {
    for (const name of readdirSync(this.#dir)) {
      if (name === SUMS || this.#sums.has(name)) continue;
      this.#fail(name, 'record.export-damaged', `it does not stand in ${SUMS}`);
    }
    for (const name of WHAT_IS_TRUSTED) {
      if (!this.#sums.has(name)) this.#fail(name, 'record.export-damaged', `it does not stand in ${SUMS}`);
    }
  }

  /** The file, when it is the one that is listed. */
  #content(file: string, sum: string): Uint8Array | undefined {
    try {
      const bytes = readListed(join(this.#dir, file), MOST_BYTES);
      if (toHex(sha256(bytes)) === sum) return bytes;
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      return this.#fail(file, error.code, error.seen ?? error.message);
    }
    return this.#fail(file, 'record.export-damaged', 'it was changed');
  }

  #record(file: string, record: Uint8Array): VerifiedRecord | undefined {
    try {
      const path = join(this.#dir, file);
      const unit = this.#verifier.verify({
        record,
        signature: readListed(`${path}.sig`, MOST_BYTES),
        proof: JSON.parse(textOf(`${path}.proof.json`)),
      });
      if (file !== `${unit.deviceId}.yaml`) throw unproven('device_id', unit.deviceId);
      const ticket = this.#ticket;
      if (ticket !== undefined && unit.ticket !== ticket.ticket.id) throw unproven('ticket', unit.ticket);
      if (ticket !== undefined && !isInRange(ticket.ticket.deviceIds, unit.deviceId))
        throw unproven('device_id', `${unit.deviceId}, outside of the range of the ticket`);
      // Before version 3 a record names its ticket only by its id.
      if (ticket !== undefined && unit.ticketSha256 !== undefined && unit.ticketSha256 !== ticket.sha256)
        throw unproven('ticket_sha256', unit.ticketSha256);
      this.#proven += 1;
      this.#origins[unit.keyOrigin] = (this.#origins[unit.keyOrigin] ?? 0) + 1;
      return unit;
    } catch (error) {
      if (error instanceof KeysteadError) return this.#fail(file, error.code, error.message);
      return this.#fail(file, 'record.unproven', error instanceof Error ? error.message : String(error));
    }
  }

  #requireStatement(recomputed: string | undefined): string | undefined {
    const path = join(this.#dir, 'batch-statement.yml');
    if (recomputed === undefined && !existsSync(path)) return undefined;
    try {
      if (recomputed !== undefined && textOf(path) === recomputed) return recomputed;
    } catch (error) {
      // What there is instead of the file has been told.
      if (!(error instanceof KeysteadError)) throw error;
    }
    return this.#fail('batch-statement.yml', 'record.unproven', 'it is not what the ticket and the proven records say');
  }

  #fail(file: string, code: string, why: string): undefined {
    this.#failed += 1;
    if (this.#failures.length < MOST_NAMED) this.#failures.push({ file, code, why });
  }
}

/** @throws KeysteadError `record.export-damaged` */
function certificates(path: string): DerCertificate[] {
  const name = path.split('/').at(-1);
  let found: Uint8Array[];
  try {
    found = fromPem('CERTIFICATE', textOf(path));
  } catch {
    found = [];
  }
  if (found.length === 0) throw new KeysteadError('record.export-damaged', { field: name, seen: 'no certificate' });
  return found as DerCertificate[];
}
