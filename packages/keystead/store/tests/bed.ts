import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertSha256, type Serial, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import { leafHash } from '@keystead/core/log';
import { type Certificate, openStore, type Store, type StoreOptions, type Tx } from '../index.ts';

export const START = new Date('2026-03-01T08:00:00.000Z');

/** A database in a directory of its own, which is removed with it. */
export class StoreBed {
  readonly directory: string;
  readonly path: string;
  readonly clock = new SimulatedClock(START);
  #store: Store | undefined;

  constructor(directory = mkdtempSync(join(tmpdir(), 'keystead-store-'))) {
    this.directory = directory;
    this.path = join(directory, 'store', 'keystead.db');
  }

  get store(): Store {
    this.#store ??= this.open();
    return this.#store;
  }

  open(options: Partial<StoreOptions> = {}): Store {
    this.#store = openStore({ path: this.path, clock: this.clock, ...options });
    return this.#store;
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export const randomHex = (bytes: number): string => toHex(randomBytes(bytes));

/** A certificate row; the store does not look into its DER. */
export function certificateRow(more: Partial<Certificate> = {}): Certificate {
  const at = START.getTime();
  return {
    issuer: 'operational',
    serial: `01${randomHex(19)}` as Serial,
    profile: 'ldevid',
    subject: 'CN=pump-1',
    deviceId: null,
    operator: null,
    spkiSha256: randomHex(32) as SpkiSha256,
    notBefore: at,
    notAfter: at + 90_000,
    der: randomBytes(480),
    certSha256: randomHex(32) as CertSha256,
    status: 'good',
    revokedAt: null,
    reason: null,
    invalidityAt: null,
    requestId: 'r1',
    csrSha256: randomHex(32),
    issuedAt: at,
    ...more,
  };
}

/** Inserts a certificate with the history of its key, as an authority does. */
export function insertWithKey(tx: Tx, row: Certificate, owner = 'device:pump-1'): void {
  const { spkiSha256, issuer, serial, issuedAt } = row;
  tx.insertKeyUse({ spkiSha256, owner, issuer, serial, firstSeen: issuedAt });
  tx.insertCertificate(row);
}

/** Appends an audit entry with these bytes, one millisecond after the last. */
export function appendEntry(tx: Tx, text: string): number {
  const last = tx.lastAudit();
  const bytes = Buffer.from(text);
  const seq = tx.auditSize();
  tx.insertAudit({ seq, time: (last?.time ?? START.getTime()) + 1, leafHash: leafHash(bytes), bytes });
  return seq;
}
