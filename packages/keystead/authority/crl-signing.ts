import type { Serial } from '@keystead/core/bytes';
import { crlListName, type ListedIssuer, type Shard, shardsOf } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import type { StagedFile } from '../files/staged.ts';
import type { Result } from '../keyd-client/index.ts';
import type { CrlRow, Reader } from '../store/index.ts';
import type { CrlFiles } from './crl-files.ts';
import type { AuthorityDeps } from './deps.ts';

/** keyd remembers what it has listed, so later CRLs send only what is new, and an hour more to be safe. */
const OVERLAP_MS = 3_600_000;
/** About 500 kB a message: large ones cost both ends more memory than they save time. */
const ENTRIES_PER_MESSAGE = 5000;

interface Revocation {
  readonly serial: Serial;
  readonly revokedAt: Date;
  readonly reason?: RevocationReason;
}

/** What is to be made. */
export type Kind = 'all' | 'deltas';

export interface Staged {
  readonly row: CrlRow;
  readonly file: StagedFile;
}

/** Tells keyd what is revoked, and has it sign the lists of an issuer. */
export class CrlSigning {
  readonly #deps: AuthorityDeps;
  readonly #files: CrlFiles;
  /** Issuers for which this process has sent keyd everything once. */
  readonly #complete = new Set<ListedIssuer>();

  constructor(deps: AuthorityDeps, files: CrlFiles) {
    this.#deps = deps;
    this.#files = files;
  }

  /** Takes note that the lists are recorded. What was left out is sent again with the next one. */
  recorded(issuer: ListedIssuer, withheld: number): void {
    if (withheld === 0) this.#complete.add(issuer);
    else this.#complete.delete(issuer);
  }

  /** Has keyd sign the lists, and takes each over beside its place. @returns how many revocations keyd was told of, and left out. */
  async sign(issuer: ListedIssuer, kind: Kind, staged: Staged[]): Promise<{ sent: number; withheld: number }> {
    const { store, keyd, clock } = this.#deps;
    const madeAt = clock.now().getTime();
    const { last, entries } = store.read((records) => this.#gather(records, issuer));
    const { crlNumbers, crlShards } = await keyd.status();
    // keyd may have signed a CRL that was never recorded; its number is not used again.
    const newest = store.read((records) => records.crlLists(issuer)).map(({ number }) => number);
    let number = Math.max(last?.number ?? 0, crlNumbers[issuer] ?? 0, ...newest);
    let from = 0;
    let withheld = 0;
    for (; entries.length - from > ENTRIES_PER_MESSAGE; from += ENTRIES_PER_MESSAGE) {
      const some = entries.slice(from, from + ENTRIES_PER_MESSAGE);
      withheld += (await keyd.listRevocations({ issuer, entries: some })).withheld;
    }
    let rest = entries.slice(from);
    const take = async (list: string, signed: Omit<Result<'signCrl'>, 'delta' | 'withheld'>): Promise<void> => {
      const file = await this.#files.stage(list, signed);
      const { bytes, sha256 } = signed;
      const nextUpdate = signed.nextUpdate.getTime();
      staged.push({ row: { list, issuer, number: signed.number, madeAt, nextUpdate, bytes, sha256 }, file });
    };
    const scopes: (Shard | undefined)[] = [undefined, ...(crlShards[issuer] ?? []).flatMap(shardsOf)];
    for (const shard of scopes) {
      number += 1;
      const signed = await keyd.signCrl({ issuer, number, shard, deltaOnly: kind === 'deltas', entries: rest });
      rest = [];
      withheld += signed.withheld;
      await take(crlListName({ issuer, shard, delta: kind === 'deltas' }), signed);
      if (signed.delta !== undefined) await take(crlListName({ issuer, shard, delta: true }), signed.delta);
    }
    return { sent: entries.length, withheld };
  }

  #gather(records: Reader, issuer: ListedIssuer): { last: CrlRow | undefined; entries: Revocation[] } {
    const last = records.crlLists(issuer).find(({ list }) => list === crlListName({ issuer }));
    const since = last !== undefined && this.#complete.has(issuer) ? last.madeAt - OVERLAP_MS : 0;
    // RFC 5280 section 3.3: an entry stays until it has stood on a CRL made after its certificate ended.
    const endedAfter = last?.madeAt ?? 0;
    const revoked = records.revokedSince(issuer, since).filter((row) => row.notAfter >= endedAfter);
    const abandoned = records.abandonedSince(issuer, since).filter((row) => row.notAfter >= endedAfter);
    return {
      last,
      entries: [
        ...revoked.map((row) => ({
          serial: row.serial,
          revokedAt: new Date(row.revokedAt),
          reason: row.reason ?? undefined,
        })),
        ...abandoned.map((row) => ({ serial: row.serial, revokedAt: new Date(row.foundAt) })),
      ],
    };
  }
}
