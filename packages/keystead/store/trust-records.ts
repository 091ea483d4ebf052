import type { Serial } from '@keystead/core/bytes';
import type { Queries } from './queries.ts';
import type { Prepared } from './statement.ts';
import type { TrustBundleRow, UptakeRow } from './trust-queries.ts';

/** Signers change a few times in the life of a fleet. */
const MOST_SIGNER_CHANGES = 1000;

/** A certificate as a filter knows it. Its end in milliseconds since 1970. */
export interface SerialRow {
  readonly serial: Serial;
  readonly notAfter: number;
}

/** What can be asked of the published trust bundles. */
export class TrustBundleReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  /** The newest. */
  last(): TrustBundleRow | undefined {
    return this.statements.lastTrustBundle.first({});
  }

  bundle(version: number): TrustBundleRow | undefined {
    return this.statements.trustBundle.first({ version });
  }

  /** The versions in which the list of signers changed, the oldest first. */
  signerChanges(): number[] {
    return this.statements.trustSignerChanges.all({ count: MOST_SIGNER_CHANGES }).map(({ version }) => version);
  }

  /** Up to `count` that have not expired at `now` (milliseconds since 1970), the newest first. */
  inForce(now: number, count: number): TrustBundleRow[] {
    return this.statements.trustBundlesIn.all({ now, count });
  }

  /** The version with which each content began that stands in a bundle which has not expired at `now`. */
  firstsInForce(now: number): number[] {
    return this.statements.trustFirstsIn.all({ now }).map(({ version }) => version);
  }

  /** The version with which a content began, by the number of its change. */
  firstOf(change: number): number | undefined {
    return this.statements.trustFirstOf.first({ change })?.version;
  }

  /** Up to `count` certificates of an issuer that end after that one, by their end and then by serial number. */
  living(issuer: string, after: { readonly notAfter: number; readonly serial: string }, count: number): SerialRow[] {
    const { notAfter, serial } = after;
    return this.statements.livingAfter.all({ issuer, notAfter, serial, count });
  }

  /**
   * Up to `count` certificates of an issuer that stand in keyd's journal alone, after a serial number ('00' for the first),
   * by it.
   */
  journalSerials(issuer: string, after: string, count: number): SerialRow[] {
    return this.statements.journalSerialsAfter.all({ issuer, after, count });
  }
}

export class TrustBundleWriter extends TrustBundleReader {
  insert(row: TrustBundleRow): void {
    this.statements.insertTrustBundle.run(row);
  }
}

/** What devices said last that they go by. */
export class UptakeReader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  of(deviceId: string): UptakeRow | undefined {
    return this.statements.uptakeOf.first({ deviceId });
  }

  /** Up to `count` after a device id ('' for the first), by it. */
  list(after: string, count: number): UptakeRow[] {
    return this.statements.uptakes.all({ after, count });
  }

  /** How many devices go by which bundle, the newest first; null for those without one. */
  byVersion(): { bundleVersion: number | null; devices: number }[] {
    return this.statements.uptakeByVersion.all({});
  }
}

export class UptakeWriter extends UptakeReader {
  put(row: UptakeRow): void {
    this.statements.putUptake.run(row);
  }
}
