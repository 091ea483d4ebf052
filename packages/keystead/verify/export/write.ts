import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { type DerCertificate, fromBase64, toHex, toPem } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseTicket } from '@keystead/core/lifecycle';
import { parse } from 'yaml';
import type { LogProver } from '../../audit/index.ts';
import { durableWrite } from '../../files/durable.ts';
import type { Layout } from '../../files/layout.ts';
import { KEY_ORIGINS, type RecordedOrigin } from '../record.ts';
import { documentChain } from '../trusted.ts';
import { type BatchTally, batchStatement, countUnit, newTally } from './statement.ts';
import { SUMS, sumLine } from './sums.ts';

/** A record as the service gives it. */
export interface StoredRecord {
  readonly deviceId: string;
  readonly record: string;
  /** Base64. */
  readonly signature: string;
  readonly auditSeq: number;
}

/** What a verifier needs beside the records themselves: public, the same for every device. */
const LOG_FILES = ['log.vkey', 'log-cosign.vkey'];
/** Where a later run goes on. It is gone when the export is whole. */
const STATE = '.unfinished.json';

interface State {
  /** What is exported: a directory is gone on with for the same question only. */
  readonly query: string;
  /** Where the next page begins, as the service says; null after the last. */
  next: string | null;
  /** Length of the list of files, bytes: what is behind it was of a page that was cut off. */
  listed: number;
  records: number;
  /** Certificates that records were signed with, by role, base64 DER. */
  certificates: Record<'root' | 'server' | 'evidence-signer', string[]>;
  tally: BatchTally | null;
}

/**
 * Writes records, their signatures and proofs, and what verifies them into a directory: page by page, so that memory does
 * not grow with their number, and so that a run that was cut off goes on where it was. REQ-KEY-PROV-02
 */
export class RecordExport {
  readonly #dir: string;
  readonly #layout: Layout;
  readonly #prover: LogProver;
  readonly #ticket: string | undefined;
  readonly #state: State;

  private constructor(dir: string, layout: Layout, v: { prover: LogProver; ticket?: string; state: State }) {
    this.#dir = dir;
    this.#layout = layout;
    this.#prover = v.prover;
    this.#ticket = v.ticket;
    this.#state = v.state;
  }

  /**
   * Begins an export, or goes on with one.
   * @param v.query what is exported, in one form. @param v.ticket the signed ticket, where it is one batch.
   * @throws KeysteadError `record.export-exists` for a directory with something else in it.
   */
  static open(dir: string, layout: Layout, v: { query: string; prover: LogProver; ticket?: string }): RecordExport {
    mkdirSync(dir, { recursive: true });
    const { query, prover, ticket } = v;
    const state = existsSync(join(dir, STATE)) ? readState(dir, query) : newState(dir, query, ticket);
    const list = openSync(join(dir, `${SUMS}.part`), 'a');
    ftruncateSync(list, state.listed);
    closeSync(list);
    return new RecordExport(dir, layout, { prover, ticket, state });
  }

  /** Where the next page begins; `''` is the beginning, null the end. */
  get next(): string | null {
    return this.#state.next;
  }

  get records(): number {
    return this.#state.records;
  }

  /** Writes a page. What was written of it before a kill is written again, to the same names. */
  async add(records: readonly StoredRecord[], next: string | null): Promise<void> {
    let lines = '';
    for (const { deviceId, record, signature, auditSeq } of records) {
      const proof = await this.#prover.proof(auditSeq);
      lines += this.#write(`${deviceId}.yaml`, record);
      lines += this.#write(`${deviceId}.yaml.sig`, fromBase64(signature));
      lines += this.#write(`${deviceId}.yaml.proof.json`, `${JSON.stringify(proof, null, 2)}\n`);
      this.#count(deviceId, record);
    }
    const state = this.#state;
    state.records += records.length;
    state.next = next;
    this.#list(lines);
    durableWrite(join(this.#dir, STATE), JSON.stringify(state), 0o644);
  }

  /** Writes what the records have in common, and the list of all files. */
  finish(): void {
    const { certificates, tally } = this.#state;
    let lines = '';
    for (const [role, all] of Object.entries(certificates)) {
      if (all.length === 0) continue;
      lines += this.#write(`${role}.pem`, all.map((der) => toPem('CERTIFICATE', fromBase64(der))).join(''));
    }
    for (const name of LOG_FILES) {
      copyFileSync(join(this.#layout.trust, name), join(this.#dir, name));
      lines += sumLine(toHex(sha256(readFileSync(join(this.#dir, name)))), name);
    }
    if (this.#ticket !== undefined && tally !== null) {
      lines += this.#write('batch.ticket', this.#ticket);
      lines += this.#write('batch-statement.yml', batchStatement(this.#ticket, tally));
    }
    this.#list(lines);
    renameSync(join(this.#dir, `${SUMS}.part`), join(this.#dir, SUMS));
    rmSync(join(this.#dir, STATE));
  }

  #write(name: string, content: string | Uint8Array): string {
    writeFileSync(join(this.#dir, name), content);
    return sumLine(toHex(sha256(typeof content === 'string' ? Buffer.from(content, 'utf8') : content)), name);
  }

  #list(lines: string): void {
    const list = openSync(join(this.#dir, `${SUMS}.part`), 'a');
    try {
      const bytes = Buffer.from(lines, 'latin1');
      for (let written = 0; written < bytes.length; ) written += writeSync(list, bytes, written);
      this.#state.listed += bytes.length;
    } finally {
      closeSync(list);
    }
  }

  #count(deviceId: string, text: string): void {
    const record = parse(text) as {
      date: string;
      line: string;
      keys?: { bootstrap_ca?: string };
      key?: { origin?: RecordedOrigin };
      signer_cert?: string;
    };
    const { date, line, keys, key } = record;
    const state = this.#state;
    const known = state.certificates['evidence-signer'].some(
      (der) => `sha256:${certSha256(fromBase64(der) as DerCertificate)}` === record.signer_cert,
    );
    if (!known) {
      // Those that were in force when it was signed: a CA or a root may have another key since.
      const anchor = keys?.bootstrap_ca?.replace(/^sha256:/, '');
      const { evidenceSigner, intermediates, root } = documentChain(
        this.#layout,
        new Date(date),
        record.signer_cert ?? '',
        anchor,
      );
      keep(state.certificates['evidence-signer'], evidenceSigner);
      for (const der of intermediates) keep(state.certificates.server, der);
      keep(state.certificates.root, root);
    }
    if (state.tally === null || this.#ticket === undefined) return;
    const keyOrigin = KEY_ORIGINS.find((origin) => origin === key?.origin) ?? 'proof-of-possession';
    countUnit(state.tally, parseTicket(this.#ticket).ticket, { deviceId, date, line, keyOrigin });
  }
}

function keep(all: string[], der: DerCertificate): void {
  const text = Buffer.from(der).toString('base64');
  if (!all.includes(text)) all.push(text);
}

function readState(dir: string, query: string): State {
  const state = JSON.parse(readFileSync(join(dir, STATE), 'utf8')) as State;
  if (state.query === query) return state;
  throw new KeysteadError('record.export-exists', { field: dir, seen: `an unfinished export of ${state.query}` });
}

function newState(dir: string, query: string, ticket: string | undefined): State {
  // A first page that was cut off leaves no state: its list is begun anew, and its files are written over.
  const begun = existsSync(join(dir, `${SUMS}.part`));
  const [other] = begun ? [] : readdirSync(dir);
  if (other !== undefined) throw new KeysteadError('record.export-exists', { field: dir, seen: basename(other) });
  return {
    query,
    next: '',
    listed: 0,
    records: 0,
    certificates: { root: [], server: [], 'evidence-signer': [] },
    tally: ticket === undefined ? null : newTally(parseTicket(ticket).ticket),
  };
}
